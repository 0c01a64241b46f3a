package agent

import (
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// What a node has to give up because another has it from now on, it answers for a while longer.
func TestYield(t *testing.T) {
	vip := addr("192.0.2.1")
	nodes := []announce.Node{
		{Name: "node-1", Links: []announce.Link{{Name: "eth0"}}},
		{Name: "node-2", Links: []announce.Link{{Name: "eth0", MAC: mac("node-2", "eth0")}}},
	}
	by := func(node string, edit ...func(*announce.Announcement)) []announce.Announcement {
		a := announce.Announcement{Address: vip, Node: node, Links: []string{"eth0"}, Reason: announce.Announced}
		for _, e := range edit {
			e(&a)
		}
		return []announce.Announcement{a}
	}
	own, other, nobody := by("node-1"), by("node-2"), []announce.Announcement{{Address: vip, Reason: announce.NoEndpoints}}
	fresh := by("node-1", func(a *announce.Announcement) { a.Fresh = true })
	refused := by("node-1", func(a *announce.Announcement) { a.Reason = announce.AddressConflict })
	standin := by("node-2", func(a *announce.Announcement) { a.Standin, a.StandinLinks = "node-1", []string{"eth0"} })
	const nothing = announce.Mode(-1)
	type step struct {
		after time.Duration
		of    []announce.Announcement // of nil nothing is decided: time goes by
		want  announce.Mode
	}
	cases := map[string]struct {
		reason string
		steps  []step
	}{
		"Elsewhere":    {"for so long, if the other is not heard", []step{{0, own, announce.Own}, {0, other, announce.Yielding}, {yieldFor - 1, nil, announce.Yielding}, {1, nil, nothing}}},
		"Fresh":        {"and what it only probed for, too", []step{{0, fresh, announce.Fresh}, {0, other, announce.Yielding}, {yieldFor, nil, nothing}}},
		"Decided":      {"a decision meanwhile gives no more time", []step{{0, own, announce.Own}, {0, other, announce.Yielding}, {yieldFor - 1, other, announce.Yielding}, {1, nil, nothing}}},
		"Late":         {"nor one after it", []step{{0, own, announce.Own}, {0, other, announce.Yielding}, {yieldFor, other, nothing}}},
		"Nobody":       {"what nobody can announce ends at once", []step{{0, own, announce.Own}, {0, nobody, nothing}}},
		"Gone":         {"so does what no Service has any more", []step{{0, own, announce.Own}, {0, []announce.Announcement{}, nothing}}},
		"Refused":      {"and what another host has", []step{{0, fresh, announce.Fresh}, {0, refused, nothing}}},
		"NobodyLater":  {"while it is yielded as well", []step{{0, own, announce.Own}, {0, other, announce.Yielding}, {1, nobody, nothing}}},
		"Back":         {"what comes back is announced on", []step{{0, own, announce.Own}, {0, other, announce.Yielding}, {1, own, announce.Own}, {yieldFor, nil, announce.Own}}},
		"BackAndForth": {"and yielded again", []step{{0, own, announce.Own}, {0, other, announce.Yielding}, {1, own, announce.Own}, {1, other, announce.Yielding}, {yieldFor - 1, nil, announce.Yielding}, {1, nil, nothing}}},
		"Standin":      {"who stood in ends when the other is back", []step{{0, standin, announce.Standin}, {0, other, nothing}}},
		"ToStandin":    {"who yields may stand in", []step{{0, own, announce.Own}, {0, other, announce.Yielding}, {1, standin, announce.Standin}, {yieldFor, nil, announce.Standin}}},
		"Others":       {"what was another's is not yielded", []step{{0, other, nothing}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p, now := newPlan("node-1", time.Second, 0, false), time.Unix(1, 0)
			for i, s := range tc.steps {
				now = now.Add(s.after)
				before, had := p.tasks.of(vip)
				if ended := p.expire(now); ended != (had && before.Mode == announce.Yielding && len(p.tasks) == 0) {
					t.Errorf("%s: step %d: ended %t", tc.reason, i, ended)
				}
				if s.of != nil {
					p.assign(vip, s.of, nodes, now)
				}
				got := nothing
				if task, has := p.tasks.of(vip); has {
					got = task.Mode
				}
				if got != s.want {
					t.Fatalf("%s: step %d: mode %d, want %d", tc.reason, i, got, s.want)
				}
				if next := p.lapse(); next.IsZero() != (got != announce.Yielding) {
					t.Errorf("%s: step %d: ends at %s", tc.reason, i, next)
				}
			}
		})
	}
}
