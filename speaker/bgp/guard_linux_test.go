package bgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// fakeRouter is a router that does what a test has it do.
type fakeRouter struct {
	*testing.T
	listener net.Listener
	peer     *config.Peer
}

func newFakeRouter(t *testing.T, name string, hold time.Duration) *fakeRouter {
	t.Helper()
	_ = exec.Command("ip", "link", "set", "lo", "up").Run() // in a network namespace of our own it is not
	l, err := net.Listen("tcp4", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	return &fakeRouter{t, l, &config.Peer{
		Name: name, MyASN: nodes, PeerASN: outside, Address: netip.MustParseAddr("127.0.0.9"), Port: port, MultiHop: true,
		HoldTime: hold, Keepalive: hold / 3, ConnectTime: time.Second, IPv4Unicast: true,
	}}
}

// accept takes the next connection, and has a session on it as far as its first KEEPALIVE.
func (s *fakeRouter) accept(more ...bgp.ParameterCapabilityInterface) net.Conn {
	s.Helper()
	conn, err := s.listener.Accept()
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	s.expect(conn, bgp.BGP_MSG_OPEN)
	o := offer{asn: outside, hold: uint16(s.peer.HoldTime / time.Second), id: [4]byte{127, 0, 0, 9}}
	capabilities := []bgp.ParameterCapabilityInterface{bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapFourOctetASNumber(outside), bgp.NewCapRouteRefresh()}
	s.send(conn, o.open(append(capabilities, more...)))
	s.expect(conn, bgp.BGP_MSG_KEEPALIVE)
	s.send(conn, serialize(bgp.NewBGPKeepAliveMessage()))
	return conn
}

func (s *fakeRouter) send(conn net.Conn, message []byte) {
	s.Helper()
	if _, err := conn.Write(message); err != nil {
		s.Fatal(err)
	}
}

// expect reads until a message of a type comes.
func (s *fakeRouter) expect(conn net.Conn, kind uint8) []byte {
	s.Helper()
	for {
		var buffer [maxLength]byte
		got, m, err := readMessage(conn, &buffer)
		if err != nil {
			s.Fatalf("wait for a message of type %d: %v", kind, err)
		}
		if got == kind {
			return bytes.Clone(m)
		}
	}
}

// header is that of a message of a type and length.
func header(kind uint8, length uint16) []byte {
	m := bytes.Repeat([]byte{0xff}, headerLength)
	binary.BigEndian.PutUint16(m[markerLength:], length)
	m[headerLength-1] = kind
	return m
}

// unreadable is an UPDATE that no parser could read.
func unreadable() []byte {
	return append(header(bgp.BGP_MSG_UPDATE, 400), bytes.Repeat([]byte{0xee}, 400-headerLength)...)
}

// TestFlood has a router send UPDATEs that no parser could read, for longer than the hold time, and nothing else: the session stays, and
// nothing is kept of them.
func TestFlood(t *testing.T) {
	s := newFakeRouter(t, "flood", 3*time.Second)
	w := &wire{TB: t}
	d, _ := w.run([]announce.Route{route("198.51.100.7/32", &announce.Attributes{}, "flood")}, s.peer)
	conn := s.accept()
	w.established(d, 1)
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	burst := bytes.Repeat(unreadable(), 200)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s.send(conn, burst)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	o := d.Observed()[0]
	if o.State != Established || o.Counters.Established != 1 || o.Discarded < 100_000 {
		t.Errorf("after a flood the session is %+v", o)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes are kept of it", grown)
	}
	t.Logf("%d UPDATEs were discarded", o.Discarded)
}

// TestRestarts has a router that keeps the routes of a speaker that restarts, and is sending when the speaker stops: it reads the end of the
// connection, and until it closes its side nothing that it writes is refused.
func TestRestarts(t *testing.T) {
	s := newFakeRouter(t, "busy", 90*time.Second)
	s.peer.RestartTime = 2 * time.Minute
	w := &wire{TB: t}
	d, stop := w.run([]announce.Route{route("198.51.100.7/32", &announce.Attributes{}, "busy")}, s.peer)
	conn := s.accept(bgp.NewCapGracefulRestart(false, false, 120, nil))
	w.established(d, 1)
	refused, ended := make(chan error, 1), make(chan struct{})
	go func() {
		for {
			_, err := conn.Write(unreadable())
			select {
			case <-ended:
			default:
				if err == nil {
					continue
				}
			}
			refused <- err
			return
		}
	}()
	go stop()
	for {
		var buffer [maxLength]byte
		kind, _, err := readMessage(conn, &buffer)
		if kind == bgp.BGP_MSG_NOTIFICATION && err == nil {
			t.Fatal("it was sent a NOTIFICATION")
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the connection was not ended but failed: %v", err)
		}
	}
	time.Sleep(100 * time.Millisecond) // for what it writes after that
	close(ended)
	if err := <-refused; err != nil {
		t.Errorf("what the router wrote was refused: %v", err)
	}
}

// TestHostile has a router break the protocol: it is told so, its session ends, and begins again. Another session does not notice.
func TestHostile(t *testing.T) {
	good, bad := newFakeRouter(t, "good", 90*time.Second), newFakeRouter(t, "bad", 3*time.Second)
	w := &wire{TB: t}
	d, _ := w.run([]announce.Route{route("198.51.100.7/32", &announce.Attributes{}, "good", "bad")}, good.peer, bad.peer)
	calm := good.accept()
	good.expect(calm, bgp.BGP_MSG_UPDATE)
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	refresh := serialize(bgp.NewBGPRouteRefreshMessage(bgp.AFI_IP, 0, bgp.SAFI_UNICAST))
	cases := []struct {
		reason string
		does   func(net.Conn)
		code   string // of the NOTIFICATION that it gets
		says   string // the session then
	}{
		{"noise", func(c net.Conn) { bad.send(c, noise) }, "1.1", "what the peer sent is not BGP"},
		{"a short message", func(c net.Conn) { bad.send(c, header(bgp.BGP_MSG_KEEPALIVE, 5)) }, "1.2", "the peer sent a message of 5 bytes"},
		{"a long message", func(c net.Conn) { bad.send(c, header(bgp.BGP_MSG_UPDATE, 4097)) }, "1.2", "the peer sent a message of 4097 bytes"},
		{"an unknown type", func(c net.Conn) { bad.send(c, header(77, headerLength)) }, "1.3", "the peer sent a message of type 77"},
		{"another OPEN", func(c net.Conn) { bad.send(c, (&offer{asn: outside, hold: 90, id: [4]byte{1, 2, 3, 4}}).plain()) }, "5.0", "the peer sent a second OPEN"},
		{"a ROUTE-REFRESH that is none", func(c net.Conn) { bad.send(c, header(bgp.BGP_MSG_ROUTE_REFRESH, headerLength)) }, "1.2", "the peer sent a ROUTE-REFRESH that is too short"},
		{"a NOTIFICATION", func(c net.Conn) {
			bad.send(c, serialize(bgp.NewBGPNotificationMessage(bgp.BGP_ERROR_CEASE, bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN, append([]byte{5}, "lunch"...))))
		}, "", "the peer sent NOTIFICATION code 6(cease) subcode 2(administrative shutdown): lunch"},
		{"silence", func(net.Conn) {}, "4.0", "this node sent NOTIFICATION code 4(hold timer expired) subcode 0(undefined)"},
		{"a connection that is cut", func(c net.Conn) { c.Close() }, "", "the peer closed the connection"},
	}
	for _, tc := range cases {
		conn := bad.accept()
		bad.expect(conn, bgp.BGP_MSG_UPDATE)
		bad.send(conn, refresh) // what was said is said again
		bad.expect(conn, bgp.BGP_MSG_UPDATE)
		tc.does(conn)
		if tc.code != "" {
			m := bad.expect(conn, bgp.BGP_MSG_NOTIFICATION)
			if got := fmt.Sprintf("%d.%d", m[headerLength], m[headerLength+1]); got != tc.code {
				t.Errorf("%s: NOTIFICATION %s, want %s", tc.reason, got, tc.code)
			}
		}
		w.eventually(tc.reason, func() bool { o := d.Observed(); return strings.HasPrefix(o[0].Error, tc.says) }, func() string { return fmt.Sprintf("%+v", d.Observed()) })
		conn.Close()
	}
	if o := d.Observed()[1]; o.State != Established || o.Counters.Established != 1 {
		t.Errorf("the other session has become %+v", o)
	}
	good.send(calm, serialize(bgp.NewBGPKeepAliveMessage()))
}

// An OPEN is the only message of a peer that is read, and whatever is in it ends in a session or in an error.
func FuzzOpen(f *testing.F) {
	plain := offer{asn: 4200000001, hold: 90, id: [4]byte{192, 0, 2, 1}}
	f.Add(plain.plain()) // what is written here
	f.Add(append(header(bgp.BGP_MSG_OPEN, 29), 4, 0xfc, 0, 0, 90, 192, 0, 2, 1, 0))
	f.Add(append(header(bgp.BGP_MSG_OPEN, 31), 4, 0xfc, 0, 0, 90, 192, 0, 2, 1, 2, 2, 0)) // an empty parameter
	f.Add(append(header(bgp.BGP_MSG_OPEN, 35), 4, 0xfc, 0, 0, 90, 192, 0, 2, 1, 6, 2, 4, 64, 9, 0, 1))
	f.Add(append(header(bgp.BGP_MSG_NOTIFICATION, 21), 6, 2))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) < headerLength || len(message) > maxLength {
			return
		}
		binary.BigEndian.PutUint16(message[markerLength:], uint16(len(message)))
		_ = words(message)
		o, err := parseOpen(message)
		if err != nil {
			return
		}
		again, err := parseOpen(o.plain())
		if err != nil || again.asn != o.asn || again.hold != o.hold || again.id != o.id {
			t.Errorf("%+v is passed on as %+v, %v", o, again, err)
		}
	})
}
