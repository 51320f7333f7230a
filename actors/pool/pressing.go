package pool

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// A dial holds a place from its beginning, and an origin that answers no dial would
// hold all of them until its dials time out. So a dial in doubt, which is one that
// has taken longer than dialTurn, keeps its place from others only within bounds:
//
//   - of one origin the oldest keeps its place, and
//   - of all origins together at most half of the places are kept so, by the oldest.
//
// Any other dial in doubt is aborted as soon as a pool waits for a place that has no
// dial in doubt itself, one for each such pool; its place is free once it has ended,
// so that the sockets of dials never count for less than they are. Of one place, half
// is none: there each dial has a turn of its own, twice as long after each that was
// ended so, up to longestTurn, or an origin that is merely slow would never be
// reached.

const (
	dialTurn    = 500 * time.Millisecond
	longestTurn = 4 * time.Second
)

// dialling is a dial under way. Its fields are guarded by Places.mu, but for what
// is set when it is made.
type dialling struct {
	of    *seat
	since time.Duration
	turn  time.Duration // for how long it is not in doubt
	abort context.CancelCauseFunc
	ends  bool // it is being aborted, and its place comes back
}

func (d *dialling) inDoubt(now time.Duration) bool { return now >= d.since+d.turn }

// doubtful is how many dials of a pool are in doubt. It requires that mu is held.
func (s *seat) doubtful(now time.Duration) (n int) {
	for _, d := range s.dials {
		if d.inDoubt(now) {
			n++
		}
	}
	return n
}

// begin takes note of a dial, and returns the context to make it with, which is the
// parent's if no dial ever has to make room.
func (p *Places) begin(parent context.Context, now time.Duration, s *seat) (context.Context, *dialling) {
	if p.maxTotal <= 0 {
		return parent, nil
	}
	ctx, abort := context.WithCancelCause(parent)
	d := &dialling{of: s, since: now, turn: dialTurn, abort: abort}
	p.mu.Lock()
	if p.maxTotal == 1 {
		d.turn = min(longestTurn, dialTurn<<min(s.yields, 10))
	}
	s.dials = append(s.dials, d)
	p.mu.Unlock()
	return ctx, d
}

// ended takes note that a dial has ended, however it did. Its place is another
// matter: a connection keeps it.
func (p *Places) ended(d *dialling) {
	if d == nil {
		return
	}
	p.mu.Lock()
	d.of.dials = slices.DeleteFunc(d.of.dials, func(other *dialling) bool { return other == d })
	if d.ends {
		d.of.yields++
		if i := slices.Index(p.waiting, d.of); i >= 0 { // it has had its turn, and whoever came after it has not
			p.waiting = append(slices.Delete(p.waiting, i, i+1), d.of)
		}
	} else {
		d.of.yields = 0
	}
	p.mu.Unlock()
	d.abort(nil)
}

// press aborts as many dials in doubt as pools wait that could use their places,
// and returns when another dial may be in doubt.
func (p *Places) press(now time.Duration) (again time.Duration) {
	p.mu.Lock()
	again = now + dialTurn // those that begin from now on
	var kept, others []*dialling
	needed := p.needed(now)
	for _, s := range p.pools {
		oldest := true
		for _, d := range s.dials {
			switch {
			case d.ends:
				needed--
			case !d.inDoubt(now):
				again = min(again, d.since+d.turn)
			case oldest:
				kept, oldest = append(kept, d), false
			default:
				others = append(others, d)
			}
		}
	}
	slices.SortFunc(kept, oldestFirst)
	slices.SortFunc(others, oldestFirst)
	most := min(len(kept), p.maxTotal/2)
	others = append(kept[most:], others...)
	aborted := others[len(others)-min(len(others), max(0, needed)):]
	for _, d := range aborted {
		d.ends = true
	}
	p.mu.Unlock()
	for _, d := range aborted {
		d.abort(errYielded)
	}
	return again
}

func oldestFirst(a, b *dialling) int { return cmp.Compare(a.since, b.since) }

// needed is how many pools wait that have no dial in doubt. It requires that mu is
// held.
func (p *Places) needed(now time.Duration) (n int) {
	for _, s := range p.waiting {
		if s.doubtful(now) == 0 {
			n++
		}
	}
	return n
}
