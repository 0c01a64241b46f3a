package ipam

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// Terms say with whom a Service shares an address.
type Terms struct {
	// Created is when it was created: of two who cannot share any more, the older stays.
	Created time.Time
	// Sharing is the key that those who share have in common; empty to share with none.
	Sharing string
	// Claim is the name of the IPClaim that the Service uses, in its namespace.
	Claim string
	// Ports that the Service is reached at.
	Ports []Port
	// Local: externalTrafficPolicy is Local, only nodes with its pods announce.
	Local bool
	// Selector names the Service's pods: equal ones select the same.
	Selector string
	// Unread: the request cannot be read, so that with whom it shares is not known for certain.
	Unread bool
}

// A Port is what no two Services have in common that share an address.
type Port struct {
	Protocol string
	Number   uint16
}

// String returns protocol/number.
func (p Port) String() string { return fmt.Sprintf("%s/%d", p.Protocol, p.Number) }

func (t *Terms) equal(o *Terms) bool {
	return t.Created.Equal(o.Created) && t.Sharing == o.Sharing && t.Claim == o.Claim &&
		t.Local == o.Local && t.Selector == o.Selector && t.Unread == o.Unread && slices.Equal(t.Ports, o.Ports)
}

// holding is what one Service or IPClaim holds.
type holding struct {
	key Key
	// addrs are what was decided, then what is being left.
	addrs []netip.Addr
	// left is how many of addrs, at the end, are being left: they are lost, but
	// may still be shown.
	left  int
	terms Terms
}

func (h *holding) leaves(a netip.Addr) bool { return slices.Contains(h.addrs[len(h.addrs)-h.left:], a) }

// keeps returns the address of a family that is not being left.
func (h *holding) keeps(f config.Family) (netip.Addr, bool) {
	if h == nil {
		return netip.Addr{}, false
	}
	return ofFamily(h.addrs[:len(h.addrs)-h.left], f)
}

// senior reports whether one holder goes before another where they cannot share: an
// IPClaim, then the older, then by name.
func senior(a, b Key, ta, tb *Terms) bool {
	return cmp.Or(-cmp.Compare(a.Kind, b.Kind), ta.Created.Compare(tb.Created), a.compare(b)) < 0
}

// objection says why two cannot share an address, as a clause about the second; it
// is empty where they can. (MetalLB's rule, but for the claims and that the
// selector matters only where the nodes that announce depend on it.)
func objection(k Key, t *Terms, ok Key, o *Terms) string {
	if k.Kind == Claim || ok.Kind == Claim {
		return objectionOfClaim(k, t, ok, o)
	}
	oneClaim := t.Claim != "" && t.Claim == o.Claim && k.Namespace == ok.Namespace
	switch {
	case oneClaim:
	case o.Sharing == "":
		return "which does not share it"
	case t.Sharing == "":
		return "which shares it only with Services of the same fairlead.io/sharing-key"
	case t.Sharing != o.Sharing:
		return "which shares it under another fairlead.io/sharing-key"
	}
	return collision(t, o)
}

// collision says why two cannot share an address whatever they ask for: kube-proxy could not tell their traffic apart.
func collision(t, o *Terms) string {
	for _, p := range t.Ports {
		if slices.Contains(o.Ports, p) {
			return "which uses " + p.String() + " of it too"
		}
	}
	if (t.Local || o.Local) && (t.Selector != o.Selector || t.Selector == "") {
		return "which selects other pods, while externalTrafficPolicy is Local"
	}
	return ""
}

// incompatible is objection for two who have an address already: a request that cannot be read costs neither of them anything.
func incompatible(k Key, t *Terms, ok Key, o *Terms) string {
	if t.Unread || o.Unread {
		return collision(t, o)
	}
	return objection(k, t, ok, o)
}

func objectionOfClaim(k Key, t *Terms, ok Key, o *Terms) string {
	names := func(k Key, t *Terms, claim Key) bool { return k.Namespace == claim.Namespace && t.Claim == claim.Name }
	switch {
	case ok.Kind == Claim && k.Kind == Service && names(k, t, ok):
		return ""
	case ok.Kind == Claim:
		return "which keeps it for Services that name the claim"
	case names(ok, o, k):
		return ""
	default:
		return "which does not name the claim (fairlead.io/claim)"
	}
}

// on returns all who hold an address.
func (st *State) on(a netip.Addr) iter.Seq[*holding] {
	return func(yield func(*holding) bool) {
		first, held := st.holders[a]
		if !held || !yield(first) || len(st.joint) == 0 {
			return
		}
		for _, h := range st.joint[a] {
			if !yield(h) {
				return
			}
		}
	}
}

// conflict returns the first who holds an address that a Service may have because of it, and
// why it may not; who has the address already yields to its seniors only.
func (st *State) conflict(r *Request, a netip.Addr, has bool) (*holding, string) {
	for h := range st.on(a) {
		if h.key == r.Key || has && (h.leaves(a) || !senior(h.key, r.Key, &h.terms, &r.Terms)) {
			continue
		}
		judge := objection
		if has {
			judge = incompatible
		}
		if why := judge(r.Key, &r.Terms, h.key, &h.terms); why != "" {
			return h, why
		}
		if p := st.poolOf(a); !has && h.key.Namespace != r.Namespace && p != nil && !p.config.SharedByAll {
			return h, fmt.Sprintf("which is in another namespace (sharing of pool %s is SameNamespace)", p.config.Name)
		}
	}
	return nil, ""
}

// join returns an address that the holders of the Service's sharing key would share with it.
func (st *State) join(r *Request, f config.Family) (best netip.Addr) {
	rank := 0
	for _, a := range st.groups[r.Sharing] {
		p := st.poolOf(a)
		if config.FamilyOf(a) != f || p == nil || st.shunned(r, a) || best.IsValid() && (p.index > rank || p.index == rank && best.Less(a)) {
			continue
		}
		if r.Pool != "" && (p.config.Name != r.Pool || !p.usable(r)) || r.Pool == "" && !p.offers(r) {
			continue
		}
		if h, _ := st.conflict(r, a, false); h == nil && st.withinQuota(p, r, a, f) {
			best, rank = a, p.index
		}
	}
	return best
}

// compareSenior orders those who are adopted: who cannot share with one before it goes without.
func compareSenior(a, b Request) int {
	switch {
	case a.Reserved != b.Reserved: // others' after ours
		if a.Reserved {
			return 1
		}
		return -1
	case senior(a.Key, b.Key, &a.Terms, &b.Terms):
		return -1
	case senior(b.Key, a.Key, &b.Terms, &a.Terms):
		return 1
	default:
		return 0
	}
}
