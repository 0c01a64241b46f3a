package flows

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/fairlead-lb/fairlead/config"
)

const (
	name = "fairlead"
	// after conntrack (-200) has looked for the connection, and before kube-proxy (-100) gives it an endpoint.
	priority = -150
	// A packet that is passed on has its TTL lowered to a little more than one of these, and by one with each pass. So it ends after
	// so many passes whatever the nodes think of each other, and what is left takes it to a pod. At the end of the ring, packets of a
	// connection that nobody knows are kube-proxy's, whose pod refuses them. Strays are dropped, as kube-proxy does: some may be
	// of a connection that goes on, and is not to be refused.
	strayFloor   = 16
	unknownFloor = strayFloor + MaxHops + 1
	// batch is how many entries go into a message of netlink, which has 16 bits for their length.
	batch = 500
	// register is what all expressions load into.
	register = 1
	// quic is the port whose UDP packets are distinguished by the first byte of QUIC (RFC 9000, section 17).
	quic = 443
)

// protocol is what differs between the families.
type protocol struct {
	family nftables.TableFamily
	typ    nftables.SetDatatype
	// Offsets in the header of the network layer, and the length of an address.
	source, destination, hops, length uint32
	// icmp is the protocol's number; request and reply are its types of an echo, and errors those that concern a connection, as they
	// must reach whoever has it.
	icmp, request, reply byte
	errors               []byte
}

var protocols = map[config.Family]protocol{
	config.IPv4: {nftables.TableFamilyIPv4, nftables.TypeIPAddr, 12, 16, 8, 4, unix.IPPROTO_ICMP, 8, 0, []byte{3}},
	config.IPv6: {nftables.TableFamilyIPv6, nftables.TypeIP6Addr, 8, 24, 7, 16, unix.IPPROTO_ICMPV6, 128, 129, []byte{1, 2}},
}

// netfilter is a table of the kernel.
type netfilter struct {
	protocol

	conn  *nftables.Conn
	table *nftables.Table
	// ping: echo requests for own addresses are answered.
	ping bool
	// next is a map from an address to the next node, and own a set, as a map from an address to itself. aggregates are intervals.
	next, own, aggregates *nftables.Set
}

func newKernel(f config.Family, ping bool) kernel {
	p := protocols[f]
	k := &netfilter{protocol: p, ping: ping, conn: &nftables.Conn{}, table: &nftables.Table{Family: p.family, Name: name}}
	// With numbers of their own, which the library would count without a lock.
	k.next = &nftables.Set{ID: 1, Table: k.table, Name: "next", IsMap: true, HasTimeout: true, KeyType: p.typ, DataType: p.typ}
	k.own = &nftables.Set{ID: 2, Table: k.table, Name: "own", IsMap: true, HasTimeout: true, KeyType: p.typ, DataType: p.typ}
	k.aggregates = &nftables.Set{ID: 3, Table: k.table, Name: "aggregates", Interval: true, HasTimeout: true, KeyType: p.typ}
	return k
}

func (k *netfilter) chain(name string) *nftables.Chain {
	return &nftables.Chain{Table: k.table, Name: name}
}

