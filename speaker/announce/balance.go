package announce

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/config"
)

// A Move is an address that another node is to announce by layer 2.
type Move struct {
	// Service is the one whose record decides.
	Service  Key
	Address  netip.Addr
	From, To string
}

// A Balance is what each node announces by layer 2, while moves are chosen.
type Balance struct {
	decider *Decider
	sharers map[netip.Addr][]*Service
	fixed   map[netip.Addr]bool

	at map[string][]netip.Addr // sorted, by node
	// stuck are pairs of nodes between which nothing can be moved.
	stuck map[[2]string]bool
}

// NewBalance works out what each node announces. Fixed addresses are counted, and stay.
func NewBalance(s *config.Snapshot, nodes []Node, sharers map[netip.Addr][]*Service, fixed map[netip.Addr]bool) *Balance {
	b := &Balance{
		decider: NewDecider(s, nodes, len(sharers)), sharers: sharers, fixed: fixed, at: map[string][]netip.Addr{}, stuck: map[[2]string]bool{},
	}
	for i := range nodes {
		if n := &nodes[i]; n.Ready && !n.Excluded && !n.Retiring && !n.NetworkUnavailable {
			b.at[n.Name] = nil
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(sharers), netip.Addr.Compare) {
		if n := b.announcer(a, sharers[a]); n != "" {
			b.at[n] = append(b.at[n], a)
		}
	}
	return b
}

func (b *Balance) announcer(a netip.Addr, sharers []*Service) string {
	for _, x := range b.decider.At(a, sharers) {
		if x.Node != "" {
			return x.Node
		}
	}
	return ""
}

// Counts returns how many addresses each node announces, after the moves that were chosen.
func (b *Balance) Counts() map[string]int {
	out := map[string]int{}
	for n, all := range b.at {
		out[n] = len(all)
	}
	return out
}

// Moves chooses so many moves at most, as few as there can be, until the numbers differ by one at most or nothing can be moved.
func (b *Balance) Moves(most int) (out []Move) {
	for len(out) < most {
		m, ok := b.next()
		if !ok {
			break
		}
		out = append(out, m)
	}
	return out
}

// next chooses a move, from the node with the most addresses to the one with the fewest that may announce one of them as well.
func (b *Balance) next() (Move, bool) {
	byCount := slices.SortedFunc(maps.Keys(b.at), func(x, y string) int {
		if d := len(b.at[y]) - len(b.at[x]); d != 0 {
			return d
		}
		return strings.Compare(x, y)
	})
	for _, from := range byCount {
		for _, to := range slices.Backward(byCount) {
			if len(b.at[from])-len(b.at[to]) < 2 {
				break
			}
			if b.stuck[[2]string{from, to}] {
				continue
			}
			for i, a := range b.at[from] {
				if !b.may(a, from, to) {
					continue
				}
				b.at[from] = slices.Delete(b.at[from], i, i+1)
				b.at[to] = append(b.at[to], a)
				return Move{Service: b.sharers[a][0].Key, Address: a, From: from, To: to}, true
			}
			b.stuck[[2]string{from, to}] = true
		}
	}
	return Move{}, false
}

// may reports whether a node would announce an address if it were recorded first, and was moved by nothing yet.
func (b *Balance) may(a netip.Addr, from, to string) bool {
	sharers := slices.Clone(b.sharers[a])
	first := *sharers[0]
	if r := first.Record[a]; b.fixed[a] || len(r) > 0 && r[0] != from {
		return false // or it moves already
	}
	first.Record = maps.Clone(first.Record)
	if first.Record == nil {
		first.Record = map[netip.Addr][]string{}
	}
	first.Record[a] = []string{to, from}
	sharers[0] = &first
	return b.announcer(a, sharers) == to
}
