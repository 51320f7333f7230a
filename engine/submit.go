package engine

import (
	"context"
	"errors"
	"sync"
)

// Pending is a request that Engine.Submit sent on its journey. All methods are safe for
// concurrent use.
type Pending struct {
	request *Request
	cancel  context.CancelFunc
	told    func(*Pending) // called once, when it has ended; nil tells nobody

	mu       sync.Mutex
	done     chan struct{} // guarded by mu; closed when it has ended, nil until somebody asks
	ended    bool          // guarded by mu
	response *Response     // written before ended is set
	err      error         // likewise
}

// Submit sends a request on its journey and returns at once: it is Do without a caller who
// waits. While it waits for limits, or in a queue, it needs no goroutine and no stack; one is
// lent to it while it is signed and exchanged. It ends by its answer, by ctx, by its
// timeout, by Cancel or by the end of the engine, whichever is first, and always does end;
// what is wrong with it is the error of its Result. Nobody need look at the result.
//
// The request must not be changed until it has ended. With Request.Stream the stream of
// the answer must be read or closed by whoever takes the result: one that nobody takes holds
// its connection.
func (e *Engine) Submit(ctx context.Context, req *Request) *Pending { return e.submit(ctx, req, nil) }

// submit is Submit, and calls told once when the request has ended, from a goroutine on which
// user code has run: told must not block, and calls nothing that is not the engine's.
func (e *Engine) submit(ctx context.Context, req *Request, told func(*Pending)) *Pending {
	p := &Pending{request: req, told: told}
	ctx, p.cancel = context.WithCancel(ctx)
	go func() {
		response, err := (*Response)(nil), error(errors.ErrUnsupported)
		defer func() { p.end(response, err) }()
		response, err = e.Do(ctx, req)
		if err != nil || response.Stream == nil {
			p.cancel() // or its parent would know of it for as long as that lasts
		}
	}()
	return p
}

// end is called once.
func (p *Pending) end(response *Response, err error) {
	p.mu.Lock()
	p.response, p.err, p.ended = response, err, true
	if p.done != nil {
		close(p.done)
	}
	p.mu.Unlock()
	if p.told != nil {
		p.told(p)
	}
}

// Request returns the request that was submitted.
func (p *Pending) Request() *Request { return p.request }

// Done returns a channel that is closed when the request has ended.
func (p *Pending) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done == nil {
		p.done = make(chan struct{})
		if p.ended {
			close(p.done)
		}
	}
	return p.done
}

// Result waits until the request has ended, and returns what Do would have.
func (p *Pending) Result() (*Response, error) {
	<-p.Done()
	return p.response, p.err
}

// Cancel ends the request as the end of its context would, with an error that is
// context.Canceled. It does nothing to one that has ended, and does not wait: Done tells.
func (p *Pending) Cancel() { p.cancel() }
