package bgp

import (
	"cmp"
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/fairlead-lb/fairlead/internal/latest"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// Options are what a Driver is made with.
type Options struct {
	Log logr.Logger
	// Changed, if set, is called after each change of what is observed but counters. It must not block.
	Changed func()
	// neighbour finds the address of the only router behind an interface.
	neighbour func(ctx context.Context, name string) (netip.Addr, error)
}

// Desired is what a Driver is to do.
type Desired struct {
	// RouterID is the BGP identifier of the node, as long as no peer has one of its own.
	RouterID netip.Addr
	Peers    []Peer
}

// A Driver has the sessions that are wanted, and announces routes in them.
type Driver struct {
	options Options
	desired *latest.Value[Desired]
	table   *table
	// started is when the Driver was made: within the restart time of a peer after it, sessions begin again.
	started time.Time

	mu       sync.Mutex
	sessions map[string]*session
}

// New returns a Driver without sessions and routes.
func New(o Options) *Driver {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	if o.neighbour == nil {
		o.neighbour = neighbour
	}
	return &Driver{options: o, desired: latest.New[Desired](), table: newTable(), started: time.Now(), sessions: map[string]*session{}}
}

// Set replaces the peers that are wanted. It does not block; the last call wins. A session goes on if what it needs stays the same.
// Before the first call, all routes that there are have to be handed to Update: what is not announced
// when a session begins again, the router drops.
func (d *Driver) Set(to Desired) { d.desired.Set(to) }

// Update says which routes have changed. It does not block.
func (d *Driver) Update(routes []announce.Route) {
	if len(routes) > 0 {
		d.table.update(routes)
	}
}

// Leave has all peers know that this node is about to stop announcing (RFC 8326), but those that keep its routes while its speaker
// restarts. It reports whether there is any session with one that does not.
func (d *Driver) Leave() bool {
	d.table.leave()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sessions {
		if o := s.observe(); o.State == Established && !o.Graceful {
			return true
		}
	}
	return false
}

// Fail ends the session with a peer that BFD has lost (RFC 5882, section 4.3). It does not block.
func (d *Driver) Fail(peer, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.sessions[peer]; s != nil {
		s.fail(&ending{bgp.BGP_ERROR_CEASE, bfdDown, "BFD: " + why})
	}
}

// Observed returns all sessions, by the names of their peers.
func (d *Driver) Observed() []Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Session
	for _, s := range d.sessions {
		out = append(out, s.observe())
	}
	slices.SortFunc(out, func(a, b Session) int { return cmp.Compare(a.Peer, b.Peer) })
	return out
}

// Run has the sessions until ctx ends. Then it ends them: those whose routers keep the routes, without a NOTIFICATION.
func (d *Driver) Run(ctx context.Context) error {
	var e *engine
	defer func() {
		d.converge(ctx, nil, Desired{}, errStops)
		if e != nil {
			e.stop(context.WithoutCancel(ctx))
		}
	}()
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.desired.News():
		case <-again:
		}
		again = nil
		to := *d.desired.Get()
		for _, p := range to.Peers {
			if p.RouterID.IsValid() {
				to.RouterID = p.RouterID
			}
		}
		if e != nil && e.routerID != to.RouterID { // an OPEN says it
			d.converge(ctx, nil, Desired{}, errChanged)
			e.stop(ctx)
			e = nil
		}
		if e == nil && len(to.Peers) > 0 {
			var err error
			if e, err = startEngine(context.WithoutCancel(ctx), d.options.Log, to.RouterID); err != nil {
				d.options.Log.Error(err, "could not start BGP, trying again")
				again = time.After(time.Second)
				continue
			}
		}
		d.converge(ctx, e, to, errDeconfigured)
	}
}

// converge ends the sessions that are not wanted any more, waits for that, and begins those that are new.
func (d *Driver) converge(ctx context.Context, e *engine, to Desired, why *ending) {
	wanted := map[string]Peer{}
	for _, p := range to.Peers {
		wanted[p.Name] = p
	}
	d.mu.Lock()
	var ended []*session
	for name, s := range d.sessions {
		p, still := wanted[name]
		switch {
		case !still:
			s.end(why)
		case !s.peer.Load().sameSession(p):
			s.end(errChanged)
		default:
			s.configure(p)
			continue
		}
		ended = append(ended, s)
		delete(d.sessions, name)
	}
	d.mu.Unlock()
	for _, s := range ended {
		<-s.done
	}
	d.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if d.sessions[name] == nil {
			d.sessions[name] = d.start(ctx, e, wanted[name])
		}
	}
	d.mu.Unlock()
	d.options.Changed()
}
