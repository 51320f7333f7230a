package clock

import (
	"cmp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const day = 24 * time.Hour

// guarded is an estimator behind its guard, with the world around it: a local
// monotonic clock, a wall clock and a server's clock, in virtual time.
type guarded struct {
	guard     *Guard
	estimator *Estimator
	now       time.Duration // monotonic
	wall      time.Duration // of the wall clock, minus monotonic
	server    time.Duration // of the server's clock, minus monotonic: the truth
	trip      time.Duration
	out       time.Duration // of the trip, the way there; half of it if zero
	refused   string        // why the last sample was
	seen      int
}

// newGuarded is a world whose server is ahead of the wall clock.
func newGuarded(ahead time.Duration) *guarded {
	return &guarded{
		guard: NewGuard(0), estimator: NewEstimator(Config{Spacing: 250 * ms}),
		wall: unix0, server: unix0 + ahead, trip: 10 * ms,
	}
}

// answer is what the server says when asked now, wrong by lie. Its Date says the
// same, wrong by dateLie, or nothing.
func (w *guarded) answer(lie, dateLie time.Duration, dated bool) Sample {
	shown := w.now + cmp.Or(w.out, w.trip/2) + w.server
	s := Sample{Sent: w.now, Received: w.now + w.trip, Server: (shown + lie).Truncate(ms), Resolution: ms}
	s.Local = s.Received + w.wall
	if dated {
		s.Date = (shown + dateLie).Truncate(time.Second)
	}
	return s
}

// see does with a sample what timesync does, and goes on to the next one.
func (w *guarded) see(s Sample) Verdict {
	w.seen++
	w.now = s.Received
	verdict, why := w.guard.Judge(s, w.estimator)
	w.refused = why
	switch verdict {
	case Believed:
		w.estimator.Add(s)
	case Doubted:
		w.estimator.Doubted(w.now)
	case Refused:
		w.estimator.Failed(w.now)
	}
	w.now = w.estimator.NextSample(w.now)
	return verdict
}

// claimHolds reports whether the truth lies within the claim, as it does if nothing is claimed.
func (w *guarded) claimHolds() bool {
	lo, hi := w.estimator.Bounds(w.now)
	return !w.estimator.Ready() || lo <= w.server && w.server <= hi
}

func TestASampleNearTheLocalClockIsBelievedAtOnce(t *testing.T) {
	for _, ahead := range []time.Duration{0, 30 * time.Second, -4 * time.Minute, DefaultTrust - time.Second} {
		w := newGuarded(ahead)
		require.Equal(t, Believed, w.see(w.answer(0, 0, false)), "%v", ahead)
	}
	w := newGuarded(time.Hour)
	w.guard = NewGuard(2 * time.Hour)
	require.Equal(t, Believed, w.see(w.answer(0, 0, false)), "the setting says so")
	s := w.answer(100*day, 0, false)
	s.Local = 0
	require.Equal(t, Believed, w.see(s), "nothing to compare with")
}

func TestALieThatIsToldOnceOrAFewTimesIsNotBelieved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lie := time.Duration(rapid.Int64Range(int64(10*time.Minute), int64(200*365*day)).Draw(t, "lie"))
		if rapid.Bool().Draw(t, "behind") {
			lie = -min(lie, unix0/2)
		}
		w := newGuarded(time.Duration(rapid.Int64Range(-int64(4*time.Minute), int64(4*time.Minute)).Draw(t, "ahead")))
		dated := rapid.Bool().Draw(t, "dated")
		w.trip = time.Duration(rapid.Int64Range(2, int64(800*ms)).Draw(t, "trip"))
		w.out = time.Duration(rapid.Int64Range(1, int64(w.trip)).Draw(t, "out"))
		for range rapid.IntRange(0, 20).Draw(t, "truths before") {
			w.server += time.Duration(rapid.Int64Range(-100_000, 100_000).Draw(t, "drift")) // of a quarter of a second at least
			require.Equal(t, Believed, w.see(w.answer(0, 0, dated)))
			require.True(t, w.claimHolds())
		}
		for range rapid.IntRange(1, withDate.samples-1).Draw(t, "lies") {
			require.NotEqual(t, Believed, w.see(w.answer(lie, lie, dated)))
			require.True(t, w.claimHolds(), "what was known stays known")
		}
		for range 10 {
			require.Equal(t, Believed, w.see(w.answer(0, 0, dated)))
			require.True(t, w.claimHolds())
		}
	})
}

