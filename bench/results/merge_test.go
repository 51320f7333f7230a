package results

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/schedule"
)

func machine(t require.TestingT, host string, intervals []Interval, end *End) *Run {
	h := header()
	h.Environment.Host = host
	run, err := Read(bytes.NewReader(written(t, h, intervals, end)))
	require.NoError(t, err)
	return run
}

func TestMergingMachinesIsReadingAllTheirLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawnIntervals(t, rapid.SampledFrom([]int{5, 3000, 20_000}).Draw(t, "most of a"))
		b := drawnIntervals(t, rapid.SampledFrom([]int{5, 3000, 20_000}).Draw(t, "most of b"))
		merged, err := Merge(machine(t, "one", a, nil), machine(t, "two", b, nil))
		require.NoError(t, err)
		both := machine(t, "both", append(append([]Interval{}, a...), b...), nil)
		require.Equal(t, both.Step, merged.Step)
		require.Len(t, merged.Series, len(both.Series))
		require.Equal(t, both.Counts, merged.Counts)
		require.Equal(t, both.WarmCounts, merged.WarmCounts)
		for i := range both.Series {
			want, got := both.Series[i], merged.Series[i]
			require.Equal(t, want.Offered, got.Offered)
			require.Equal(t, want.Phase, got.Phase)
			requireEqualHistograms(t, want.All().Response, got.All().Response)
		}
		for _, name := range []string{"", "GET /a", "GET /b"} {
			for _, totals := range [][2]map[string]*Operation{{both.Total, merged.Total}, {both.Warm, merged.Warm}} {
				want, got := totals[0][name], totals[1][name]
				if want == nil {
					require.Nil(t, got)
					continue
				}
				require.Equal(t, want.Count, got.Count)
				require.Equal(t, want.Errors, got.Errors)
				require.Equal(t, want.Statuses, got.Statuses)
				require.Equal(t, want.Stages, got.Stages)
				requireEqualHistograms(t, want.Response, got.Response)
			}
		}
	})
}

func TestAMergedRunIsAsGoodAsTheWorstOfItsMachines(t *testing.T) {
	good := End{Elapsed: time.Second, Issued: time.Second, Reason: "finished", Verdicts: []Verdict{{Objective: "p99<1s", Held: true, Measured: "p99=1ms"}}}
	bad := End{
		Elapsed: 2 * time.Second, Reason: "interrupted", Unfinished: 3, NeverSent: 1, Invalid: []string{"late"}, Notes: []string{"hm"},
		Verdicts: []Verdict{{Objective: "p99<1s", Measured: "p99=2s"}},
	}
	one, two := machine(t, "one", []Interval{interval(0, Main, 4)}, &good), machine(t, "two", []Interval{interval(0, Main, 6)}, &bad)
	two.Header.Started = two.Header.Started.Add(-3 * time.Second)
	merged, err := Merge(one, two)
	require.NoError(t, err)
	require.Equal(t, End{
		Elapsed: 2 * time.Second, Issued: time.Second, Reason: "finished; interrupted", Unfinished: 3, NeverSent: 1, Invalid: []string{"two: late"},
		Notes:    []string{"two: hm", "the machines started up to 3s apart: their seconds are not the same"},
		Verdicts: []Verdict{{Objective: "p99<1s", Measured: "one: p99=1ms; two: p99=2s"}},
	}, merged.End)
	require.True(t, merged.Whole)
	require.Equal(t, []string{"one", "two"}, merged.Header.Machines)
	require.Equal(t, two.Header.Started, merged.Header.Started)
	gauges := merged.Series[0].Gauges
	require.Equal(t, 10, gauges.InFlight)
	require.Equal(t, []LimitUse{{ID: "weight", Used: 10, Quota: 200, Refusals: 2}}, gauges.Limits)
	require.Equal(t, 4, one.Series[0].Gauges.InFlight, "what was merged is as it was")
	require.Equal(t, int64(100), one.Series[0].Gauges.Limits[0].Quota)

	lost := machine(t, "three", nil, nil)
	merged, err = Merge(merged, lost)
	require.NoError(t, err)
	require.False(t, merged.Whole)
	require.Equal(t, []string{"one", "two", "three"}, merged.Header.Machines)
	require.Contains(t, merged.End.Reason, "the results end early")
}

func TestRunsThatAreNotOneAreNotMerged(t *testing.T) {
	one := machine(t, "one", nil, nil)
	for want, change := range map[string]func(*Header){
		`one is "run-1", another "run-2"`: func(h *Header) { h.ID = "run-2" },
		`one is "open", another "closed"`: func(h *Header) { h.Model = "closed" },
		"their schedules differ":          func(h *Header) { h.Schedule = schedule.Spec{Seed: 8} },
		"schedules differ":                func(h *Header) { h.Planned++ },
	} {
		other := machine(t, "two", nil, nil)
		change(&other.Header)
		_, err := Merge(one, other)
		require.ErrorIs(t, err, ErrDifferent)
		require.ErrorContains(t, err, want)
	}
	_, err := Merge()
	require.ErrorIs(t, err, ErrDifferent)
	same, err := Merge(one)
	require.NoError(t, err)
	require.Equal(t, one, same)
}

func TestLaterGaugesOfAMachineAreTheLargestAndTheSumOfWhatPasses(t *testing.T) {
	g := &Gauges{InFlight: 5, Waiting: 1, Connections: 2, CPU: time.Second, Heap: 10, GC: time.Millisecond, GCs: 1, Limits: []LimitUse{{ID: "a", Used: 5, Quota: 10}}}
	g.follow(&Gauges{InFlight: 3, Waiting: 4, Connections: 2, CPU: time.Second, Heap: 12, GC: time.Millisecond, GCs: 2, Limits: []LimitUse{{ID: "a", Used: 3, Quota: 20, Refusals: 1}, {ID: "b"}}})
	require.Equal(t, &Gauges{InFlight: 5, Waiting: 4, Connections: 2, CPU: 2 * time.Second, Heap: 12, GC: 2 * time.Millisecond, GCs: 3, Limits: []LimitUse{{ID: "a", Used: 5, Quota: 20, Refusals: 1}, {ID: "b"}}}, g)
}

func TestSumsStopAtTheMostThereIs(t *testing.T) {
	o := &Operation{Count: ^uint64(0), Stages: Stages{Wait: 1<<63 - 1}}
	o.Add(&Operation{Count: 1, Stages: Stages{Wait: time.Hour, Send: -5}})
	require.Equal(t, ^uint64(0), o.Count)
	require.Equal(t, time.Duration(1<<63-1), o.Stages.Wait)
	require.Zero(t, o.Stages.Send)
	o.Add(nil)
	require.NotNil(t, (*Operation)(nil).Clone())
}

func TestAFileThatIsGivenTwiceIsNotCountedTwice(t *testing.T) {
	intervals := []Interval{interval(0, Main, 1), interval(1, Main, 2)}
	one, again := machine(t, "one", intervals, nil), machine(t, "one", intervals, nil)
	_, err := Merge(one, machine(t, "two", intervals, nil), again)
	require.ErrorIs(t, err, ErrDifferent)
	require.ErrorContains(t, err, "twice")
	nothing := machine(t, "one", nil, nil)
	_, err = Merge(nothing, nothing)
	require.NoError(t, err, "workers that had nothing to do are alike")
}
