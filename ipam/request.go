package ipam

import (
	"cmp"
	"net/netip"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/config"
)

// Kind says what kind of object holds addresses.
type Kind uint8

const (
	// Service is a Service of type LoadBalancer.
	Service Kind = iota
	// Claim is an IPClaim.
	Claim
)

// Key names a Service or an IPClaim.
type Key struct {
	Namespace, Name string
	Kind            Kind
}

// String returns namespace/name, and says if it is an IPClaim.
func (k Key) String() string {
	if k.Kind == Claim {
		return "IPClaim " + k.Namespace + "/" + k.Name
	}
	return k.Namespace + "/" + k.Name
}

// compare orders by namespace, then name, then kind.
func (k Key) compare(o Key) int {
	return cmp.Or(strings.Compare(k.Namespace, o.Namespace), strings.Compare(k.Name, o.Name), cmp.Compare(k.Kind, o.Kind))
}

// A Request is what one Service or IPClaim asks for.
type Request struct {
	Key
	Terms
	// Families that it has, in its order: one or two.
	Families []config.Family
	// RequireAll: it is of no use without all its families (ipFamilyPolicy RequireDualStack).
	RequireAll bool
	// Addresses that it insists on, at most one of each family; a family without one
	// is assigned automatically.
	Addresses []netip.Addr
	// Pool that it insists on; empty for any that admits it.
	Pool string
	// Invalid says why the request cannot be read. It then keeps what it holds and
	// gets nothing new.
	Invalid string
	// Terminating: it is being deleted. It keeps what it holds until it is gone,
	// and gets nothing new.
	Terminating bool

	// Shown are the addresses in its status, and Names the host names there.
	Shown []netip.Addr
	Names []string
	// Marked: what it shows was assigned by Fairlead.
	Marked bool
	// Reserved: another implementation serves it. What it shows is given to nobody else, and nothing is decided about it.
	Reserved bool
	// Prior: it asked for the same when its addresses were adopted, by the annotations of another implementation. That
	// moves no address that it has.
	Prior bool

	// Conflicts are those of Shown that were not announced, as a conflicting host uses them.
	Conflicts []netip.Addr

	NamespaceLabels map[string]string
	Labels          map[string]string
}

// compare orders those who wait: who asks for certain addresses, then the older, then by name.
func (r *Request) compare(o *Request) int {
	first := func(r *Request) int {
		if r.Kind == Claim || len(r.Addresses) > 0 || r.Claim != "" {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(first(r), first(o)), r.Created.Compare(o.Created), r.Key.compare(o.Key))
}

// wanted returns the address of a family that is insisted on.
func (r *Request) wanted(f config.Family) (netip.Addr, bool) { return ofFamily(r.Addresses, f) }

func ofFamily(addrs []netip.Addr, f config.Family) (netip.Addr, bool) {
	for _, a := range addrs {
		if config.FamilyOf(a) == f {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// A Decision is what a Service or an IPClaim has from now on, and why.
type Decision struct {
	// Addresses, in the order of the families.
	Addresses []netip.Addr
	// Reason is Assigned where there is all that was asked for.
	Reason Reason
	// Message is a sentence for the user, empty where Reason is Assigned.
	Message string
	// Lost says why addresses that were held are not kept; empty where all are.
	Lost string
	// unmet are the families of which it keeps an address only until another can be had.
	unmet []config.Family
	// replaced are the addresses that it has in place of others.
	replaced []netip.Addr
	// Foreign: what the Service shows was written by somebody else, and stays.
	Foreign bool
	// Retry is how long the next address cools down that could be given; zero where time
	// makes no difference.
	Retry time.Duration
}

// Reason says in one word what came of a request. The same word is the reason
// of the condition, of the event and the label of the metric.
type Reason string

// What can come of a request.
const (
	// Assigned: there is all that was asked for.
	Assigned Reason = "Assigned"
	// InvalidRequest: an annotation or field cannot be read.
	InvalidRequest Reason = "InvalidRequest"
	// FamilyMismatch: an address is asked for of a family that the Service does not have.
	FamilyMismatch Reason = "FamilyMismatch"
	// NoPool: no pool may give an address of the family.
	NoPool Reason = "NoPool"
	// PoolNotFound: the pool that is asked for does not exist.
	PoolNotFound Reason = "PoolNotFound"
	// PoolRefused: the pool that is asked for is not accepted.
	PoolRefused Reason = "PoolRefused"
	// NotAdmitted: the pool that is asked for does not admit the Service.
	NotAdmitted Reason = "NotAdmitted"
	// NotInPool: the address that is asked for belongs to no pool, or not to the one asked for.
	NotInPool Reason = "NotInPool"
	// AddressInUse: another holds the address that is asked for, and does not share it.
	AddressInUse Reason = "AddressInUse"
	// AddressConflict: a conflicting host uses an address of the Service, and there is no other to give.
	AddressConflict Reason = "AddressConflict"
	// ForeignAddress: the Service shows an address that another implementation has assigned
	// and that belongs to no pool.
	ForeignAddress Reason = "ForeignAddress"
	// PoolExhausted: every address that the Service may have is held, or cools down after its release or a conflict.
	PoolExhausted Reason = "PoolExhausted"
	// QuotaExceeded: the namespace holds as many addresses as the pool lets it have.
	QuotaExceeded Reason = "QuotaExceeded"
	// ClaimNotFound: the IPClaim that the Service names does not exist.
	ClaimNotFound Reason = "ClaimNotFound"
	// ClaimPending: the IPClaim that the Service names holds no address of the family.
	ClaimPending Reason = "ClaimPending"
)
