package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Pool is the use of one family of a pool. The three counts are of different addresses.
type Pool struct {
	Name, Family                 string
	Assigned, Available, Cooling int64
	// Quota is how many a namespace may hold, 0 for no limit, and Namespaces how many each does.
	Quota      int
	Namespaces map[string]int
}

// None stands for the reason of a condition that an object does not have yet.
const None = "None"

// ServiceState are the reasons of a Service's conditions Assigned and Announced.
type ServiceState struct{ Assigned, Announced string }

// ObjectState is a kind of object, and the reason of the condition Accepted.
type ObjectState struct{ Kind, Reason string }

// Totals are counts over all objects.
type Totals struct {
	Pools    []Pool
	Services map[ServiceState]int
	// OldestPending is how long the Service has waited for an address that has waited longest; 0 if none waits.
	OldestPending time.Duration
	// Claims are IPClaims by the reason of their condition Bound.
	Claims map[string]int
	// Objects are those that operators write.
	Objects map[ObjectState]int
}

var (
	poolAddresses = desc("fairlead_pool_addresses",
		"Addresses of a pool, by family (IPv4, IPv6) and state (assigned, available, cooling). Their sum is the pool's size.", "pool", "family", "state")
	poolQuota     = desc("fairlead_pool_quota_addresses", "How many addresses of a pool each namespace may hold.", "pool", "family")
	poolNamespace = desc("fairlead_pool_namespace_addresses", "Addresses of a pool with a quota that a namespace holds.", "pool", "family", "namespace")
	services      = desc("fairlead_services",
		"Services of type LoadBalancer that Fairlead serves, by the reasons of their conditions Assigned and Announced.", "assigned", "announced")
	oldestPending = desc("fairlead_oldest_pending_service_seconds", "How long the Service has waited for an address that has waited longest; 0 if none waits.")
	claims        = desc("fairlead_ipclaims", "IPClaims, by the reason of their condition Bound.", "bound")
	objects       = desc("fairlead_config_objects", "Objects of a kind that operators write, by the reason of their condition Accepted.", "kind", "accepted")
)

// NewController registers what the leading controller knows of all objects. totals is asked at each scrape; it returns false while there
// is nothing to say, as another replica leads.
func NewController(r prometheus.Registerer, totals func() (Totals, bool)) {
	r.MustRegister(collector{
		of: []*prometheus.Desc{poolAddresses, poolQuota, poolNamespace, services, oldestPending, claims, objects},
		samples: func(yield func(sample)) {
			t, ok := totals()
			if !ok {
				return
			}
			for _, p := range t.Pools {
				p.samples(yield)
			}
			for s, n := range t.Services {
				yield(gauge(services, float64(n), s.Assigned, s.Announced))
			}
			yield(gauge(oldestPending, t.OldestPending.Seconds()))
			for reason, n := range t.Claims {
				yield(gauge(claims, float64(n), reason))
			}
			for s, n := range t.Objects {
				yield(gauge(objects, float64(n), s.Kind, s.Reason))
			}
		},
	})
}

func (p *Pool) samples(yield func(sample)) {
	yield(gauge(poolAddresses, float64(p.Assigned), p.Name, p.Family, "assigned"))
	yield(gauge(poolAddresses, float64(p.Available), p.Name, p.Family, "available"))
	yield(gauge(poolAddresses, float64(p.Cooling), p.Name, p.Family, "cooling"))
	if p.Quota == 0 {
		return
	}
	yield(gauge(poolQuota, float64(p.Quota), p.Name, p.Family))
	for ns, n := range p.Namespaces {
		yield(gauge(poolNamespace, float64(n), p.Name, p.Family, ns))
	}
}

// Assignments measures how long Services wait for an address that there is.
type Assignments struct{ took prometheus.Histogram }

// NewAssignments registers the histogram of assignments.
func NewAssignments(r prometheus.Registerer) *Assignments {
	a := &Assignments{prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "fairlead_assignment_duration_seconds",
		Help:    "Time from when the controller learned of a Service without an address to when the API server had it. Those that had to wait are left out.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	})}
	r.MustRegister(a.took)
	return a
}

// Assigned notes that a Service got its first address, and how long that took.
func (a *Assignments) Assigned(took time.Duration) { a.took.Observe(took.Seconds()) }

// Outages counts what is done about nodes that are lost.
type Outages struct {
	pods prometheus.Counter
	took prometheus.Histogram
}

// NewOutages registers the collectors of lost nodes.
func NewOutages(r prometheus.Registerer) *Outages {
	o := &Outages{
		pods: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "fairlead_lost_node_pods_marked_total", Help: "Pods that were marked not ready, as their node was lost.",
		}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "fairlead_lost_node_duration_seconds", Help: "Time from when a node was missed to when the last of its pods was marked.",
			Buckets: []float64{.25, .5, .75, 1, 1.5, 2, 3, 5, 10, 30, 60},
		}),
	}
	r.MustRegister(o.pods, o.took)
	return o
}

// Marked notes that pods of one node were marked, and how long after the node was missed.
func (o *Outages) Marked(pods int, after time.Duration) {
	o.pods.Add(float64(pods))
	o.took.Observe(after.Seconds())
}
