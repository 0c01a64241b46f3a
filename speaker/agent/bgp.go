package agent

import (
	"time"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A BGPPeer is a router that this node is to have a session with.
type BGPPeer struct {
	*config.Peer

	// Password of the session; empty for none.
	Password string
	// Fault says why there can be no session: its password is missing. A session is never made without.
	Fault string
}

// password is what a Secret has, or what is wrong with it.
type password struct{ text, fault string }

// peers adds to peers what only the node knows of them.
func (w *world) peers(all []*config.Peer) []BGPPeer {
	out := make([]BGPPeer, len(all))
	for i, p := range all {
		out[i].Peer = p
		if p.PasswordSecret == "" {
			continue
		}
		secret, known := w.passwords[p.PasswordSecret]
		if !known {
			secret.fault = "there is no Secret " + p.PasswordSecret + " with the password in the namespace of the speakers"
		}
		out[i].Password, out[i].Fault = secret.text, secret.fault
	}
	return out
}

// routing is what this node announces by BGP. One goroutine owns it.
type routing struct {
	table *announce.Routes
	// drain is for how long routes are announced with GRACEFUL_SHUTDOWN before they are withdrawn (RFC 8326).
	drain time.Duration
	// leaves is when they are withdrawn; zero while the node serves. left: that was so.
	leaves time.Time
	left   bool
}

// duty returns what the node is to do, now.
func (r *routing) duty(n *announce.Node, now time.Time) announce.Duty {
	switch {
	case announce.DutyOf(n, false) != announce.Leaving:
		r.leaves, r.left = time.Time{}, false
	case r.leaves.IsZero():
		r.leaves, r.left = now.Add(r.drain), r.table.Len() == 0
	}
	return announce.DutyOf(n, r.left)
}

// expire notes that the time to leave has come, and reports whether it has.
func (r *routing) expire(now time.Time) bool {
	if r.left || r.leaves.IsZero() || r.leaves.After(now) {
		return false
	}
	r.left = true
	return true
}

// lapse returns when that is; the zero time if never.
func (r *routing) lapse() time.Time {
	if r.left {
		return time.Time{}
	}
	return r.leaves
}

// decide returns the routes that have changed.
func (r *routing) decide(w *world, nodes []announce.Node, now time.Time) []announce.Route {
	if r.table.Configure(w.config(), nodes, r.duty(byName(nodes, w.self), now)) {
		for k := range w.services {
			r.table.Set(k, w.service(k))
		}
	}
	for k := range w.touched {
		if _, ok := w.services[k]; ok {
			r.table.Set(k, w.service(k))
		} else {
			r.table.Set(k, nil)
		}
	}
	return r.table.Changed()
}

func byName(nodes []announce.Node, name string) *announce.Node {
	for i := range nodes {
		if nodes[i].Name == name {
			return &nodes[i]
		}
	}
	return nil
}