func TestOneLieAmongTruthsDelaysNobodyForLong(t *testing.T) {
	w := newGuarded(0)
	require.Equal(t, Doubted, w.see(w.answer(225*365*day, 0, true)))
	require.Equal(t, Believed, w.see(w.answer(0, 0, true)))
	require.LessOrEqual(t, w.now, time.Second)
}

func TestAServerThatAlwaysLiesAnewIsRefusedForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newGuarded(0)
		refusals := 0
		for i := range 100 {
			lie := time.Duration(rapid.Int64Range(int64(time.Hour), int64(300*day)).Draw(t, "lie"))
			lie += time.Duration(i) * time.Hour // or two might agree by chance
			verdict := w.see(w.answer(lie, lie, rapid.Bool().Draw(t, "dated")))
			require.NotEqual(t, Believed, verdict)
			if verdict == Refused {
				refusals++
			}
		}
		require.GreaterOrEqual(t, refusals, 50)
		require.False(t, w.estimator.Ready())
	})
}

func TestALieThatItsOwnDateContradictsIsRefused(t *testing.T) {
	w := newGuarded(0)
	for i := range 50 {
		verdict := w.see(w.answer(3*day, 0, true))
		require.NotEqual(t, Believed, verdict)
		require.Equal(t, i+1 >= patience, verdict == Refused)
	}
	require.Contains(t, w.refused, "Date header")
}

func TestNoServerMovesTheClockByCenturies(t *testing.T) {
	for _, lie := range []time.Duration{228 * 365 * day, -50 * 365 * day, 401 * day} {
		w := newGuarded(0)
		for range 200 {
			require.NotEqual(t, Believed, w.see(w.answer(lie, lie, true)))
		}
		require.Contains(t, w.refused, "no number of answers")
	}
}

func TestAServerThatIsTrulyDaysOffIsBelievedWithinSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ahead := time.Duration(rapid.Int64Range(int64(6*time.Minute), int64(399*day)).Draw(t, "ahead"))
		if rapid.Bool().Draw(t, "behind") {
			ahead = -ahead
		}
		w := newGuarded(ahead)
		w.trip = time.Duration(rapid.Int64Range(1, int64(400*ms)).Draw(t, "trip"))
		dated := rapid.Bool().Draw(t, "dated")
		limit, began := 3*time.Second, w.now
		if !dated {
			limit = 6 * time.Second
		}
		for w.see(w.answer(0, 0, dated)) != Believed {
			require.Empty(t, w.refused)
			require.Less(t, w.now-began, limit+10*w.trip)
		}
		for range 20 {
			require.True(t, w.claimHolds())
			require.Equal(t, Believed, w.see(w.answer(0, 0, dated)), "once confirmed")
		}
	})
}

func TestAConfirmationTakesBothSamplesAndTime(t *testing.T) {
	believedAfter := func(pause time.Duration, dated func(i int) bool) (samples int, span time.Duration) {
		w := newGuarded(time.Hour)
		for began := w.now; ; samples++ {
			if w.see(w.answer(0, 0, dated(samples))) == Believed {
				return samples + 1, span
			}
			w.now = began + time.Duration(samples+1)*pause
			span = w.now - began
		}
	}
	always, never := func(int) bool { return true }, func(int) bool { return false }
	samples, span := believedAfter(20*ms, always)
	require.Greater(t, samples, withDate.samples)
	require.GreaterOrEqual(t, span, withDate.span, "a hundred answers at once are one")
	samples, _ = believedAfter(time.Minute, always)
	require.Equal(t, withDate.samples, samples)
	samples, span = believedAfter(20*ms, never)
	require.GreaterOrEqual(t, span, withoutDate.span)
	require.Greater(t, samples, withoutDate.samples)
	samples, _ = believedAfter(time.Minute, never)
	require.Equal(t, withoutDate.samples, samples)
	samples, _ = believedAfter(time.Minute, func(i int) bool { return i != 1 })
	require.Equal(t, withoutDate.samples, samples, "one of them had no other source")
}

