package cli

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/fairlead-lb/fairlead/api/v1beta1"
	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/ipam"
)

// A Status is the whole cluster on one screen.
type Status struct {
	Version     string     `json:"version"`
	Controllers string     `json:"controllers"`
	Speakers    string     `json:"speakers"`
	Findings    []Finding  `json:"findings"`
	Services    Counts     `json:"services"`
	Pools       []PoolUse  `json:"pools"`
	Nodes       []NodeL2   `json:"nodes"`
	Peers       []PeerLine `json:"peers,omitempty"`
}

// Counts counts the Services that Fairlead serves.
type Counts struct {
	Total     int `json:"total"`
	Assigned  int `json:"assigned"`
	Announced int `json:"announced"`
}

// A PeerLine is one router.
type PeerLine struct {
	Name     string `json:"name"`
	Sessions string `json:"sessions"`
}

// Status summarizes.
func (c *Cluster) Status() Status {
	v := c.view()
	out := Status{Findings: c.Findings(), Pools: c.PoolUses(), Nodes: c.L2().Nodes, Controllers: "unknown", Speakers: "unknown"}
	controller, speaker := c.installed()
	if controller != nil {
		out.Version = tag(controller)
		out.Controllers = fmt.Sprintf("%d/%d", controller.Status.AvailableReplicas, controller.Status.Replicas)
	}
	if speaker != nil {
		out.Speakers = fmt.Sprintf("%d/%d", speaker.Status.NumberReady, speaker.Status.DesiredNumberScheduled)
	}
	for _, svc := range v.ours {
		out.Services.Total++
		if meta.IsStatusConditionTrue(svc.Status.Conditions, v1beta1.ServiceConditionAssigned) {
			out.Services.Assigned++
		}
		if meta.IsStatusConditionTrue(svc.Status.Conditions, v1beta1.ServiceConditionAnnounced) {
			out.Services.Announced++
		}
	}
	for i := range c.Peers.Items {
		p := &c.Peers.Items[i]
		out.Peers = append(out.Peers, PeerLine{p.Name, p.Status.Sessions})
	}
	return out
}

// most is how many findings are shown among other things.
const most = 5

func (s Status) write(w io.Writer) error {
	p := printer{w: w}
	p.hanging(fmt.Sprintf("Fairlead %s: ", s.Version), fmt.Sprintf("controllers %s, speakers %s; of %d Services %d have an address, %d are announced",
		s.Controllers, s.Speakers, s.Services.Total, s.Services.Assigned, s.Services.Announced))
	p.printf("\n")
	p.findings(s.Findings[:min(len(s.Findings), most)])
	if more := len(s.Findings) - most; more > 0 {
		p.printf("\nand %d more: kubectl fairlead doctor\n", more)
	}
	p.printf("\n")
	poolTable(&p, s.Pools)
	p.printf("\n")
	nodeTable(&p, s.Nodes)
	if len(s.Peers) > 0 {
		var rows [][]string
		for _, x := range s.Peers {
			rows = append(rows, []string{x.Name, x.Sessions})
		}
		p.printf("\n")
		p.table("PEER SESSIONS", rows)
	}
	return p.err
}

// A PoolUse is one pool, and how much of it is in use.
type PoolUse struct {
	Name       string   `json:"name"`
	Accepted   bool     `json:"accepted"`
	AutoAssign bool     `json:"autoAssign"`
	IPv4       string   `json:"ipv4,omitempty"`
	IPv6       string   `json:"ipv6,omitempty"`
	Advertised []string `json:"advertised,omitempty"`
	// Holders are who holds which address; of one pool only.
	Holders []Holder `json:"holders,omitempty"`
}

// A Holder has an address.
type Holder struct {
	Address string   `json:"address"`
	By      []string `json:"by"`
	// Node announces it.
	Node string `json:"node,omitempty"`
}

