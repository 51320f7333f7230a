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
// Invariant: offered, of which the file has lines, and owed add up to what is due to the
// share before until.
type debt struct {
	share    Share
	reported uint64        // offered, in what arrived
	open     uint64        // of these, not told to be completed
	until    time.Duration // up to which the share was due
	end      time.Duration // when nobody waited any longer
}

// each calls tell with an interval for every second, and phase, in which something is owed.
func (d debt) each(spec schedule.Spec, tell func(results.Interval) error) error {
	due, err := spec.Schedule()
	if err != nil {
		return err
	}
	before := arrivals
	if spec.Poisson {
		before = drawn
	}
	// The share is released in order, so what was reported is its beginning.
	every := uint64(d.share.Workers)
	n := uint64(d.share.Worker) + d.reported*every
	for {
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

// arrivals returns how many are due before an instant, n among them. It looks at some tens of
// them.
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

// drawn returns the same for a schedule that draws its arrivals one after another.
func drawn(due schedule.Schedule, n uint64, before time.Duration) uint64 {
	for {
		if at, ok := due.At(n); !ok || at >= before {
			return n
		}
		n++
	}
}
