package schedule

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func perSecond(n uint64) Rate { return Rate{n, time.Second} }

func mustSchedule(t testing.TB, spec Spec) Schedule {
	schedule, err := spec.Schedule()
	require.NoError(t, err)
	return schedule
}

func instants(t *testing.T, spec Spec) (all []time.Duration) {
	schedule := mustSchedule(t, spec)
	for n := uint64(0); ; n++ {
		at, ok := schedule.At(n)
		if !ok {
			require.Equal(t, n, spec.Count())
			return all
		}
		all = append(all, at)
	}
}

func TestAConstantRateIsExactForEver(t *testing.T) {
	rates := []Rate{perSecond(700_000), perSecond(3), {7, 11 * time.Millisecond}, {1<<63 + 11, 3 * time.Hour}, {999_999_937, time.Second}}
	random := rand.New(rand.NewPCG(1, 2))
	for _, rate := range rates {
		stages := Constant(rate, 0).Stages
		schedule := mustSchedule(t, Constant(rate, 0))
		for n := uint64(1); n < 1e18; n = n*3/2 + 1 {
			for _, sampled := range []uint64{n, random.Uint64N(1e18)} {
				at, ok := schedule.At(sampled)
				require.True(t, ok)
				requireDue(t, stages, sampled, at)
			}
		}
	}
}

// A thousand million instants by formula: two in every thousand steps are checked against
// their neighbour and the truth, and the last of them as well.
func TestAThousandMillionInstantsAreWhereTheyBelong(t *testing.T) {
	spec := Spec{Stages: []Stage{
		{perSecond(0), perSecond(1_000_000), 600 * time.Second},         // 300 M
		{perSecond(1_000_000), perSecond(1_000_000), 400 * time.Second}, // 400 M
		{perSecond(1_000_000), perSecond(0), 600 * time.Second},         // 300 M
	}}
	require.EqualValues(t, 1_000_000_000, spec.Count())
	schedule := mustSchedule(t, spec)
	random := rand.New(rand.NewPCG(3, 4))
	for n := uint64(0); n < 1_000_000_000; n += 1 + random.Uint64N(400_000) {
		at, ok := schedule.At(n)
		require.True(t, ok)
		requireDue(t, spec.Stages, n, at)
	}
	last, ok := schedule.At(999_999_999)
	require.True(t, ok)
	requireDue(t, spec.Stages, 999_999_999, last)
	for border, at := range map[uint64]time.Duration{300_000_000: 600 * time.Second, 700_000_000: 1000 * time.Second} {
		due, _ := schedule.At(border)
		require.Equal(t, at, due)
		due, _ = schedule.At(border - 1)
		require.Less(t, due, at)
	}
	_, ok = schedule.At(1_000_000_000)
	require.False(t, ok)
}

func TestWhatADurationCannotHoldIsTheGreatestOne(t *testing.T) {
	for _, rate := range []Rate{{1, time.Hour}, {3, math.MaxInt64}, perSecond(1)} {
		schedule := mustSchedule(t, Constant(rate, 0))
		at, ok := schedule.At(math.MaxUint64)
		require.True(t, ok)
		require.EqualValues(t, math.MaxInt64, at)
	}
	schedule := mustSchedule(t, Spec{Recorded: []time.Duration{math.MaxInt64}, Speed: 0.5})
	at, ok := schedule.At(0)
	require.True(t, ok)
	require.EqualValues(t, math.MaxInt64, at)
	// behind a stage, too
	schedule = mustSchedule(t, Spec{Stages: []Stage{{perSecond(1), perSecond(1), math.MaxInt64 - 5}, {perSecond(1), perSecond(1), 0}}})
	at, _ = schedule.At(1 << 62)
	require.EqualValues(t, math.MaxInt64, at)
}

