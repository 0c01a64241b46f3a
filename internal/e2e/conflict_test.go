package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/internal/lab"
	"github.com/fairlead-lb/fairlead/internal/measure"
)

// conflict is the event of it.
const conflict = "AddressConflict"

// conflictingHost gives an address to a host that is not in the cluster, which tells its neighbours so. It returns the host's MAC.
func (s *story) conflictingHost(address string) (mac string) {
	s.Helper()
	host, address := s.Host(lab.Router1), s.own(address)
	run := func(name string, args ...string) {
		if out, err := host.Command(context.Background(), name, args...).CombinedOutput(); err != nil {
			s.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
		}
	}
	run("ip", "address", "add", address+"/32", "dev", "eth0")
	s.Cleanup(func() { run("ip", "address", "delete", address+"/32", "dev", "eth0") })
	_ = host.Command(s.Context(), "arping", "-A", "-c", "2", "-I", "eth0", address).Run() // nobody answers, which it takes for an error
	s.must(host.Do(func() error {
		i, err := net.InterfaceByName("eth0")
		mac = i.HardwareAddr.String()
		return err
	}))
	return mac
}

// Somebody else takes an address that a Service has: the Service says who.
func TestConflictingHost(t *testing.T) {
	s, _ := served(t, shared, 2, "", "")
	mac := s.conflictingHost("172.30.0.100")
	s.within(5*second, "condition", func() error {
		c := meta.FindStatusCondition(s.service("web").Status.Conditions, v1beta1.ServiceConditionAddressConflict)
		if c == nil || c.Status != metav1.ConditionTrue || !strings.Contains(c.Message, mac) {
			return fmt.Errorf("condition is %+v, want it true and to name %s", c, mac)
		}
		return nil
	})
	s.tells("web", conflict)
	for line := range strings.Lines(s.events("web")) {
		if strings.Contains(line, conflict) && !strings.Contains(line, "Warning") {
			t.Errorf("not a warning: %s", line)
		}
	}
	s.stays(second, "an address that is in use is not taken from the Service", s.shows("web", "172.30.0.100"))
}

// Somebody else has an address before any Service has: the Service gets another one.
func TestConflictingHostBefore(t *testing.T) {
	s := tell(t, shared)
	mac := s.conflictingHost("172.30.0.100")
	s.apply(pool("main", "172.30.0.100-172.30.0.108") + advertised("") + web(2) + service("web", "", ""))
	s.kubectl("rollout", "status", "deployment/web", "--timeout=90s")
	s.within(20*second, "another address", s.shows("web", "172.30.0.101"))
	s.tells("web", conflict)
	s.announcer("web")
	s.served("172.30.0.101")
	if got := s.answerers("172.30.0.100"); len(got) != 1 || !strings.EqualFold(got[0], mac) {
		t.Errorf("%v answer ARP for the conflicting host's address, want %s alone", got, mac)
	}
}

// A host claims an address with the MAC address of a node that does not announce it, again and again. That changes nothing.
func TestForgedClaims(t *testing.T) {
	s, node := served(t, shared, 2, "", "")
	address := netip.MustParseAddr(s.own("172.30.0.100"))
	other := lab.NodeName(1)
	if other == node {
		other = lab.NodeName(2)
	}
	var mac net.HardwareAddr
	s.must(s.Host(other).Do(func() error {
		i, err := net.InterfaceByName("eth0")
		mac = i.HardwareAddr
		return err
	}))
	arp, err := measure.OpenARP(s.Host(lab.Client), "eth0")
	s.must(err)
	t.Cleanup(func() { _ = arp.Close() })
	// Two claims ten seconds apart once had the announcing node give way.
	for range 30 {
		s.must(arp.Claim(address, mac))
		time.Sleep(second / 2)
		if now := s.announcer("web"); now != node {
			t.Fatalf("%s announces the address after forged claims, %s did before", now, node)
		}
	}
	if got := s.answerers("172.30.0.100"); len(got) != 1 || got[0] != node {
		t.Errorf("%v answer ARP for the address, want %s alone", got, node)
	}
	if c := meta.FindStatusCondition(s.service("web").Status.Conditions, v1beta1.ServiceConditionAddressConflict); c != nil {
		t.Errorf("a node is taken for a conflicting host: %s", c.Message)
	}
	s.served("172.30.0.100")
}

// A storm of requests for other addresses does not wake the speaker.
func TestARPStorm(t *testing.T) {
	s, node := served(t, shared, 2, "", "")
	pid, err := measure.SpeakerOn(s.Host(node))
	s.must(err)
	arp, err := measure.OpenARP(s.Host(lab.Client), "eth0")
	s.must(err)
	t.Cleanup(func() { _ = arp.Close() })
	before, err := measure.UsageOf(pid)
	s.must(err)
	other := netip.MustParseAddr("10.99.0.0")
	for range 100_000 {
		s.must(arp.Ask(other))
		other = other.Next()
	}
	time.Sleep(second)
	after, err := measure.UsageOf(pid)
	if s.must(err); after.CPU-before.CPU >= 200*ms {
		t.Errorf("the speaker took %s of CPU for the requests of others", after.CPU-before.CPU)
	}
	s.ask(node)
	s.served("172.30.0.100")
}
