package bgp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// An engine is GoBGP, which runs the state machines of all sessions. It listens on the loopback interface; guards connect to it, each
// from an address of its own, by which GoBGP knows the peer. The connections are signed with a key that nobody else has.
type engine struct {
	server   *server.BgpServer
	routerID netip.Addr
	port     int
	key      string

	mu   sync.Mutex
	used map[netip.Addr]bool
}

// firstGuard is the first of the addresses that guards connect from. They are used again: GoBGP never forgets their keys.
var firstGuard = netip.AddrFrom4([4]byte{127, 64, 0, 1})

// startEngine starts GoBGP. There can be one in a process: it has global variables.
func startEngine(ctx context.Context, log logr.Logger, routerID netip.Addr) (*engine, error) {
	e := &engine{routerID: routerID, key: rand.Text(), used: map[netip.Addr]bool{}, server: server.NewBgpServer(server.LoggerOption(&logger{log}))}
	go e.server.Serve() // it never ends
	var err error
	for range 10 { // another may take the port
		if e.port, err = freePort(); err != nil {
			return nil, err
		}
		err = e.server.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
			Asn:      bgp.AS_TRANS, // each peer has its own
			RouterId: routerID.String(), ListenPort: int32(e.port), ListenAddresses: []string{loopback.String()},
		}})
		if err == nil {
			return e, nil
		}
	}
	return nil, fmt.Errorf("start GoBGP: %w", err)
}

var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func freePort() (int, error) {
	l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		return 0, fmt.Errorf("find a port: %w", err)
	}
	defer l.Close() //nolint:errcheck // nobody has connected
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("find a port: not TCP")
	}
	return at.Port, nil
}

// stop ends GoBGP, and with it all connections to it.
func (e *engine) stop(ctx context.Context) {
	_ = e.server.StopBgp(ctx, &api.StopBgpRequest{}) // it returns nil
}

// engaging is how long GoBGP may take until it speaks.
const engaging = 5 * time.Second

// engage has GoBGP begin a session with a peer, whose guard connects from an address. It returns the connection with it, of which its
// OPEN is read already. disengage ends the session.
func (e *engine) engage(ctx context.Context, p Peer, from netip.Addr) (conn net.Conn, disengage func(), err error) {
	hold, keepalive := p.HoldTime.Seconds(), p.Keepalive.Seconds()
	neighbor := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: from.String(), LocalAsn: p.asn(), PeerAsn: p.PeerASN, AuthPassword: e.key},
		// Zero would mean the default. That there is no hold time, is in the peer's OPEN that GoBGP reads.
		Timers:    &api.Timers{Config: &api.TimersConfig{HoldTime: uint64(hold), KeepaliveInterval: uint64(keepalive)}},
		Transport: &api.Transport{PassiveMode: true, LocalAddress: loopback.String()},
	}
	if err := e.server.AddPeer(ctx, &api.AddPeerRequest{Peer: neighbor}); err != nil {
		return nil, nil, fmt.Errorf("add the peer to GoBGP: %w", err)
	}
	disengage = func() {
		_ = e.server.DeletePeer(context.WithoutCancel(ctx), &api.DeletePeerRequest{Address: from.String()}) // it is there
	}
	for deadline := time.Now().Add(engaging); ; {
		if conn, err = e.connect(ctx, from); err == nil {
			return conn, disengage, nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			disengage()
			return nil, nil, fmt.Errorf("connect to GoBGP: %w", err)
		}
		time.Sleep(time.Millisecond) // it has not become Active yet
	}
}

// address returns one that a guard connects from, until it is released.
func (e *engine) address() netip.Addr {
	e.mu.Lock()
	defer e.mu.Unlock()
	a := firstGuard
	for e.used[a] {
		a = a.Next()
	}
	e.used[a] = true
	return a
}

func (e *engine) release(a netip.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.used, a)
}

// connect connects to GoBGP as a peer, and hears what it says first.
func (e *engine) connect(ctx context.Context, from netip.Addr) (net.Conn, error) {
	d := net.Dialer{
		Timeout: engaging, LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)),
		Control: func(_, _ string, c syscall.RawConn) error {
			return control(c, func(fd int) error {
				_ = sign(fd, loopback, e.key) // a kernel without TCP MD5 could not sign GoBGP's side either
				return nil
			})
		},
	}
	conn, err := d.DialContext(ctx, "tcp4", netip.AddrPortFrom(loopback, uint16(e.port)).String())
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Now().Add(engaging)) // fails only if closed
	var buffer [maxLength]byte
	kind, _, err := readMessage(conn, &buffer)
	if err == nil && kind != bgp.BGP_MSG_OPEN {
		err = fmt.Errorf("it sent a message of type %d first", kind)
	}
	if err != nil {
		_ = conn.Close() // it is of no use
		return nil, err
	}
	_ = conn.SetReadDeadline(time.Time{})
	return conn, nil
}

// logger has GoBGP log what is for developers alone: what an operator has to know, the guards tell.
type logger struct{ logr.Logger }

func (l *logger) log(msg string, fields log.Fields) {
	if l.V(1).Enabled() {
		l.V(1).Info("GoBGP", "message", msg, "fields", fields)
	}
}

func (l *logger) Panic(msg string, fields log.Fields) { l.log(msg, fields) }
func (l *logger) Fatal(msg string, fields log.Fields) { l.log(msg, fields) }
func (l *logger) Error(msg string, fields log.Fields) { l.log(msg, fields) }
func (l *logger) Warn(msg string, fields log.Fields)  { l.log(msg, fields) }
func (l *logger) Info(msg string, fields log.Fields)  { l.log(msg, fields) }
func (l *logger) Debug(msg string, fields log.Fields) { l.log(msg, fields) }
func (l *logger) SetLevel(log.LogLevel)               {}
func (l *logger) GetLevel() log.LogLevel {
	if l.V(1).Enabled() {
		return log.DebugLevel
	}
	return log.WarnLevel
}
