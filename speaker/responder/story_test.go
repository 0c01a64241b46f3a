package responder

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/fairlead-lb/fairlead/speaker/announce"
	"github.com/fairlead-lb/fairlead/speaker/link"
)

// story is what happens to one address on one link, and a log of what the Responder does.
type story struct {
	*testing.T
	*rig
	start  time.Time
	retell uint64
	// insists is what the next desire says of claims that were false.
	insists uint64
	log     []string
}

// event is something that happens.
type event func(s *story)

// desire sets how the address is to be answered for, by a node with two links.
func desire(m announce.Mode) event {
	return func(s *story) {
		second := link.Link{Index: 2, Name: "eth1", MAC: secondMAC}
		s.Set(Desired{
			Links: []link.Link{eth(1, "eth0"), second}, Retell: s.retell,
			Addresses: []announce.Task{{Addr: s.vip, Links: []string{"eth0"}, Mode: m, MACs: map[string]net.HardwareAddr{"eth0": theirMAC}, Insists: s.insists}},
		})
	}
}

func retell(m announce.Mode) event {
	return func(s *story) {
		s.retell++
		desire(m)(s)
	}
}

// insists has a claim that was heard turn out to be false.
func insists(m announce.Mode) event {
	return func(s *story) {
		s.insists++
		desire(m)(s)
	}
}

func leave(s *story) {
	s.Set(Desired{Links: []link.Link{eth(1, "eth0")}, Addresses: []announce.Task{on(s.them, "eth0")}})
	synctest.Wait()
	s.links["eth0"].sent()
}

func wait(d time.Duration) event {
	return func(s *story) {
		for end := time.Now().Add(d); time.Now().Before(end); {
			time.Sleep(min(50*time.Millisecond, time.Until(end)))
			synctest.Wait()
			s.note()
		}
	}
}

func asked(s *story)  { s.links["eth0"].send(s.T, s.ask(s.them, s.vip)) }
func probed(s *story) { s.links["eth0"].send(s.T, s.ask(s.none(), s.vip)) }

// claimed has somebody claim the address, in all ways that there are.
func claimed(mac net.HardwareAddr) event {
	return func(s *story) {
		for _, c := range s.claim {
			s.links["eth0"].send(s.T, c(s.vip, mac))
			synctest.Wait()
		}
	}
}

func (s *story) happens(events ...event) {
	for _, e := range events {
		e(s)
		synctest.Wait()
		s.note()
	}
}

// note logs what has been done since.
func (s *story) note() {
	now := time.Since(s.start)
	if s.links["eth0"] == nil {
		return
	}
	for sent := s.links["eth0"].sent(); len(sent) > 0; {
		known := map[string][]string{
			"claim": s.claims(ourMAC), "probe": s.probes, "answer": s.answers(ourMAC),
			"answer for them": {s.answers(theirMAC)[0] + ", says " + ourMAC.String()},
		}
		words, n := sent[0], 1
		for name, frames := range known {
			if len(sent) >= len(frames) && slices.Equal(sent[:len(frames)], frames) {
				words, n = name, len(frames)
			}
		}
		s.log = append(s.log, fmt.Sprint(now, " ", words))
		sent = sent[n:]
	}
	for _, g := range s.seen {
		words := fmt.Sprint(now, " seen ", g.MAC[5])
		if g.Probing {
			words += " probing"
		}
		if g.Addr != s.vip || g.Link != "eth0" {
			words += fmt.Sprint(" of ", g.Addr, " on ", g.Link)
		}
		s.log = append(s.log, words)
	}
	s.seen = nil
}

var (
	secondMAC = net.HardwareAddr{2, 0, 0, 0, 0, 9}
	ms        = time.Millisecond
)

