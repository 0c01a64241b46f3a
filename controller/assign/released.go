package assign

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/ipam"
)

// maxReleased is how many addresses a pool remembers who had them.
const maxReleased = 32

// released are the addresses that were given back since this replica leads, by pool, the latest first.
type released struct {
	mu   sync.Mutex
	pool map[string][]v1beta1.ReleasedAddress
}

// kinds are the names of those who hold addresses.
var kinds = map[ipam.Kind]string{ipam.Service: "Service", ipam.Claim: "IPClaim"}

func (r *released) add(all []freed, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pool == nil {
		r.pool = map[string][]v1beta1.ReleasedAddress{}
	}
	at := metav1.NewTime(now.Truncate(time.Second)) // as the API server keeps it
	for _, f := range all {
		x := v1beta1.ReleasedAddress{Address: f.addr.String(), Namespace: f.by.Namespace, Name: f.by.Name, Kind: kinds[f.by.Kind], Time: at}
		list := slices.Insert(r.pool[f.pool], 0, x)
		r.pool[f.pool] = list[:min(len(list), maxReleased)]
	}
}

// Released returns the addresses that were given back last, the latest first: those that a pool remembers already, and those since.
func (r *Reconciler) Released(pool string, before []v1beta1.ReleasedAddress) []v1beta1.ReleasedAddress {
	r.released.mu.Lock()
	defer r.released.mu.Unlock()
	out := slices.Clone(r.released.pool[pool])
	for _, x := range before {
		same := func(o v1beta1.ReleasedAddress) bool { return equality.Semantic.DeepEqual(o, x) }
		if len(out) < maxReleased && !slices.ContainsFunc(out, same) {
			out = append(out, x)
		}
	}
	return out
}
