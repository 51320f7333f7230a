package journal

import (
	"encoding/binary"
	"time"
)

// reader takes a record apart. Once something is missing it is bad, and all that
// follows is zero.
type reader struct {
	left []byte
	bad  bool
}

func (r *reader) byte() byte {
	if len(r.left) == 0 {
		r.bad = true
		return 0
	}
	b := r.left[0]
	r.left = r.left[1:]
	return b
}

func (r *reader) unsigned() uint64 {
	if len(r.left) > 0 && r.left[0] < 0x80 { // most numbers are small
		n := r.left[0]
		r.left = r.left[1:]
		return uint64(n)
	}
	n, size := binary.Uvarint(r.left)
	return n * uint64(r.took(size))
}

func (r *reader) signed() int64 {
	n := r.unsigned() // the sign is the lowest bit
	return int64(n>>1) ^ -int64(n&1)
}

// took moves on by what was read, and returns 0 if that is nothing, and otherwise 1.
func (r *reader) took(size int) int {
	if size <= 0 {
		r.bad, r.left = true, nil
		return 0
	}
	r.left = r.left[size:]
	return 1
}

// number is one that a meter or a flight may have.
func (r *reader) number() uint32 {
	n := r.unsigned()
	if n >= mostNumbers {
		r.bad = true
		return 0
	}
	return uint32(n)
}

// mostNumbers is more meters, and more permits in flight, than there is memory for;
// what is read must not make room for more.
const mostNumbers = 1 << 26

// farthest is farther than any instant, and far from overflow: about a hundred years.
const farthest = 1 << 61

func (r *reader) instant() time.Duration {
	n := r.signed()
	if n > farthest/1000 || n < -farthest/1000 {
		r.bad = true
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

func (r *reader) span() time.Duration {
	n := r.signed()
	if n < 0 || n > farthest {
		r.bad = true
		return 0
	}
	return time.Duration(n)
}

const mostWeight = 1 << 60

func (r *reader) weight() int64 {
	n := r.signed()
	if n > mostWeight || n < -mostWeight {
		r.bad = true
		return 0
	}
	return n
}

func (r *reader) text() string {
	n := r.unsigned()
	if r.bad || n > uint64(len(r.left)) {
		r.bad = true
		return ""
	}
	text := string(r.left[:n])
	r.left = r.left[n:]
	return text
}

func (r *reader) more() bool { return !r.bad && len(r.left) > 0 }
