package load

import (
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// medians are the running medians of responses, by operation: when the next step of a chain
// is due. The tally tells of responses; workers ask at any time.
//
// A median is that of the last responses: once forgetAfter have been told of, what was told
// before counts half.
type medians struct {
	of []median
}

type median struct {
	now    atomic.Int64 // nanoseconds; 0 until there is one
	recent *results.Histogram
	before *results.Histogram
	told   int
}

const (
	forgetAfter   = 10_000
	medianRefresh = 64 // responses, while there are many
)

func newMedians(operations int) *medians {
	m := &medians{of: make([]median, operations)}
	for i := range m.of {
		m.of[i].recent, m.of[i].before = results.NewHistogram(), results.NewHistogram()
	}
	return m
}

// tell is for one goroutine.
func (m *medians) tell(operation int, response time.Duration) {
	of := &m.of[operation]
	of.recent.Record(response)
	of.told++
	if of.told < medianRefresh || of.told%medianRefresh == 0 {
		both := of.recent.Clone()
		both.Merge(of.before)
		of.now.Store(int64(both.Quantile(0.5)))
	}
	if of.told == forgetAfter {
		of.before, of.recent, of.told = of.recent, of.before, 0
		of.recent.Reset()
	}
}

// expected is the median response; false if none is known yet.
func (m *medians) expected(operation int) (time.Duration, bool) {
	d := time.Duration(m.of[operation].now.Load())
	return d, d > 0
}

// nextDue is when the step behind one is due: after the median response of that step, and not
// after the actual one, or a server that stalls would be asked later and the wait not be
// counted; but at its end if that came sooner, since then a real client goes on at once.
func nextDue(due, end, median time.Duration, known bool) time.Duration {
	if !known {
		return end
	}
	return min(due+median, end)
}
