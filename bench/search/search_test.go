package search

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// play searches with outcomes of a function, and returns every rate that was tried.
func play(t require.TestingT, cfg Config, outcome func(rate float64) Outcome) (Answer, []float64) {
	s, err := New(cfg)
	require.NoError(t, err)
	var rates []float64
	for {
		rate, phase, more := s.Next()
		if !more {
			require.Equal(t, Done, phase)
			return s.Answer(), rates
		}
		require.Less(t, len(rates), 2000, "it ends")
		rates = append(rates, rate)
		s.Tell(outcome(rate))
	}
}

func below(edge float64) func(float64) Outcome {
	return func(rate float64) Outcome {
		if rate <= edge {
			return Held
		}
		return Failed
	}
}

func TestASearchDoublesBisectsAndConfirms(t *testing.T) {
	answer, rates := play(t, Config{From: 100, To: 100_000, Width: 0.1}, below(1000))
	require.Equal(t, []float64{100, 200, 400, 800, 1600, 1131.4, 951.38, 1037.5, 951.38, 951.38, 951.38, 951.38, 951.38}, rates)
	require.Equal(t, Answer{Held: 951.38, Of: 5, Highest: 951.38, FirstFailed: 1037.5, Done: true}, answer)
}

func TestTheRateGoesBackUntilAllConfirmationsHold(t *testing.T) {
	confirmations := 0
	answer, rates := play(t, Config{From: 100, To: 1000, Width: 0.1, Confirmations: 2}, func(rate float64) Outcome {
		if rate == 1000 {
			if confirmations++; confirmations != 2+1 { // its second confirmation fails
				return Held
			}
			return Failed
		}
		return Held
	})
	require.Equal(t, []float64{100, 200, 400, 800, 1000, 1000, 1000, 909.09, 909.09}, rates)
	require.Equal(t, Answer{Held: 909.09, Of: 2, Highest: 1000, FirstFailed: 1000, Done: true}, answer)
}

func TestNothingHoldsWhereNotEvenTheLowestDoes(t *testing.T) {
	answer, rates := play(t, Config{From: 100, To: 1000}, below(99))
	require.Equal(t, []float64{100}, rates)
	require.Zero(t, answer.Held)
	require.Equal(t, 100.0, answer.FirstFailed)
	require.True(t, answer.Done)
}

func TestTheHighestRateAllowedIsNeverExceeded(t *testing.T) {
	answer, rates := play(t, Config{From: 100, To: 300}, below(1e9))
	require.Equal(t, []float64{100, 200, 300, 300, 300, 300, 300, 300}, rates)
	require.Equal(t, 300.0, answer.Held)
	require.Zero(t, answer.FirstFailed)
}

func TestAHarnessThatIsTheLimitIsAskedThreeTimesAndNamed(t *testing.T) {
	answer, rates := play(t, Config{From: 100, To: 10_000, Width: 0.5}, func(rate float64) Outcome {
		if rate > 500 {
			return Invalid
		}
		return Held
	})
	require.Equal(t, []float64{100, 200, 400, 800, 800, 800, 565.69, 565.69, 565.69, 400, 400, 400, 400, 400}, rates)
	require.True(t, answer.HarnessIsTheLimit())
	require.Equal(t, 400.0, answer.Held)
	require.Equal(t, 565.69, answer.FirstInvalid)
	require.False(t, Answer{FirstInvalid: 5, FirstFailed: 4}.HarnessIsTheLimit(), "the server failed before")
}

func TestOneInvalidTrialIsRepeatedAndForgotten(t *testing.T) {
	n := 0
	answer, _ := play(t, Config{From: 100, To: 1000}, func(rate float64) Outcome {
		if n++; n%2 == 0 {
			return Invalid
		}
		return below(500)(rate)
	})
	require.False(t, answer.HarnessIsTheLimit())
	require.InDelta(t, 495, answer.Held, 6)
}

