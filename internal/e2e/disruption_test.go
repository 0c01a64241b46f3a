package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// A disruption is what happens to a node that announces an address, and what a client may see of it.
type disruption struct {
	name, reason string
	// six: it is the announcer of the IPv6 address, which may be another one.
	six bool
	// limit is the longest time without a page. None may fail if it is zero.
	limit time.Duration
	// stays: the node announces the address before and after.
	stays bool
	// do makes it happen, and returns how to undo it, after which no page may fail but those under way.
	do func(s *story, node string) (undo func())
}

// sudden is the limit when a node is lost without a warning. Promised is one second; the machine is shared.
const sudden = 1500 * ms

// moving is the limit when an address is handed over: connections that are under way at that moment are cut.
const moving = 100 * ms

// either lets the nodes announce that have none of the pods: who loses an announcer loses nothing else.
const either = `nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node-1}}, {matchLabels: {kubernetes.io/hostname: node-2}}]`

// dual starts a story with a Service of both families, whose pods are on node-3.
func dual(t *testing.T, on *cluster, ad string) *story {
	t.Helper()
	s := tell(t, on)
	s.dual(ad)
	return s
}

// dual creates a Service with an address of each family, whose pods are on node-3.
func (s *story) dual(ad string) {
	s.Helper()
	six := fmt.Sprintf("fd30::100:%x00/120", s.block())
	s.apply(pool("main", `172.30.0.100-172.30.0.108, "`+six+`"`) + advertised(ad) + web(2, "nodeSelector: {kubernetes.io/hostname: node-3}") +
		service("web", "", "ipFamilyPolicy: RequireDualStack"))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
}

// undergo tells what happens one after the other, each when all is well again.
func (s *story) undergo(disruptions ...disruption) {
	s.Helper()
	for _, o := range disruptions {
		s.Run(o.name, func(t *testing.T) { o.happen(s.in(t)) })
	}
}

// in returns the story as a test within it sees it.
func (s *story) in(t *testing.T) *story {
	s.block() // the same for all parts
	return s.part(t)
}

// part is in for a story without addresses of the segment.
func (s *story) part(t *testing.T) *story {
	part := *s
	part.T = t
	return &part
}

func (o disruption) happen(s *story) {
	s.Helper()
	s.settled()
	addresses, before := s.both(), s.announcers()
	address := addresses[0]
	if o.six {
		address = addresses[1]
	}
	node := before[address]

	long := patience
	if o.limit == 0 { // no gap is measured, and who waits for the CPU is not lost
		long = 2 * second
	}
	pages := s.watching(addresses, long)
	undo := sync.OnceFunc(o.do(s, node))
	s.Cleanup(undo)
	o.pass(pages[address])
	for a, p := range pages {
		o.judge(s, a, p.stop())
	}

	pages = s.watch(addresses)
	undo()
	time.Sleep(2 * second)
	for a, p := range pages {
		pages := p.stop()
		if failed := pages.Failed(); len(failed) > 0 && pages.Gap() > moving {
			s.Errorf("%d pages of %s failed when all was well again, first after %.2fs: %v", len(failed), a, failed[0].At.Seconds(), failed[0].Err)
		}
	}
	s.within(30*second, o.reason, func() error {
		after := s.announcers()
		if same := after[address] == node; same != o.stays {
			return fmt.Errorf("%s was announced by %s, and now is by %s", address, node, after[address])
		}
		if o.stays && !maps.Equal(before, after) {
			return fmt.Errorf("announcers were %v, and now are %v", before, after)
		}
		return nil
	})
}

// pass waits until it is over: where a gap is expected, until pages come again.
func (o disruption) pass(p *probe) {
	if o.limit == 0 {
		time.Sleep(2 * second)
		return
	}
	for start := time.Now(); time.Since(start) < o.limit+3*second && !p.Recovered(2*patience); {
		time.Sleep(10 * ms)
	}
}

func (o disruption) judge(s *story, address string, pages measure.Attempts) {
	s.Helper()
	switch gap := pages.Gap(); {
	case o.limit > 0 && gap > o.limit && len(pages.Failed()) > 0: // else it was there, and slow
		s.Errorf("%s: %s was away for %s, want %s at most", o.reason, address, gap, o.limit)
	case o.limit == 0 && len(pages.Failed()) > 0:
		s.Errorf("%s: %d pages of %s failed, first: %v", o.reason, len(pages.Failed()), address, pages.Failed()[0].Err)
	}
}

// patience is how long a page may take where gaps are measured.
const patience = 300 * ms

// watch starts to fetch the pages of addresses, and returns when that goes well.
func (s *story) watch(addresses []string) map[string]*probe {
	s.Helper()
	return s.watching(addresses, patience)
}

// watching is watch for pages that may take so long.
func (s *story) watching(addresses []string, long time.Duration) map[string]*probe {
	s.Helper()
	out := map[string]*probe{}
	for _, a := range addresses {
		out[a] = s.fetching(10*ms, func() error {
			_, err := s.Host(lab.Client).Get(context.Background(), netip.MustParseAddr(a), 80, long)
			return err
		})
	}
	time.Sleep(patience)
	return out
}

// both returns the addresses of the Service, IPv4 first.
func (s *story) both() (out []string) {
	s.Helper()
	for _, in := range s.service("web").Status.LoadBalancer.Ingress {
		out = append(out, in.IP)
	}
	return out
}

var byNode = regexp.MustCompile(`(\S+) by node (\S+) on `)

// announcers returns the nodes that the Service's condition names, by address.
func (s *story) announcers() map[string]string {
	s.Helper()
	out := map[string]string{}
	if c := meta.FindStatusCondition(s.service("web").Status.Conditions, v1beta1.ServiceConditionAnnounced); c != nil {
		for _, m := range byNode.FindAllStringSubmatch(c.Message, -1) {
			out[m[1]] = m[2]
		}
	}
	return out
}

// settled waits until all is as it should be: nodes, Fairlead, and the pages of both families.
func (s *story) settled() {
	s.Helper()
	s.within(90*second, "nodes are ready", func() error {
		out := s.kubectl("get", "nodes", "-o", `jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}`)
		if n := strings.Count(out, "True"); n != len(s.Nodes()) {
			return fmt.Errorf("ready: %s", out)
		}
		return nil
	})
	s.must(s.RolledOut(s.Context(), "deployment/controller", "daemonset/speaker"))
	s.within(10*second, "both families are announced", func() error {
		if got := s.announcers(); len(got) != 2 {
			return fmt.Errorf("announcers are %v", got)
		}
		return nil
	})
	for _, a := range s.both() {
		s.served(a)
	}
	s.within(5*second, "one node answers", s.heldByOne)
	time.Sleep(second)
}

// heldByOne returns an error unless just one host answers for the IPv4 address.
func (s *story) heldByOne() error {
	s.Helper()
	macs, err := measure.Holders(s.Context(), s.Host(lab.Client), netip.MustParseAddr(s.both()[0]), patience)
	if s.must(err); len(macs) != 1 {
		return fmt.Errorf("%v answer", macs)
	}
	return nil
}

// cleanly runs kubectl when the test may have ended.
func (s *story) cleanly(args ...string) {
	s.Helper()
	if out, err := s.Kubectl(context.Background(), nil, args...); err != nil {
		s.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// check is must for when the test may have ended.
func (s *story) check(err error) {
	s.Helper()
	if err != nil {
		s.Error(err)
	}
}
