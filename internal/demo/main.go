//go:build linux

// Command demo shows Fairlead on a cluster on this machine, step by step, and
// leaves the cluster up to play with.
package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/fairlead-lb/fairlead/internal/cli"
	"github.com/fairlead-lb/fairlead/internal/lab"
)

//go:embed demo.yaml
var objects string

func main() {
	lab.Init()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// show is a running demo.
type show struct {
	*lab.Lab
	start time.Time
}

func run(ctx context.Context) error {
	s := &show{start: time.Now()}
	s.say("A Kubernetes cluster on this machine: three nodes, each a network namespace with its own kubelet. This takes about ten seconds,\n" +
		"the first time about ten minutes, as Kubernetes is built from source.")
	var err error
	if s.Lab, err = lab.Up(ctx, lab.Options{Detached: true, Log: os.Stdout}); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.install, s.apply, s.fetch, s.pull, s.peer, s.routes, s.cut, s.leave} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("%w\nThe cluster is left up to look at: export KUBECONFIG=%s; `make lab-down` ends it", err, s.Kubeconfig())
		}
	}
	return nil
}

func (s *show) say(text string) {
	fmt.Printf("\n\033[1m== %3.0fs  %s\033[0m\n\n", time.Since(s.start).Seconds(), text)
}

// kubectl runs a command as a user would type it, and shows both.
func (s *show) kubectl(ctx context.Context, args ...string) error {
	fmt.Println("$ kubectl", strings.Join(args, " "))
	out, err := s.Kubectl(ctx, nil, args...)
	fmt.Println(out)
	return err
}

func (s *show) install(ctx context.Context) error {
	s.say("Install Fairlead from its own manifests: kubectl apply -k manifests/default")
	if err := s.Install(ctx, "."); err != nil {
		return err
	}
	return s.kubectl(ctx, "-n", lab.Namespace, "get", "pods", "-o", "wide")
}

func (s *show) apply(ctx context.Context) error {
	s.say("A pool of addresses, how to announce them, and a Service of type LoadBalancer")
	fmt.Println(objects)
	if _, err := s.Kubectl(ctx, strings.NewReader(objects), "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := s.Kubectl(ctx, nil, "wait", "--for=condition=fairlead.io/Announced", "service/web", "--timeout=30s"); err != nil {
		return err
	}
	if err := s.kubectl(ctx, "get", "service", "web"); err != nil {
		return err
	}
	if err := s.kubectl(ctx, "get", "ipaddresspools,l2advertisements,speakerstatuses"); err != nil {
		return err
	}
	return s.kubectl(ctx, "events", "--for", "service/web")
}

// service returns the external address of the Service and what its condition says of who announces it.
func (s *show) service(ctx context.Context) (address netip.Addr, node, says string, err error) {
	out, err := s.Kubectl(ctx, nil, "get", "service", "web", "-o",
		`jsonpath={.status.loadBalancer.ingress[0].ip}|{.status.conditions[?(@.type=="fairlead.io/Announced")].message}`)
	if err != nil {
		return address, "", "", err
	}
	ip, says, _ := strings.Cut(out, "|")
	if address, err = netip.ParseAddr(ip); err != nil {
		return address, "", "", err
	}
	_, rest, _ := strings.Cut(says, "by node ")
	node, _, _ = strings.Cut(rest, " ")
	return address, node, says, nil
}

func (s *show) fetch(ctx context.Context) error {
	address, _, says, err := s.service(ctx)
	if err != nil {
		return err
	}
	s.say("A page through it, from a host outside the nodes")
	page, err := s.first(ctx, address)
	if err != nil {
		return err
	}
	fmt.Printf("client$ curl http://%s/\n%s\n\n", address, page)
	neighbour, err := s.Host(lab.Client).Command(ctx, "ip", "neigh", "show", address.String()).Output()
	if err != nil {
		return err
	}
	fmt.Printf("client$ ip neigh show %s\n%s\nFairlead says: %s\n", address, neighbour, says)
	return nil
}

// first fetches the page of a new Service, which kube-proxy may take a second to serve.
func (s *show) first(ctx context.Context, address netip.Addr) (page string, err error) {
	for range 10 {
		if page, err = s.Host(lab.Client).Get(ctx, address, 80, time.Second); err == nil {
			break
		}
	}
	return page, err
}

// pull pulls the cable of the node that announces, and waits for the page to come again.
func (s *show) pull(ctx context.Context) error {
	address, node, _, err := s.service(ctx)
	if err != nil {
		return err
	}
	s.say(fmt.Sprintf("Pull the cable of %s, which announces %s. Kubernetes takes some 50 s to notice that a node is gone;\n"+
		"the speakers notice at once: another announces the address, and the pod on that node is taken out of rotation", node, address))
	if err := s.PullCable(node); err != nil {
		return err
	}
	gap, page, err := s.until(ctx, address, node)
	if err != nil {
		return err
	}
	fmt.Printf("The page was away for %.1f s. Now: %s\n", gap.Seconds(), page)
	time.Sleep(time.Second)
	came := 0
	for range pagesAfter {
		if _, err := s.Host(lab.Client).Get(ctx, address, 80, patience); err == nil {
			came++
		}
	}
	fmt.Printf("A second later, %d of %d pages in a row came.\n\n", came, pagesAfter)
	if err := s.kubectl(ctx, "events", "--for", "service/web"); err != nil {
		return err
	}
	fmt.Println("$ kubectl fairlead history web")
	if cli.Run(ctx, []string{"history", "web", "--kubeconfig", s.Kubeconfig()}, os.Stdin, os.Stdout, os.Stderr) != 0 {
		return errors.New("there is no history")
	}
	return s.ReplugCable(node)
}

// patience is how long a page may take: one that goes to a pod of a lost node gets no answer. pagesAfter are fetched when all is well again.
const (
	patience   = 200 * time.Millisecond
	pagesAfter = 30
)

// until fetches the page until it comes again although a node is gone, and returns how long that took.
func (s *show) until(ctx context.Context, address netip.Addr, gone string) (time.Duration, string, error) {
	for start := time.Now(); time.Since(start) < 2*time.Minute && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		if page, err := s.Host(lab.Client).Get(ctx, address, 80, patience); err == nil {
			return time.Since(start), page, nil
		}
	}
	return 0, "", fmt.Errorf("the page did not come back from %s within two minutes after %s was lost", address, gone)
}

func (s *show) leave(ctx context.Context) error {
	address, node, _, err := s.service(ctx)
	if err != nil {
		return err
	}
	s.say("The cable is plugged in again, and the cluster is yours")
	fmt.Printf(`  export KUBECONFIG=%s PATH=%s:$PWD/build/bin:$PATH
  kubectl describe service web
  kubectl fairlead status
  kubectl fairlead explain service web
  kubectl get fairlead
  build/lab exec client -- curl -s http://%s/
  build/lab exec router-1 -- vtysh -c 'show bgp summary'
  build/lab exec router-2 -- birdc show protocols
  build/lab pull %s

make lab-down ends it.
`, s.Kubeconfig(), strings.TrimSuffix(s.KubectlPath(), "/kubectl"), address, node)
	return nil
}
