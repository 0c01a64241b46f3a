package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// ending is why a session is ended here. With a code of 0 no NOTIFICATION is sent: it shall take that for a restart.
type ending struct {
	code, subcode uint8
	text          string
}

func (e *ending) Error() string { return e.text }

// Why sessions end on this side (RFC 4486).
var (
	errStops        = &ending{bgp.BGP_ERROR_CEASE, bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN, "the speaker stops"}
	errDeconfigured = &ending{bgp.BGP_ERROR_CEASE, bgp.BGP_ERROR_SUB_PEER_DECONFIGURED, "the peer is not configured any more"}
	errChanged      = &ending{bgp.BGP_ERROR_CEASE, bgp.BGP_ERROR_SUB_OTHER_CONFIGURATION_CHANGE, "the configuration has changed"}
)

// farewell is how long what is said last may take.
const farewell = time.Second

// last says to the router what it has to know at the end, closes both connections, and returns why the session ended.
func (g *guard) last(ctx context.Context, err error) error {
	defer g.router.Close() //nolint:errcheck // that is all that can be done
	defer g.engine.Close() //nolint:errcheck // that too
	var end *ending
	if ctx.Err() != nil && errors.As(context.Cause(ctx), &end) {
		err = end
		if end.code != 0 {
			_, _ = g.router.Write(notification(end.code, end.subcode)) // it may be gone
		} else {
			g.hangUp()
		}
		return err
	}
	if wrong := new(messageError); errors.As(err, &wrong) {
		_, _ = g.router.Write(wrong.notification())
	}
	return err
}

// hangUp ends the connection without a word and without a reset: it takes what the router still sends until that has closed its side too.
// FRR keeps the routes if it reads the end of the connection, but not if it finds it reset while it writes.
func (g *guard) hangUp() {
	if g.router.CloseWrite() != nil || g.router.SetReadDeadline(time.Time{}) != nil {
		return // it is gone
	}
	_, _ = io.Copy(io.Discard, g.router) // run closes it after the farewell
}

var errHungUp = errors.New("the peer closed the connection")

// hungUp says of an error of a connection whether the other side has closed it, in whichever way that shows.
func hungUp(err error) error {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return errHungUp
		}
	}
	if of := new(net.OpError); errors.As(err, &of) {
		return of.Err
	}
	return err
}

// blame says why GoBGP ended the session.
func (g *guard) blame(message []byte) error {
	o := g.open.Load()
	if o != nil && g.peer.PeerASN != 0 && o.asn != g.peer.PeerASN {
		return fmt.Errorf("the peer's AS number is %d, and peerASN is %d", o.asn, g.peer.PeerASN)
	}
	return fmt.Errorf("this node sent NOTIFICATION %s", words(message))
}
