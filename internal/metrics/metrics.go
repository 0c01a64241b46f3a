// Package metrics makes Fairlead's Prometheus collectors. Each set is made for
// a given Registerer, so that tests have their own; nothing is global. When
// to count what is left to those who are given a set.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NewBuild registers fairlead_build_info, which says by its labels which build this is.
func NewBuild(r prometheus.Registerer, version, commit, compiler string) {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "fairlead_build_info", Help: "1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "goversion": compiler},
	})
	info.Set(1)
	r.MustRegister(info)
}

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

// Controller are the collectors of the controller.
type Controller struct {
	addresses *prometheus.GaugeVec
}

// NewController registers the collectors of the controller.
func NewController(r prometheus.Registerer) *Controller {
	c := &Controller{addresses: prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "fairlead_pool_addresses",
		Help: "Addresses of a pool, by family (IPv4, IPv6) and state (total, assigned, available).",
	}, []string{"pool", "family", "state"})}
	r.MustRegister(c.addresses)
	return c
}

// Pool sets what is known of one family of a pool.
func (c *Controller) Pool(name, family string, total, assigned, available int64) {
	for state, n := range map[string]int64{"total": total, "assigned": assigned, "available": available} {
		c.addresses.WithLabelValues(name, family, state).Set(float64(n))
	}
}

// ForgetPool removes what is known of a pool that is gone.
func (c *Controller) ForgetPool(name string) {
	c.addresses.DeletePartialMatch(prometheus.Labels{"pool": name})
}

// Speaker are the numbers that a speaker exposes.
type Speaker struct {
	// Announced returns how many addresses are announced now.
	Announced func() int
	ARP, NDP  Packets
	// Conflicts returns how many addresses of this node somebody else uses.
	Conflicts func() int
	// Peers counts the other nodes by what is known of them.
	Peers func() map[string]int
	// Duplicates returns how often another speaker was seen to announce an address of this node.
	Duplicates func() uint64
}

// Packets return counts of packets of a protocol since the start.
type Packets struct {
	Requests, Replies, Claims, Probes, Conflicts, Errors func() uint64
}

// NewSpeaker registers the collectors of a speaker.
func NewSpeaker(r prometheus.Registerer, s Speaker) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fairlead_l2_announced_addresses",
		Help: "Addresses that this node answers ARP or NDP for.",
	}, func() float64 { return float64(s.Announced()) }))
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fairlead_l2_conflicting_addresses",
		Help: "Addresses that this node answers for, or would, and that a stranger was seen to use within five minutes.",
	}, func() float64 { return float64(s.Conflicts()) }))
	for _, presence := range []string{"alive", "away", "gone"} {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fairlead_speaker_peers", Help: "Other nodes with a speaker, by what this one knows of them.",
			ConstLabels: prometheus.Labels{"presence": presence},
		}, func() float64 { return float64(s.Peers()[presence]) }))
	}
	for _, c := range []struct {
		name, help string
		value      func() uint64
	}{
		{"fairlead_l2_duplicates_total", "Sightings of another speaker that announced an address of this node.", s.Duplicates},
		{"fairlead_arp_requests_received_total", "ARP requests for addresses that this node announces.", s.ARP.Requests},
		{"fairlead_arp_replies_sent_total", "ARP replies sent.", s.ARP.Replies},
		{"fairlead_arp_gratuitous_sent_total", "Gratuitous ARP packets sent.", s.ARP.Claims},
		{"fairlead_arp_probes_sent_total", "ARP probes sent, to find out whether somebody has an address already.", s.ARP.Probes},
		{"fairlead_arp_foreign_claims_total", "Claims by others, by ARP, of addresses that this node answers for; one a second of each is counted.", s.ARP.Conflicts},
		{"fairlead_arp_send_errors_total", "ARP packets that could not be sent.", s.ARP.Errors},
		{"fairlead_ndp_solicitations_received_total", "Neighbour solicitations for addresses that this node announces.", s.NDP.Requests},
		{"fairlead_ndp_replies_sent_total", "Neighbour advertisements sent in reply to solicitations.", s.NDP.Replies},
		{"fairlead_ndp_unsolicited_sent_total", "Unsolicited neighbour advertisements sent.", s.NDP.Claims},
		{"fairlead_ndp_probes_sent_total", "Duplicate address probes sent, to find out whether somebody has an address already.", s.NDP.Probes},
		{"fairlead_ndp_foreign_claims_total", "Claims by others, by NDP, of addresses that this node answers for; one a second of each is counted.", s.NDP.Conflicts},
		{"fairlead_ndp_send_errors_total", "NDP packets that could not be sent.", s.NDP.Errors},
	} {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: c.name, Help: c.help},
			func() float64 { return float64(c.value()) }))
	}
}
