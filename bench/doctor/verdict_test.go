package doctor

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
)

func ptr[T any](v T) *T { return &v }

func TestEachVerdictTurnsWhereItsBoundIs(t *testing.T) {
	waker := func(idle, busy time.Duration) []Timer {
		return []Timer{
			{By: bySleep, Sleep: time.Millisecond, Count: 9, P99: time.Hour},
			{By: byWaker, Sleep: time.Millisecond, Count: 9, P99: idle},
			{By: byWaker, Sleep: time.Millisecond, Busy: true, Count: 9, P99: busy},
		}
	}
	for name, c := range map[string]struct {
		found Finding
		want  Level
	}{
		"a clean commit":        {judgeProgram(results.Environment{Commit: "abc"}), OK},
		"a modified one":        {judgeProgram(results.Environment{Commit: "abc modified"}), Warn},
		"none":                  {judgeProgram(results.Environment{}), Warn},
		"idle":                  {judgeLoad(machine{cpus: 2, load: ptr(0.8)}), OK},
		"some load":             {judgeLoad(machine{cpus: 2, load: ptr(0.9)}), Warn},
		"too much load":         {judgeLoad(machine{cpus: 2, load: ptr(3.1)}), Fail},
		"performance":           {judgeGovernor(machine{governor: "performance"}), OK},
		"powersave":             {judgeGovernor(machine{governor: "powersave"}), Warn},
		"two governors":         {judgeGovernor(machine{governor: "performance, powersave"}), Warn},
		"files":                 {judgeFiles(machine{files: ptr(uint64(20_000))}), OK},
		"no bound of files":     {judgeFiles(machine{files: ptr(uint64(math.MaxUint64))}), OK},
		"few files":             {judgeFiles(machine{files: ptr(uint64(19_999))}), Warn},
		"hardly any":            {judgeFiles(machine{files: ptr(uint64(1_023))}), Fail},
		"ports":                 {judgePorts(machine{ports: &portRange{1, 16_000}, timeWait: ptr(8_000)}), OK},
		"few ports":             {judgePorts(machine{ports: &portRange{1, 15_999}, timeWait: ptr(0)}), Warn},
		"half in TIME_WAIT":     {judgePorts(machine{ports: &portRange{1, 16_000}, timeWait: ptr(8_001)}), Warn},
		"nearly all":            {judgePorts(machine{ports: &portRange{1, 16_000}, timeWait: ptr(14_401)}), Fail},
		"nobody knows":          {judgePorts(machine{ports: &portRange{1, 16_000}}), OK},
		"backlog":               {judgeBacklog(machine{backlog: ptr(1_024)}), OK},
		"a small backlog":       {judgeBacklog(machine{backlog: ptr(128)}), Warn},
		"processors":            {judgeProcessors(machine{cpus: 4, procs: 4, quota: &quota{}}), OK},
		"as the quota":          {judgeProcessors(machine{cpus: 8, procs: 3, quota: &quota{true, 2.5}}), OK},
		"beyond the quota":      {judgeProcessors(machine{cpus: 8, procs: 8, quota: &quota{true, 2}}), Warn},
		"below one":             {judgeProcessors(machine{cpus: 8, procs: 2, quota: &quota{true, 0.5}}), Fail},
		"idle processors":       {judgeProcessors(machine{cpus: 8, procs: 2, quota: &quota{}}), Warn},
		"one processor":         {judgeProcessors(machine{cpus: 1, procs: 1, quota: &quota{}}), Warn},
		"exact":                 {judgeTimers(waker(time.Millisecond, 5*time.Millisecond)), OK},
		"late when busy":        {judgeTimers(waker(0, 5*time.Millisecond+1)), Warn},
		"a little late":         {judgeTimers(waker(time.Millisecond+1, 0)), Warn},
		"late":                  {judgeTimers(waker(5*time.Millisecond+1, 0)), Fail},
		"timers not measured":   {judgeTimers(nil), Fail},
		"right":                 {judgeStall(&Stall{Quantiles: []StalledShare{{0.9, 1060 * time.Millisecond, time.Second}}}), OK},
		"wrong above":           {judgeStall(&Stall{Quantiles: []StalledShare{{0.9, 1061 * time.Millisecond, time.Second}}}), Fail},
		"wrong below":           {judgeStall(&Stall{Quantiles: []StalledShare{{0.99, 3 * time.Millisecond, time.Second}}}), Fail},
		"starved":               {judgeStall(&Stall{Quantiles: []StalledShare{{0.9, time.Second, time.Second}}, Invalid: []string{"late"}}), Fail},
		"stall not measured":    {judgeStall(&Stall{Invalid: []string{"no port"}}), Fail},
		"fast":                  {judgeDispatch(&Rate{Highest: 20_000}), OK},
		"slow":                  {judgeDispatch(&Rate{Highest: 19_999}), Warn},
		"too slow":              {judgeDispatch(&Rate{Highest: 999}), Fail},
		"nothing is dispatched": {judgeDispatch(&Rate{Why: "late"}), Fail},
		"answered":              {judgeHTTP(&Rate{Highest: 1_000}), OK},
		"few are answered":      {judgeHTTP(&Rate{Highest: 999}), Warn},
		"none is answered":      {judgeHTTP(&Rate{Why: "late"}), Fail},
	} {
		require.Equal(t, c.want, c.found.Level, "%s: %v", name, c.found)
		require.NotEmpty(t, c.found.Found, name)
		if c.want == OK {
			require.Empty(t, c.found.Advice, name)
		} else if name != "timers not measured" && name != "stall not measured" {
			require.NotEmpty(t, c.found.Advice, name)
		}
	}
}

func TestTheTruthOfAStallIsThatOfArithmetic(t *testing.T) {
	// 20 % of the requests wait, for a time that is even from 0 to 2 s.
	s := Stall{Rate: 200, Length: 10 * time.Second, From: 4 * time.Second, For: 2 * time.Second}
	for share, want := range map[float64]float64{0.5: 0, 0.8: 0, 0.9: 1, 0.95: 1.5, 0.99: 1.9} {
		require.InDelta(t, want, s.truth(share).Seconds(), 0.011, "p%g", 100*share)
	}
}

func TestTheClimbEndsBetweenWhatHoldsAndWhatFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.Uint64Range(0, 8_000_000).Draw(t, "most")
		flaky := rapid.Bool().Draw(t, "flaky")
		failures := map[uint64]int{}
		r := climb(func(rate uint64) (results.Quantiles, string) {
			if flaky && failures[rate] < tries-1 { // disturbed, but not every time
				failures[rate]++
				return results.Quantiles{}, "disturbed"
			}
			if rate > most {
				return results.Quantiles{}, "too many"
			}
			return results.Quantiles{P99: time.Duration(rate)}, ""
		})
		require.LessOrEqual(t, r.Highest, most)
		require.EqualValues(t, r.Highest, r.Lag.P99)
		switch {
		case most < lowestRate:
			require.Zero(t, r.Highest)
			require.EqualValues(t, lowestRate, r.Failed)
		case r.Failed == 0:
			require.Greater(t, 2*r.Highest, uint64(highestRate))
		default:
			require.Greater(t, r.Failed, most)
			require.Equal(t, "too many", r.Why)
			require.Less(t, float64(r.Failed)/float64(r.Highest), 1.1, "an eighth of an octave")
		}
	})
}
