package gossip

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-lb/fairlead/speaker/announce"
)

func TestRoster(t *testing.T) {
	start := time.Unix(0, 0)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	alive := func(second int) func(*roster) {
		return func(r *roster) { r.heard(map[string]Report{"a": {}, "other": {}, "self": {}}, at(second)) }
	}
	alone := func(second int) func(*roster) {
		return func(r *roster) { r.heard(map[string]Report{"self": {}}, at(second)) }
	}
	silent := func(second int) func(*roster) {
		return func(r *roster) { r.heard(map[string]Report{"other": {}, "self": {}}, at(second)) }
	}
	kernel := func(answers bool, second int) func(*roster) {
		return func(r *roster) { r.checked("a", answers, at(second)) }
	}
	cases := map[string]struct {
		reason  string
		history []func(*roster)
		want    announce.Presence
		doubted bool
		heals   uint64
	}{
		"Begin":       {"who has not been heard of may be restarting", nil, announce.Away, true, 0},
		"BeginGone":   {"or be gone", []func(*roster){kernel(false, 0)}, announce.Gone, false, 0},
		"Alive":       {"who is heard is alive", []func(*roster){alive(1)}, announce.Alive, false, 0},
		"Missed":      {"who is not, stays so until its kernel was asked", []func(*roster){alive(1), silent(2)}, announce.Alive, true, 0},
		"Dead":        {"if that is silent too, it is gone", []func(*roster){alive(1), silent(2), kernel(false, 2)}, announce.Gone, false, 0},
		"Paused":      {"else only the speaker is away", []func(*roster){alive(1), silent(2), kernel(true, 2)}, announce.Away, true, 0},
		"Late":        {"an answer that comes when the speaker is back says nothing", []func(*roster){alive(1), silent(2), alive(3), kernel(false, 3)}, announce.Alive, false, 0},
		"Unknown":     {"nor does one about nobody", []func(*roster){func(r *roster) { r.checked("x", true, at(1)) }}, announce.Away, true, 0},
		"OnePacket":   {"one lost packet is no loss", []func(*roster){alive(1), silent(2), kernel(true, 2), kernel(false, 3), kernel(true, 4), kernel(false, 5)}, announce.Away, true, 0},
		"DiesAway":    {"two are", []func(*roster){alive(1), silent(2), kernel(true, 2), kernel(false, 3), kernel(false, 4)}, announce.Gone, false, 0},
		"Returns":     {"a restart is over when the speaker is heard", []func(*roster){alive(1), silent(2), kernel(true, 2), alive(5)}, announce.Alive, false, 0},
		"TooLong":     {"a speaker may not be away for ever", []func(*roster){alive(1), silent(2), kernel(true, 2), kernel(true, 13)}, announce.Gone, false, 0},
		"NobodyHeard": {"but if nobody is heard, it is perhaps this one that is deaf", []func(*roster){alive(1), alone(2), kernel(true, 2), kernel(true, 13)}, announce.Away, true, 0},
		"HeardAgain":  {"and has as long to be heard from when another is", []func(*roster){alive(1), alone(2), kernel(true, 13), silent(14), kernel(true, 23)}, announce.Away, true, 0},
		"RebootsSlow": {"the kernel of one that is gone does not bring it back", []func(*roster){alive(1), silent(2), kernel(false, 2), kernel(true, 3)}, announce.Gone, false, 0},
		"Heals":       {"its speaker does, and that is counted", []func(*roster){alive(1), silent(2), kernel(false, 2), alive(9)}, announce.Alive, false, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := roster{grace: 10 * time.Second, peers: map[string]*peer{}}
			r.expect([]string{"a", "other"}, start)
			for _, h := range tc.history {
				h(&r)
			}
			if got := r.members()["a"].Presence; got != tc.want || r.heals != tc.heals {
				t.Errorf("%s: %s, %d heals, want %s, %d", tc.reason, got, r.heals, tc.want, tc.heals)
			}
			if got := slices.Contains(r.doubted(), "a"); got != tc.doubted {
				t.Errorf("%s: to be asked: %t, want %t", tc.reason, got, tc.doubted)
			}
			if r.expect(nil, at(20)); len(r.members()) != 0 {
				t.Error("a node that is not expected any more is known")
			}
		})
	}
}

// Who hears nobody, though their kernels answer, is in trouble itself.
func TestUnheard(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	r := roster{grace: time.Minute, peers: map[string]*peer{}}
	r.expect([]string{"a", "b"}, at(0))
	if r.checked("a", true, at(1)); r.unheard(at(10)) {
		t.Error("in trouble at once")
	}
	if !r.unheard(at(20)) {
		t.Error("not in trouble after a while")
	}
	r.restart(at(20))
	if r.unheard(at(21)) {
		t.Error("in trouble at once after this node was cut off")
	}
	if r.heard(map[string]Report{"b": {}}, at(40)); r.unheard(at(40)) {
		t.Error("in trouble, though somebody is heard")
	}
}