func TestAStageCarriesOverWhatItLeavesOfARequest(t *testing.T) {
	ms := func(all ...int) (d []time.Duration) {
		for _, at := range all {
			d = append(d, time.Duration(at)*time.Millisecond)
		}
		return d
	}
	stage := Stage{Rate{5, 2 * time.Second}, Rate{5, 2 * time.Second}, time.Second}
	require.Equal(t, ms(0, 400, 800, 1200, 1600), instants(t, Spec{Stages: []Stage{stage, stage}}))
	pause := Stage{perSecond(0), perSecond(0), 3 * time.Second}
	require.Equal(t, ms(0, 400, 800, 4200, 4600), instants(t, Spec{Stages: []Stage{stage, pause, stage}}))
	// what is due just where a pause begins is due when it is over
	require.Equal(t, ms(3000, 3500, 7000, 7500), instants(t, Spec{Stages: []Stage{
		pause, {perSecond(2), perSecond(2), time.Second}, pause, {perSecond(2), perSecond(2), time.Second}, pause,
	}}))
	// a third of a request three times, of rates that share no time
	third := Stage{Rate{1, 3}, Rate{1, 3}, 1}
	require.Equal(t, []time.Duration{0}, instants(t, Spec{Stages: []Stage{third, third, third}}))
	require.Equal(t, []time.Duration{0, 3}, instants(t, Spec{Stages: []Stage{third, third, third, third}}))
}

func TestARampIsExactUpwardsAndDownwards(t *testing.T) {
	// 0 to 10/s in 2 s: n is due at sqrt(2n/5) s; downwards it is that mirrored
	up := Spec{Stages: []Stage{{perSecond(0), perSecond(10), 2 * time.Second}}}
	down := Spec{Stages: []Stage{{perSecond(10), perSecond(0), 2 * time.Second}}}
	for n, at := range instants(t, up) {
		require.InDelta(t, math.Sqrt(2*float64(n)/5), at.Seconds(), 1.1e-9)
	}
	for n, at := range instants(t, down) {
		require.InDelta(t, 2-math.Sqrt(2*float64(10-n)/5), at.Seconds(), 1.1e-9)
	}
	// squares are whole nanoseconds, where float64 cannot tell which side it is on
	whole := Spec{Stages: []Stage{{Rate{}, Rate{2e9, time.Second}, time.Second}}}
	schedule := mustSchedule(t, whole)
	for _, root := range []uint64{1, 2, 3, 31_622, 100_000_000, 999_999_999} {
		square := new(big.Int).Mul(big.NewInt(int64(root)), big.NewInt(int64(root)))
		if n := square.Div(square, big.NewInt(1e9)).Uint64(); n*1e9 == root*root {
			at, ok := schedule.At(n)
			require.True(t, ok)
			require.EqualValues(t, root, at)
		}
	}
}

func TestWhatIsRecordedIsReplayedAtItsSpeed(t *testing.T) {
	spec := Spec{Recorded: []time.Duration{0, 10, 10, 25}}
	require.Equal(t, spec.Recorded, instants(t, spec))
	require.EqualValues(t, 25, spec.Length())
	spec.Speed = 2
	require.Equal(t, []time.Duration{0, 5, 5, 12}, instants(t, spec))
	spec.Speed = 0.5
	require.Equal(t, []time.Duration{0, 20, 20, 50}, instants(t, spec))
	require.EqualValues(t, 50, spec.Length())
}

func TestASpecThatWasJSONMakesTheSameSchedule(t *testing.T) {
	spec := Spec{Stages: []Stage{{perSecond(3), Rate{12, time.Minute}, 90 * time.Second}, {perSecond(9), perSecond(9), time.Minute}}, Poisson: true, Seed: math.MaxUint64, WarmUp: 90 * time.Second}
	text, err := json.Marshal(spec)
	require.NoError(t, err)
	var other Spec
	require.NoError(t, json.Unmarshal(text, &other))
	require.Equal(t, spec, other)
	require.Equal(t, instants(t, spec), instants(t, other))
}

