//go:build linux

package lab

import (
	"fmt"
	"path/filepath"
)

const etcdURL = "http://127.0.0.1:2379"

// The components of the control plane.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
)

func (l *Lab) binary(name string) string { return filepath.Join(l.state.Binaries, name) }

func onControl(name, binary string, args ...string) Component {
	return Component{Name: name, Host: Control, Args: append([]string{binary}, args...)}
}

// etcd keeps nothing for longer than the lab, so it need not wait for the disk.
func (l *Lab) etcd() Component {
	return onControl(Etcd, l.binary("etcd"),
		"--name=lab",
		"--data-dir="+l.paths.in("etcd"),
		"--listen-client-urls="+etcdURL,
		"--advertise-client-urls="+etcdURL,
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=lab=http://127.0.0.1:2380",
		"--heartbeat-interval=50",
		"--election-timeout=500",
		"--quota-backend-bytes=8589934592",
		"--unsafe-no-fsync",
		"--log-level=warn",
	)
}

// apiServer runs where no kube-proxy does, so it goes to the endpoints of webhooks rather than to their Service.
func (l *Lab) apiServer() Component {
	pki := l.paths.pki
	return onControl(APIServer, l.binary("kube-apiserver"),
		"--etcd-servers="+etcdURL,
		"--advertise-address="+ControlAddrs.V4.String(),
		fmt.Sprintf("--secure-port=%d", apiPort),
		"--tls-cert-file="+pki("apiserver.crt"),
		"--tls-private-key-file="+pki("apiserver.key"),
		"--client-ca-file="+pki("ca.crt"),
		"--kubelet-client-certificate="+pki("kubelet-client.crt"),
		"--kubelet-client-key="+pki("kubelet-client.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+pki("service-accounts.key"),
		"--service-account-signing-key-file="+pki("service-accounts.key"),
		"--service-cluster-ip-range="+ServicesV4.String()+","+ServicesV6.String(),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--enable-aggregator-routing=true",
		"--allow-privileged=true",
	)
}

// controllerManager may ask as much as it likes: benchmarks are about load balancers.
func (l *Lab) controllerManager() Component {
	kubeconfig := l.paths.in("controller-manager.kubeconfig")
	return onControl(ControllerManager, l.binary("kube-controller-manager"),
		"--kubeconfig="+kubeconfig,
		"--authentication-kubeconfig="+kubeconfig,
		"--authorization-kubeconfig="+kubeconfig,
		"--leader-elect=false",
		"--allocate-node-cidrs=false",
		"--cluster-cidr="+PodsV4.String()+","+PodsV6.String(),
		"--service-cluster-ip-range="+ServicesV4.String()+","+ServicesV6.String(),
		"--root-ca-file="+l.paths.pki("ca.crt"),
		"--cluster-signing-cert-file="+l.paths.pki("ca.crt"),
		"--cluster-signing-key-file="+l.paths.pki("ca.key"),
		"--service-account-private-key-file="+l.paths.pki("service-accounts.key"),
		"--kube-api-qps=400",
		"--kube-api-burst=800",
	)
}

func (l *Lab) scheduler() Component {
	kubeconfig := l.paths.in("scheduler.kubeconfig")
	return onControl(Scheduler, l.binary("kube-scheduler"),
		"--kubeconfig="+kubeconfig,
		"--authentication-kubeconfig="+kubeconfig,
		"--authorization-kubeconfig="+kubeconfig,
		"--authentication-tolerate-lookup-failure=true",
		"--leader-elect=false",
	)
}
