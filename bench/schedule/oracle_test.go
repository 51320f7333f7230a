package schedule

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// massAt is the slow, obvious truth: how many requests the stages have had by t, exactly.
func massAt(stages []Stage, t *big.Rat) *big.Rat {
	sum, left := new(big.Rat), new(big.Rat).Set(t)
	for _, stage := range stages {
		length := big.NewRat(int64(stage.For), 1)
		within := left
		if stage.For > 0 && left.Cmp(length) > 0 {
			within = length
		}
		rate := stage.From.exact()
		if stage.For > 0 { // the mean rate until then
			grown := new(big.Rat).Sub(stage.To.exact(), rate)
			grown.Mul(grown, new(big.Rat).Quo(within, length))
			rate = new(big.Rat).Add(rate, grown.Quo(grown, big.NewRat(2, 1)))
		}
		sum.Add(sum, new(big.Rat).Mul(rate, within))
		if within == left {
			return sum
		}
		left = new(big.Rat).Sub(left, length)
	}
	return sum
}

func number(n uint64) *big.Rat { return new(big.Rat).SetInt(new(big.Int).SetUint64(n)) }

// requireDue checks that instant n is where the mass passes n, to the nanosecond.
func requireDue(t require.TestingT, stages []Stage, n uint64, at time.Duration) {
	require.LessOrEqual(t, massAt(stages, big.NewRat(int64(at), 1)).Cmp(number(n)), 0, "%v: instant %d at %v is late", stages, n, at)
	if at < math.MaxInt64 {
		next := new(big.Rat).SetInt64(int64(at))
		next.Add(next, big.NewRat(1, 1))
		require.Positive(t, massAt(stages, next).Cmp(number(n)), "%v: instant %d at %v is early", stages, n, at)
	}
}

func anyRate(t *rapid.T, name string) Rate {
	return Rate{
		Requests: rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64Range(0, 5000), rapid.Uint64Range(0, 1<<40)).Draw(t, name),
		Per: time.Duration(rapid.OneOf(rapid.Just(int64(time.Second)), rapid.Int64Range(1, 5), rapid.Int64Range(1, int64(time.Minute)),
			rapid.Int64Range(1, int64(100*time.Hour))).Draw(t, name+" per")),
	}
}

func anyStages(t *rapid.T) (stages []Stage) {
	count := rapid.IntRange(1, 5).Draw(t, "stages")
	for i := range count {
		stage := Stage{From: anyRate(t, "from"), To: anyRate(t, "to")}
		if rapid.Bool().Draw(t, "constant") {
			stage.To = stage.From
		}
		stage.For = time.Duration(rapid.OneOf(rapid.Int64Range(1, 20), rapid.Int64Range(1, int64(time.Minute)), rapid.Int64Range(1, int64(1000*time.Hour))).Draw(t, "for"))
		if i == count-1 && stage.From == stage.To && stage.From.Requests > 0 && rapid.Bool().Draw(t, "endless") {
			stage.For = 0
		}
		stages = append(stages, stage)
	}
	return stages
}

func TestEveryInstantIsWhereTheStagesPassItsNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{Stages: anyStages(t)}
		schedule, err := spec.Schedule()
		if err != nil {
			t.Skip(err)
		}
		most := spec.Count() - 1 // of one without end: all there are
		for range 20 {
			n := rapid.OneOf(rapid.Uint64Range(0, most), rapid.Uint64Range(0, min(most, 50)), rapid.Uint64Range(most-min(most, 50), most)).Draw(t, "n")
			at, ok := schedule.At(n)
			require.True(t, ok)
			requireDue(t, spec.Stages, n, at)
		}
	})
}

func TestAtABorderExactlyThoseAreThroughThatTheStagesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{Stages: anyStages(t)}
		schedule, err := spec.Schedule()
		if err != nil {
			t.Skip(err)
		}
		var border time.Duration
		for _, stage := range spec.Stages {
			if stage.For == 0 {
				require.Zero(t, spec.Count())
				return
			}
			border += stage.For
			count := ceil(massAt(spec.Stages, big.NewRat(int64(border), 1)))
			if !count.IsUint64() {
				return
			}
			if n := count.Uint64(); n > 0 {
				last, ok := schedule.At(n - 1)
				require.True(t, ok)
				require.Less(t, last, border)
			}
			if next, ok := schedule.At(count.Uint64()); ok {
				require.GreaterOrEqual(t, next, border)
			} else {
				require.Equal(t, spec.Count(), count.Uint64())
			}
		}
	})
}

func TestInstantsNeverGoDown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{Stages: anyStages(t), Poisson: rapid.Bool().Draw(t, "poisson"), Seed: rapid.Uint64().Draw(t, "seed")}
		schedule, err := spec.Schedule()
		if err != nil {
			t.Skip(err)
		}
		start := uint64(0)
		if !spec.Poisson && spec.Count() > 0 {
			start = rapid.Uint64Range(0, spec.Count()-1).Draw(t, "start")
		}
		var before time.Duration
		for n := start; n < start+300; n++ {
			at, ok := schedule.At(n)
			if !ok {
				return
			}
			require.GreaterOrEqual(t, at, before)
			before = at
		}
	})
}

// What is asked for in any order is what is asked for in order.
func TestAnInstantIsAFunctionOfItsNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{Stages: anyStages(t), Poisson: rapid.Bool().Draw(t, "poisson"), Seed: 7}
		inOrder, err := spec.Schedule()
		if err != nil {
			t.Skip(err)
		}
		var all []time.Duration
		for n := range uint64(200) {
			at, ok := inOrder.At(n)
			if !ok {
				break
			}
			all = append(all, at)
		}
		other, err := spec.Schedule()
		require.NoError(t, err)
		for range 30 {
			n := rapid.IntRange(0, 210).Draw(t, "n")
			at, ok := other.At(uint64(n))
			if n < len(all) {
				require.True(t, ok)
				require.Equal(t, all[n], at)
			} else if len(all) < 200 {
				require.False(t, ok)
			}
		}
	})
}

func TestWhatIsDealtIsTheWholeAndEachInstantOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := Spec{Stages: anyStages(t), Poisson: rapid.Bool().Draw(t, "poisson")}
		whole, err := spec.Schedule()
		if err != nil {
			t.Skip(err)
		}
		of := rapid.IntRange(1, 7).Draw(t, "of")
		const most = 150
		seen := map[uint64]bool{}
		for worker := range of {
			own, err := spec.Schedule()
			require.NoError(t, err)
			share := Dealt(own, worker, of)
			for k := uint64(0); ; k++ {
				n, ok := DealtNumber(k, worker, of)
				require.True(t, ok)
				at, exists := share.At(k)
				if n >= most || !exists {
					_, wholeHas := whole.At(n)
					require.Equal(t, wholeHas, exists)
					break
				}
				require.False(t, seen[n])
				seen[n] = true
				expected, ok := whole.At(n)
				require.True(t, ok)
				require.Equal(t, expected, at)
			}
		}
		for n := range uint64(len(seen)) {
			require.True(t, seen[n])
		}
	})
}
