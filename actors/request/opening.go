package request

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// opening reads the first byte of a body ahead, so that an empty one is seen before
// its request is laid out. It is the body, with that byte in its place.
type opening struct {
	body io.Reader

	// read is closed when first and err are there. Who reads the body waits for it.
	read  chan struct{}
	first []byte
	err   error

	outside *Outside // counts who reads it ahead

	waited bool        // long enough: an attempt asks again; the request's owner has it
	closed atomic.Bool // set by whoever closes the body, on any goroutine
}

// openingWait is how long the first byte of a body is waited for: then it is sent in
// chunks as it comes. net/http waits as long.
const openingWait = 200 * time.Millisecond

// mostEmptyReads is how often a reader may return nothing, not even an error.
const mostEmptyReads = 100

func newOpening(body io.Reader, counted *Outside) *opening {
	o := &opening{body: body, read: make(chan struct{}), outside: counted}
	counted.Enter()
	go o.begin()
	return o
}

func (o *opening) begin() {
	defer o.outside.Leave()
	defer close(o.read)
	o.err = errReaderExited
	defer func() { // runs first
		if v := recover(); v != nil {
			o.err = wire.Panicked(messages.Exchanging, v)
		}
	}()
	var one [1]byte
	for range mostEmptyReads {
		n, err := o.body.Read(one[:])
		if n > 0 || err != nil {
			o.first, o.err = one[:n], err
			return
		}
	}
	o.err = io.ErrNoProgress
}

// isEmpty reports whether the body has ended before its first byte. One of which
// nothing has come in time is not.
func (o *opening) isEmpty(r *slot) (bool, error) {
	select {
	case <-o.read: // mostly it is there, and no timer is needed
		return o.ended(), nil
	default:
		if o.waited {
			return false, nil
		}
	}
	o.waited = true
	timer := time.NewTimer(openingWait)
	defer timer.Stop()
	var late <-chan time.Time
	if !r.deadline.IsZero() {
		alarm := time.NewTimer(time.Until(r.deadline))
		defer alarm.Stop()
		late = alarm.C
	}
	select {
	case <-o.read:
		return o.ended(), nil
	case <-timer.C:
		return false, nil
	case <-late:
		return false, context.DeadlineExceeded
	case <-r.own.Done():
		return false, messages.ContextError(&r.own)
	case <-r.needs.Closing:
		return false, messages.ErrClosed
	}
}

func (o *opening) ended() bool { return len(o.first) == 0 && o.err == io.EOF }

// Read is part of io.Reader.
func (o *opening) Read(p []byte) (int, error) {
	<-o.read
	switch {
	case len(p) == 0:
		return 0, nil
	case len(o.first) > 0:
		n := copy(p, o.first)
		o.first = o.first[n:]
		return n, nil
	case o.err != nil:
		return 0, o.err
	}
	return o.body.Read(p)
}

// Close closes the body if it can be, which ends a read of its first byte.
func (o *opening) Close() error {
	if c, ok := o.body.(io.Closer); ok && !o.closed.Swap(true) {
		return c.Close()
	}
	return nil
}

// abandon closes a body whose first byte is still waited for, and will not be sent.
func (u *upload) abandon() {
	if u == nil || u.opening == nil {
		return
	}
	select {
	case <-u.opening.read:
	default:
		u.opening.outside.closing(u.opening) // it may wait for the read, and nobody is left to tell
	}
}