func TestADifferenceThatWasConfirmedIsForgottenWithTheNextTruthNearTheLocalClock(t *testing.T) {
	w := newGuarded(0)
	for w.see(w.answer(2*time.Hour, 2*time.Hour, true)) != Believed {
	}
	require.Equal(t, Believed, w.see(w.answer(2*time.Hour+4*time.Minute, 0, true)), "as good as the local clock")
	require.Equal(t, Believed, w.see(w.answer(0, 0, true)), "the lie is over")
	require.Equal(t, Doubted, w.see(w.answer(2*time.Hour, 2*time.Hour, true)), "and must be confirmed again")
}

func TestLiesNowAndThenAreNoReasonToRefuse(t *testing.T) {
	w := newGuarded(0)
	for i := range 100 {
		lie := time.Duration(i+1) * 100 * day
		require.Equal(t, Doubted, w.see(w.answer(lie, 0, true)))
		require.Equal(t, Doubted, w.see(w.answer(-lie, 0, true)))
		require.Equal(t, Believed, w.see(w.answer(0, 0, true)))
	}
}

func TestAnAnswerFromACacheConfirmsNothing(t *testing.T) {
	w := newGuarded(time.Hour)
	for range 30 {
		s := w.answer(0, 0, false)
		s.Server = unix0 + time.Hour // the same in every answer
		require.NotEqual(t, Believed, w.see(s))
	}
	require.Contains(t, w.refused, "contradict one another")
}

func TestASuspendAndAStepOfTheWallClockNeedNoConfirmation(t *testing.T) {
	for _, ahead := range []time.Duration{0, 3 * day} {
		w := newGuarded(ahead)
		for w.see(w.answer(0, 0, true)) != Believed {
		}
		w.wall += 8 * time.Hour // the machine slept: its monotonic clock stood still
		w.server += 8 * time.Hour
		require.Equal(t, Believed, w.see(w.answer(0, 0, true)), "%v: a suspend", ahead)
		require.True(t, w.claimHolds())
		w.wall -= 20 * day // somebody set the clock
		for range 20 {
			require.Equal(t, Believed, w.see(w.answer(0, 0, true)), "%v: a step", ahead)
			require.True(t, w.claimHolds())
		}
	}
}

func TestAJumpThatTheLocalClockCannotExplainMustBeConfirmed(t *testing.T) {
	w := newGuarded(0)
	for range 10 {
		require.Equal(t, Believed, w.see(w.answer(0, 0, true)))
	}
	w.server += 2 * day
	lo, _ := w.estimator.Bounds(w.now)
	require.Equal(t, Doubted, w.see(w.answer(0, 0, true)))
	still, _ := w.estimator.Bounds(w.now)
	require.InDelta(t, float64(lo), float64(still), float64(ms), "it is believed on")
	began := w.now
	for w.see(w.answer(0, 0, true)) != Believed {
	}
	require.Less(t, w.now-began, 3*time.Second)
	require.True(t, w.claimHolds())
}

func TestBelievedLiesDoNotAddUp(t *testing.T) {
	w := newGuarded(0)
	lie := time.Duration(0)
	for range 100 {
		lie += 4 * time.Minute
		w.see(w.answer(lie, 0, true))
		lo, hi := w.estimator.Bounds(w.now)
		require.LessOrEqual(t, lo-w.server, DefaultTrust)
		require.GreaterOrEqual(t, hi-w.server, -DefaultTrust)
	}
}

func TestATimeThatIsOlderThanItsDateComesFromACache(t *testing.T) {
	w := newGuarded(0)
	require.Zero(t, w.answer(0, 0, true).Old())
	require.Zero(t, w.answer(-30*time.Second, 0, false).Old())
	require.Zero(t, w.answer(-time.Second, 0, true).Old(), "a Date is coarse")
	require.Zero(t, w.answer(time.Hour, 0, true).Old(), "it is newer")
	require.InDelta(t, float64(30*time.Second), float64(w.answer(-30*time.Second, 0, true).Old()), float64(time.Second))
}
