package bgp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"golang.org/x/sync/errgroup"

	"github.com/fairlead-lb/fairlead/config"
)

// A guard is between a router and GoBGP for as long as a connection lasts.
type guard struct {
	peer Peer
	// restarting is said in the OPEN: this speaker has just started (RFC 4724, section 3).
	restarting bool
	routerID   netip.Addr
	table      *table
	// report says what the session has become and, where that is Established, what it lacks.
	report   func(s State, lacks string)
	counters *counters

	router *net.TCPConn
	engine net.Conn
	// open is the peer's; nil until it is known. established is closed when routes may be announced.
	open        atomic.Pointer[offer]
	established chan struct{}
	// confirmed: this side's first KEEPALIVE is on its way to the router, and heard: the router's first has come.
	confirmed, heard atomic.Bool
	// out has messages of GoBGP for the router, and again the families that it wants to hear of again.
	out   chan []byte
	again chan config.Family
	// graceful: the router keeps the routes without a session, if that ends without a NOTIFICATION.
	graceful atomic.Bool
	// ledger and dialect are those of the session once it is established. The goroutine that writes owns them.
	ledger  *ledger
	dialect dialect
}

type counters struct {
	sent, received, discarded, established atomic.Uint64
}

func (c *counters) load() Counters {
	return Counters{Sent: c.sent.Load(), Received: c.received.Load(), Discarded: c.discarded.Load(), Established: c.established.Load()}
}

// run passes messages until the session ends, and says why it did. ctx ends it with an *ending as its cause.
func (g *guard) run(ctx context.Context) error {
	group, working := errgroup.WithContext(ctx)
	group.Go(func() error { return g.hear(working) })
	group.Go(func() error { return g.obey(working) })
	group.Go(func() error { return g.write(working) })
	group.Go(func() error {
		<-working.Done()
		// Whoever waits for a connection stops. What GoBGP or this guard says last still goes out: see last.
		_ = g.engine.SetReadDeadline(time.Now())
		_ = g.router.SetReadDeadline(time.Now())
		time.AfterFunc(farewell, func() { _ = g.router.Close() })
		return nil
	})
	err := group.Wait()
	if g.ledger != nil {
		g.ledger.close()
	}
	return g.last(ctx, err)
}

// greeting is how long a router may take to send its OPEN. RFC 4271, section 8.2.2, suggests four minutes; routers send it at once.
const greeting = 10 * time.Second

// hear takes what the router says.
func (g *guard) hear(ctx context.Context) error {
	var buffer [maxLength]byte
	var alive time.Time // when GoBGP last got a KEEPALIVE of the router
	if err := g.router.SetReadDeadline(time.Now().Add(greeting)); err != nil {
		return hungUp(err)
	}
	router := bufio.NewReaderSize(g.router, 16*maxLength)
	for {
		kind, length, err := readHeader(router, &buffer)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded) && g.open.Load() == nil:
			return fmt.Errorf("the peer sent no OPEN within %s", greeting)
		case err != nil:
			return hungUp(err)
		}
		g.counters.received.Add(1)
		if kind == bgp.BGP_MSG_UPDATE {
			if err := g.discard(router, length, &alive); err != nil {
				return err
			}
			continue
		}
		message, err := readBody(router, &buffer, length)
		if err != nil {
			return hungUp(err)
		}
		if err := g.take(ctx, kind, message); err != nil {
			return err
		}
	}
}

// discard passes over an UPDATE of the router. A router that has much to say sends no KEEPALIVE beside it (RFC 4271, section 4.4): GoBGP is shown
// that it is there, once a second.
func (g *guard) discard(router *bufio.Reader, length int, alive *time.Time) error {
	if _, err := router.Discard(length); err != nil {
		return hungUp(err)
	}
	g.counters.discarded.Add(1)
	now := time.Now()
	if !g.heard.Load() || now.Sub(*alive) < time.Second {
		return nil
	}
	*alive = now
	return g.tell(serialize(bgp.NewBGPKeepAliveMessage()))
}