func TestEveryMistakeOfASpecIsNamed(t *testing.T) {
	constant := Stage{perSecond(5), perSecond(5), time.Minute}
	for _, c := range []struct {
		spec Spec
		says []string
	}{
		{Spec{}, []string{"neither stages nor recorded"}},
		{Spec{Stages: []Stage{{perSecond(1), Rate{5, -1}, -time.Second}, {perSecond(1), perSecond(1), 0}, {Rate{3, 0}, perSecond(2), 0}}, WarmUp: -1, Speed: 2},
			[]string{"stage 1: 5 requests in each -1ns", "stage 1: for -1s", "stage 2 has no end, and is not the last", "stage 3: 3 requests in each 0s", "stage 3 has no end: a ramp needs one", "warm-up -1ns", "speed of 2"}},
		{Spec{Stages: []Stage{{Rate{}, Rate{}, 0}}}, []string{"stage 1 has no end and a rate of 0", "every rate is 0"}},
		{Spec{Stages: []Stage{{perSecond(1), perSecond(1), math.MaxInt64}, constant}}, []string{"longer than 292 years"}},
		{Spec{Recorded: []time.Duration{5, 3}, Stages: []Stage{constant}, Poisson: true, Speed: math.NaN()}, []string{"both stages and recorded", "cannot be Poisson", "speed NaN", "recorded instant 1, 3ns, is before 5ns"}},
		{Spec{Recorded: []time.Duration{-1}, Speed: math.Inf(1)}, []string{"speed +Inf", "recorded instant 0"}},
		{Spec{Stages: []Stage{constant}, WarmUp: time.Minute}, []string{"a warm-up of 1m leaves nothing of 1m"}},
		{Spec{Recorded: []time.Duration{0}, WarmUp: 1}, []string{"leaves nothing"}},
	} {
		_, err := c.spec.Schedule()
		var typed *SpecError
		require.ErrorAs(t, err, &typed)
		require.Len(t, typed.Mistakes, len(c.says), err)
		for _, said := range c.says {
			require.ErrorContains(t, err, said)
		}
		require.NotContains(t, err.Error(), "\n")
		require.Zero(t, c.spec.Count())
	}
}

func TestAWarmUpHasToCoverARamp(t *testing.T) {
	spec := Spec{Stages: []Stage{{perSecond(50), perSecond(50), 10 * time.Second}, {perSecond(50), perSecond(500), 30 * time.Second}, {perSecond(500), perSecond(500), 0}}}
	for warmUp, says := range map[time.Duration]string{
		0: "", 10 * time.Second: "", 40 * time.Second: "", 50 * time.Second: "",
		10*time.Second + 1: "within the ramp of stage 2 (30s:50/s-500/s)", 39 * time.Second: "make it 40s, or 10s",
	} {
		spec.WarmUp = warmUp
		err := spec.Check()
		if says == "" {
			require.NoError(t, err, warmUp)
		} else {
			require.ErrorContains(t, err, says)
		}
	}
	spec.WarmUp = 10 * time.Second
	require.Contains(t, spec.Advice(), "a warm-up of 40s keeps it apart")
	spec.WarmUp = 40 * time.Second
	require.Empty(t, spec.Advice())
	require.Empty(t, Spec{Stages: []Stage{{perSecond(1), perSecond(9), time.Minute}}}.Advice())
}

func TestLengthCountAndRateSayWhatTheStagesSay(t *testing.T) {
	spec := Spec{Stages: []Stage{{perSecond(0), perSecond(100), 10 * time.Second}, {perSecond(100), perSecond(100), 5 * time.Second}}}
	require.Equal(t, 15*time.Second, spec.Length())
	require.EqualValues(t, 1000, spec.Count())
	require.Equal(t, []float64{0, 0, 50, 100, 100, 0}, []float64{
		spec.RateAt(-1), spec.RateAt(0), spec.RateAt(5 * time.Second), spec.RateAt(10 * time.Second), spec.RateAt(14 * time.Second), spec.RateAt(15 * time.Second),
	})
	endless := Constant(perSecond(7), 0)
	require.Zero(t, endless.Length())
	require.Zero(t, endless.Count())
	require.EqualValues(t, 7, endless.RateAt(math.MaxInt64))
	require.Equal(t, "10s:0/s-100/s 5s:100/s", spec.String())
	require.Equal(t, "0s:7/s, Poisson with seed 3", Spec{Stages: endless.Stages, Poisson: true, Seed: 3}.String())
	require.Equal(t, "2 recorded instants over 1s, 2 times as fast as they were", Spec{Recorded: []time.Duration{0, 2 * time.Second}, Speed: 2}.String())
}

func TestAMachineOfNoneIsRefused(t *testing.T) {
	schedule := mustSchedule(t, Constant(perSecond(1), 0))
	require.Equal(t, schedule, Dealt(schedule, 0, 0))
	require.Equal(t, schedule, Dealt(schedule, 0, 1))
	for _, c := range [][2]int{{-1, 3}, {3, 3}, {1, 0}, {0, -1}} {
		require.Panics(t, func() { Dealt(schedule, c[0], c[1]) })
	}
	_, ok := Dealt(schedule, 1, 3).At(math.MaxUint64 / 2)
	require.False(t, ok, "a number beyond 64 bits")
}
