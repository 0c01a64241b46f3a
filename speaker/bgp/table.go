package bgp

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A table has the routes of this node, as they are to be announced. Each session follows it by a ledger of its own.
type table struct {
	mu     sync.Mutex
	routes map[netip.Prefix][]announce.PeerRoute
	// leaving: to peers that do not keep routes without a session this node announces that it is about to go.
	leaving bool
	ledgers map[*ledger]bool
}

func newTable() *table {
	return &table{routes: map[netip.Prefix][]announce.PeerRoute{}, ledgers: map[*ledger]bool{}}
}

// update takes up routes that have changed.
func (t *table) update(routes []announce.Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range routes {
		if t.routes[r.Prefix] = r.Peers; len(r.Peers) == 0 {
			delete(t.routes, r.Prefix)
		}
		for l := range t.ledgers {
			l.due[r.Prefix] = true
		}
	}
	t.wake()
}

// leave has GRACEFUL_SHUTDOWN said of all routes from now on (RFC 8326), to peers that will not keep them.
func (t *table) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.leaving = true
	for l := range t.ledgers {
		t.all(l)
	}
	t.wake()
}

func (t *table) all(l *ledger) {
	for p := range t.routes {
		l.due[p] = true
	}
	for p := range l.said {
		l.due[p] = true
	}
}

func (t *table) wake() {
	for l := range t.ledgers {
		select {
		case l.news <- struct{}{}:
		default:
		}
	}
}

// A ledger says what has been sent to the peer of a session, and what of that is due. The table's lock guards it.
type ledger struct {
	table *table
	peer  string
	// carries says which families the session carries.
	carries map[config.Family]bool
	// keeps: the peer keeps routes while this speaker restarts.
	keeps bool

	due  map[netip.Prefix]bool
	news chan struct{}
	// said is what has been sent to the peer.
	said map[netip.Prefix]*announce.Attributes
	// farewell has attributes with GRACEFUL_SHUTDOWN in place of those without.
	farewell map[*announce.Attributes]*announce.Attributes
}

// open returns the ledger of a session that begins: everything is due.
func (t *table) open(peer string, carries map[config.Family]bool, keeps bool) *ledger {
	l := &ledger{
		table: t, peer: peer, carries: carries, keeps: keeps, due: map[netip.Prefix]bool{}, news: make(chan struct{}, 1),
		said: map[netip.Prefix]*announce.Attributes{}, farewell: map[*announce.Attributes]*announce.Attributes{},
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ledgers[l] = true
	t.all(l)
	return l
}

// close ends it.
func (l *ledger) close() {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	delete(l.table.ledgers, l)
}

// repeat has all routes of a family said again (RFC 2918).
func (l *ledger) repeat(f config.Family) {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	for p := range l.said {
		if config.FamilyOf(p.Addr()) == f {
			delete(l.said, p)
			l.due[p] = true
		}
	}
}

// A change is what is to be sent to a peer about some prefixes of a family, sorted; without attributes, that they are withdrawn.
type change struct {
	family     config.Family
	attributes *announce.Attributes
	prefixes   []netip.Prefix
}

// next returns what is due, and counts it as said: withdrawals first, then what is announced, the smallest prefix of each first.
func (l *ledger) next() []change {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	leaving := l.table.leaving && !l.keeps
	var out []change
	at := map[announceKey]int{}
	for _, p := range slices.SortedFunc(maps.Keys(l.due), comparePrefix) {
		a := l.wanted(p, leaving)
		if before, said := l.said[p]; said && before == a || !said && a == nil {
			continue
		}
		if l.said[p] = a; a == nil {
			delete(l.said, p)
		}
		k := announceKey{config.FamilyOf(p.Addr()), a}
		i, known := at[k]
		if !known {
			i = len(out)
			at[k] = i
			out = append(out, change{family: k.family, attributes: a})
		}
		out[i].prefixes = append(out[i].prefixes, p)
	}
	l.due = map[netip.Prefix]bool{} // cleared, it would stay as large as ever
	slices.SortStableFunc(out, func(a, b change) int { return withdrawnFirst(a) - withdrawnFirst(b) })
	return out
}

func comparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

type announceKey struct {
	family     config.Family
	attributes *announce.Attributes
}

func withdrawnFirst(c change) int {
	if c.attributes == nil {
		return 0
	}
	return 1
}

// wanted returns the attributes that are to be announced to the peer with a prefix; nil for none.
func (l *ledger) wanted(p netip.Prefix, leaving bool) *announce.Attributes {
	if !l.carries[config.FamilyOf(p.Addr())] {
		return nil
	}
	for _, x := range l.table.routes[p] {
		if x.Peer != l.peer {
			continue
		}
		if !leaving || x.Attributes.GracefulShutdown {
			return x.Attributes
		}
		bye := l.farewell[x.Attributes]
		if bye == nil {
			with := *x.Attributes
			with.GracefulShutdown = true
			bye = &with
			l.farewell[x.Attributes] = bye
		}
		return bye
	}
	return nil
}

// len returns how many routes are announced to the peer.
func (l *ledger) len() int {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	return len(l.said)
}
