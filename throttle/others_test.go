package throttle

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func sharedLedger(t testing.TB) *Ledger {
	l := exact(t, Options{}, Limit{ID: "w", Quota: 100, Per: 100 * sec, Window: Fixed, Shared: 0.36})
	l.SetClock(0, 1_000_000*sec, 1_000_000*sec) // a window begins at our zero
	return l
}

func TestRoomIsLeftForOthersAndComesBackAsTheWindowPasses(t *testing.T) {
	l := sharedLedger(t)
	room := func(now time.Duration) int64 { return limitOf(l, now, "w").Room }
	tell := func(now time.Duration, used int64) {
		t.Helper()
		require.NoError(t, l.Sync(now, "w", Parts{}, used, 1_000_000*sec+now))
	}
	require.EqualValues(t, 100, room(0), "the first of a window may have it all")
	granted(t, l, 0, "w")
	first := room(0)
	require.EqualValues(t, 100-1-36-18-7, first, "36 expected, three times their root, and what is kept for asking")
	tell(50*sec, 18)
	half := room(50 * sec)
	require.Greater(t, half, first)
	tell(75*sec, 27)
	require.Greater(t, room(75*sec), half)
	tell(80*sec, 90)
	require.Less(t, room(80*sec), int64(10))
	require.Less(t, room(99*sec+900*ms), int64(10), "the end of a window is not ours alone")
	for window := 1; window < 20; window++ { // from here on nobody else spends
		now := time.Duration(window)*100*sec + sec
		tell(now, 0)
		tell(now+98*sec, 0)
	}
	tell(1901*sec, 0)
	require.Greater(t, room(1901*sec), int64(80), "the expectation has fallen")
}

func TestOursInFlightHideNobodyElse(t *testing.T) {
	l := sharedLedger(t)
	var ours []*Permit
	for range 10 {
		ours = append(ours, granted(t, l, 0, "w"))
	}
	for _, p := range ours[:5] {
		l.Settle(sec, p, Outcome{})
	}
	m := anyOf(&l.table.rules["w"].meters).window.(*fixed)
	require.NoError(t, l.Sync(20*sec, "w", Parts{}, 9, 1_000_020*sec))
	require.EqualValues(t, 0, m.others.least, "all of them may be ours")
	require.EqualValues(t, 4, m.others.most, "but five only are so surely")
	require.NoError(t, l.Sync(20*sec+ms, "w", Parts{}, 9, 1_000_000*sec+ms))
	require.EqualValues(t, 4, m.others.most, "a number that may be older says no more")
	require.NoError(t, l.Sync(21*sec, "w", Parts{}, 12, 1_000_021*sec))
	require.EqualValues(t, 2, m.others.least)
}

func TestANumberWithoutAnInstantIsTakenToBeHalfASecondOld(t *testing.T) {
	l := sharedLedger(t)
	for i := range 4 {
		now := 20*sec + time.Duration(i)*400*ms
		l.Settle(now, granted(t, l, now, "w"), Outcome{})
	}
	require.NoError(t, l.Sync(21300*ms, "w", Parts{}, 4, 0))
	m := anyOf(&l.table.rules["w"].meters).window.(*fixed)
	require.EqualValues(t, 1, m.others.most, "three were answered by 20.8 s")
}

// The margin is checked against the sum of the Poisson distribution itself.
func TestOthersHardlyEverSendMoreThanTheMargin(t *testing.T) {
	for _, perSecond := range []float64{0.01, 0.1, 1, 2, 5, 20, 100, 1000} {
		o := others{rate: perSecond / float64(sec), flight: 50 * ms}
		for _, since := range []time.Duration{0, 50 * ms, 300 * ms, sec, 7 * sec, 30 * sec} {
			mean := o.rate * float64(since+2*o.flight)
			margin := o.surely(since)
			within, term := 0.0, math.Exp(-mean)
			for n := range margin + 1 {
				within += term
				term *= mean / float64(n+1)
			}
			if term == 0 && within == 0 {
				continue // e^-mean is too little for a float
			}
			require.LessOrEqual(t, 1-within, math.Exp(-tail)+1e-9, "%v a second, %v", perSecond, since)
		}
	}
}

