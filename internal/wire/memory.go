package wire

import (
	"io"
	"slices"
	"sync"

	"github.com/sluice-engine/sluice/internal/loan"
	"github.com/sluice-engine/sluice/messages"
)

// Believed is how much is allocated for a body on the word of its length alone.
const Believed = 64 << 10

// credit is how many bytes are allocated for each that has come, of a body that says
// to be longer than Believed.
const credit = 16

// ReadCounted reads length bytes of r into memory of their own, and copies at most
// one in fifteen. Beside an error, which is io.EOF if nothing came and
// io.ErrUnexpectedEOF if there should have been more, it returns what came.
//
// A length is only a claim. What is first allocated for a long body is therefore the
// last of its length divided by credit, again and again, that is not over Believed;
// whenever that is full, credit times as much.
func ReadCounted(r io.Reader, length int) (body []byte, l loan.Loan, err error) {
	size := stage(length, 0)
	if size == length {
		body, l = loan.Take(length)
	} else { // it will be copied
		scratch := pieces[0].Get().(*[]byte)
		defer func() { pieces[0].Put(scratch) }()
		body = (*scratch)[:size]
	}
	for filled := 0; ; {
		n, err := io.ReadFull(r, body[filled:])
		filled += n
		switch {
		case err != nil:
			body = slices.Clone(body[:filled])
			l.End()
			return body, loan.Loan{}, halfWay(err, filled)
		case filled == length:
			return body, l, nil
		}
		more, its := loan.Take(stage(length, filled))
		copy(more, body)
		l.End() // of what nobody else has seen
		body, l = more, its
	}
}

// halfWay is the error of a read that ends behind so many bytes.
func halfWay(err error, filled int) error {
	if err == io.EOF && filled > 0 {
		return io.ErrUnexpectedEOF
	}
	return err
}

// stage is how much is allocated of a body of that length once filled bytes of it
// have come.
func stage(length, filled int) int {
	for length > max(Believed, credit*filled) {
		length = (length + credit - 1) / credit
	}
	return length
}

// pieces are lent to who reads what has no length: the first piece of a body is of
// Believed bytes, each further one of twice as many as that before it, and all
// behind the last kind of that kind. What idles is let go by the collector.
var pieces [5]sync.Pool

func init() {
	for i := range pieces {
		pieces[i].New = func() any {
			piece := loan.Blank(Believed << i)
			return &piece
		}
	}
}

// leastRoom is what a read is given at least: a decoder gives little to a small buffer.
const leastRoom = 512

// patchwork is a body in the pieces that it was read into.
type patchwork struct {
	whole []*[]byte // full, as far as they are; the last is the running one
	first [8]*[]byte
	size  int64
}

// room returns where the next read goes to.
func (p *patchwork) room() []byte {
	if n := len(p.whole); n > 0 {
		if last := *p.whole[n-1]; cap(last)-len(last) >= leastRoom {
			return last[len(last):cap(last)]
		}
	} else {
		p.whole = p.first[:0]
	}
	lent := pieces[min(len(p.whole), len(pieces)-1)].Get().(*[]byte)
	*lent = (*lent)[:0]
	p.whole = append(p.whole, lent)
	return (*lent)[:cap(*lent)]
}

// add notes that n bytes were read into the room.
func (p *patchwork) add(n int) {
	last := p.whole[len(p.whole)-1]
	*last = (*last)[:len(*last)+n]
	p.size += int64(n)
}

// join returns the first size bytes in memory of their own, and nil for none.
func (p *patchwork) join(size int64) (body []byte, l loan.Loan) {
	if size > 0 {
		body, l = loan.Take(int(size))
	}
	rest := body
	for _, piece := range p.whole {
		rest = rest[copy(rest, *piece):]
	}
	return body, l
}

// release gives the pieces back.
func (p *patchwork) release() {
	for i, piece := range p.whole {
		pieces[min(i, len(pieces)-1)].Put(piece)
	}
	clear(p.whole)
}

// ReadAll reads r to its end, and no more than limit bytes. What it returns is
// the caller's own; beside an error it is what came before.
func ReadAll(r io.Reader, limit int64) ([]byte, loan.Loan, error) {
	var p patchwork
	err := p.readAll(r, limit)
	body, l := p.join(min(p.size, limit)) // what is over the cap is not handed on
	p.release()                           // a panic of r's takes the pieces along
	return body, l, err
}

func (p *patchwork) readAll(r io.Reader, limit int64) error {
	for {
		n, err := r.Read(p.room())
		p.add(n)
		switch {
		case p.size > limit: // before the end is looked at: it may come with the last bytes
			return messages.ErrBodyTooLarge
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