// prepare makes the table, or takes over the one that is there. Its entries stay, and no packet sees half of it.
func (k *netfilter) prepare(hops int, now time.Time) (next, own table, err error) {
	at := nftables.ChainPriority(priority)
	prerouting, forward := k.chain("prerouting"), k.chain("forward")
	prerouting.Type, prerouting.Hooknum, prerouting.Priority = nftables.ChainTypeFilter, nftables.ChainHookPrerouting, &at
	forward.Type, forward.Hooknum, forward.Priority = nftables.ChainTypeFilter, nftables.ChainHookForward, nftables.ChainPriorityFilter
	unknown, pass, stray, echo := k.chain("unknown"), k.chain("pass"), k.chain("stray"), k.chain("echo")
	k.conn.AddTable(k.table)
	for _, c := range []*nftables.Chain{prerouting, forward, unknown, pass, stray, echo} {
		k.conn.AddChain(c)
		k.conn.FlushChain(c)
	}
	for _, m := range []*nftables.Set{k.next, k.own, k.aggregates} {
		if err := k.conn.AddSet(m, nil); err != nil {
			return nil, nil, err
		}
	}
	dropped := append([]expr.Any{&expr.Counter{}}, verdict(expr.VerdictDrop, "")...)
	rules := map[*nftables.Chain][][]expr.Any{
		prerouting: {
			slices.Concat(state(expr.CtStateBitNEW|expr.CtStateBitINVALID), k.in(k.next), verdict(expr.VerdictJump, unknown.Name)),
		},
		// What kube-proxy has given an endpoint has another destination by now. The rest is for a port or an address that no Service has, or
		// meets the remains of an earlier connection.
		forward: {
			slices.Concat(state(expr.CtStateBitESTABLISHED|expr.CtStateBitRELATED), verdict(expr.VerdictReturn, "")),
			slices.Concat(k.in(k.own), dropped),
			slices.Concat(k.within(k.aggregates), dropped),
		},
		echo:    k.answering(),
		unknown: k.telling(pass.Name, stray.Name),
		pass:    {slices.Concat(k.ttl(expr.CmpOpLte, strayFloor+hops), verdict(expr.VerdictGoto, stray.Name))},
		stray:   append(k.passing(strayFloor, hops), verdict(expr.VerdictDrop, "")),
	}
	rules[pass] = append(rules[pass], k.passing(unknownFloor, hops)...)
	if k.ping {
		asked := slices.Concat(is(k.icmp), masked(0, 0xff, expr.CmpOpEq, k.request), k.in(k.own), verdict(expr.VerdictGoto, echo.Name))
		rules[prerouting] = slices.Insert(rules[prerouting], 0, asked)
	}
	for c, all := range rules {
		for _, r := range all {
			k.conn.AddRule(&nftables.Rule{Table: k.table, Chain: c, Exprs: r})
		}
	}
	if err := k.conn.Flush(); err != nil {
		return nil, nil, k.explain(err)
	}
	if next, err = k.read(k.next, now); err == nil {
		own, err = k.read(k.own, now)
	}
	return next, own, err
}

func (k *netfilter) read(m *nftables.Set, now time.Time) (table, error) {
	all, err := k.conn.GetSetElements(m)
	if err != nil {
		return nil, k.explain(err)
	}
	out := table{}
	for _, e := range all {
		from, ok1 := netip.AddrFromSlice(e.Key)
		to, ok2 := netip.AddrFromSlice(e.Val)
		if ok1 && ok2 {
			out[from] = entry{to, now.Add(e.Expires)}
		}
	}
	return out, nil
}

// explain says what is missing, in words of those who can mend it.
func (k *netfilter) explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return errors.New("the speaker may not change nftables: it needs the capability NET_ADMIN")
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the kernel lacks a part of nftables (nft_ct, nft_dup_ipv4, nft_dup_ipv6): %w", err)
	default:
		return fmt.Errorf("change the table %s of nftables: %w", name, err)
	}
}

// telling are the rules for packets of which conntrack knows no connection: which of them began elsewhere. Of those that it calls
// invalid, some have FIN or RST, which begin nothing; others meet what is left of an earlier connection with the same ports.
func (k *netfilter) telling(pass, stray string) [][]expr.Any {
	tcp := is(unix.IPPROTO_TCP)
	rules := [][]expr.Any{
		// The first packet of a connection, and no other, has SYN.
		slices.Concat(tcp, masked(13, 0x02, expr.CmpOpNeq, 0), verdict(expr.VerdictReturn, "")),
		slices.Concat(tcp, state(expr.CtStateBitNEW), verdict(expr.VerdictGoto, pass)),
		slices.Concat(tcp, verdict(expr.VerdictGoto, stray)),
		// QUIC has the long header in the first packets of a connection only.
		slices.Concat(is(unix.IPPROTO_UDP), state(expr.CtStateBitNEW), port(quic), masked(8, 0xc0, expr.CmpOpEq, 0x40), verdict(expr.VerdictGoto, pass)),
	}
	for _, t := range k.errors {
		rules = append(rules, slices.Concat(is(k.icmp), state(expr.CtStateBitINVALID), masked(0, 0xff, expr.CmpOpEq, t), verdict(expr.VerdictGoto, stray)))
	}
	return rules
}