func TestASharedLimitWithoutAClockIsNeitherAskedInVainNorStarved(t *testing.T) {
	rapid.Check(t, func(drawn *rapid.T) {
		quota := rapid.Int64Range(1, 200).Draw(drawn, "quota")
		shared := rapid.Float64Range(0.01, 0.99).Draw(drawn, "shared")
		l := newLedger(t, Options{}, Limit{ID: "w", Quota: quota, Per: 60 * sec, Window: Fixed, Shared: shared})
		var now time.Duration
		for range 50 {
			now += time.Duration(rapid.Int64Range(0, int64(20*sec)).Draw(drawn, "passes"))
			p := &Permit{Limit: "w", Weight: rapid.Int64Range(1, quota).Draw(drawn, "weight")}
			if err := l.TryAcquire(now, p); err != nil {
				var full *LimitError
				require.ErrorAs(t, err, &full)
				require.Greater(t, full.RetryAt, now)
				require.Less(t, full.RetryAt, now+62*sec)
				require.Error(t, l.TryAcquire(full.RetryAt-1, &Permit{Limit: "w", Weight: p.Weight}))
				now = full.RetryAt
				require.NoError(t, l.TryAcquire(now, p), "it was told that instant")
			}
			l.Settle(now, p, Outcome{})
		}
	})
}

// A margin that counts as spent whenever one looks would let nothing heavy go for ever.
func TestWhatFitsTheQuotaLeavesBesideOthersWithinTwoWindows(t *testing.T) {
	rapid.Check(t, func(drawn *rapid.T) {
		quota := rapid.Int64Range(1, 1000).Draw(drawn, "quota")
		l := newLedger(t, Options{}, Limit{ID: "w", Quota: quota, Per: 10 * sec, Window: Fixed,
			Shared: rapid.Float64Range(0.01, 0.99).Draw(drawn, "shared")})
		lo := 1_000_000*sec + time.Duration(rapid.Int64Range(0, int64(10*sec)).Draw(drawn, "clock"))
		l.SetClock(0, lo, lo+time.Duration(rapid.Int64Range(0, int64(300*ms)).Draw(drawn, "bounds")))
		var now time.Duration
		for range 20 {
			now += time.Duration(rapid.Int64Range(0, int64(25*sec)).Draw(drawn, "passes"))
			p := &Permit{Limit: "w", Weight: rapid.Int64Range(1, quota).Draw(drawn, "weight")}
			require.NoError(t, l.Acquire(now, p))
			asked := now
			for wakes := 0; p.State() != Granted; wakes++ {
				require.Less(t, wakes, 10)
				if l.Next(now) == nil {
					at, ok := l.Wake()
					require.True(t, ok, "nobody would wake it")
					require.Greater(t, at, now)
					now = at
				}
			}
			require.Less(t, now-asked, 21*sec)
			now += 100 * ms
			l.Settle(now, p, Outcome{})
		}
	})
}

func TestOthersHaveSpentSinceTheirWindowBeganHoweverLateOneLooks(t *testing.T) {
	l, late := sharedLedger(t), sharedLedger(t)
	granted(t, l, 0, "w")
	granted(t, late, 80*sec, "w")
	require.Equal(t, limitOf(l, 80*sec, "w").Room, limitOf(late, 80*sec, "w").Room)
}

func TestOthersAreNotTakenToHaveSpentMoreWhileNobodyAsked(t *testing.T) {
	l := sharedLedger(t)
	for now := time.Duration(0); now < 500*sec; now += 20 * sec { // 36 in each window, evenly
		require.NoError(t, l.Sync(now, "w", Parts{}, int64(now%(100*sec)*36/(100*sec)), 1_000_000*sec+now))
	}
	o := &anyOf(&l.table.rules["w"].meters).window.(*fixed).others
	require.NoError(t, l.Sync(1_000_100*sec, "w", Parts{}, 0, 2_000_100*sec))
	require.InDelta(t, 0.36, o.rate*float64(sec), 0.02)
}