// take acts upon a message of the router that is no UPDATE.
func (g *guard) take(ctx context.Context, kind uint8, message []byte) error {
	switch kind {
	case bgp.BGP_MSG_OPEN:
		if g.open.Load() != nil {
			return &messageError{bgp.BGP_ERROR_FSM_ERROR, 0, "the peer sent a second OPEN"}
		}
		o, err := parseOpen(message)
		if err == nil {
			err = g.admit(&o)
		}
		if err != nil {
			return err
		}
		g.open.Store(&o)
		if err := g.router.SetReadDeadline(time.Time{}); err != nil { // GoBGP has the hold timer
			return hungUp(err)
		}
		g.report(OpenConfirm, "")
		return g.tell(g.forEngine(o))
	case bgp.BGP_MSG_KEEPALIVE:
		if g.open.Load() == nil {
			return &messageError{bgp.BGP_ERROR_FSM_ERROR, 0, "the peer sent a KEEPALIVE before its OPEN"}
		}
		g.heard.Store(true)
		g.ready()
		return g.tell(serialize(bgp.NewBGPKeepAliveMessage()))
	case bgp.BGP_MSG_NOTIFICATION:
		return fmt.Errorf("the peer sent NOTIFICATION %s", words(message))
	case bgp.BGP_MSG_ROUTE_REFRESH:
		return g.refresh(ctx, message[headerLength:])
	default:
		return &messageError{bgp.BGP_ERROR_MESSAGE_HEADER_ERROR, bgp.BGP_ERROR_SUB_BAD_MESSAGE_TYPE, fmt.Sprintf("the peer sent a message of type %d", kind)}
	}
}

// admit refuses a peer whose AS number is not one that it may have. One that is known beforehand, GoBGP checks.
func (g *guard) admit(o *offer) error {
	own := o.asn == g.peer.MyASN
	if g.peer.PeerASN == 0 && own != g.peer.Internal() {
		return &messageError{bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, bgp.BGP_ERROR_SUB_BAD_PEER_AS,
			fmt.Sprintf("the peer's AS number is %d, and dynamicASN is %s", o.asn, g.peer.Dynamic)}
	}
	return nil
}

// forEngine is the peer's OPEN as GoBGP gets it. It knows no session without a hold time by itself.
func (g *guard) forEngine(o offer) []byte {
	if g.peer.HoldTime == 0 {
		o.hold = 0
	}
	return o.plain()
}

// refresh has the routes of a family announced again (RFC 2918).
func (g *guard) refresh(ctx context.Context, body []byte) error {
	if len(body) < 4 {
		return &messageError{bgp.BGP_ERROR_MESSAGE_HEADER_ERROR, bgp.BGP_ERROR_SUB_BAD_MESSAGE_LENGTH, "the peer sent a ROUTE-REFRESH that is too short"}
	}
	family := bgp.AfiSafiToRouteFamily(binary.BigEndian.Uint16(body), body[3])
	for _, f := range g.peer.families() {
		if routeFamily(f) != family {
			continue
		}
		select {
		case g.again <- f:
		case <-ctx.Done():
		default: // it will be anyway
		}
	}
	return nil
}

// tell writes to GoBGP.
func (g *guard) tell(message []byte) error {
	if _, err := g.engine.Write(message); err != nil {
		return fmt.Errorf("GoBGP does not hear: %w", hungUp(err))
	}
	return nil
}

// obey takes what GoBGP says, and has it sent.
func (g *guard) obey(ctx context.Context) error {
	var buffer [maxLength]byte
	for {
		kind, message, err := readMessage(g.engine, &buffer)
		if err != nil {
			return fmt.Errorf("GoBGP ended the session: %w", hungUp(err))
		}
		switch kind {
		case bgp.BGP_MSG_KEEPALIVE, bgp.BGP_MSG_NOTIFICATION:
		default: // it has no routes to announce
			continue
		}
		select {
		case g.out <- append([]byte(nil), message...):
		case <-ctx.Done():
			return nil
		}
		if kind == bgp.BGP_MSG_NOTIFICATION { // who sends it says why
			<-ctx.Done()
			return nil
		}
	}
}

// ready begins to announce routes once both sides have confirmed the session.
func (g *guard) ready() {
	if !g.confirmed.Load() || !g.heard.Load() {
		return
	}
	select {
	case <-g.established:
	default:
		close(g.established)
	}
}

// write sends what GoBGP and the routes have to say.
func (g *guard) write(ctx context.Context) error {
	established := g.established
	var news chan struct{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-g.out:
			if err := g.pass(m); err != nil {
				return err
			}
		case f := <-g.again:
			if g.ledger == nil {
				continue
			}
			g.ledger.repeat(f)
			if err := g.announce(ctx, f); err != nil {
				return err
			}
		case <-established:
			established = nil
			g.begin()
			news = g.ledger.news
			if err := g.announce(ctx, g.peer.families()...); err != nil {
				return err
			}
		case <-news:
			if err := g.announce(ctx); err != nil {
				return err
			}
		}
	}
}

