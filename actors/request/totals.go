package request

import (
	"errors"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Totals count lives since the carrier was made, rehearsals apart. Each only ever grows.
type Totals struct {
	Begun                   int64
	Ended                   [len(outcomes)]int64 // by messages.Outcome
	Attempts, Repeated      int64                // exchanges, and those of them that repeat another of the same request
	QueueFull, PoolOverfull int64                // refused because too many wait for permits, or for a connection
}

var outcomes = [...]messages.Outcome{messages.Unknown, messages.NotSent, messages.Refused, messages.Rejected, messages.Done}

// lifeSum is what is counted of one life.
type lifeSum struct {
	outcome             messages.Outcome
	uncounted           bool // a rehearsal, or not the end of a request
	attempts, repeated  int32
	queueFull, overfull bool
}

// failed is what is counted of an error. Its causes may be the caller's own, whose methods
// panic.
func (t *lifeSum) failed(err error) {
	defer func() { _ = recover() }() // and then it is an Unknown one
	t.outcome = messages.OutcomeOf(err)
	t.queueFull, t.overfull = errors.Is(err, throttle.ErrQueueFull), errors.Is(err, messages.ErrTooManyWaiters)
}

// sum is what is counted of a life that ends.
func (r *slot) sum() lifeSum {
	last := lifeSum{attempts: int32(r.tried), uncounted: r.terms.Rehearsed != nil}
	if again := r.tried - 1 - r.redirects; again > 0 {
		last.repeated = int32(again)
	}
	switch {
	case r.err != nil:
		last.failed(r.err)
	case r.response != nil:
		last.outcome = r.response.Outcome()
	case r.sent == messages.SentNo && r.stage < messages.Exchanging: // its goroutine was ended
		last.outcome = messages.NotSent
	}
	return last
}

func (t *Totals) count(last lifeSum) {
	if last.uncounted {
		return
	}
	t.Ended[last.outcome]++
	t.Attempts += int64(last.attempts)
	t.Repeated += int64(last.repeated)
	if last.queueFull {
		t.QueueFull++
	}
	if last.overfull {
		t.PoolOverfull++
	}
}

func (t *Totals) add(other *Totals) {
	t.Begun += other.Begun
	for outcome, n := range other.Ended {
		t.Ended[outcome] += n
	}
	t.Attempts += other.Attempts
	t.Repeated += other.Repeated
	t.QueueFull += other.QueueFull
	t.PoolOverfull += other.PoolOverfull
}

// note counts a life that does not end in a shard.
func (s *slots) note(last lifeSum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals.count(last)
}

// Totals adds up what is counted. What has ended is looked at before what has begun, in
// which it is then.
func (c *Carrier) Totals() (all Totals) {
	for i := range c.slots.shards {
		s := &c.slots.shards[i]
		s.mu.Lock()
		all.add(&s.totals)
		s.mu.Unlock()
	}
	c.slots.mu.Lock()
	defer c.slots.mu.Unlock()
	all.add(&c.slots.totals)
	return all
}