// passing are the rules that pass a packet on: its TTL is lowered, never raised; a copy goes to the next node, and the packet ends.
func (k *netfilter) passing(floor, hops int) [][]expr.Any {
	lower := append(k.ttl(expr.CmpOpGt, floor+hops), k.setTTL(floor+hops)...)
	return [][]expr.Any{lower, slices.Concat(k.ttl(expr.CmpOpGt, floor), k.lookup(k.next),
		[]expr.Any{&expr.Counter{}, &expr.Dup{RegAddr: register}}, verdict(expr.VerdictDrop, ""))}
}

// pings is how many echo requests are answered in a second, of all addresses together.
const pings = 1000

// answering are the rules that make a reply of an echo request (RFC 792, RFC 4443), and send it to who has asked. To exchange the addresses
// leaves all checksums as they are.
func (k *netfilter) answering() [][]expr.Any {
	const ttl = 64 + 1 // the way through dup takes one
	store := func(register, offset uint32) expr.Any {
		return &expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: k.length}
	}
	answer := []expr.Any{
		&expr.Immediate{Register: register, Data: []byte{k.reply, 0}},
		&expr.Payload{
			OperationType: expr.PayloadWrite, SourceRegister: register, Base: expr.PayloadBaseTransportHeader, Len: 2,
			CsumType: expr.CsumTypeInet, CsumOffset: 2,
		},
	}
	answer = append(answer, k.setTTL(ttl)...)
	const other = register + 1
	answer = append(answer, k.load(register, k.source), k.load(other, k.destination), store(other, k.source), store(register, k.destination),
		&expr.Dup{RegAddr: register})
	return [][]expr.Any{
		append([]expr.Any{&expr.Limit{Type: expr.LimitTypePkts, Rate: pings, Unit: expr.LimitTimeSecond, Burst: pings / 10, Over: true}},
			verdict(expr.VerdictDrop, "")...),
		append(answer, verdict(expr.VerdictDrop, "")...),
	}
}

// ttl matches packets by their TTL, or hop limit.
func (k *netfilter) ttl(op expr.CmpOp, n int) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: k.hops, Len: 1},
		&expr.Cmp{Op: op, Register: register, Data: []byte{byte(n)}},
	}
}

// setTTL writes the TTL, or hop limit, of a packet.
func (k *netfilter) setTTL(n int) []expr.Any {
	field := expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: k.hops, Len: 1}
	if k.family == nftables.TableFamilyIPv6 {
		write := field
		write.OperationType, write.SourceRegister = expr.PayloadWrite, register
		return []expr.Any{&expr.Immediate{Register: register, Data: []byte{byte(n)}}, &write}
	}
	field.Len = 2 // with the protocol, as the checksum is over 16 bits
	read, write := field, field
	read.DestRegister = register
	write.OperationType, write.SourceRegister, write.CsumType, write.CsumOffset = expr.PayloadWrite, register, expr.CsumTypeInet, 10
	return []expr.Any{&read, &expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 2, Mask: []byte{0, 0xff}, Xor: []byte{byte(n), 0}}, &write}
}