// pass sends a message of GoBGP. A NOTIFICATION is its last.
func (g *guard) pass(message []byte) error {
	if err := g.send(message); err != nil {
		return err
	}
	switch message[headerLength-1] {
	case bgp.BGP_MSG_NOTIFICATION:
		return g.blame(message)
	case bgp.BGP_MSG_KEEPALIVE:
		g.confirmed.Store(true)
		g.ready()
	}
	return nil
}

// stalled is how long a router may take nothing while it is alive (RFC 9687).
const stalled = 3 * time.Minute

func (g *guard) send(message []byte) error {
	_ = g.router.SetWriteDeadline(time.Now().Add(max(stalled, 2*g.peer.HoldTime)))
	if _, err := g.router.Write(message); err != nil {
		return hungUp(err)
	}
	g.counters.sent.Add(1)
	return nil
}

// begin opens the ledger of a session that is established now.
func (g *guard) begin() {
	o, local := g.open.Load(), localOf(g.router)
	of, _ := addresses(local) // without, there is one next hop fewer
	g.dialect = dialect{
		asn: g.peer.asn(), internal: o.asn == g.peer.MyASN, fourOctet: o.fourOctet, nextHops: nextHops(local, of, o.extended),
	}
	carries, lacks := map[config.Family]bool{}, []string{}
	for _, f := range g.peer.families() {
		switch {
		case !o.families[routeFamily(f)]:
			lacks = append(lacks, fmt.Sprintf("the peer does not carry %s routes", f))
		case !g.dialect.nextHops[f].IsValid():
			lacks = append(lacks, fmt.Sprintf("%s routes have no next hop: the interface with %s has no such address", f, local))
		default:
			carries[f] = true
		}
	}
	graceful := g.peer.RestartTime > 0 && o.graceful
	g.graceful.Store(graceful)
	g.ledger = g.table.open(g.peer.Name, carries, graceful)
	g.counters.established.Add(1)
	g.report(Established, strings.Join(lacks, "; "))
}

func localOf(c net.Conn) netip.Addr {
	if a, ok := c.LocalAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// announce sends what is due, and that the given families are complete. KEEPALIVEs are not held up by it.
func (g *guard) announce(ctx context.Context, complete ...config.Family) error {
	d, l := &g.dialect, g.ledger
	var messages [][]byte
	for _, c := range l.next() {
		if c.attributes == nil {
			messages = append(messages, d.withdraw(c.family, c.prefixes)...)
		} else {
			messages = append(messages, d.announce(c.family, c.attributes, c.prefixes)...)
		}
	}
	for _, f := range complete {
		if l.carries[f] {
			messages = append(messages, endOfRIB(f))
		}
	}
	for _, m := range messages {
		if err := g.send(m); err != nil {
			return err
		}
		select {
		case m := <-g.out:
			if err := g.pass(m); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		default:
		}
	}
	return nil
}

// offer returns what this node says of itself.
func (g *guard) offer() []byte {
	o := offer{asn: g.peer.asn(), hold: uint16(g.peer.HoldTime / time.Second), id: g.routerID.As4()}
	capabilities := []bgp.ParameterCapabilityInterface{bgp.NewCapRouteRefresh(), bgp.NewCapFourOctetASNumber(o.asn)}
	var tuples []*bgp.CapGracefulRestartTuple
	for _, f := range g.peer.families() {
		capabilities = append(capabilities, bgp.NewCapMultiProtocol(routeFamily(f)))
		// Forwarding goes on whatever the speaker does: kube-proxy and the kernel do it (RFC 4724, section 3, the F bit).
		tuples = append(tuples, bgp.NewCapGracefulRestartTuple(routeFamily(f), true))
		if f == config.IPv4 {
			capabilities = append(capabilities,
				bgp.NewCapExtendedNexthop([]*bgp.CapExtendedNexthopTuple{bgp.NewCapExtendedNexthopTuple(bgp.RF_IPv4_UC, bgp.AFI_IP6)}))
		}
	}
	if g.peer.RestartTime > 0 {
		seconds := uint16(g.peer.RestartTime / time.Second)
		capabilities = append(capabilities, bgp.NewCapGracefulRestart(g.restarting, false, seconds, tuples))
	}
	return o.open(capabilities)
}
