package ipam

import (
	"net/netip"

	"github.com/fairlead-lb/fairlead/config"
)

// Key names a Service.
type Key struct{ Namespace, Name string }

// String returns namespace/name.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// A Request is what one Service asks for.
type Request struct {
	Service Key
	// Families that the Service has, in its order: one or two.
	Families []config.Family
	// RequireAll: the Service is of no use without all its families
	// (ipFamilyPolicy RequireDualStack).
	RequireAll bool
	// Addresses that the Service insists on, at most one of each family; a family without one
	// is assigned automatically.
	Addresses []netip.Addr
	// Pool that the Service insists on; empty for any that admits it.
	Pool string
	// Invalid says why the request cannot be read. The Service then keeps what it
	// holds and gets nothing new.
	Invalid string

	NamespaceLabels map[string]string
	Labels          map[string]string
}

// A Decision is what a Service has from now on, and why.
type Decision struct {
	// Addresses of the Service, in the order of its families.
	Addresses []netip.Addr
	// Reason is Assigned where the Service has all that it asked for.
	Reason Reason
	// Message is a sentence for the user, empty where Reason is Assigned.
	Message string
	// Foreign: what the Service shows was written by somebody else, and stays.
	Foreign bool
}

// Reason says in one word what came of a request. The same word is the reason
// of the Service's condition, of its event and the label of the metric.
type Reason string

// What can come of a request.
const (
	// Assigned: the Service has all that it asked for.
	Assigned Reason = "Assigned"
	// InvalidRequest: an annotation or field cannot be read.
	InvalidRequest Reason = "InvalidRequest"
	// FamilyMismatch: an address is asked for of a family that the Service does not have.
	FamilyMismatch Reason = "FamilyMismatch"
	// NoPool: no pool may give the Service an address of its family.
	NoPool Reason = "NoPool"
	// PoolNotFound: the pool that is asked for does not exist.
	PoolNotFound Reason = "PoolNotFound"
	// PoolRefused: the pool that is asked for is not accepted.
	PoolRefused Reason = "PoolRefused"
	// NotAdmitted: the pool that is asked for does not admit the Service.
	NotAdmitted Reason = "NotAdmitted"
	// NotInPool: the address that is asked for belongs to no pool, or not to the one asked for.
	NotInPool Reason = "NotInPool"
	// AddressInUse: another Service holds the address that is asked for.
	AddressInUse Reason = "AddressInUse"
	// ForeignAddress: the Service shows an address that another implementation has assigned
	// and that belongs to no pool.
	ForeignAddress Reason = "ForeignAddress"
	// PoolExhausted: every address that the Service may have is held.
	PoolExhausted Reason = "PoolExhausted"
)
