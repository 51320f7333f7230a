package crew

import (
	"sort"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
)

// lostOperation is under which results have what a lost machine owed.
const lostOperation = "(lost machine)"

// kindLost is the kind of their errors.
const kindLost = "machine lost"

// debt is what a machine that was lost had due and did not report. Nobody knows whether it
// was sent, so it counts as never sent, and as unfinished at the time it had when the run
// ended, for nothing that is missing may make a run look better.
//
// Invariant: samples that arrived, open ones, and those that each tells of add up to what is
// due to the share before until, and what steps of chains were reported beside it.
type debt struct {
	share    Share
	reported uint64        // offered, in what arrived
	open     uint64        // of these, without a sample
	last     int           // the last second that was reported, -1 if none was
	chained  bool          // arrivals make several requests, and so reported counts more
	until    time.Duration // up to which the share was due
	end      time.Duration // when nobody waited any longer
}

// first is the number of the first arrival that was not reported. The share is released in
// order, so what was reported is its beginning.
func (d debt) first(due schedule.Schedule, before counter) uint64 {
	n, every := uint64(d.share.Worker), uint64(d.share.Workers)
	if !d.chained {
		return n + d.reported*every
	}
	from := time.Duration(d.last+1) * time.Second
	if at, ok := due.At(n); !ok || at >= from {
		return n
	}
	return n + (before(due, n, from)-n+every-1)/every*every
}

// counter returns how many are due before an instant, of which n is one.
type counter func(due schedule.Schedule, n uint64, before time.Duration) uint64

// each calls tell with an interval for every second, and phase, in which something is owed.
func (d debt) each(spec schedule.Spec, tell func(results.Interval) error) error {
	due, err := spec.Schedule()
	if err != nil {
		return err
	}
	before := counter(arrivals)
	if spec.Poisson {
		before = drawn
	}
	if d.open > 0 {
		if err := tell(d.unended(spec.WarmUp)); err != nil {
			return err
		}
	}
	every := uint64(d.share.Workers)
	for n := d.first(due, before); ; {
		at, ok := due.At(n)
		if !ok || at >= d.until {
			return nil
		}
		phase, border := results.Main, min(at.Truncate(time.Second)+time.Second, d.until)
		if at < spec.WarmUp {
			phase, border = results.WarmUp, min(border, spec.WarmUp)
		}
		owed := (before(due, n, border) - n + every - 1) / every
		if err := tell(d.interval(int(at/time.Second), phase, owed, d.end-border)); err != nil {
			return err
		}
		n += owed * every
	}
}

// unended has what was offered and has no sample: it was under way.
func (d debt) unended(warmUp time.Duration) results.Interval {
	second, phase := max(d.last, 0), results.Main
	if time.Duration(second)*time.Second < warmUp {
		phase = results.WarmUp
	}
	i := d.interval(second, phase, d.open, d.end-time.Duration(second+1)*time.Second)
	i.Offered = 0
	return i
}

// interval has what is owed of a part of a second, each at the least time that it can have
// taken.
func (d debt) interval(second int, phase results.Phase, n uint64, elapsed time.Duration) results.Interval {
	response := results.NewHistogram()
	response.RecordN(max(elapsed, 0), n)
	return results.Interval{
		Second: second, Phase: phase, Offered: n,
		Operations: map[string]*results.Operation{lostOperation: {
			Count: n, Errors: map[string]uint64{kindLost: n}, Response: response,
		}},
	}
}

// arrivals is a counter that looks at some tens of arrivals.
func arrivals(due schedule.Schedule, n uint64, before time.Duration) uint64 {
	past := func(n uint64) bool {
		at, ok := due.At(n)
		return !ok || at >= before
	}
	step := uint64(1)
	for !past(n + step) {
		n, step = n+step, step*2
	}
	return n + 1 + uint64(sort.Search(int(step-1), func(i int) bool { return past(n + 1 + uint64(i)) }))
}

// drawn is one for a schedule that draws its arrivals one after another.
func drawn(due schedule.Schedule, n uint64, before time.Duration) uint64 {
	for {
		if at, ok := due.At(n); !ok || at >= before {
			return n
		}
		n++
	}
}
