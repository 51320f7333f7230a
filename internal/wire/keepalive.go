package wire

import (
	"bytes"
	"time"
)

// keepAlive is what a server has said about the life of its connection, with
// "Keep-Alive: timeout=5, max=100". It is a hint that nothing depends on: whoever
// lends connections retires one in time, so that a request does not cross with the
// server's close.
type keepAlive struct {
	hint time.Duration // see IdleHint
	left int           // requests that the server will read still, or -1
}

// IdleHint returns how long after an answer the connection may safely be used
// again, as far as the server has said, and zero if it has not: its timeout less a
// quarter, and less a second at most. The server's clock began when it wrote the
// answer, and what is sent next must have arrived before it ends.
func (k *keepAlive) IdleHint() time.Duration { return k.hint }

// heed takes note of an answer, and reports whether the server means to read
// another request.
func (k *keepAlive) heed(h *head) bool {
	if k.left > 0 {
		k.left--
	}
	// A server either counts down or says the same each time: the less is true.
	if h.more >= 0 && (k.left < 0 || h.more < k.left) {
		k.left = h.more
	}
	if h.idle >= 0 {
		d := time.Duration(h.idle) * time.Second
		k.hint = d - min(d/4, time.Second)
	}
	return k.left != 0 && h.idle != 0
}

// mostKeptAlive is as much as is believed of either number.
const mostKeptAlive = 1 << 30

// keepAlive reads the parameters that are known, and of two the less. What is no
// number is not understood, and says nothing.
func (h *head) keepAlive(value []byte) {
	for more := true; more; {
		var parameter []byte
		parameter, value, more = bytes.Cut(value, []byte{','})
		name, number, _ := bytes.Cut(parameter, []byte{'='})
		n, ok := decimal(trim(number))
		switch name = trim(name); {
		case !ok:
		case foldEqual(name, "timeout") && (h.idle < 0 || n < h.idle):
			h.idle = n
		case foldEqual(name, "max") && (h.more < 0 || n < h.more):
			h.more = n
		}
	}
}

func decimal(digits []byte) (n int, ok bool) {
	for _, b := range digits {
		if b < '0' || b > '9' {
			return 0, false
		}
		n = min(10*n+int(b-'0'), mostKeptAlive)
	}
	return n, len(digits) > 0
}
