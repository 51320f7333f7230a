package request

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Outside counts the goroutines that are in code of the caller's which a request does not
// wait for any longer than it has time: what reads, opens or closes its body.
type Outside struct {
	mu   sync.Mutex
	n    int
	idle chan struct{} // closed when n is 0; nil unless somebody waits
}

// Enter and Leave stand around such code.
func (o *Outside) Enter() {
	o.mu.Lock()
	o.n++
	o.mu.Unlock()
}

// Leave is to be deferred: such code may panic.
func (o *Outside) Leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n--; o.n == 0 && o.idle != nil {
		close(o.idle)
		o.idle = nil
	}
}

// Count returns how many there are.
func (o *Outside) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}

// Await returns when there are none.
func (o *Outside) Await() {
	o.mu.Lock()
	if o.n == 0 {
		o.mu.Unlock()
		return
	}
	if o.idle == nil {
		o.idle = make(chan struct{})
	}
	idle := o.idle
	o.mu.Unlock()
	<-idle
}

// closeGrace is how long the Close of a body is waited for, as long as that of a connection.
const closeGrace = 100 * time.Millisecond

var errNotClosed = errors.New("request body: its Close has not returned")

// Close closes a body of the caller's. That may wait for a Read, and so for somebody who never
// writes, as the body does that net/http gives to a handler: it has a goroutine of its own, and is
// waited for a moment only. A panic is a *messages.PanicError. Nobody counts what a nil Outside closes.
func (o *Outside) Close(body io.Closer) error {
	closed := o.closing(body)
	timer := time.NewTimer(closeGrace)
	defer timer.Stop()
	select {
	case err := <-closed:
		return err
	case <-timer.C:
		return errNotClosed
	}
}

// closing begins to close a body.
func (o *Outside) closing(body io.Closer) <-chan error {
	closed := make(chan error, 1)
	if o != nil {
		o.Enter()
	}
	go func() {
		if o != nil {
			defer o.Leave()
		}
		var err error
		returned := false
		defer func() {
			if !returned {
				err = wire.Panicked(messages.Exchanging, recover())
			}
			closed <- err
		}()
		err = body.Close()
		returned = true
	}()
	return closed
}
