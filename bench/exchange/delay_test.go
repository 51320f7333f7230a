package exchange

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func mustDelay(t testing.TB, text string) Delay {
	t.Helper()
	d, err := ParseDelay(text)
	require.NoError(t, err)
	return d
}

func sample(t testing.TB, text string, n int) []time.Duration {
	rng, d := rand.New(rand.NewPCG(1, 1)), mustDelay(t, text)
	drawn := make([]time.Duration, n)
	for i := range drawn {
		drawn[i] = d.Draw(rng, 0)
	}
	slices.Sort(drawn)
	return drawn
}

func TestDelaysHaveTheShapeTheirTextSays(t *testing.T) {
	const n = 20_000
	require.Equal(t, 5*time.Millisecond, sample(t, "5ms", 1)[0])

	uniform := sample(t, "uniform:5ms-50ms", n)
	require.GreaterOrEqual(t, uniform[0], 5*time.Millisecond)
	require.LessOrEqual(t, uniform[n-1], 50*time.Millisecond)
	require.InEpsilon(t, 27.5e6, float64(uniform[n/2]), 0.03)

	lognormal := sample(t, "lognormal:3ms,7ms,1", n)
	require.Greater(t, lognormal[0], 3*time.Millisecond)
	require.InEpsilon(t, 10e6, float64(lognormal[n/2]), 0.03)
	require.InEpsilon(t, 3e6+7e6*math.Exp(1.2816), float64(lognormal[n*9/10]), 0.05)

	exponential := sample(t, "exp:10ms", n)
	require.InEpsilon(t, 10e6*math.Ln2, float64(exponential[n/2]), 0.05)
	require.Equal(t, time.Hour, sample(t, "1h+1h", 1)[0], "a delay is at most an hour")
}

func TestAStallHoldsEverythingAndReleasesItAtOnce(t *testing.T) {
	d := mustDelay(t, "10ms+stall:500ms@5s")
	for at, arrival := range map[time.Duration]time.Duration{
		100 * time.Millisecond:               110 * time.Millisecond, // no stall before the first interval is over
		4980 * time.Millisecond:              4990 * time.Millisecond,
		4990 * time.Millisecond:              5500 * time.Millisecond,
		5300 * time.Millisecond:              5500 * time.Millisecond,
		5489*time.Millisecond + 999_999:      5500 * time.Millisecond,
		5490 * time.Millisecond:              5500 * time.Millisecond,
		10*time.Second + 20*time.Millisecond: 10500 * time.Millisecond,
	} {
		require.Equal(t, arrival, at+d.Draw(nil, at), "sent at %s", at)
	}
}

func TestAWrongDelaySaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"5":                     `"5" is not a duration`,
		"-5ms":                  "not between 0 and 1h",
		"2h":                    "not between 0 and 1h",
		"5ms+":                  `"" is not a duration`,
		"gamma:5ms":             `unknown shape "gamma"`,
		"normal:5ms":            `want two durations with "," between`,
		"pareto:5ms":            "want LEAST,SHAPE",
		"pareto:5ms,0":          "shape",
		"pareto:5ms,NaN":        "shape",
		"150us:10,2ms":          "want DURATION:PERCENT",
		"150us:10,2ms:91":       "add up to 101",
		"150us:-1":              "percentage",
		"150us:0":               "percentage",
		":5":                    "is not a duration",
		"uniform:5ms":           `want two durations with "-" between`,
		"uniform:9ms-5ms":       "9ms is above 5ms",
		"lognormal:3ms":         "want SHIFT,MEDIAN,SIGMA",
		"lognormal:3ms,7ms,NaN": "sigma",
		"stall:5s@1s":           "0 < LENGTH < EVERY",
	} {
		_, err := ParseDelay(text)
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParseDelay(f *testing.F) {
	for _, seed := range []string{"5ms", "uniform:5ms-50ms", "lognormal:3ms,7ms,1", "stall:500ms@5s", "exp:1ms+2ms", "uniform:0s-1h", ":,@-+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDelay(text)
		if err != nil {
			return
		}
		again, err := ParseDelay(d.String())
		require.NoError(t, err, d)
		require.Equal(t, d, again)
		drawn := d.Draw(rand.New(rand.NewPCG(1, 1)), 3*time.Second)
		require.GreaterOrEqual(t, drawn, time.Duration(0))
		require.LessOrEqual(t, drawn, time.Hour)
	})
}
