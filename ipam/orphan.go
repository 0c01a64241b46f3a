package ipam

import (
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// PoolGrace is how long one keeps an address whose pool was deleted, though another could be had. It is for pools that are
// deleted and made again, as by a tool that replaces objects, and for those that go with all others.
const PoolGrace = 30 * time.Second

// orphan notes which of the held addresses belong to no pool, and since when. There is no grace for those whose
// pool was edited: it says on purpose that they are not its any more.
func (st *State) orphan(before *config.Snapshot) {
	for a := range st.holders {
		if st.poolOf(a) != nil {
			delete(st.orphans, a)
			continue
		}
		if _, known := st.orphans[a]; known {
			continue
		}
		st.orphans[a] = st.clock
		if st.snapshot.Pool(nameOf(before.PoolOf(a))) != nil {
			st.orphans[a] -= int64(PoolGrace)
		}
	}
}

// mourning returns how long an address that belongs to no pool is still kept in any case.
func (st *State) mourning(a netip.Addr) time.Duration {
	since, orphan := st.orphans[a]
	if !orphan {
		return 0
	}
	return max(0, time.Duration(since-st.clock)+PoolGrace)
}

// bereave has those looked at whose time of grace is over.
func (st *State) bereave() {
	for a := range st.orphans {
		if st.mourning(a) > 0 {
			continue
		}
		for h := range st.on(a) {
			st.askWaiting(h.key)
		}
	}
}
