package bgp

import (
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"github.com/fairlead-lb/fairlead/config"
	"github.com/fairlead-lb/fairlead/speaker/announce"
)

// A dialect is how routes are said in one session: it follows from the peer, both OPENs and the addresses of the node. Nothing
// in it changes during the session.
type dialect struct {
	asn uint32
	// internal: iBGP.
	internal bool
	// fourOctet: the peer reads AS numbers of four octets.
	fourOctet bool
	// nextHops are those of the routes of each family that the session carries.
	nextHops map[config.Family]netip.Addr
}

// defaultLocalPref is what iBGP routes have that nothing is said of.
const defaultLocalPref = 100

func routeFamily(f config.Family) bgp.RouteFamily {
	if f == config.IPv4 {
		return bgp.RF_IPv4_UC
	}
	return bgp.RF_IPv6_UC
}

// announce writes UPDATEs that announce prefixes of one family with the same attributes.
func (d *dialect) announce(f config.Family, a *announce.Attributes, prefixes []netip.Prefix) [][]byte {
	hop := d.nextHops[f]
	plain := f == config.IPv4 && hop.Is4() // as RFC 4271 has it, without RFC 4760
	before, after := d.attributes(a)
	if plain {
		before = append(before, bgp.NewPathAttributeNextHop(hop.String()))
	}
	size := 0
	for _, x := range slices.Concat(before, after) {
		size += lengthOf(x)
	}
	var out [][]byte
	for chunk := range slices.Chunk(prefixes, fit(f, size)) {
		if plain {
			out = append(out, serialize(bgp.NewBGPUpdateMessage(nil, slices.Concat(before, after), short(chunk))))
			continue
		}
		reach := bgp.NewPathAttributeMpReachNLRI(hop.WithZone("").String(), long(f, chunk))
		attributes := slices.Concat([]bgp.PathAttributeInterface{reach}, before, after)
		out = append(out, serialize(bgp.NewBGPUpdateMessage(nil, attributes, nil)))
	}
	return out
}

// withdraw writes UPDATEs that withdraw prefixes of one family.
func (d *dialect) withdraw(f config.Family, prefixes []netip.Prefix) [][]byte {
	var out [][]byte
	for chunk := range slices.Chunk(prefixes, fit(f, 0)) {
		if f == config.IPv4 && d.nextHops[f].Is4() {
			out = append(out, serialize(bgp.NewBGPUpdateMessage(short(chunk), nil, nil)))
			continue
		}
		gone := bgp.NewPathAttributeMpUnreachNLRI(long(f, chunk))
		out = append(out, serialize(bgp.NewBGPUpdateMessage(nil, []bgp.PathAttributeInterface{gone}, nil)))
	}
	return out
}

// endOfRIB writes the marker that all routes of a family have been announced (RFC 4724, section 2).
func endOfRIB(f config.Family) []byte { return serialize(bgp.NewEndOfRib(routeFamily(f))) }

// attributes returns path attributes in the order of their types, those before and those after NEXT_HOP (RFC 4271, section 5).
func (d *dialect) attributes(a *announce.Attributes) (before, after []bgp.PathAttributeInterface) {
	path, wide := d.path(a.Prepend)
	before = []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(bgp.BGP_ORIGIN_ATTR_TYPE_IGP), path}
	if a.HasMED {
		after = append(after, bgp.NewPathAttributeMultiExitDisc(a.MED))
	}
	if d.internal {
		after = append(after, bgp.NewPathAttributeLocalPref(localPref(a)))
	}
	standard := make([]uint32, 0, len(a.Communities)+1)
	for _, c := range a.Communities {
		standard = append(standard, uint32(c))
	}
	if a.GracefulShutdown && !slices.Contains(standard, gracefulShutdown) {
		standard = append(standard, gracefulShutdown)
	}
	if len(standard) > 0 {
		after = append(after, bgp.NewPathAttributeCommunities(standard))
	}
	if a.Bandwidth > 0 {
		after = append(after, bgp.NewPathAttributeExtendedCommunities([]bgp.ExtendedCommunityInterface{
			bgp.NewLinkBandwidthExtended(twoOctets(d.asn), float32(a.Bandwidth)),
		}))
	}
	if wide != nil {
		after = append(after, wide)
	}
	if len(a.LargeCommunities) > 0 {
		large := make([]*bgp.LargeCommunity, len(a.LargeCommunities))
		for i, c := range a.LargeCommunities {
			large[i] = bgp.NewLargeCommunity(c[0], c[1], c[2])
		}
		after = append(after, bgp.NewPathAttributeLargeCommunities(large))
	}
	return before, after
}

// gracefulShutdown is the community of RFC 8326.
const gracefulShutdown = 0xffff0000

// localPref is the preference within the AS. A node that is about to go has the lowest (RFC 8326, section 3.2).
func localPref(a *announce.Attributes) uint32 {
	switch {
	case a.GracefulShutdown:
		return 0
	case a.HasLocalPref:
		return a.LocalPref
	default:
		return defaultLocalPref
	}
}

// path returns the AS path; for a peer that does not read AS numbers of four octets also the path that has them (RFC 6793, section 4.2.2).
// Within the AS it is empty: there the own AS number would be a loop.
func (d *dialect) path(prepend int) (path, wide bgp.PathAttributeInterface) {
	if d.internal {
		return bgp.NewPathAttributeAsPath(nil), nil
	}
	four := slices.Repeat([]uint32{d.asn}, 1+prepend)
	if d.fourOctet {
		return bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, four)}), nil
	}
	two := slices.Repeat([]uint16{twoOctets(d.asn)}, 1+prepend)
	path = bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAsPathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, two)})
	if d.asn > maxTwoOctet {
		wide = bgp.NewPathAttributeAs4Path([]*bgp.As4PathParam{bgp.NewAs4PathParam(bgp.BGP_ASPATH_ATTR_TYPE_SEQ, four)})
	}
	return path, wide
}

// twoOctets is an AS number where there is no room for four octets.
func twoOctets(asn uint32) uint16 {
	if asn > maxTwoOctet {
		return bgp.AS_TRANS
	}
	return uint16(asn)
}

func short(prefixes []netip.Prefix) []*bgp.IPAddrPrefix {
	out := make([]*bgp.IPAddrPrefix, len(prefixes))
	for i, p := range prefixes {
		out[i] = bgp.NewIPAddrPrefix(uint8(p.Bits()), p.Addr().String())
	}
	return out
}

func long(f config.Family, prefixes []netip.Prefix) []bgp.AddrPrefixInterface {
	out := make([]bgp.AddrPrefixInterface, len(prefixes))
	for i, p := range prefixes {
		if f == config.IPv4 {
			out[i] = bgp.NewIPAddrPrefix(uint8(p.Bits()), p.Addr().String())
		} else {
			out[i] = bgp.NewIPv6AddrPrefix(uint8(p.Bits()), p.Addr().String())
		}
	}
	return out
}

// fit returns how many prefixes of a family fit into a message beside attributes of a size.
func fit(f config.Family, attributes int) int {
	const rest = headerLength + 4 + 32 // lengths of an UPDATE's parts, and the head and next hop of MP_REACH_NLRI
	each := 1 + 4
	if f == config.IPv6 {
		each = 1 + 16
	}
	return max(1, (maxLength-rest-attributes)/each)
}

func lengthOf(a bgp.PathAttributeInterface) int {
	b, err := a.Serialize()
	if err != nil {
		panic("an attribute of our own cannot be written: " + err.Error())
	}
	return len(b)
}
