package metrics

import (
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Conflict is an address of this node that a host outside of the cluster uses.
type Conflict struct {
	Addr netip.Addr
	MAC  string
}

// Speaker are the numbers that a speaker exposes, as they are when it is asked.
type Speaker struct {
	// Node is the name of this node.
	Node string
	// Announced are the addresses that this node announces by layer 2.
	Announced []netip.Addr
	// Standins and Yielding count those that it answers for in place of another speaker, or until another node does.
	Standins, Yielding int
	// Conflicts are those that a host outside of the cluster was seen to use.
	Conflicts []Conflict
	// Sockets are open, by protocol, and Failed are those that cannot be opened.
	Sockets, Failed map[string]int
	// Peers counts the other nodes by what is known of them.
	Peers map[string]int
	// Connected: the speakers talk to each other.
	Connected bool
	// Rejected counts packets that were not authentic; Duplicates, sightings of another speaker that announced an address of this node.
	Rejected, Duplicates uint64
	// StrictARP is whether the node's kernel leaves it to the speaker to answer; nil where kube-proxy does not make that matter.
	StrictARP *bool
	ARP, NDP  Packets
	// Kept is what is done about open connections when an address moves; nil where they are not to be kept.
	Kept *Kept
}

// Kept counts what is passed on to the nodes that have connections.
type Kept struct {
	Addresses int
	Packets   uint64
}

// Packets counts packets of a protocol since the start.
type Packets struct {
	Requests, Replies, Claims, Probes, Conflicts, Errors uint64
}

var (
	l2Announced   = desc("fairlead_l2_announced", "1 for each address that a node announces by layer 2.", "ip", "node")
	l2Conflict    = desc("fairlead_l2_conflict", "1 for each address of this node that another host was seen to use within five minutes.", "ip", "mac")
	l2Addresses   = desc("fairlead_l2_announced_addresses", "Addresses that this node announces by layer 2.")
	l2Conflicting = desc("fairlead_l2_conflicting_addresses",
		"Addresses that this node announces, or would, and that a host outside of the cluster was seen to use within five minutes.")
	l2Standins = desc("fairlead_l2_standin_addresses", "Addresses that this node answers for in place of another node's speaker, which is away.")
	l2Yielding = desc("fairlead_l2_yielding_addresses", "Addresses that this node answers for until the node that announces them now is seen to do so.")
	l2Sockets  = desc("fairlead_l2_sockets",
		"Raw sockets, one for each interface and protocol (ARP, NDP) with something to announce, by state (open, failed).", "protocol", "state")
	l2Duplicates = desc("fairlead_l2_duplicates_total", "Sightings of another speaker that announced an address of this node.")
	strictARP    = desc("fairlead_strict_arp",
		"With kube-proxy in mode ipvs, whether the node's kernel leaves it to the speaker to answer ARP for addresses of Services.")

	keptAddresses = desc("fairlead_kept_addresses",
		"Addresses of which packets are passed on to another node, which may have their connections. Absent without --keep-connections-for.")
	keptPackets = desc("fairlead_kept_packets_total", "Packets that were passed on to the node that may have their connection.")

	gossipConnected = desc("fairlead_gossip_connected", "Whether this speaker and the others talk to each other.")
	gossipRejected  = desc("fairlead_gossip_packets_rejected_total", "Packets to the gossip's port that were not authentic, or heartbeats that came twice.")
	speakerPeers    = desc("fairlead_speaker_peers", "Other nodes with a speaker, by what this one knows of them.", "presence")
)

// A packetMetric is one count of a protocol's packets.
type packetMetric struct {
	of    *prometheus.Desc
	value func(*Packets) uint64
}

// packetMetrics are those of each protocol, whose RFCs have words of their own.
func packetMetrics(p string, names [6]string, helps [6]string) []packetMetric {
	values := [6]func(*Packets) uint64{
		func(p *Packets) uint64 { return p.Requests },
		func(p *Packets) uint64 { return p.Replies },
		func(p *Packets) uint64 { return p.Claims },
		func(p *Packets) uint64 { return p.Probes },
		func(p *Packets) uint64 { return p.Conflicts },
		func(p *Packets) uint64 { return p.Errors },
	}
	out := make([]packetMetric, len(names))
	for i := range names {
		out[i] = packetMetric{desc("fairlead_"+p+"_"+names[i]+"_total", helps[i]), values[i]}
	}
	return out
}

var arpPackets = packetMetrics("arp",
	[...]string{"requests_received", "replies_sent", "gratuitous_sent", "probes_sent", "conflicts", "send_errors"},
	[...]string{
		"ARP requests for addresses that this node announces.", "ARP replies sent.", "Gratuitous ARP packets sent.",
		"ARP probes sent (RFC 5227), to find out whether another host has an address already.",
		"Gratuitous ARP of others for addresses that this node answers for; one a second of each is counted.", "ARP packets that could not be sent.",
	})

var ndpPackets = packetMetrics("ndp",
	[...]string{"solicitations_received", "replies_sent", "unsolicited_sent", "probes_sent", "conflicts", "send_errors"},
	[...]string{
		"Neighbour solicitations for addresses that this node announces.", "Neighbour advertisements sent in reply to solicitations.",
		"Unsolicited neighbour advertisements sent.", "Duplicate address probes sent (RFC 4862), to find out whether another host has an address already.",
		"Neighbour advertisements of others for addresses that this node answers for; one a second of each is counted.", "NDP packets that could not be sent.",
	})

// NewSpeaker registers the collectors of a speaker. perAddress has a series for each address too.
func NewSpeaker(r prometheus.Registerer, perAddress bool, now func() Speaker) {
	of := []*prometheus.Desc{
		l2Addresses, l2Conflicting, l2Standins, l2Yielding, l2Sockets, l2Duplicates, strictARP, gossipConnected, gossipRejected, speakerPeers,
		keptAddresses, keptPackets,
	}
	if perAddress {
		of = append(of, l2Announced, l2Conflict)
	}
	for _, m := range append(arpPackets, ndpPackets...) {
		of = append(of, m.of)
	}
	r.MustRegister(collector{of: of, samples: func(yield func(sample)) {
		s := now()
		s.samples(yield)
		if perAddress {
			s.addresses(yield)
		}
	}})
}

func (s *Speaker) samples(yield func(sample)) {
	yield(gauge(l2Addresses, float64(len(s.Announced))))
	yield(gauge(l2Conflicting, float64(len(s.Conflicts))))
	yield(gauge(l2Standins, float64(s.Standins)))
	yield(gauge(l2Yielding, float64(s.Yielding)))
	for _, protocol := range []string{"ARP", "NDP"} {
		yield(gauge(l2Sockets, float64(s.Sockets[protocol]), protocol, "open"))
		yield(gauge(l2Sockets, float64(s.Failed[protocol]), protocol, "failed"))
	}
	yield(counter(l2Duplicates, s.Duplicates))
	if s.StrictARP != nil {
		yield(gauge(strictARP, oneIf(*s.StrictARP)))
	}
	yield(gauge(gossipConnected, oneIf(s.Connected)))
	yield(counter(gossipRejected, s.Rejected))
	for _, presence := range []string{"alive", "away", "gone"} {
		yield(gauge(speakerPeers, float64(s.Peers[presence]), presence))
	}
	if s.Kept != nil {
		yield(gauge(keptAddresses, float64(s.Kept.Addresses)))
		yield(counter(keptPackets, s.Kept.Packets))
	}
	for _, m := range arpPackets {
		yield(counter(m.of, m.value(&s.ARP)))
	}
	for _, m := range ndpPackets {
		yield(counter(m.of, m.value(&s.NDP)))
	}
}

// addresses are the series of each address.
func (s *Speaker) addresses(yield func(sample)) {
	for _, a := range s.Announced {
		yield(gauge(l2Announced, 1, a.String(), s.Node))
	}
	for _, c := range s.Conflicts {
		yield(gauge(l2Conflict, 1, c.Addr.String(), c.MAC))
	}
}

// Gains measures how long it takes until an address is answered for that a node is to announce.
type Gains struct{ took *prometheus.HistogramVec }

// NewGains registers the histogram of gained addresses.
func NewGains(r prometheus.Registerer) *Gains {
	g := &Gains{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "fairlead_l2_gain_duration_seconds",
		Help:    "Time until this node answered for an address that it is to announce, by cause; of NodeLost, from when the former node was missed.",
		Buckets: []float64{.005, .01, .025, .05, .1, .25, .4, .5, .75, 1, 2.5, 5, 10, 60},
	}, []string{"cause"})}
	r.MustRegister(g.took)
	return g
}

// Gained notes that an address is answered for, and how long that took.
func (g *Gains) Gained(cause string, took time.Duration) {
	g.took.WithLabelValues(cause).Observe(took.Seconds())
}
