//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lab"
)

//go:embed bgp.yaml
var routedObjects string

// lost is the node whose cable is pulled under BGP.
const lost = "node-2"

// peer has two routers speak BGP, and a Service announced to them.
func (s *show) peer(ctx context.Context) error {
	s.say("BGP: two routers, FRR and BIRD, that nodes announce an address to. A second client is behind them")
	if err := s.StartRouters(ctx, lab.Routing{BFD: lab.FastBFD}); err != nil {
		return err
	}
	fmt.Println(routedObjects)
	if _, err := s.Kubectl(ctx, strings.NewReader(routedObjects), "apply", "-f", "-"); err != nil {
		return err
	}
	if _, err := s.Kubectl(ctx, nil, "wait", "--for=condition=Established", "bgppeers", "--all", "--timeout=60s"); err != nil {
		return err
	}
	if _, err := s.Kubectl(ctx, nil, "wait", "--for=condition=fairlead.io/Announced", "service/routed", "--timeout=30s"); err != nil {
		return err
	}
	for _, args := range [][]string{{"get", "service", "routed"}, {"get", "bgppeers,bgpstatuses"}, {"events", "--for", "service/routed"}} {
		if err := s.kubectl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// routedAddress is the address that is announced by BGP.
func (s *show) routedAddress(ctx context.Context) (netip.Addr, error) {
	out, err := s.Kubectl(ctx, nil, "get", "service", "routed", "-o", `jsonpath={.status.loadBalancer.ingress[0].ip}`)
	if err != nil {
		return netip.Addr{}, err
	}
	return netip.ParseAddr(out)
}

// ask shows what a router says.
func (s *show) ask(ctx context.Context, host string, command ...string) error {
	out, err := s.Host(host).Command(ctx, command[0], command[1:]...).Output()
	fmt.Printf("%s$ %s\n%s\n", host, strings.Join(command, " "), out)
	return err
}

// routes shows the route in both routers, and a page through it.
func (s *show) routes(ctx context.Context) error {
	address, err := s.routedAddress(ctx)
	if err != nil {
		return err
	}
	s.say("The route at both routers, with a next hop for each node, and a page through it")
	if err := s.spread(ctx, address, s.Nodes()); err != nil {
		return err
	}
	if err := s.ask(ctx, lab.Router1, "vtysh", "-c", "show bgp ipv4 unicast "+address.String()+"/32"); err != nil {
		return err
	}
	if err := s.ask(ctx, lab.Router2, "birdc", "show", "route", address.String()+"/32"); err != nil {
		return err
	}
	page, err := s.Host(lab.FarClient).Get(ctx, address, 80, 5*time.Second)
	fmt.Printf("%s$ curl http://%s/\n%s\n", lab.FarClient, address, page)
	return err
}

// spread waits until both routers send what is for an address to some nodes, and to no other.
func (s *show) spread(ctx context.Context, address netip.Addr, nodes []string) error {
	var got []string
	for start := time.Now(); time.Since(start) < time.Minute && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		all := true
		for _, r := range []string{lab.Router1, lab.Router2} {
			var err error
			if got, err = s.Forwards(r, netip.PrefixFrom(address, address.BitLen())); err != nil {
				return err
			}
			all = all && slices.Equal(got, nodes)
		}
		if all {
			return nil
		}
	}
	return fmt.Errorf("routers send %s to %v, want %v", address, got, nodes)
}

// cut pulls the cable of a node, and shows that routers let go of it at once.
func (s *show) cut(ctx context.Context) error {
	address, err := s.routedAddress(ctx)
	if err != nil {
		return err
	}
	s.say("Pull the cable of " + lost + ". By BGP alone routers would send a third of all connections there for 90 s; BFD notices at once")
	others := slices.DeleteFunc(s.Nodes(), func(n string) bool { return n == lost })
	pulled := time.Now()
	if err := s.PullCable(lost); err != nil {
		return err
	}
	if err := s.spread(ctx, address, others); err != nil {
		return errors.Join(err, s.ReplugCable(lost))
	}
	fmt.Printf("Both routers had let go of %s after %.2f s.\n\n", lost, time.Since(pulled).Seconds())
	if err := s.ask(ctx, lab.Router1, "ip", "route", "show", address.String()); err != nil {
		return err
	}
	var page string
	for range 20 { // one of three goes to the pod on the node
		if page, err = s.Host(lab.FarClient).Get(ctx, address, 80, time.Second/4); err == nil {
			break
		}
	}
	fmt.Printf("%s$ curl http://%s/\n%s\n\n", lab.FarClient, address, page)
	return errors.Join(err, s.kubectl(ctx, "get", "bgppeers"), s.ReplugCable(lost), s.spread(ctx, address, s.Nodes()))
}
