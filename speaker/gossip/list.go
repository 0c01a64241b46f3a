package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/hashicorp/memberlist"
)

// list is this speaker among the others. The real one is memberlist's.
type list interface {
	// alive returns who is alive, this node too, and what they say.
	alive() map[string]Report
	// join meets another speaker. It blocks.
	join(at netip.AddrPort) error
	// say changes what this speaker says.
	say(w Report)
	// rekey has messages encrypted with another key. Those with the former one are understood until forget.
	rekey(key []byte) error
	// forget understands messages with the present key only.
	forget()
	// send sends a message to another, which may be lost.
	send(name string, message []byte)
	// close leaves: it says so to all others, if there are any.
	close()
}

// Memberlist is slow, so that it rarely wakes: the ring of heartbeats finds out before it, and what is urgent is sent to all directly.
const (
	probeInterval  = 2 * time.Second
	probeTimeout   = 500 * time.Millisecond
	gossipInterval = time.Second
	tcpTimeout     = 500 * time.Millisecond
)

type members struct {
	*memberlist.Memberlist
	keyring    *memberlist.Keyring
	node       *delegate
	heartbeats *heartbeats
}

// hooks are what a list calls. None may block.
type hooks struct {
	// changed: somebody has come, gone, or says something else.
	changed func()
	// inbox takes questions and answers.
	inbox func(message []byte)
	// rejected: a packet was not authentic.
	rejected func()
}

// begin starts a list at an address.
func begin(name string, at netip.AddrPort, key []byte, report Report, on hooks, l logr.Logger) (list, error) {
	keyring, err := memberlist.NewKeyring(nil, key)
	if err != nil {
		return nil, fmt.Errorf("gossip key: %w", err)
	}
	t, err := newTransport(at)
	if err != nil {
		return nil, err
	}
	h, err := newHeartbeats(name, key, t.send, on)
	if err != nil {
		return nil, errors.Join(err, t.Shutdown())
	}
	t.start(h.hear)
	d := &delegate{self: name, changed: on.changed, heartbeats: h, alive: map[string]neighbour{}, inbox: on.inbox}
	first := report.after(said{}, time.Now())
	d.report.Store(&first)
	c := configOf(name, keyring, d, writer{l, on.rejected})
	c.Transport = t
	ml, err := memberlist.Create(c)
	if err != nil {
		h.stop()
		return nil, errors.Join(err, t.Shutdown())
	}
	return &members{ml, keyring, d, h}, nil
}

func configOf(name string, keyring *memberlist.Keyring, d *delegate, w writer) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name = name
	c.ProbeInterval, c.ProbeTimeout, c.SuspicionMult, c.SuspicionMaxTimeoutMult = probeInterval, probeTimeout, 2, 1
	c.IndirectChecks, c.DisableTcpPings = 2, true
	c.GossipInterval, c.TCPTimeout = gossipInterval, tcpTimeout
	c.DeadNodeReclaimTime = time.Second // a node may come back with another address
	c.Keyring, c.EnableCompression = keyring, false
	c.Delegate, c.Events, c.Ping = d, d, d
	c.Logger = log.New(w, "", 0)
	return c
}

func (m *members) alive() map[string]Report {
	m.node.mu.Lock()
	defer m.node.mu.Unlock()
	out := make(map[string]Report, len(m.node.alive))
	for name, n := range m.node.alive {
		out[name] = n.report.Report
	}
	for _, name := range m.heartbeats.doubted() {
		delete(out, name)
	}
	return out
}

func (m *members) join(at netip.AddrPort) error {
	_, err := m.Join([]string{at.String()})
	return err
}

func (m *members) say(report Report) {
	w := report.after(*m.node.report.Load(), time.Now())
	m.node.report.Store(&w)
	_ = m.UpdateNode(time.Millisecond) // the time is for waiting until it is sent, which nobody does
	for _, at := range m.node.others() {
		_ = m.SendToAddress(memberlist.Address{Addr: at.String()}, message(m.node.self, w)) // whoever misses it learns it by gossip
	}
}

