package arp

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
)

// Offsets into an Ethernet frame that carries ARP for IPv4 (RFC 826).
const (
	offsetOperation = 14 + 6
	offsetTarget    = 14 + 24
	frameLength     = 14 + 28
)

// maxExact is how many addresses a filter can tell apart: a program has at
// most 4,096 instructions, and old kernels give a socket 20 KiB for it.
const maxExact = 1000

// filter returns a program that lets ARP requests for the given IPv4 addresses
// through, and nothing else. Past maxExact addresses it lets through more:
// requests for addresses of prefixes that cover them.
func filter(addrs []netip.Addr) ([]bpf.RawInstruction, error) {
	shift, keys := cover(addrs)
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetOperation, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 1, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: offsetTarget, Size: 4},
	}
	if shift > 0 {
		program = append(program, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: uint32(shift)})
	}
	for _, k := range keys {
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: k, SkipFalse: 1},
			bpf.RetConstant{Val: frameLength})
	}
	return bpf.Assemble(append(program, bpf.RetConstant{Val: 0}))
}

// cover returns at most maxExact keys, sorted, and by how many bits to shift an
// address right to compare it with them; 0 where each address has its own.
func cover(addrs []netip.Addr) (shift int, keys []uint32) {
	for _, a := range addrs {
		b := a.As4()
		keys = append(keys, binary.BigEndian.Uint32(b[:]))
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for ; len(keys) > maxExact; shift++ {
		for i := range keys {
			keys[i] >>= 1
		}
		keys = slices.Compact(keys)
	}
	return shift, keys
}