// PoolUses returns all pools, by name.
func (c *Cluster) PoolUses() []PoolUse {
	v := c.view()
	out := []PoolUse{}
	for _, p := range v.snapshot.Pools() {
		u := PoolUse{Name: p.Name, Accepted: !p.Refused, AutoAssign: p.AutoAssign, Advertised: v.advertised(p)}
		for f, into := range map[config.Family]*string{config.IPv4: &u.IPv4, config.IPv6: &u.IPv6} {
			used, total := v.use(p, f)
			*into = ipam.Usage{Total: total, Assigned: int64(used)}.String()
		}
		out = append(out, u)
	}
	return out
}

// Pool returns one pool with those who hold its addresses; false if there is none of this name.
func (c *Cluster) Pool(name string) (PoolUse, bool) {
	v := c.view()
	all := c.PoolUses()
	i := slices.IndexFunc(all, func(u PoolUse) bool { return u.Name == name })
	if i < 0 {
		return PoolUse{}, false
	}
	u := all[i]
	by := v.announcers()
	for a, holders := range v.holders {
		if p := v.snapshot.PoolOf(a); p != nil && p.Name == name {
			u.Holders = append(u.Holders, Holder{a.String(), slices.Sorted(slices.Values(holders)), by[a.String()]})
		}
	}
	slices.SortFunc(u.Holders, func(a, b Holder) int { return parsed(a.Address).Compare(parsed(b.Address)) })
	return u, true
}

func parsed(s string) netip.Addr {
	a, _ := netip.ParseAddr(s) // it was made from one
	return a
}

// announcers says which node announces an address by layer 2.
func (v *view) announcers() map[string]string {
	out := map[string]string{}
	for i := range v.Announcements.Items {
		s := &v.Announcements.Items[i]
		for _, a := range s.Announcements {
			out[a.Address] = s.Node
		}
	}
	return out
}

type poolUses []PoolUse

func (u poolUses) write(w io.Writer) error {
	p := printer{w: w}
	poolTable(&p, u)
	return p.err
}

func poolTable(p *printer, pools []PoolUse) {
	var rows [][]string
	for _, u := range pools {
		rows = append(rows, []string{u.Name, u.IPv4, u.IPv6, yes(u.AutoAssign), yes(u.Accepted), strings.Join(u.Advertised, ",")})
	}
	p.table("POOL IPV4 IPV6 AUTO ACCEPTED ADVERTISED", rows)
}

