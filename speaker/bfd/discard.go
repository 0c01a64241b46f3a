package bfd

// Discard is why a received packet is discarded.
type Discard uint8

// The rules, in the order of RFC 5880 section 6.8.6.
const (
	Accepted          Discard = iota
	BadVersion                // not version 1
	BadLength                 // shorter than it must be, or than it says it is
	ZeroMultiplier            // Detect Mult is 0
	Multipoint                // the M bit is set
	ZeroDiscriminator         // My Discriminator is 0
	UnknownSession            // Your Discriminator is of no session, or of one with another peer, interface or port
	NoDiscriminator           // Your Discriminator is 0 though the sender claims to have heard of us
	UnknownPeer               // Your Discriminator is 0, and no session is wanted with the sender
	Authentication            // the A bit is set, and we have no authentication
	LowTTL                    // from further away than is allowed (RFC 5881 section 5, RFC 5883 section 5)
	Disabled                  // the session is administratively down
	discards
)

func (d Discard) String() string {
	return [...]string{
		"accepted", "bad_version", "bad_length", "zero_multiplier", "multipoint", "zero_discriminator", "unknown_session", "no_discriminator",
		"unknown_peer", "authentication", "low_ttl", "disabled",
	}[d]
}

// Discards counts packets by Discard.
type Discards [discards]uint64
