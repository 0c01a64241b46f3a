package metrics

import "github.com/prometheus/client_golang/prometheus"

// A BGPSession are the numbers of the session with a peer.
type BGPSession struct {
	Peer string
	Up   bool
	// Routes are those that the router has been told of.
	Routes int
	// The others count since the peer was configured. Discarded are UPDATE messages of the router.
	Sent, Received, Discarded, Established uint64
	// BFD is nil for none.
	BFD *BFDSession
}

// A BFDSession are the numbers of the BFD session with a peer.
type BFDSession struct {
	Up bool
	// Sent and Received are packets; Downs counts how often the session was lost or ended.
	Sent, Received, Downs uint64
}

// NewBGP registers a collector of what all sessions with routers say of themselves when it is asked.
func NewBGP(r prometheus.Registerer, sessions func() []BGPSession) { r.MustRegister(bgp(sessions)) }

type bgp func() []BGPSession

func peerMetric(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, []string{"peer"}, nil)
}

var (
	bgpUp          = peerMetric("fairlead_bgp_session_up", "Whether the BGP session with a peer is established.")
	bgpRoutes      = peerMetric("fairlead_bgp_announced_routes", "Routes that a peer has been told of.")
	bgpSent        = peerMetric("fairlead_bgp_messages_sent_total", "BGP messages sent to a peer.")
	bgpReceived    = peerMetric("fairlead_bgp_messages_received_total", "BGP messages received from a peer.")
	bgpDiscarded   = peerMetric("fairlead_bgp_updates_discarded_total", "UPDATE messages of a peer, which are not read.")
	bgpEstablished = peerMetric("fairlead_bgp_sessions_established_total", "Times that the session with a peer was established.")
	bfdUp          = peerMetric("fairlead_bfd_session_up", "Whether the BFD session with a peer is up.")
	bfdSent        = peerMetric("fairlead_bfd_packets_sent_total", "BFD packets sent to a peer.")
	bfdReceived    = peerMetric("fairlead_bfd_packets_received_total", "BFD packets received from a peer.")
	bfdDowns       = peerMetric("fairlead_bfd_session_downs_total", "Times that the BFD session with a peer was lost or ended.")
)

// Describe says which metrics there are.
func (bgp) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{bgpUp, bgpRoutes, bgpSent, bgpReceived, bgpDiscarded, bgpEstablished, bfdUp, bfdSent, bfdReceived, bfdDowns} {
		out <- d
	}
}

// Collect asks the sessions.
func (sessions bgp) Collect(out chan<- prometheus.Metric) {
	for _, s := range sessions() {
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.Peer)
		}
		count := func(d *prometheus.Desc, v uint64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), s.Peer)
		}
		gauge(bgpUp, oneIf(s.Up))
		gauge(bgpRoutes, float64(s.Routes))
		count(bgpSent, s.Sent)
		count(bgpReceived, s.Received)
		count(bgpDiscarded, s.Discarded)
		count(bgpEstablished, s.Established)
		if b := s.BFD; b != nil {
			gauge(bfdUp, oneIf(b.Up))
			count(bfdSent, b.Sent)
			count(bfdReceived, b.Received)
			count(bfdDowns, b.Downs)
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
