package engine

import (
	"context"
	"iter"
)

// StreamAndCrews is Stream, and a look at what its crews count: requests that wait, that are on
// their way, and of those that stand by.
func (e *Engine) StreamAndCrews(ctx context.Context, input iter.Seq[*Request], how FanOut) (results iter.Seq2[*Request, Result], counts func() (todo, out, standing int)) {
	r := e.newRun(ctx, input, how, rules{})
	return r.results, func() (todo, out, standing int) {
		c := &r.crews
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, w := range c.of {
			for _, r := range w.ranks {
				out += r.out
				standing += r.standing
			}
		}
		return int(c.todo), out, max(standing, c.standing)
	}
}

// StreamAndRanks is Stream, and how many ranks its crews have.
func (e *Engine) StreamAndRanks(ctx context.Context, input iter.Seq[*Request], how FanOut) (results iter.Seq2[*Request, Result], ranks func() int) {
	r := e.newRun(ctx, input, how, rules{})
	return r.results, func() (n int) {
		r.crews.mu.Lock()
		defer r.crews.mu.Unlock()
		for _, w := range r.crews.of {
			n += len(w.ranks)
		}
		return n
	}
}
