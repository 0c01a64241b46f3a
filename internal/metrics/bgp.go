package metrics

import "github.com/prometheus/client_golang/prometheus"

// A BGPSession are the numbers of the session with a peer.
type BGPSession struct {
	Peer string
	Up   bool
	// Routes are those that are announced to the router.
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

func peerMetric(name, help string) *prometheus.Desc { return desc(name, help, "peer") }

var (
	bgpUp          = peerMetric("fairlead_bgp_session_up", "Whether the BGP session with a peer is established.")
	bgpRoutes      = peerMetric("fairlead_bgp_announced_routes", "Routes that are announced to a peer.")
	bgpSent        = peerMetric("fairlead_bgp_messages_sent_total", "BGP messages sent to a peer.")
	bgpReceived    = peerMetric("fairlead_bgp_messages_received_total", "BGP messages received from a peer.")
	bgpDiscarded   = peerMetric("fairlead_bgp_updates_discarded_total", "UPDATE messages of a peer, which are not read.")
	bgpEstablished = peerMetric("fairlead_bgp_sessions_established_total", "Times that the session with a peer was established.")
	bfdUp          = peerMetric("fairlead_bfd_session_up", "Whether the BFD session with a peer is up.")
	bfdSent        = peerMetric("fairlead_bfd_packets_sent_total", "BFD packets sent to a peer.")
	bfdReceived    = peerMetric("fairlead_bfd_packets_received_total", "BFD packets received from a peer.")
	bfdDowns       = peerMetric("fairlead_bfd_session_downs_total", "Times that the BFD session with a peer was lost or ended.")
)

// NewBGP registers a collector of what all sessions with routers say of themselves when it is asked.
func NewBGP(r prometheus.Registerer, sessions func() []BGPSession) {
	r.MustRegister(collector{
		of: []*prometheus.Desc{bgpUp, bgpRoutes, bgpSent, bgpReceived, bgpDiscarded, bgpEstablished, bfdUp, bfdSent, bfdReceived, bfdDowns},
		samples: func(yield func(sample)) {
			for _, s := range sessions() {
				yield(gauge(bgpUp, oneIf(s.Up), s.Peer))
				yield(gauge(bgpRoutes, float64(s.Routes), s.Peer))
				yield(counter(bgpSent, s.Sent, s.Peer))
				yield(counter(bgpReceived, s.Received, s.Peer))
				yield(counter(bgpDiscarded, s.Discarded, s.Peer))
				yield(counter(bgpEstablished, s.Established, s.Peer))
				if b := s.BFD; b != nil {
					yield(gauge(bfdUp, oneIf(b.Up), s.Peer))
					yield(counter(bfdSent, b.Sent, s.Peer))
					yield(counter(bfdReceived, b.Received, s.Peer))
					yield(counter(bfdDowns, b.Downs, s.Peer))
				}
			}
		},
	})
}
