package clock

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestASampleThatNobodyCanHaveTakenIsRefused(t *testing.T) {
	good := exchange(0, ms, ms, 0)
	const least, most = time.Duration(math.MinInt64), time.Duration(math.MaxInt64)
	for name, c := range map[string]struct {
		spoil func(*Sample)
		want  error
	}{
		"slow":                 {func(s *Sample) { s.Received = s.Sent + maxTrip + 1 }, ErrSlow},
		"sent for ever ago":    {func(s *Sample) { s.Sent = least }, ErrInstant},
		"both for ever ago":    {func(s *Sample) { s.Sent, s.Received = least, least }, ErrInstant},
		"sent 30 years ago":    {func(s *Sample) { s.Sent = -30 * 365 * 24 * time.Hour }, ErrInstant},
		"both at the very end": {func(s *Sample) { s.Sent, s.Received = most, most }, ErrInstant},
		"received at the end":  {func(s *Sample) { s.Received = most }, ErrSlow},
		"received at once":     {func(s *Sample) { s.Received = least }, ErrReversed},
		"Date before 1970":     {func(s *Sample) { s.Date = -1 }, ErrBeside},
		"local long ago":       {func(s *Sample) { s.Local = least }, ErrBeside},
		"local far ahead":      {func(s *Sample) { s.Local = most }, ErrBeside},
	} {
		s := good
		c.spoil(&s)
		require.ErrorIs(t, s.Validate(), c.want, name)
	}
	slowest := good
	slowest.Received = slowest.Sent + maxTrip
	require.NoError(t, slowest.Validate())
}

// anySample is what a source of time may come to say: anything, and often what is nearly right.
func anySample() *rapid.Generator[Sample] {
	return rapid.Custom(func(t *rapid.T) Sample {
		figure := func(name string, least, most time.Duration) time.Duration {
			likely := rapid.Int64Range(int64(least), int64(most))
			edge := rapid.SampledFrom([]int64{int64(least), int64(most), math.MinInt64, math.MaxInt64, 0, 1})
			return time.Duration(rapid.OneOf(likely, likely, edge, rapid.Int64()).Draw(t, name))
		}
		s := Sample{
			Sent: figure("sent", minInstant, maxInstant), Server: figure("server", 1, maxUnix),
			Resolution: figure("resolution", 0, maxResolution), Local: figure("local", 0, maxUnix), Date: figure("date", 0, maxUnix),
		}
		s.Received = s.Sent + figure("trip", 0, maxTrip)
		return s
	})
}

// What is claimed of a clock never contradicts the sample that was believed last, whatever
// samples say; and what was refused claims nothing.
func TestWhateverASampleSaysNoClaimIsSharperThanIt(t *testing.T) {
	const rounding = 10 // ns, of samples that contradict one another by as much
	believed := 0
	rapid.Check(t, func(t *rapid.T) {
		e, g := NewEstimator(Config{Epoch: time.Now()}), NewGuard(time.Duration(math.MaxInt64))
		samples := rapid.SliceOfN(anySample(), 1, 5).Draw(t, "samples")
		slices.SortFunc(samples, func(a, b Sample) int { return cmp.Compare(a.Received, b.Received) }) // one look at a time
		for _, s := range samples {
			before := e.samples
			if s.Validate() != nil {
				e.Add(s)
				require.Equal(t, before, e.samples)
				continue
			}
			believed++
			require.GreaterOrEqual(t, s.Old(), time.Duration(0))
			g.Judge(s, e)
			e.Add(s)
			lo, hi := e.Bounds(s.Received)
			require.LessOrEqual(t, lo, s.Server+s.Resolution-s.Sent+maxTrip/1000, "600 ppm of the trip, at most")
			require.GreaterOrEqual(t, hi, s.Server-s.Received-rounding)
			require.LessOrEqual(t, lo, hi+rounding)
			offset, bound := e.Estimate(s.Received)
			require.GreaterOrEqual(t, offset, lo-rounding)
			require.LessOrEqual(t, offset, hi+rounding)
			require.GreaterOrEqual(t, bound, (hi-lo)/2)
			if before == 0 {
				require.GreaterOrEqual(t, hi-lo, s.Received-s.Sent+s.Resolution)
			}
		}
	})
	require.Positive(t, believed)
}
