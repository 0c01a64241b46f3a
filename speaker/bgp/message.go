package bgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// Sizes of messages (RFC 4271, section 4.1). Longer ones (RFC 8654) are not negotiated.
const (
	headerLength = 19
	markerLength = 16
	maxLength    = 4096
)

// errors of a peer's messages, with the NOTIFICATION that they lead to.
type messageError struct {
	code, subcode uint8
	text          string
}

func (e *messageError) Error() string { return e.text }

// notification is the message that tells the peer.
func (e *messageError) notification() []byte { return notification(e.code, e.subcode) }

func notification(code, subcode uint8) []byte {
	return serialize(bgp.NewBGPNotificationMessage(code, subcode, nil))
}

// serialize writes a message that is made here.
func serialize(m *bgp.BGPMessage) []byte {
	b, err := m.Serialize()
	if err != nil {
		panic("a message of our own cannot be written: " + err.Error())
	}
	return b
}

// readHeader reads the header of a message, and returns the message's type and the length of its body.
func readHeader(r io.Reader, buffer *[maxLength]byte) (kind uint8, body int, err error) {
	if _, err := io.ReadFull(r, buffer[:headerLength]); err != nil {
		return 0, 0, err
	}
	for _, b := range buffer[:markerLength] {
		if b != 0xff {
			return 0, 0, &messageError{bgp.BGP_ERROR_MESSAGE_HEADER_ERROR, bgp.BGP_ERROR_SUB_CONNECTION_NOT_SYNCHRONIZED, "what the peer sent is not BGP"}
		}
	}
	length, kind := int(binary.BigEndian.Uint16(buffer[markerLength:])), buffer[headerLength-1]
	if length < headerLength || length > maxLength {
		return 0, 0, &messageError{
			bgp.BGP_ERROR_MESSAGE_HEADER_ERROR, bgp.BGP_ERROR_SUB_BAD_MESSAGE_LENGTH, fmt.Sprintf("the peer sent a message of %d bytes", length),
		}
	}
	return kind, length - headerLength, nil
}

// readBody reads the rest of a message, and returns all of it. It is valid until the buffer is used again.
func readBody(r io.Reader, buffer *[maxLength]byte, body int) ([]byte, error) {
	if _, err := io.ReadFull(r, buffer[headerLength:headerLength+body]); err != nil {
		return nil, err
	}
	return buffer[:headerLength+body], nil
}

// readMessage reads a whole message.
func readMessage(r io.Reader, buffer *[maxLength]byte) (kind uint8, message []byte, err error) {
	kind, body, err := readHeader(r, buffer)
	if err != nil {
		return 0, nil, err
	}
	message, err = readBody(r, buffer, body)
	return kind, message, err
}

// An offer is what an OPEN says (RFC 4271, section 4.2; RFC 5492).
type offer struct {
	asn      uint32
	hold     uint16 // seconds
	id       [4]byte
	families map[bgp.RouteFamily]bool
	// fourOctet: AS numbers of four octets (RFC 6793).
	fourOctet bool
	// refresh: routes are sent again if asked for (RFC 2918).
	refresh bool
	// extended: IPv4 routes may have an IPv6 next hop (RFC 8950).
	extended bool
	// graceful: it keeps routes of neighbours that restart (RFC 4724).
	graceful bool
}

