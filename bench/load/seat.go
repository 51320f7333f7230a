package load

import (
	"context"
	"sync"
	"time"
)

// seat is what others may know of a worker's request in flight: the watchdog, which ends it
// when its time is up, and the end of the run, which counts it. Its context is made once, and
// anew only after it was ended: a request that ends in time costs no timer and no allocation.
type seat struct {
	mu       sync.Mutex
	parent   context.Context
	ctx      context.Context
	cancel   context.CancelFunc
	busy     bool
	deadline time.Duration // of the request in flight
	overdue  bool          // its time was up
	cut      bool          // the run has ended without it
	counted  bool          // and its sample is the run's to write, not the worker's
	pending  sample        // what is known of it; the worker's own while it is not busy
}

// begin says that a request is handed to the client, and returns its context.
func (s *seat) begin(m *sample, timeout time.Duration) context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy, s.overdue = true, false
	s.deadline = m.handed + timeout
	s.pending = *m
	if s.cancel == nil {
		s.ctx, s.cancel = context.WithCancel(s.parent)
	}
	if s.cut { // the run ended between the taking and this
		s.cancel()
	}
	return s.ctx
}

// finish says that the client has returned. counted means that the run has given the
// request up, and has written its sample.
func (s *seat) finish() (overdue, cut, counted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = false
	if s.overdue || s.cut {
		s.cancel()
		s.ctx, s.cancel = nil, nil
	}
	return s.overdue, s.cut, s.counted
}

// expire ends the request if its time is up.
func (s *seat) expire(now time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy && !s.overdue && now >= s.deadline {
		s.overdue = true
		s.cancel()
	}
}

// give ends the request because the run is over.
func (s *seat) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
	if s.busy {
		s.cancel()
	}
}

// count returns the sample of a request that the client has still not returned, if there is
// one: the worker will write none.
func (s *seat) count() (sample, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.busy || s.counted {
		return sample{}, false
	}
	s.counted = true
	return s.pending, true
}

// leave frees the context of a worker that goes.
func (s *seat) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
	}
	s.ctx, s.cancel = nil, nil
}

// seats are those of all workers, in no order.
type seats struct {
	mu  sync.Mutex
	all map[*seat]struct{}
}

func (s *seats) add(one *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make(map[*seat]struct{})
	}
	s.all[one] = struct{}{}
}

func (s *seats) remove(one *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, one)
}

// each calls f for all of them. f must not take or leave a seat.
func (s *seats) each(f func(*seat)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for one := range s.all {
		f(one)
	}
}