// lookup loads what a map has for a packet's destination; a packet that there is nothing for does not match.
func (k *netfilter) lookup(m *nftables.Set) []expr.Any {
	return []expr.Any{
		k.load(register, k.destination),
		&expr.Lookup{SourceRegister: register, DestRegister: register, IsDestRegSet: true, SetName: m.Name, SetID: m.ID},
	}
}

// in matches packets whose destination is in a map. It compares, though a lookup would do: nft does not show a lookup alone, and who
// saves and restores its rules would lose it.
func (k *netfilter) in(m *nftables.Set) []expr.Any {
	return append(k.lookup(m), &expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, k.length)})
}

// within matches packets whose destination is in one of the intervals of a set.
func (k *netfilter) within(s *nftables.Set) []expr.Any {
	return []expr.Any{k.load(register, k.destination), &expr.Lookup{SourceRegister: register, SetName: s.Name, SetID: s.ID}}
}

// load loads an address of a packet.
func (k *netfilter) load(to, offset uint32) expr.Any {
	return &expr.Payload{DestRegister: to, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: k.length}
}

// state matches packets by what conntrack makes of them.
func state(bits uint32) []expr.Any {
	zero := binaryutil.NativeEndian.PutUint32(0)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: zero},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: zero},
	}
}

// is matches packets by the protocol of the transport layer.
func is(protocol byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{protocol}},
	}
}

// port matches packets by their destination port.
func port(n uint16) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: binaryutil.BigEndian.PutUint16(n)},
	}
}

// masked matches packets by bits of a byte in the header of the transport layer.
func masked(offset uint32, mask byte, op expr.CmpOp, value byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 1},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: op, Register: register, Data: []byte{value}},
	}
}

// verdict ends a packet, or sends it to another chain.
func verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

func (k *netfilter) apply(c changes, now time.Time) error {
	if err := errors.Join(k.add(k.next, c.next, now), k.add(k.own, c.own, now)); err != nil {
		return err
	}
	if c.replace {
		k.conn.FlushSet(k.aggregates)
		elements := make([]nftables.SetElement, 0, 2*len(c.aggregates))
		for _, p := range c.aggregates {
			after := netipx.PrefixLastIP(p).Next()
			elements = append(elements, nftables.SetElement{Key: p.Addr().AsSlice(), Timeout: lease}, nftables.SetElement{Key: after.AsSlice(), IntervalEnd: true})
		}
		for some := range slices.Chunk(elements, batch) {
			if err := k.conn.SetAddElements(k.aggregates, some); err != nil {
				return err
			}
		}
	}
	if err := k.conn.Flush(); err != nil {
		return k.explain(err)
	}
	return nil
}

// add adds a change of a map to the transaction.
func (k *netfilter) add(m *nftables.Set, c change, now time.Time) error {
	elements := make([]nftables.SetElement, 0, len(c.remove)+len(c.add))
	for _, a := range c.remove {
		elements = append(elements, nftables.SetElement{Key: a.AsSlice()})
	}
	for some := range slices.Chunk(elements, batch) {
		if err := k.conn.SetDeleteElements(m, some); err != nil {
			return err
		}
	}
	elements = elements[:0]
	for _, p := range c.add {
		elements = append(elements, nftables.SetElement{Key: p.Addr.AsSlice(), Val: p.To.AsSlice(), Timeout: max(p.Until.Sub(now), time.Millisecond)})
	}
	for some := range slices.Chunk(elements, batch) {
		if err := k.conn.SetAddElements(m, some); err != nil {
			return err
		}
	}
	return nil
}

func (k *netfilter) remove() error {
	k.conn.DelTable(k.table)
	return k.conn.Flush()
}

func (k *netfilter) packets() (sum uint64, there bool) {
	for _, chain := range []string{"pass", "stray"} {
		rules, err := k.conn.GetRules(k.table, k.chain(chain))
		if err != nil || len(rules) == 0 {
			return 0, false
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if c, ok := e.(*expr.Counter); ok {
					sum += c.Packets
				}
			}
		}
	}
	return sum, true
}
