package bfd

import (
	"encoding/binary"
	"math"
	"time"
)

// State is the state of a session, as it is on the wire (RFC 5880 section 4.1).
type State uint8

// The states. Their order is the wire's.
const (
	AdminDown State = iota
	Down
	Init
	Up
)

func (s State) String() string { return [...]string{"AdminDown", "Down", "Init", "Up"}[s&3] }

// Diagnostic tells why a session was last left Up, as it is on the wire (RFC 5880 section 4.1).
type Diagnostic uint8

// The diagnostics. Their order is the wire's. Only the first two, NeighborDown and AdministrativelyDown are ever ours.
const (
	NoDiagnostic Diagnostic = iota
	DetectionTimeExpired
	EchoFailed
	NeighborDown
	ForwardingPlaneReset
	PathDown
	ConcatenatedPathDown
	AdministrativelyDown
	ReverseConcatenatedPathDown
)

func (d Diagnostic) String() string {
	names := [...]string{
		"no diagnostic", "control detection time expired", "echo function failed", "neighbor signaled session down", "forwarding plane reset",
		"path down", "concatenated path down", "administratively down", "reverse concatenated path down",
	}
	if int(d) < len(names) {
		return names[d]
	}
	return "reserved"
}

// A Packet is a BFD Control packet (RFC 5880 section 4.1), without an authentication section.
type Packet struct {
	Diagnostic              Diagnostic
	State                   State
	Poll, Final             bool
	ControlPlaneIndependent bool
	Authenticated           bool // what follows is not read
	Demand                  bool
	Multiplier              uint8
	// My and Your are the discriminators of the sender's and of the receiver's session.
	My, Your uint32
	// Intervals are in whole microseconds.
	DesiredMinTx, RequiredMinRx, RequiredMinEchoRx time.Duration
}

// What RFC 5880 section 4.1 says of the header.
const (
	version      = 1
	size         = 24
	sizeWithAuth = 26 // at least: type and length of the section

	flagPoll        = 1 << 5
	flagFinal       = 1 << 4
	flagIndependent = 1 << 3
	flagAuth        = 1 << 2
	flagDemand      = 1 << 1
	flagMultipoint  = 1 << 0
)

// Append appends the packet as it is on the wire.
func (p Packet) Append(b []byte) []byte {
	flags := uint8(p.State) << 6
	for _, f := range [...]struct {
		set bool
		bit uint8
	}{
		{p.Poll, flagPoll}, {p.Final, flagFinal}, {p.ControlPlaneIndependent, flagIndependent}, {p.Authenticated, flagAuth}, {p.Demand, flagDemand},
	} {
		if f.set {
			flags |= f.bit
		}
	}
	b = append(b, version<<5|uint8(p.Diagnostic)&31, flags, p.Multiplier, size)
	b = binary.BigEndian.AppendUint32(b, p.My)
	b = binary.BigEndian.AppendUint32(b, p.Your)
	for _, d := range [...]time.Duration{p.DesiredMinTx, p.RequiredMinRx, p.RequiredMinEchoRx} {
		b = binary.BigEndian.AppendUint32(b, micros(d))
	}
	return b
}

// micros is an interval as it is on the wire, the longest there is if it is longer.
func micros(d time.Duration) uint32 {
	return uint32(min(max(0, d.Microseconds()), math.MaxUint32))
}

// Parse reads a packet, or says by which rule of RFC 5880 section 6.8.6 it is to be discarded, of those that need no session.
func Parse(b []byte) (Packet, Discard) {
	if len(b) < size {
		return Packet{}, BadLength
	}
	if b[0]>>5 != version {
		return Packet{}, BadVersion
	}
	p := Packet{
		Diagnostic: Diagnostic(b[0] & 31), State: State(b[1] >> 6),
		Poll: b[1]&flagPoll != 0, Final: b[1]&flagFinal != 0, ControlPlaneIndependent: b[1]&flagIndependent != 0,
		Authenticated: b[1]&flagAuth != 0, Demand: b[1]&flagDemand != 0, Multiplier: b[2],
		My: binary.BigEndian.Uint32(b[4:]), Your: binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx: interval(b[12:]), RequiredMinRx: interval(b[16:]), RequiredMinEchoRx: interval(b[20:]),
	}
	length := int(b[3])
	switch {
	case length < size, p.Authenticated && length < sizeWithAuth, length > len(b):
		return Packet{}, BadLength
	case p.Multiplier == 0:
		return Packet{}, ZeroMultiplier
	case b[1]&flagMultipoint != 0:
		return Packet{}, Multipoint
	case p.My == 0:
		return Packet{}, ZeroDiscriminator
	case p.Your == 0 && p.State != Down && p.State != AdminDown:
		return Packet{}, NoDiscriminator
	default:
		return p, Accepted
	}
}

func interval(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
