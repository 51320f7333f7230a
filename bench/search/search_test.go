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
	require.Equal(t, []float64{100, 200, 400, 800, 1600, 1600, 1131.4, 951.38, 1037.5, 951.38, 951.38, 951.38, 951.38, 951.38,
		864.89, 864.89, 864.89, 864.89, 864.89}, rates)
	require.Equal(t, Answer{Held: 864.89, Of: 5, HeldAbove: 951.38, Highest: 951.38, FirstFailed: 1037.5, Done: true}, answer)
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
	require.Equal(t, []float64{100, 200, 400, 800, 1000, 1000, 1000, 909.09, 909.09, 826.45, 826.45}, rates)
	require.Equal(t, Answer{Held: 826.45, Of: 2, HeldAbove: 909.09, Highest: 1000, FirstFailed: 1000, Done: true}, answer)
}

func TestAHiccupWhileDoublingDoesNotEndIt(t *testing.T) {
	tried := map[float64]int{}
	answer, rates := play(t, Config{From: 100, To: 100_000, Width: 0.1}, func(rate float64) Outcome {
		if tried[rate]++; tried[rate] == 1 && (rate == 100 || rate == 400) {
			return Failed
		}
		return below(1000)(rate)
	})
	require.Equal(t, []float64{100, 100, 200, 400, 400, 800, 1600, 1600}, rates[:8])
	require.Equal(t, 951.38, answer.HeldAbove)
	require.Equal(t, 1037.5, answer.FirstFailed, "what held when it was tried again did not fail")
}

func TestNothingHoldsWhereNotEvenTheLowestDoes(t *testing.T) {
	answer, rates := play(t, Config{From: 100, To: 1000}, below(99))
	require.Equal(t, []float64{100, 100}, rates)
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
	require.Equal(t, []float64{100, 200, 400, 800, 800, 800, 565.69, 565.69, 565.69, 400, 400, 400, 400, 400, 266.67, 266.67, 266.67, 266.67, 266.67}, rates)
	require.True(t, answer.HarnessIsTheLimit())
	require.Equal(t, 400.0, answer.HeldAbove)
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
	require.InDelta(t, 495, answer.HeldAbove, 6)
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

func TestTheAnswerMustHoldAWidthBelowWhatHeldToo(t *testing.T) {
	below := 0
	answer, rates := play(t, Config{From: 100, To: 1000, Width: 0.25, Confirmations: 2}, func(rate float64) Outcome {
		if rate == 640 {
			if below++; below == 2 {
				return Failed
			}
		}
		if rate > 800 {
			return Failed
		}
		return Held
	})
	require.Equal(t, []float64{100, 200, 400, 800, 1000, 1000, 800, 800, 640, 640, 512, 512, 409.6, 409.6}, rates)
	require.Equal(t, Answer{Held: 409.6, Of: 2, HeldAbove: 512, Highest: 800, FirstFailed: 640, Done: true}, answer)
	answer, _ = play(t, Config{From: 700, To: 1000, Width: 0.25, Confirmations: 2}, func(rate float64) Outcome {
		if rate > 700 {
			return Failed
		}
		return Held
	})
	require.Equal(t, 700.0, answer.Held, "nothing below the lowest may be tried")
	require.Zero(t, answer.HeldAbove)
}

// server is what a trial sees of a simulated server whose edge lies at 1000/s, with a noise;
// number is how many trials went before.
type server func(random *rand.Rand, rate, noise float64, number int) bool

var servers = map[string]server{
	"an edge": func(random *rand.Rand, rate, noise float64, _ int) bool {
		return rate <= 1000*math.Exp(noise*random.NormFloat64())
	},
	// Where the response passes its bound it grows with the square of the rate, so that this
	// noise of it is the same one of the rate.
	"a soft knee": func(random *rand.Rand, rate, noise float64, _ int) bool {
		return rate < 1500 && 1/(1-rate/1500)*math.Exp(2*noise*random.NormFloat64()) < 3
	},
	"one that becomes slower": func(random *rand.Rand, rate, noise float64, number int) bool {
		return rate <= 1000*math.Pow(0.9995, float64(number))*math.Exp(noise*random.NormFloat64())
	},
	"one that hiccups": func(random *rand.Rand, rate, noise float64, _ int) bool {
		return rate <= 1000*math.Exp(noise*random.NormFloat64()) && random.Float64() > 0.01
	},
}

// retests returns the share of searches whose answer fails a trial as long as theirs, and one
// of six times the length, and how many trials a search took in the mean.
func retests(t *testing.T, cfg Config, noise float64, holds server) (same, longer, trials float64) {
	const searches = 4000
	random := rand.New(rand.NewPCG(1, uint64(1000*noise)))
	var failed, failedLonger, all, low int
	for range searches {
		number := 0
		answer, rates := play(t, cfg, func(rate float64) Outcome {
			if number++; !holds(random, rate, noise, number) {
				return Failed
			}
			return Held
		})
		all += len(rates)
		if answer.Held < 700 {
			low++
		}
		if answer.Held == 0 || !holds(random, answer.Held, noise, number) {
			failed++
		}
		if answer.Held == 0 || !holds(random, answer.Held, noise/math.Sqrt(6), number) {
			failedLonger++
		}
	}
	require.Less(t, float64(low)/searches, 0.05, "far below the edge")
	return float64(failed) / searches, float64(failedLonger) / searches, float64(all) / searches
}

func TestAnAnswerHoldsInARetestNineteenTimesInTwenty(t *testing.T) {
	for name, holds := range servers {
		for _, noise := range []float64{0.01, 0.03, 0.06} {
			same, longer, trials := retests(t, Config{From: 10, To: 1e6}, noise, holds)
			once, onceLonger, short := retests(t, Config{From: 10, To: 1e6, Confirmations: 1}, noise, holds)
			t.Logf("%s, noise %.0f %%: %.1f %% fail a retest, %.1f %% a longer one, after %.1f trials; confirmed once %.1f %% and %.1f %% after %.1f",
				name, 100*noise, 100*same, 100*longer, trials, 100*once, 100*onceLonger, short)
			if noise <= 0.03 {
				require.LessOrEqual(t, same, 0.05, "%s, noise %g", name, noise)
				require.LessOrEqual(t, longer, 0.05, "%s, noise %g", name, noise)
				require.Less(t, trials, 32.0)
			}
			if name != "one that hiccups" { // for which confirming can do nothing
				require.Less(t, same, 2*once/3, "which is what confirming is for")
			}
			require.Less(t, trials, 40.0)
		}
	}
}