func TestWrongBoundsAreRefused(t *testing.T) {
	for _, cfg := range []Config{
		{From: 0, To: 1}, {From: -1, To: 1}, {From: 2, To: 1}, {From: math.NaN(), To: 1}, {From: 1, To: math.NaN()}, {From: 1, To: math.Inf(1)},
		{From: 1, To: 2, Width: -1}, {From: 1, To: 2, Width: 2}, {From: 1, To: 2, Width: 1e-6}, {From: 1, To: 2, Width: math.NaN()}, {From: 1, To: 2, Confirmations: -1},
	} {
		_, err := New(cfg)
		require.Error(t, err, "%+v", cfg)
	}
}

// Whatever trials say, a search ends, stays between its bounds, and answers only what held
// as often as it says.
func TestASearchEndsWithinItsBoundsWhateverTrialsSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := Config{
			From: rapid.Float64Range(0.01, 1e5).Draw(t, "from"), Width: rapid.Float64Range(leastWidth, 1).Draw(t, "width"),
			Confirmations: rapid.IntRange(1, 6).Draw(t, "confirmations"),
		}
		cfg.To = cfg.From * rapid.Float64Range(1, 1e6).Draw(t, "to")
		var told []Outcome
		answer, rates := play(t, cfg, func(float64) Outcome {
			o := rapid.SampledFrom([]Outcome{Held, Held, Held, Failed, Invalid}).Draw(t, "outcome")
			told = append(told, o)
			return o
		})
		for _, rate := range rates {
			require.GreaterOrEqual(t, rate, cfg.From)
			require.LessOrEqual(t, rate, cfg.To)
		}
		require.True(t, answer.Done)
		if answer.Held == 0 {
			return
		}
		held := 0
		for i := len(rates) - 1; i >= 0 && held < cfg.Confirmations; i-- {
			require.Equal(t, answer.Held, rates[i])
			require.NotEqual(t, Failed, told[i])
			if told[i] == Held {
				held++
			}
		}
		if answer.FirstFailed > 0 {
			require.Greater(t, answer.FirstFailed, answer.Held, "the lowest that failed lies above")
		}
	})
}

// A server whose edge is at 1000/s: a trial of ten seconds sees it with a noise of so much,
// and one of sixty with less, as a mean of six does.
func simulated(random *rand.Rand, noise float64) func(rate float64) Outcome {
	return func(rate float64) Outcome { return below(1000 * math.Exp(noise*random.NormFloat64()))(rate) }
}

// retests returns the share of searches whose answer fails a longer trial, and how many
// trials a search took in the mean.
func retests(t *testing.T, cfg Config, noise float64) (fail, trials float64) {
	const searches = 4000
	random := rand.New(rand.NewPCG(1, uint64(1000*noise)))
	failures, all := 0, 0
	for range searches {
		answer, rates := play(t, cfg, simulated(random, noise))
		all += len(rates)
		if answer.Held == 0 || simulated(random, noise/math.Sqrt(6))(answer.Held) == Failed {
			failures++
		}
	}
	return float64(failures) / searches, float64(all) / searches
}

func TestAnAnswerHoldsInARetestNineteenTimesInTwenty(t *testing.T) {
	for _, noise := range []float64{0.01, 0.03, 0.06} {
		fail, trials := retests(t, Config{From: 10, To: 1e6}, noise)
		once, short := retests(t, Config{From: 10, To: 1e6, Confirmations: 1}, noise)
		t.Logf("noise %.0f %%: %.1f %% fail after %.1f trials; confirmed once %.1f %% after %.1f", 100*noise, 100*fail, trials, 100*once, short)
		if noise <= 0.03 {
			require.LessOrEqual(t, fail, 0.05, "noise %g", noise)
		}
		require.Less(t, fail, once/2, "which is what confirming is for")
		require.Less(t, trials, 40.0)
	}
}