func TestStories(t *testing.T) {
	burst := []string{"0s claim", "300ms claim", "1s claim", "3s claim"}
	probing := []string{"0s probe", "100ms claim", "400ms claim", "1s probe", "1.1s claim", "2s probe", "3.1s claim"}
	after := func(events ...event) []event {
		return append([]event{desire(announce.Own), wait(5 * time.Second)}, events...)
	}
	and := func(more ...string) []string { return append(slices.Clone(burst), more...) }
	cases := map[string]struct {
		reason string
		events []event
		want   []string
	}{
		"Own":         {"told four times, as some miss the first", []event{desire(announce.Own), wait(40 * time.Second)}, burst},
		"OwnAgain":    {"the same desire changes nothing", []event{desire(announce.Own), wait(500 * ms), desire(announce.Own), wait(5 * time.Second)}, burst},
		"OwnToFresh":  {"what is answered for already needs no probe", []event{desire(announce.Own), wait(500 * ms), desire(announce.Fresh), wait(5 * time.Second)}, burst},
		"OwnAnswers":  {"who asks is told, and who probes", after(asked, wait(ms)), and("5s answer")},
		"Returns":     {"what left is gained again", after(leave, wait(ms), desire(announce.Own), wait(ms)), and("5.001s claim")},
		"OwnFrames":   {"our own frames may come back to us", after(claimed(ourMAC), claimed(secondMAC), wait(time.Second)), burst},
		"Retold":      {"a burst again", after(retell(announce.Own), wait(5*time.Second)), and("5s claim", "5.3s claim", "6s claim", "8s claim")},
		"RetoldEarly": {"a burst begins again", []event{desire(announce.Own), wait(500 * ms), retell(announce.Own), wait(5 * time.Second)}, []string{"0s claim", "300ms claim", "500ms claim", "800ms claim", "1.5s claim", "3.5s claim"}},

		"Fresh":         {"probed for, and claimed a little later", []event{desire(announce.Fresh), wait(40 * time.Second)}, probing},
		"FreshAnswers":  {"answered for at once (RFC 4429)", []event{desire(announce.Fresh), wait(ms), asked, wait(ms)}, []string{"0s probe", "1ms answer"}},
		"FreshToOwn":    {"the probing goes on", []event{desire(announce.Fresh), wait(500 * ms), desire(announce.Own), wait(10 * time.Second)}, probing},
		"FreshRetold":   {"the probing goes on", []event{desire(announce.Fresh), wait(500 * ms), retell(announce.Fresh), wait(10 * time.Second)}, probing},
		"FreshOwnFrame": {"our own frames may come back to us", []event{desire(announce.Fresh), wait(500 * ms), claimed(ourMAC), wait(10 * time.Second)}, probing},
		"FreshTaken": {"somebody has it: silence", []event{desire(announce.Fresh), wait(50 * ms), claimed(otherHostMAC), wait(50 * ms), asked, desire(announce.Fresh), wait(10 * time.Second)},
			[]string{"0s probe", "50ms seen 3 probing"}},
		"FreshTakenLate": {"somebody was slow", []event{desire(announce.Fresh), wait(3500 * ms), claimed(otherHostMAC), wait(50 * ms), asked, wait(10 * time.Second)},
			append(slices.Clone(probing), "3.5s seen 3 probing")},
		"FreshTakenWhileOwn": {"what is desired meanwhile does not end the probing", []event{desire(announce.Fresh), wait(50 * ms), desire(announce.Own), claimed(otherHostMAC), wait(5 * time.Second)},
			[]string{"0s probe", "50ms seen 3 probing"}},
		"FreshTakenToOwn": {"another mode ends the silence", []event{desire(announce.Fresh), wait(50 * ms), claimed(otherHostMAC), wait(50 * ms), desire(announce.Own), wait(50 * ms), asked, wait(50 * ms)},
			[]string{"0s probe", "50ms seen 3 probing", "100ms claim", "150ms answer"}},
		"FreshTakenWhileOwnInsists": {"until that is found to be false", []event{desire(announce.Fresh), wait(50 * ms), desire(announce.Own), claimed(theirMAC), wait(50 * ms), insists(announce.Own), wait(50 * ms), asked, desire(announce.Own), wait(50 * ms)},
			[]string{"0s probe", "50ms seen 2 probing", "100ms claim", "150ms answer"}},
		"InsistsUnheard": {"what was not silent goes on", []event{desire(announce.Own), wait(500 * ms), insists(announce.Own), wait(5 * time.Second)}, burst},
		"FreshTakenReturns": {"so does leaving and returning", []event{desire(announce.Fresh), wait(50 * ms), claimed(otherHostMAC), wait(50 * ms), leave, wait(50 * ms), desire(announce.Fresh), wait(50 * ms)},
			[]string{"0s probe", "50ms seen 3 probing", "150ms probe"}},
		"FreshTakenToYielding": {"what is silent does not begin to yield", []event{desire(announce.Fresh), wait(50 * ms), claimed(otherHostMAC), wait(50 * ms), desire(announce.Yielding), wait(50 * ms), asked, wait(ms)},
			[]string{"0s probe", "50ms seen 3 probing"}},
		"FreshRival": {"who probes too is let go first (RFC 5227, section 2.1.1)", []event{desire(announce.Fresh), wait(50 * ms), probed, wait(10 * time.Second)},
			[]string{"0s probe", "50ms seen 2 probing"}},
		"FreshOver": {"afterwards it is like any other", []event{desire(announce.Fresh), wait(5 * time.Second), claimed(otherHostMAC), wait(time.Second)},
			append(slices.Clone(probing), "5s seen 3", "5.5s claim")},

		"Defended": {"once in ten seconds; told once a second", after(
			claimed(otherHostMAC), wait(400*ms), claimed(otherHostMAC), wait(700*ms), claimed(otherHostMAC), wait(9*time.Second), claimed(otherHostMAC), wait(time.Second)),
			and("5s seen 3", "5.5s claim", "6.1s seen 3", "15.1s seen 3", "15.6s claim")},
		"TwoHosts":      {"each is reported", after(claimed(otherHostMAC), claimed(theirMAC), wait(time.Second)), and("5s seen 3", "5s seen 2", "5.5s claim")},
		"DefendedEarly": {"the next of the burst comes earlier", []event{desire(announce.Own), wait(1200 * ms), claimed(otherHostMAC), wait(5 * time.Second)}, []string{"0s claim", "300ms claim", "1s claim", "1.2s seen 3", "1.7s claim"}},
		"DefendedSoon":  {"the next of the burst would come earlier still", []event{desire(announce.Own), wait(200 * ms), claimed(otherHostMAC), wait(5 * time.Second)}, []string{"0s claim", "200ms seen 3", "300ms claim", "1s claim", "3s claim"}},
		"NotDefended":   {"it was the successor, and this node hears of it only now", after(claimed(theirMAC), wait(400*ms), desire(announce.Yielding), wait(time.Minute)), and("5s seen 2")},

		"Yielding":        {"answered for until the new node claims it, and not told of", after(desire(announce.Yielding), wait(50*ms), asked, wait(50*ms), claimed(theirMAC), asked, wait(2*time.Minute)), and("5.05s answer")},
		"YieldingOwn":     {"our own frames may come back to us", after(desire(announce.Yielding), wait(50*ms), claimed(ourMAC), asked, wait(50*ms)), and("5.05s answer")},
		"YieldingEarly":   {"what is yielded is claimed no more", []event{desire(announce.Own), wait(500 * ms), desire(announce.Yielding), wait(2 * time.Minute)}, burst[:2]},
		"YieldingUnknown": {"what was not answered for needs not be yielded", []event{desire(announce.Yielding), wait(5 * time.Second)}, nil},
		"YieldingToOwn":   {"gained again", after(desire(announce.Yielding), wait(50*ms), desire(announce.Own), wait(50*ms)), and("5.05s claim")},
		"YieldedToOwn":    {"gained again", after(desire(announce.Yielding), wait(50*ms), claimed(theirMAC), desire(announce.Own), wait(50*ms), asked, wait(50*ms)), and("5.05s claim", "5.1s answer")},
		"YieldingRetold":  {"not ours to tell of", after(desire(announce.Yielding), wait(50*ms), retell(announce.Yielding), wait(time.Second)), burst},

		"Standin":      {"answered for with the MAC of its node, and never claimed", []event{desire(announce.Standin), wait(2 * time.Minute), asked, wait(ms)}, []string{"2m0s answer for them"}},
		"StandinOwner": {"its node may claim it", []event{desire(announce.Standin), wait(50 * ms), claimed(theirMAC), wait(50 * ms), asked, wait(50 * ms)}, []string{"100ms answer for them"}},
		"StandinOther": {"another host is reported, but it is not ours to defend", []event{desire(announce.Standin), wait(50 * ms), claimed(otherHostMAC), wait(50 * ms)}, []string{"50ms seen 3"}},
		"StandinToOwn": {"gained", []event{desire(announce.Standin), wait(50 * ms), desire(announce.Own), wait(50 * ms), asked, wait(50 * ms)}, []string{"50ms claim", "100ms answer"}},
		"StandinToYield": {"what its node has is told until another claims it, even that node itself", []event{
			desire(announce.Standin), wait(50 * ms), desire(announce.Yielding), wait(50 * ms), asked, wait(50 * ms), claimed(theirMAC), asked, wait(50 * ms),
		}, []string{"100ms answer for them"}},
		"OwnToStandin":   {"claimed no more", []event{desire(announce.Own), wait(500 * ms), desire(announce.Standin), wait(2 * time.Minute), asked, wait(ms)}, []string{"0s claim", "300ms claim", "2m0.5s answer for them"}},
		"StandinRetold":  {"not ours to tell of", []event{desire(announce.Standin), wait(50 * ms), retell(announce.Standin), wait(time.Second)}, nil},
		"YieldedStandin": {"answered for again", after(desire(announce.Yielding), wait(50*ms), claimed(theirMAC), desire(announce.Standin), wait(50*ms), asked, wait(50*ms)), and("5.1s answer for them")},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				s := &story{T: t, rig: r, start: time.Now()}
				s.happens(tc.events...)
				if diff := cmp.Diff(tc.want, s.log, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s: -want, +got:\n%s", tc.reason, diff)
				}
			})
		})
	}
}

// TestObserved: what another node announces is not counted as announced here, nor is what somebody else has.
func TestObserved(t *testing.T) {
	cases := map[string]struct {
		events []event
		want   bool
	}{
		"Own":      {[]event{desire(announce.Own)}, true},
		"Fresh":    {[]event{desire(announce.Fresh)}, true},
		"Taken":    {[]event{desire(announce.Fresh), wait(ms), claimed(otherHostMAC)}, false},
		"Yielding": {[]event{desire(announce.Own), wait(ms), desire(announce.Yielding)}, false},
		"Standin":  {[]event{desire(announce.Standin)}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, r *rig) {
				s := &story{T: t, rig: r, start: time.Now()}
				s.happens(tc.events...)
				var want []netip.Addr
				if tc.want {
					want = []netip.Addr{r.vip}
				}
				if !slices.Equal(want, r.Observed().Answering) {
					t.Errorf("answering for %s, want %s", r.Observed().Answering, want)
				}
			})
		})
	}
}
