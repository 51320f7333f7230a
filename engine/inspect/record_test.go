package inspect

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/engine"
)

// The record keeps the slowest of late, and the last that failed, as a list of everything
// would have them.
func TestTheSlowestAndTheLastFailedAreKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const keeps, late = 4, time.Minute
		r, now := newRecord(keeps, late), time.Unix(1_700_000_000, 0)
		r.observer()
		type end struct {
			at       time.Time
			took     time.Duration
			err      string // or the status of an error answer
			answered bool
		}
		var all, slow []end
		forget := func(now time.Time) []end {
			slow = slices.DeleteFunc(slow, func(e end) bool { return now.Sub(e.at) > late })
			return slow
		}
		for i := range rapid.IntRange(1, 60).Draw(t, "ends") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "ms")) * time.Millisecond)
			one := end{at: now, took: time.Duration(1 + rapid.IntRange(0, 1_000_000).Draw(t, "took"))}
			d := engine.Ended{Request: &engine.Request{Path: "/"}, Timing: engine.Timing{Total: one.took}}
			switch status := rapid.SampledFrom([]int{0, 200, 399, 400, 401, 500}).Draw(t, "status"); {
			case status == 0:
				one.err = fmt.Sprint("failure ", i)
				d.Err = errors.New(one.err)
			case status >= 400:
				one.err, one.answered = fmt.Sprint("status ", status), true
				fallthrough
			default:
				d.Response = &engine.Response{StatusCode: status}
			}
			r.end(now, &d)
			all = append(all, one)
			// By hand: each is added, and what is too much goes. One that went does not come back,
			// though those that pushed it out grow old before it.
			slow = append(forget(now), one)
			slices.SortStableFunc(slow, func(a, b end) int { return int(b.took - a.took) })
			slow = slow[:min(len(slow), keeps)]
		}
		read := r.read(now)
		require.EqualValues(t, len(all), read.Ended)

		require.Len(t, read.Slowest, len(forget(now)))
		for i, s := range read.Slowest {
			require.Equal(t, slow[i].took, s.Timing.Total)
		}
		var failed []string
		var answered int
		for _, e := range all {
			if e.err != "" {
				failed = append(failed, e.err)
			}
			if e.answered {
				answered++
			}
		}
		require.EqualValues(t, answered, read.ErrorAnswers)
		require.EqualValues(t, len(failed)-answered, read.Failed)
		slices.Reverse(failed)
		var kept []string
		for _, f := range read.Last {
			kept = append(kept, f.Error)
		}
		require.Equal(t, failed[:min(len(failed), keeps)], kept)
	})
}

func TestARequestThatIsNotSlowTakesNoLock(t *testing.T) {
	r, now := newRecord(2, time.Hour), time.Now()
	r.observer()
	end := func(took time.Duration) {
		r.end(now, &engine.Ended{Request: &engine.Request{Path: "/"}, Timing: engine.Timing{Total: took}})
	}
	end(time.Second)
	end(time.Second)
	r.mu.Lock() // whoever needs it now waits for ever
	end(time.Millisecond)
	r.mu.Unlock()
	require.EqualValues(t, 3, r.read(now).Ended)
	d := engine.Ended{Request: &engine.Request{Path: "/"}, Timing: engine.Timing{Total: 1}}
	require.Zero(t, testing.AllocsPerRun(100, func() { r.end(now, &d) }))
}