func (u PoolUse) write(w io.Writer) error {
	p := printer{w: w}
	poolTable(&p, []PoolUse{u})
	var rows [][]string
	for _, h := range u.Holders {
		rows = append(rows, []string{h.Address, strings.Join(h.By, ", "), h.Node})
	}
	p.printf("\n")
	p.table("ADDRESS HOLDER NODE", rows)
	return p.err
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// An L2Report is what is announced by layer 2.
type L2Report struct {
	Nodes         []NodeL2       `json:"nodes"`
	Announcements []Announcement `json:"announcements"`
}

// A NodeL2 is a node as an announcer.
type NodeL2 struct {
	Name       string `json:"name"`
	Announces  int    `json:"announces"`
	Ready      string `json:"ready"`
	Connected  string `json:"connected"`
	StrictARP  string `json:"strictARP,omitempty"`
	Interfaces string `json:"interfaces"`
	Excluded   bool   `json:"excluded,omitempty"`
}

// An Announcement is one address that is announced.
type Announcement struct {
	Address    string    `json:"address"`
	Node       string    `json:"node"`
	Interfaces []string  `json:"interfaces"`
	Since      time.Time `json:"since"`
	age        string
}

// L2 says which node announces what.
func (c *Cluster) L2() L2Report {
	v := c.view()
	out := L2Report{Nodes: []NodeL2{}, Announcements: []Announcement{}}
	for i := range v.nodes {
		n := NodeL2{Name: v.nodes[i].Name, Excluded: v.nodes[i].Excluded, Ready: "no speaker"}
		if s := v.speaker(n.Name); s != nil {
			n.Announces, n.Interfaces = int(s.Status.AnnouncedAddresses), s.Status.InterfaceNames
			n.Ready = state(s.Status.Conditions, v1beta1.ConditionReady)
			n.Connected = state(s.Status.Conditions, v1beta1.ConditionConnected)
			n.StrictARP = state(s.Status.Conditions, v1beta1.ConditionStrictARP)
		}
		out.Nodes = append(out.Nodes, n)
	}
	for i := range c.Announcements.Items {
		s := &c.Announcements.Items[i]
		for _, a := range s.Announcements {
			out.Announcements = append(out.Announcements, Announcement{
				a.Address, s.Node, a.Interfaces, a.Since.UTC(), duration.HumanDuration(c.Now.Sub(a.Since.Time)),
			})
		}
	}
	slices.SortFunc(out.Announcements, func(a, b Announcement) int {
		return cmp.Or(parsed(a.Address).Compare(parsed(b.Address)), cmp.Compare(a.Node, b.Node))
	})
	return out
}

// state is a condition in a word; empty if it is not there.
func state(cs []metav1.Condition, kind string) string {
	c := meta.FindStatusCondition(cs, kind)
	switch {
	case c == nil:
		return ""
	case c.Status == metav1.ConditionTrue:
		return "yes"
	default:
		return "no"
	}
}

func nodeTable(p *printer, nodes []NodeL2) {
	var rows [][]string
	for _, n := range nodes {
		excluded := ""
		if n.Excluded {
			excluded = "excluded"
		}
		rows = append(rows, []string{n.Name, fmt.Sprint(n.Announces), n.Ready, n.Connected, n.StrictARP, n.Interfaces, excluded})
	}
	p.table("NODE ANNOUNCES READY CONNECTED STRICTARP INTERFACES NOTE", rows)
}

func (r L2Report) write(w io.Writer) error {
	p := printer{w: w}
	nodeTable(&p, r.Nodes)
	var rows [][]string
	for _, a := range r.Announcements {
		rows = append(rows, []string{a.Address, a.Node, strings.Join(a.Interfaces, ","), a.age})
	}
	p.printf("\n")
	p.table("ADDRESS NODE INTERFACES AGE", rows)
	return p.err
}

// A BGPReport is every session.
type BGPReport struct {
	Sessions []SessionLine `json:"sessions"`
}

// A SessionLine is the session of a node with a router.
type SessionLine struct {
	Peer    string    `json:"peer"`
	Node    string    `json:"node"`
	Address string    `json:"address,omitempty"`
	State   string    `json:"state"`
	BFD     string    `json:"bfd,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Error   string    `json:"error,omitempty"`
	age     string
}

// BGP lists the sessions, those that are not established first. What a node reported that is not ready any more may be old.
func (c *Cluster) BGP() BGPReport {
	out := BGPReport{Sessions: []SessionLine{}}
	ready := map[string]bool{}
	for i := range c.Nodes.Items {
		n := &c.Nodes.Items[i]
		ready[n.Name] = slices.ContainsFunc(n.Status.Conditions, func(x corev1.NodeCondition) bool {
			return x.Type == corev1.NodeReady && x.Status == corev1.ConditionTrue
		})
	}
	for i := range c.Sessions.Items {
		n := &c.Sessions.Items[i]
		for _, s := range n.Status.Sessions {
			l := SessionLine{Peer: s.Peer, Node: n.Name, Address: s.Address, State: s.State, BFD: s.BFD, Since: s.Since.UTC(), Error: s.LastError}
			if !s.Since.IsZero() {
				l.age = duration.HumanDuration(c.Now.Sub(s.Since.Time))
			}
			if !ready[n.Name] {
				l.State, l.Error = "Unknown", "the node is not ready; the last that it reported: "+s.State
			}
			out.Sessions = append(out.Sessions, l)
		}
	}
	established := func(l SessionLine) int {
		if l.State == "Established" {
			return 1
		}
		return 0
	}
	slices.SortFunc(out.Sessions, func(a, b SessionLine) int {
		return cmp.Or(cmp.Compare(established(a), established(b)), cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Node, b.Node))
	})
	return out
}

func (r BGPReport) write(w io.Writer) error {
	p := printer{w: w}
	var rows [][]string
	for _, s := range r.Sessions {
		rows = append(rows, []string{s.Peer, s.Node, s.Address, s.State, s.age, s.BFD, s.Error})
	}
	p.table("PEER NODE ADDRESS STATE FOR BFD ERROR", rows)
	return p.err
}
