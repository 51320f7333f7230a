package dial

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/messages/protocol"
)

// pass waits at the gate of a dial, if it has one, and returns whom to tell how the dial
// ended. The dial's time begins when it is through.
func pass(ctx context.Context) (ended func(error), err error) {
	gate := protocol.DialGateOf(ctx)
	if gate == nil {
		return func(error) {}, nil
	}
	waits := func() (func(protocol.DialEnd), error) { return gate(ctx) }
	if p, ok := ctx.Value(patienceKey{}).(*patience); ok {
		waits = func() (func(protocol.DialEnd), error) { return p.suspended(gate) }
	}
	tell, err := waits()
	if err != nil {
		return nil, err
	}
	return func(err error) { tell(endOf(err)) }, nil
}

// endOf is what an error of a dial says of what the server has seen.
func endOf(err error) protocol.DialEnd {
	switch {
	case err == nil:
		return protocol.DialOpened
	case isUnsent(err):
		return protocol.DialUnsent
	}
	return protocol.DialUnclear
}

// isUnsent reports whether a dial failed before anything left this machine for the server.
// What is not known to be so may have been seen.
func isUnsent(err error) bool {
	var lookup *net.DNSError
	var address *net.AddrError
	if errors.As(err, &lookup) || errors.As(err, &address) {
		return true
	}
	return slices.ContainsFunc(refusedHere, func(local error) bool { return errors.Is(err, local) })
}

// patience is the context of a dial that passes a gate: it ends after a time that stands
// still at the gate, and begins anew behind it.
type patience struct {
	context.Context // the pool's: for its values, and it may end before
	time            time.Duration
	done            chan struct{}
	unwatch         func() bool // the parent

	mu    sync.Mutex
	timer *time.Timer // guarded by mu
	until time.Time   // guarded by mu; zero at the gate
	err   error       // guarded by mu: why it ended; nil until then
}

type patienceKey struct{}

func withPatience(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	p := &patience{Context: parent, time: d, done: make(chan struct{})}
	p.begin()
	p.unwatch = context.AfterFunc(parent, func() { p.end(parent.Err()) })
	return p, func() {
		p.unwatch()
		p.end(context.Canceled)
	}
}

// begin has its time run from now on.
func (p *patience) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	p.until = time.Now().Add(p.time)
	p.timer = time.AfterFunc(p.time, func() { p.end(context.DeadlineExceeded) })
}

func (p *patience) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
		p.timer.Stop()
		close(p.done)
	}
}

// suspended passes a gate while time stands still.
func (p *patience) suspended(gate protocol.DialGate) (func(protocol.DialEnd), error) {
	p.mu.Lock()
	p.until = time.Time{}
	stopped := p.timer.Stop()
	p.mu.Unlock()
	if !stopped { // time is up, or about to be
		<-p.done
		return nil, p.Err()
	}
	ended, err := gate(p.Context)
	p.begin()
	return ended, err
}

// Deadline is part of context.Context.
func (p *patience) Deadline() (time.Time, bool) {
	p.mu.Lock()
	until := p.until
	p.mu.Unlock()
	parents, ok := p.Context.Deadline()
	if until.IsZero() || ok && parents.Before(until) {
		return parents, ok
	}
	return until, true
}

// Done is part of context.Context.
func (p *patience) Done() <-chan struct{} { return p.done }

// Err is part of context.Context.
func (p *patience) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Value is part of context.Context.
func (p *patience) Value(key any) any {
	if key == (patienceKey{}) {
		return p
	}
	return p.Context.Value(key)
}