// What was missed while nothing could be found out is as good as new.
func TestRestart(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(int64(seconds), 0) }
	r := roster{grace: 10 * time.Second, peers: map[string]*peer{}}
	r.expect([]string{"a"}, at(0))
	r.heard(map[string]Report{"a": {}}, at(0))
	r.heard(nil, at(1))
	r.restart(at(100))
	for range misses {
		r.checked("a", false, at(101))
	}
	if r.members()["a"].Presence != announce.Away {
		t.Errorf("%s while this node may not know its neighbours yet", r.members()["a"].Presence)
	}
	if r.checked("a", true, at(105)); r.members()["a"].Presence != announce.Away {
		t.Errorf("%s, though its kernel answers and it has not been away for long", r.members()["a"].Presence)
	}
	for range misses {
		r.checked("a", false, at(106))
	}
	if r.members()["a"].Presence != announce.Gone {
		t.Errorf("%s though its kernel is silent", r.members()["a"].Presence)
	}
}

func TestWord(t *testing.T) {
	many := Report{}
	for range 200 {
		many.Links = append(many.Links, "eth0")
	}
	cases := map[string]struct {
		reason   string
		in, want Report
	}{
		"Nothing": {"who says nothing of its interfaces says nothing", Report{}, Report{}},
		"None":    {"which is not that it has none", Report{Links: []string{}}, Report{Links: []string{}}},
		"Some":    {"interfaces and state", Report{true, []string{"bond0", "eth1.7"}}, Report{true, []string{"bond0", "eth1.7"}}},
		"Fits":    {"as long as may be", Report{Links: []string{strings.Repeat("x", 480)}}, Report{Links: []string{strings.Repeat("x", 480)}}},
		"TooMany": {"what does not fit is not said", many, Report{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			in := said{tc.in, math.MaxInt64}
			b := in.encode()
			got := decode(b)
			if diff := cmp.Diff(tc.want, got.Report); diff != "" || got.stamp != in.stamp || len(b) > reportLimit {
				t.Errorf("%s: %d bytes, stamp %d, -want, +got:\n%s", tc.reason, len(b), got.stamp, diff)
			}
		})
	}
	if old := decode([]byte("1;impaired;=eth0")); !old.Impaired || len(old.Links) != 1 || old.stamp != 0 {
		t.Errorf("an older version says %+v", old)
	}
	for _, other := range []string{"", "2;impaired;=eth0", "1", "1;impaired", "nonsense"} {
		if got := decode([]byte(other)); got.Impaired || got.Links != nil {
			t.Errorf("%q says %+v", other, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("1;impaired;=eth0,eth1;17")) // all there is
	f.Add([]byte("1;;"))                      // nothing said
	f.Add([]byte("2;;="))                     // a newer version
	f.Fuzz(func(t *testing.T, b []byte) {
		w := decode(b)
		if again := decode(w.encode()); w.Links != nil && len(b) <= reportLimit-40 && (!again.equal(w.Report) || again.stamp != w.stamp) {
			t.Fatalf("%q: %+v, then %+v", b, w, again)
		}
	})
}

// TestReunion: three speakers could not talk to each other for long, though all went on. When they meet again, one after the other, nobody
// is taken for gone.
func TestReunion(t *testing.T) {
	const grace = time.Minute
	r := roster{grace: grace, peers: map[string]*peer{}}
	now := time.Unix(1_000_000, 0)
	r.expect([]string{"b", "c"}, now)
	r.heard(map[string]Report{"a": {}, "b": {}, "c": {}}, now)
	never := func(when string) {
		t.Helper()
		for name, m := range r.members() {
			if m.Presence == announce.Gone {
				t.Fatalf("%s: %s is gone", when, name)
			}
		}
	}
	for range int(3 * grace / checkInterval) {
		now = now.Add(checkInterval)
		r.heard(map[string]Report{"a": {}}, now)
		for _, name := range r.doubted() {
			r.checked(name, true, now)
		}
		never("while nobody is heard")
	}
	if !r.unheard(now) {
		t.Fatal("nobody is heard, and that is taken for the others' trouble")
	}
	r.heard(map[string]Report{"a": {}, "b": {}}, now)
	never("when the first is heard")
	r.checked("c", true, now)
	never("when the kernel of the other answers")
	if r.heals != 0 {
		t.Errorf("%d nodes have come back that were never gone", r.heals)
	}
	now = now.Add(grace)
	r.heard(map[string]Report{"a": {}, "b": {}}, now)
	if r.checked("c", true, now); r.members()["c"].Presence != announce.Gone {
		t.Error("one that is away for longer than its grace, though others are heard, is not gone")
	}
}
