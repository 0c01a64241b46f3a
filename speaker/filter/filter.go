// Package filter makes the kernel filters (classic BPF) of the responders: what is
// not about one of our addresses never wakes the speaker.
package filter

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/net/bpf"
)

// A Field of a frame has a value: Size bytes (1, 2 or 4) at an offset.
type Field struct {
	Offset, Size int
	Value        uint32
}

// A Kind of frame has a field by which it is known, and its address at the offset Target.
type Kind struct {
	Field
	Target int
}

const (
	// maxBlocks is how many blocks of addresses a filter can tell apart. Old kernels give a socket
	// 20 KiB for filters, a block takes 24 bytes of them, and while one filter replaces another there are two.
	maxBlocks = 288
	// blockBits says how many addresses a block has: as many as a word has bits.
	blockBits = 5
	// maxNetworks is how many /96 networks of IPv6 addresses it can tell apart.
	maxNetworks = 8
	// whole is how much of a frame passes.
	whole = 1 << 16
)

// Program returns a filter that lets frames through which have all the fields, are of one of
// the kinds, and have one of the addresses, all of one family, at that kind's target. It may let more
// through: IPv6 addresses are compared by their first 96 bits and, apart from
// those, their last 32; those that lie in more than maxBlocks blocks are compared without their last bits.
func Program(fields []Field, kinds []Kind, addrs []netip.Addr) ([]bpf.RawInstruction, error) {
	if len(addrs) == 0 {
		return bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	}
	var program []bpf.Instruction
	for _, f := range fields {
		program = append(program, f.load(),
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: f.Value, SkipTrue: 1},
			bpf.RetConstant{Val: 0})
	}
	program = append(program, targets(kinds)...)
	leading, last := split(addrs)
	at := uint32(0) // from the target on
	if size := addrs[0].BitLen()/8 - 4; size > 0 {
		program = append(program, networks(leading)...)
		at = uint32(size)
	}
	program = append(program, bpf.LoadIndirect{Off: at, Size: 4})
	shift, blocks := cover(last)
	program = append(program, bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: uint32(shift + blockBits)})
	for i, b := range blocks {
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: b.number, SkipFalse: 2},
			bpf.LoadConstant{Dst: bpf.RegA, Val: b.bits},
			bpf.Jump{Skip: uint32(3*(len(blocks)-1-i) + 1)})
	}
	return bpf.Assemble(append(program,
		bpf.RetConstant{Val: 0},
		bpf.StoreScratch{Src: bpf.RegA}, bpf.TXA{},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: uint32(shift)},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 1<<blockBits - 1},
		bpf.TAX{}, bpf.LoadScratch{Dst: bpf.RegA}, bpf.ALUOpX{Op: bpf.ALUOpShiftRight},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 1, SkipFalse: 1},
		bpf.RetConstant{Val: whole},
		bpf.RetConstant{Val: 0}))
}

func (f Field) load() bpf.Instruction {
	return bpf.LoadAbsolute{Off: uint32(f.Offset), Size: f.Size}
}

// targets has the index register say where the address is, so that one table of
// addresses serves all kinds.
func targets(kinds []Kind) []bpf.Instruction {
	const block = 4 // instructions
	var out []bpf.Instruction
	for i, k := range kinds {
		out = append(out, k.load(),
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: k.Value, SkipFalse: block - 2},
			bpf.LoadConstant{Dst: bpf.RegX, Val: uint32(k.Target)},
			bpf.Jump{Skip: uint32(block*(len(kinds)-1-i) + 1)})
	}
	return append(out, bpf.RetConstant{Val: 0})
}

// networks compares the three leading words of an IPv6 address.
func networks(leading [][3]uint32) []bpf.Instruction {
	const block = 7 // instructions
	if len(leading) > maxNetworks {
		return nil
	}
	var out []bpf.Instruction
	for i, words := range leading {
		for j, w := range words {
			out = append(out,
				bpf.LoadIndirect{Off: uint32(4 * j), Size: 4},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: w, SkipFalse: uint8(block - 2 - 2*j)})
		}
		out = append(out, bpf.Jump{Skip: uint32(block*(len(leading)-1-i) + 1)})
	}
	return append(out, bpf.RetConstant{Val: 0})
}

// split returns the first 96 bits of IPv6 addresses, and the last 32 of all, each sorted.
func split(addrs []netip.Addr) (leading [][3]uint32, last []uint32) {
	for _, a := range addrs {
		b := a.As16()
		word := func(i int) uint32 { return binary.BigEndian.Uint32(b[4*i:]) }
		leading = append(leading, [3]uint32{word(0), word(1), word(2)})
		last = append(last, word(3))
	}
	slices.SortFunc(leading, func(a, b [3]uint32) int { return slices.Compare(a[:], b[:]) })
	slices.Sort(last)
	return slices.Compact(leading), slices.Compact(last)
}

// A block is 32 words in a row, by its number, and which of them are meant, by their last bits.
type block struct{ number, bits uint32 }

// cover returns at most maxBlocks blocks, sorted, and by how many bits words, which must be sorted, are to be
// shifted right first; 0 where each word has its own bit.
func cover(words []uint32) (shift int, blocks []block) {
	for ; ; shift++ {
		blocks = blocks[:0]
		for _, w := range words {
			number, bit := w>>(shift+blockBits), uint32(1)<<(w>>shift&(1<<blockBits-1))
			if n := len(blocks); n > 0 && blocks[n-1].number == number {
				blocks[n-1].bits |= bit
			} else {
				blocks = append(blocks, block{number, bit})
			}
		}
		if len(blocks) <= maxBlocks {
			return shift, blocks
		}
	}
}
