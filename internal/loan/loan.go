// Package loan lends memory for the bodies of answers, and has it back from whoever
// says that nobody needs it any more.
//
// Nobody has to say so: what is not given back is the collector's, as any memory. What
// is given back waits for the next body of about its size in a sync.Pool, and so until
// memory has been collected twice.
//
// Memory that is lent again while somebody still reads it would be another request's
// bytes. Therefore a Loan ends once, however many copies of it there are; and one that
// was kept never ends: its memory is its reader's for good.
package loan

import (
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// block is memory that is lent, now to one and then to another.
type block struct {
	// state is the number of loans that have ended, times two, plus one if the running
	// one is kept.
	state atomic.Uint64
	bytes []byte // never changed
}

// Loan is the right to give a body's memory back. Its copies are one loan. The zero
// value is that of memory which nobody wants back.
type Loan struct {
	block *block
	state uint64 // the block's, when this loan began
}

// Least is the size below which nothing is lent: making it anew is cheap.
const Least = 16 << 10

// classes hold what was given back, by the bit length of its size.
var classes [bits.UintSize + 1]sync.Pool

// given is set with the first loan that ends: most programs never end one, and need
// not look.
var given atomic.Bool

// Take returns n bytes for somebody who overwrites them all: they hold anything, and
// what has not been overwritten must not be handed on.
func Take(n int) (body []byte, l Loan) {
	if n < Least {
		return make([]byte, n), Loan{}
	}
	b := again(n)
	if b == nil {
		b = &block{bytes: Blank(n)}
	}
	return b.bytes[:n:n], Loan{b, b.state.Load()}
}

// again returns a block of n bytes, or of a few times as many, that was given back;
// nil if there is none.
func again(n int) *block {
	if !given.Load() {
		return nil
	}
	for class := bits.Len(uint(n)); class <= bits.Len(uint(n))+1; class++ {
		b, _ := classes[class].Get().(*block)
		switch {
		case b == nil:
		case len(b.bytes) >= n:
			return b
		default:
			classes[class].Put(b)
		}
	}
	return nil
}

// End gives the memory back, unless that was done before, by this or by another copy
// of the loan, or the memory is kept. Nobody may read or write it from then on.
func (l Loan) End() {
	b := l.block
	if b == nil || !b.state.CompareAndSwap(l.state, l.state+2) {
		return
	}
	if poisoned.Load() {
		for i := range b.bytes {
			b.bytes[i] = Poison
		}
	}
	given.Store(true)
	classes[bits.Len(uint(len(b.bytes)))].Put(b)
}

// Keep has the loan never end: somebody has the memory who will not say when he needs
// it no more. It does nothing once the loan has ended.
func (l Loan) Keep() {
	if l.block != nil {
		l.block.state.CompareAndSwap(l.state, l.state|1)
	}
}

// Poison is what PoisonEnded writes.
const Poison = 0xdb

var poisoned atomic.Bool

// PoisonEnded has memory overwritten that is given back, so that a test sees who
// reads on.
func PoisonEnded(on bool) { poisoned.Store(on) }

// smallBlank is the size below which memory is as quickly cleared as not.
const smallBlank = 4 << 10

// Blank returns n bytes that hold anything, for somebody who overwrites them all:
// clearing what a large body is read into costs a notable part of reading it. What has
// not been overwritten must not be handed on.
func Blank(n int) []byte {
	if n < smallBlank {
		return make([]byte, n)
	}
	var b strings.Builder // the one way to memory that is not cleared
	b.Grow(n)
	b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n) // nobody else has the string
}