func (m *members) send(name string, message []byte) {
	m.node.mu.Lock()
	n, known := m.node.alive[name]
	m.node.mu.Unlock()
	if known {
		_ = m.SendToAddress(memberlist.Address{Addr: n.at.String()}, message) // whoever asks will ask again
	}
}

func (m *members) rekey(key []byte) error {
	if err := m.keyring.AddKey(key); err != nil {
		return err
	}
	m.heartbeats.rekey(key)
	return m.keyring.UseKey(key)
}

func (m *members) forget() {
	m.heartbeats.forget()
	primary := m.keyring.GetPrimaryKey()
	for _, k := range m.keyring.GetKeys() {
		if !bytes.Equal(k, primary) {
			_ = m.keyring.RemoveKey(k) // it refuses the primary one only
		}
	}
}

func (m *members) close() {
	m.heartbeats.leave() // not by memberlist, which would wait until it gossips
	_ = m.Shutdown()
	m.heartbeats.stop()
}

// delegate speaks for this node and hears of the others. Who is alive is noted as memberlist tells it, since
// the nodes that it lists change while they are read.
type delegate struct {
	self       string
	report     atomic.Pointer[said]
	changed    func()
	heartbeats *heartbeats
	// noting has one note after another, so that heartbeats gets them in their order; mu guards alive alone.
	noting sync.Mutex
	mu     sync.Mutex
	alive  map[string]neighbour
	// inbox takes questions and answers; it must not block.
	inbox func(message []byte)
}

type neighbour struct {
	report said
	at     netip.AddrPort
}

func (d *delegate) NodeMeta(int) []byte           { return d.report.Load().encode() }
func (*delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (*delegate) LocalState(bool) []byte          { return nil }
func (*delegate) MergeRemoteState([]byte, bool)   {}

// NotifyMsg hears what another says of itself, before gossip tells. It may come late: memberlist takes the latest packets first, and
// the kernel holds some back until it knows whither.
func (d *delegate) NotifyMsg(b []byte) {
	if isExchange(b) {
		d.inbox(bytes.Clone(b))
		return
	}
	name, w, ok := decodeMessage(b)
	if !ok {
		return
	}
	d.note(func() {
		if n, known := d.alive[name]; known && w.stamp > n.report.stamp {
			d.alive[name] = neighbour{w, n.at}
		}
	})
}

func (d *delegate) NotifyJoin(n *memberlist.Node) {
	at, _ := netip.AddrFromSlice(n.Addr)
	now := neighbour{decode(n.Meta), netip.AddrPortFrom(at.Unmap(), n.Port)}
	d.note(func() {
		// What gossip passes on may be older than what the other has said to us directly.
		if before, known := d.alive[n.Name]; known && before.report.stamp > now.report.stamp {
			now.report = before.report
		}
		d.alive[n.Name] = now
	})
}
func (d *delegate) NotifyUpdate(n *memberlist.Node) { d.NotifyJoin(n) }
func (d *delegate) NotifyLeave(n *memberlist.Node)  { d.note(func() { delete(d.alive, n.Name) }) }

func (d *delegate) note(change func()) {
	d.noting.Lock()
	defer d.noting.Unlock()
	d.mu.Lock()
	change()
	addrs := make(map[string]netip.AddrPort, len(d.alive))
	for name, n := range d.alive {
		addrs[name] = n.at
	}
	d.mu.Unlock()
	d.heartbeats.living(addrs)
	d.changed()
}

// others returns where the others are.
func (d *delegate) others() (out []netip.AddrPort) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, n := range d.alive {
		if name != d.self {
			out = append(out, n.at)
		}
	}
	return out
}

func (*delegate) AckPayload() []byte { return nil }

func (d *delegate) NotifyPingComplete(n *memberlist.Node, _ time.Duration, _ []byte) {
	d.heartbeats.alive(n.Name)
}

// writer has memberlist's log end in ours: what it says matters to developers only, but for packets that are not authentic, of which
// it keeps no count.
type writer struct {
	log      logr.Logger
	rejected func()
}

func (w writer) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("ecrypt")) { // failed to decrypt, or not encrypted
		w.rejected()
	}
	w.log.V(1).Info("memberlist", "says", string(bytes.TrimSpace(line)))
	return len(line), nil
}
