package crew

import (
	"fmt"
	"math"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// judgeEvery is how often an early end is thought of.
const judgeEvery = time.Second

// fastest is how many times as fast as up to now a closed run is thought to go on at most.
const fastest = 4

// judge ends the run if an objective cannot be held any more, whatever is still to come.
func (g *gathering) judge(now time.Time) {
	if g.cfg.Abort == 0 || g.sum == nil || g.failed != "" || now.Sub(g.start) < g.cfg.Abort || now.Sub(g.judged) < judgeEvery {
		return
	}
	g.judged = now
	totals := g.sum.Totals()
	if totals.Total[""].Count == 0 {
		return
	}
	coming := g.coming(totals, now.Sub(g.start))
	for _, objective := range g.cfg.Objectives {
		if objective.Seen(totals, coming) {
			verdict := objective.Judge(totals)
			g.failed = fmt.Sprintf("objective failed: %s, measured %s", verdict.Objective, verdict.Measured)
			g.tell(halt{"objective failed"})
			return
		}
	}
}

// coming is how many requests of the main part can still be added: the rest of a known
// number, or as many as a closed run of a known length can be thought to make.
func (g *gathering) coming(totals *results.Run, elapsed time.Duration) uint64 {
	h := &totals.Header
	done := totals.Total[""].Count
	switch past := elapsed - h.WarmUp; {
	case h.Planned > 0 && !g.cfg.Job.chained():
		return h.Planned - min(h.Planned, done+totals.Warm[""].Count)
	case h.Length > 0 && past > 0:
		inFlight := uint64(0)
		if all := g.stands.Load(); all != nil {
			inFlight = uint64(max(all.inFlight, 0))
		}
		return uint64(fastest*float64(done)*float64(max(h.Length-elapsed, 0))/float64(past)) + inFlight
	}
	return math.MaxUint64
}
