package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
)

// item is one request of a run. It belongs to the goroutine that reads the input until it
// is sent; to its crew until it is carried or submitted, and then to the request's until that has
// ended; to the heap of those that wait to go again; and from finished on to the goroutine of the
// loop, which makes it spare. Then it carries another request.
type item struct {
	run  *run
	next *item // of the stack that it is in

	index    int64
	request  *Request // as the input had it
	sent     *Request // as it is submitted
	response *Response
	err      error
	failed   bool
	tries    int
	doubted  bool      // an earlier try may have been carried out
	due      time.Time // when it goes again

	until   time.Time // by FanOut.Each; zero for none
	ctx     context.Context
	cancel  context.CancelFunc // of ctx; nil if that is the run's
	lent    *request.Stream    // that the answer came with; nil without one
	outside bool               // it holds no credit
	counted counted            // by the tally, if somebody wants to know

	rank      *rank // of the crew that it was given to last; nil if it went without
	submitted bool  // by its crew, and so it is counted out when it has ended
	stands    bool  // it is counted in the rank's standing; written under crews.mu, by whoever has the item or is told of it
}

// clear leaves nothing of the request that it carried.
func (it *item) clear() { *it = item{run: it.run} }

// stack is a pile of items that many put on, and that is taken as a whole: one atomic
// operation for each item, and one for a batch.
type stack struct{ top atomic.Pointer[item] }

// push reports whether the stack was empty. The item is not the caller's any more.
func (s *stack) push(it *item) (first bool) {
	for {
		top := s.top.Load()
		it.next = top
		if s.top.CompareAndSwap(top, it) {
			return top == nil
		}
	}
}

// takeAll empties the stack; the last to come is the first.
func (s *stack) takeAll() *item {
	if s.top.Load() == nil {
		return nil
	}
	return s.top.Swap(nil)
}

// reversed puts a list in the order in which it was piled up, and counts it.
func reversed(list *item) (first *item, n int64) {
	for list != nil {
		list, list.next, first = list.next, first, list
		n++
	}
	return first, n
}

// turns puts items in the order of their indices. No more than a window of them are ahead
// of the next at any time.
type turns struct {
	next int64   // the index whose turn it is
	ring []*item // by index modulo its length, a power of two
	held int     // in the ring
}

// put keeps an item until its turn.
func (t *turns) put(it *item) {
	for it.index-t.next >= int64(len(t.ring)) {
		t.grow()
	}
	t.ring[it.index&int64(len(t.ring)-1)] = it
	t.held++
}

func (t *turns) grow() {
	larger := make([]*item, max(64, 2*len(t.ring)))
	for _, it := range t.ring {
		if it != nil {
			larger[it.index&int64(len(larger)-1)] = it
		}
	}
	t.ring = larger
}

// take returns the item whose turn it is, if it is there.
func (t *turns) take() *item {
	if t.held == 0 {
		return nil
	}
	place := &t.ring[t.next&int64(len(t.ring)-1)]
	it := *place
	if it != nil {
		*place = nil
		t.next++
		t.held--
	}
	return it
}

// drain takes what is left, whosever turn it is.
func (t *turns) drain() (all []*item) {
	for i, it := range t.ring {
		if it != nil {
			all = append(all, it)
			t.ring[i] = nil
		}
	}
	t.held = 0
	return all
}

// earlier has a stream of an ordered run wait until every request before it has ended. One whose
// turn is later keeps its connection, its credit and perhaps a permit until the loop has come to
// it: an earlier request that waited for any of these would wait for ever.
type earlier struct {
	going atomic.Int64 // requests that were begun and have not ended
	waits atomic.Bool  // who reads the input waits until there are none
	wake  chan struct{}
}

// await returns when none are going, or done is closed.
func (e *earlier) await(done <-chan struct{}) {
	e.waits.Store(true)
	for e.going.Load() > 0 {
		select {
		case <-e.wake:
		case <-done:
			return
		}
	}
	e.waits.Store(false)
}

// ended counts one out.
func (e *earlier) ended() {
	if e.going.Add(-1) == 0 && e.waits.Load() {
		select {
		case e.wake <- struct{}{}:
		default: // it is to look already
		}
	}
}

// credits are what a run may have on its way and undelivered: its window. One goroutine
// waits for them, which reads the input; those that go again come before it.
type credits struct {
	free    atomic.Int64
	quantum int64       // so many must be free before who sleeps is woken for them
	asleep  atomic.Bool // who reads the input sleeps, or is about to
	owed    atomic.Bool // some that go again are due and found no credit: the input stands back
	wake    chan struct{}
}

func newCredits(window int) *credits {
	c := &credits{quantum: max(1, int64(window)/8), wake: make(chan struct{}, 1)}
	c.free.Store(int64(window))
	return c
}

func (c *credits) take() bool {
	for {
		n := c.free.Load()
		if n <= 0 {
			return false
		}
		if c.free.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// give gives one back. Who sleeps is woken for a number of them, or by nudge.
func (c *credits) give() {
	if c.free.Add(1) >= c.quantum {
		c.rouse()
	}
}

// nudge wakes who sleeps for any credit: whoever gives back more calls it before it sleeps.
func (c *credits) nudge() {
	if c.free.Load() > 0 {
		c.rouse()
	}
}

func (c *credits) rouse() {
	if c.asleep.Load() && !c.owed.Load() && c.asleep.CompareAndSwap(true, false) {
		c.wake <- struct{}{} // there is room: who has set asleep takes one before it sets it again
	}
}

func (c *credits) any() bool { return c.free.Load() > 0 && !c.owed.Load() }

// await waits until a credit is free, and does not take it; false when done is closed.
func (c *credits) await(done <-chan struct{}) bool {
	for {
		select {
		case <-done:
			return false
		default:
		}
		if c.any() {
			return true
		}
		c.asleep.Store(true)
		if c.any() && c.asleep.CompareAndSwap(true, false) {
			return true
		}
		select {
		case <-c.wake:
		case <-done:
			return false
		}
	}
}