// parseOpen reads a peer's OPEN. What is wrong with it beyond its form, GoBGP finds.
func parseOpen(message []byte) (o offer, err error) {
	defer func() {
		if p := recover(); p != nil { // a parser's fault is the peer's loss only
			err = &messageError{bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, 0, fmt.Sprintf("the peer's OPEN cannot be read: %v", p)}
		}
	}()
	m, err := bgp.ParseBGPMessage(message)
	if err != nil {
		e := &messageError{code: bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, text: "the peer's OPEN cannot be read: " + err.Error()}
		if of := new(bgp.MessageError); errors.As(err, &of) {
			e.code, e.subcode = of.TypeCode, of.SubTypeCode
		}
		return offer{}, e
	}
	open, ok := m.Body.(*bgp.BGPOpen)
	if !ok {
		return offer{}, &messageError{bgp.BGP_ERROR_FSM_ERROR, 0, "the peer did not send an OPEN first"}
	}
	if open.Version != bgpVersion {
		return offer{}, &messageError{
			bgp.BGP_ERROR_OPEN_MESSAGE_ERROR, bgp.BGP_ERROR_SUB_UNSUPPORTED_VERSION_NUMBER, fmt.Sprintf("the peer speaks version %d of BGP", open.Version),
		}
	}
	o = offer{asn: uint32(open.MyAS), hold: open.HoldTime, families: map[bgp.RouteFamily]bool{}}
	copy(o.id[:], open.ID.To4())
	for _, p := range open.OptParams {
		if capabilities, ok := p.(*bgp.OptionParameterCapability); ok {
			for _, c := range capabilities.Capability {
				o.note(c)
			}
		}
	}
	if len(o.families) == 0 { // RFC 4760, section 8: it speaks of IPv4 alone
		o.families[bgp.RF_IPv4_UC] = true
	}
	return o, nil
}

const bgpVersion = 4

func (o *offer) note(c bgp.ParameterCapabilityInterface) {
	switch c := c.(type) {
	case *bgp.CapMultiProtocol:
		o.families[c.CapValue] = true
	case *bgp.CapFourOctetASNumber:
		o.asn, o.fourOctet = c.CapValue, true
	case *bgp.CapRouteRefresh:
		o.refresh = true
	case *bgp.CapExtendedNexthop:
		for _, t := range c.Tuples {
			if t.NLRIAFI == bgp.AFI_IP && t.NLRISAFI == bgp.SAFI_UNICAST && t.NexthopAFI == bgp.AFI_IP6 {
				o.extended = true
			}
		}
	case *bgp.CapGracefulRestart:
		o.graceful = true
	}
}

// plain writes an offer for GoBGP, with the capabilities that matter to its state machine alone.
func (o *offer) plain() []byte {
	return o.open([]bgp.ParameterCapabilityInterface{bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapFourOctetASNumber(o.asn)})
}

func (o *offer) open(capabilities []bgp.ParameterCapabilityInterface) []byte {
	as := uint16(bgp.AS_TRANS)
	if o.asn <= maxTwoOctet {
		as = uint16(o.asn)
	}
	id := fmt.Sprintf("%d.%d.%d.%d", o.id[0], o.id[1], o.id[2], o.id[3])
	return serialize(bgp.NewBGPOpenMessage(as, o.hold, id,
		[]bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(capabilities)}))
}

const maxTwoOctet = 1<<16 - 1

// words says what a NOTIFICATION means (RFC 4271, section 6), with the text of the peer's operator (RFC 9003).
func words(message []byte) string {
	body := message[headerLength:]
	if len(body) < 2 {
		return "NOTIFICATION without a code"
	}
	code, subcode := body[0], body[1]
	text := strings.ToLower(bgp.NewNotificationErrorCode(code, subcode).String())
	if code != bgp.BGP_ERROR_CEASE {
		return text
	}
	if subcode == bfdDown {
		text = "code 6(cease) subcode 10(bfd down)"
	}
	if data := body[2:]; (subcode == bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN || subcode == bgp.BGP_ERROR_SUB_ADMINISTRATIVE_RESET) && len(data) > 1 {
		text += ": " + printable(string(data[1:min(len(data), 1+int(data[0]))]))
	}
	return text
}

// bfdDown is the subcode of a Cease after BFD has lost the session (RFC 9384).
const bfdDown = 10

// maxWords is how much of a peer's text is repeated.
const maxWords = 128

// printable keeps what can be printed of a text, and not too much.
func printable(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxWords)], "")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}
