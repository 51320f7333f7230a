package targets

import (
	"math/bits"
	"sort"
)

// picker picks an index by weights for each arrival. The pick is a function of seed and n
// alone. Arrivals are taken in blocks, and in each block every share of the weights is met in an
// order of its own, as from a shuffled deck.
//
// Invariant: of each block of mostBlock arrivals, or of as many as the weights add up to if
// that is less once what divides all of them is taken out, index i is picked exactly as often
// as its weight says, or, if the block is smaller than the weights' sum, within two of that.
type picker struct {
	above []uint64 // above[i] is the sum of the weights up to i, itself included
	total uint64
	block uint64
	half  uint // bits of each half of the cards' numbers
	seed  uint64
	cards []uint32 // the index of each card, if the block is as large as the weights' sum
}

// mostBlock is how many arrivals are a block at most.
const mostBlock = 4096

func newPicker(weights []uint64, seed uint64) *picker {
	common := uint64(0)
	for _, w := range weights {
		for w := w; w != 0; {
			common, w = w, common%w
		}
	}
	p := &picker{seed: seed}
	for _, w := range weights {
		p.total += w / common
		p.above = append(p.above, p.total)
	}
	p.block = min(p.total, mostBlock)
	p.half = uint(bits.Len64(p.block-1)+1) / 2
	if p.total <= mostBlock {
		for card := range p.total {
			p.cards = append(p.cards, uint32(p.find(card)))
		}
	}
	return p
}

func (p *picker) find(share uint64) int {
	return sort.Search(len(p.above), func(i int) bool { return p.above[i] > share })
}

// pick returns the index of arrival n.
func (p *picker) pick(n uint64) int {
	if len(p.above) == 1 {
		return 0
	}
	key := mix(p.seed ^ mix(n/p.block))
	card := p.shuffle(n%p.block, key)
	if p.cards != nil {
		return int(p.cards[card])
	}
	// The card is a part of [0, total) as wide as the others, and the arrival a point of it.
	point, _ := bits.Mul64(mix(key^n), p.total)
	high, low := bits.Mul64(card, p.total)
	low, carry := bits.Add64(low, point, 0)
	share, _ := bits.Div64(high+carry, low, p.block)
	return p.find(share)
}

// shuffle maps the numbers below block to themselves, one to one: a Feistel network over the
// next power of four, walked until it comes back below block.
func (p *picker) shuffle(i, key uint64) uint64 {
	if p.half == 0 {
		return i
	}
	mask := uint64(1)<<p.half - 1
	for {
		left, right := i>>p.half, i&mask
		for round := range uint64(4) {
			left, right = right, left^(mix(key+right+round<<32)&mask)
		}
		if i = left<<p.half | right; i < p.block {
			return i
		}
	}
}

// mix spreads a number over all 64 bits, one to one (the finalizer of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// rowOf returns the row of arrival n, of a number of rows and of chains that take turns, 0 if
// they are picked.
//
// Invariant: of order·rows arrivals each chain has met each row equally often.
func rowOf(n uint64, order, rows int) uint64 {
	a, b := uint64(order), uint64(rows)
	for b != 0 {
		a, b = b, a%b
	}
	if order > 0 && a > 1 {
		n += n / (uint64(order) / a * uint64(rows))
	}
	return n % uint64(rows)
}
