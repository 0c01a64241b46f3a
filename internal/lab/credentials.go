//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	clientapi "k8s.io/client-go/tools/clientcmd/api"
)

// masters is the group that RBAC refuses nothing.
const masters = "system:masters"

// writeCredentials makes all certificates and kubeconfigs of the lab.
func (l *Lab) writeCredentials() error {
	if err := os.MkdirAll(l.paths.in("pki"), 0o700); err != nil {
		return err
	}
	ca, err := newAuthority()
	if err != nil {
		return fmt.Errorf("make certificate authority: %w", err)
	}
	if err := l.writeServerCredentials(ca); err != nil {
		return err
	}
	return l.writeKubeconfigs(ca)
}

func (l *Lab) writeServerCredentials(ca *authority) error {
	caKey, err := encodeKey(ca.key)
	if err != nil {
		return err
	}
	if err := (identity{ca.pem, caKey}).write(l.paths, "ca"); err != nil {
		return err
	}
	names, addrs := l.apiNames()
	api, err := ca.server("kube-apiserver", names, addrs)
	if err != nil {
		return err
	}
	if err := api.write(l.paths, "apiserver"); err != nil {
		return err
	}
	kubelet, err := ca.client("kube-apiserver-kubelet-client", masters)
	if err != nil {
		return err
	}
	if err := kubelet.write(l.paths, "kubelet-client"); err != nil {
		return err
	}
	// Only the key counts here, which signs the tokens of service accounts.
	tokens, err := ca.client("service-accounts")
	if err != nil {
		return err
	}
	return tokens.write(l.paths, "service-accounts")
}

// apiNames lists all by which the API server is reached: within the cluster, from hosts and from the machine.
func (l *Lab) apiNames() ([]string, []netip.Addr) {
	names := []string{
		"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
	}
	return names, []netip.Addr{
		netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1"),
		ServicesV4.Addr().Next(), ServicesV6.Addr().Next(),
		ControlAddrs.V4, ControlAddrs.V6, l.state.Link.Control,
	}
}

// kubeconfigUser is a user of the API server, and where its kubeconfig goes.
type kubeconfigUser struct {
	path, server, user string
	groups             []string
}

func (l *Lab) kubeconfigUsers() []kubeconfigUser {
	inside := apiURL(ControlAddrs.V4)
	users := []kubeconfigUser{
		{l.paths.kubeconfig(), apiURL(l.state.Link.Control), "admin", []string{masters}},
		// The controller manager acts for all its controllers, so it needs what they need together.
		{l.paths.in("controller-manager.kubeconfig"), inside, "system:kube-controller-manager", []string{masters}},
		{l.paths.in("scheduler.kubeconfig"), inside, "system:kube-scheduler", nil},
		{l.paths.in("proxy.kubeconfig"), inside, "system:kube-proxy", nil},
	}
	for _, node := range l.Nodes() {
		users = append(users, kubeconfigUser{
			l.paths.in(node, "kubeconfig"), inside, "system:node:" + node, []string{"system:nodes"},
		})
	}
	return users
}

func (l *Lab) writeKubeconfigs(ca *authority) error {
	for _, user := range l.kubeconfigUsers() {
		id, err := ca.client(user.user, user.groups...)
		if err != nil {
			return err
		}
		config := kubeconfig(l.options.Name, user, ca.pem, id)
		if err := clientcmd.WriteToFile(*config, user.path); err != nil {
			return fmt.Errorf("write kubeconfig of %s: %w", user.user, err)
		}
	}
	return nil
}

func kubeconfig(lab string, user kubeconfigUser, ca []byte, id identity) *clientapi.Config {
	config := clientapi.NewConfig()
	config.Clusters[lab] = &clientapi.Cluster{Server: user.server, CertificateAuthorityData: ca}
	config.AuthInfos[user.user] = &clientapi.AuthInfo{ClientCertificateData: id.cert, ClientKeyData: id.key}
	config.Contexts[lab] = &clientapi.Context{Cluster: lab, AuthInfo: user.user}
	config.CurrentContext = lab
	return config
}

func apiURL(addr netip.Addr) string {
	return "https://" + netip.AddrPortFrom(addr, apiPort).String()
}
