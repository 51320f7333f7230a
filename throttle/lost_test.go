package throttle

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func loseAll(t testing.TB, l *Ledger, now time.Duration, n int, f Fate) {
	t.Helper()
	var all []*Permit
	for range n {
		all = append(all, granted(t, l, now, "a"))
	}
	for _, p := range all {
		l.Settle(now, p, Outcome{Fate: f})
	}
}

func TestAConnectionThatThePeerClosedHoldsItsPermitForAMomentOnly(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: 2 * sec})
	loseAll(t, l, 0, 10, Closed)
	p := queued(t, l, 0, "a")
	require.Nil(t, l.Next(3*sec-1))
	require.Same(t, p, l.Next(3*sec), "a second for what stands in front of the server, and the window")

	l = exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: 2 * sec, CloseDelay: 5 * ms})
	loseAll(t, l, 0, 10, Closed)
	wakesAtNext := queued(t, l, 0, "a")
	require.Nil(t, l.Next(2*sec+5*ms-1))
	require.Same(t, wakesAtNext, l.Next(2*sec+5*ms))
}

func TestWhatWeGaveUpIsHeldForTenSeconds(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	loseAll(t, l, 0, 1, Lost)
	p := queued(t, l, 0, "a")
	require.Nil(t, l.Next(11*sec-1))
	require.Same(t, p, l.Next(11*sec))
}

func TestAWaiterBehindLostPermitsIsRefusedAtOnceIfTheyEndTooLate(t *testing.T) {
	for _, kind := range []Window{Sliding, Leaky, Concurrency, FixedFromFirst} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: perOf(kind, 2*sec), Window: kind})
		loseAll(t, l, 0, 10, Lost)
		err := l.Acquire(0, &Permit{Limit: "a", Deadline: 5 * sec})
		require.ErrorIs(t, err, ErrDeadline, kind)
		var full *LimitError
		require.ErrorAs(t, err, &full)
		require.Equal(t, "a", full.Full, kind)
		require.GreaterOrEqual(t, full.RetryAt, 10*sec, kind)
		require.NoError(t, l.Acquire(0, &Permit{Limit: "a", Deadline: 13 * sec}), kind)
	}
}

func TestNextKnowsWhenLostPermitsLetGo(t *testing.T) {
	for _, c := range []struct {
		kind Window
		fate Fate
		want time.Duration
	}{
		{Sliding, Lost, 12 * sec}, {Sliding, Closed, 3 * sec},
		{Concurrency, Lost, 10 * sec}, {Concurrency, Closed, sec},
		{Leaky, Lost, 10*sec + 200*ms}, {Leaky, Closed, sec + 200*ms},
		{Fixed, Lost, 12 * sec}, {Fixed, Closed, 2 * sec},
	} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: perOf(c.kind, 2*sec), Window: c.kind})
		l.SetClock(0, 1_000_000*sec, 1_000_000*sec)
		loseAll(t, l, 0, 10, c.fate)
		require.Equal(t, c.want, limitOf(l, 0, "a").Next, "%v %v", c.kind, c.fate)
		p := queued(t, l, 0, "a")
		for at, ok := l.Wake(); ok && p.State() == Queued; at, ok = l.Wake() {
			if l.Next(at) != nil {
				require.Equal(t, c.want, at, "%v %v", c.kind, c.fate)
			}
		}
		require.Equal(t, Granted, p.State())
	}
}

func TestLostPermitsThatHoldMoreThanHalfAreNamed(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: 2 * sec}, Limit{ID: "b", Quota: 10, Per: sec, Keyed: true})
	lost := &Permit{Limit: "a"}
	require.Nil(t, l.LostHolding(0, lost), "it is charged to nothing yet")
	require.NoError(t, l.Acquire(0, lost))
	l.Settle(0, lost, Outcome{Fate: Lost})
	loseAll(t, l, 0, 2, Lost)
	loseAll(t, l, sec, 2, Lost)
	require.Empty(t, l.LostHolding(sec, lost), "half is not more than half")
	loseAll(t, l, sec, 2, Closed)
	require.Equal(t, []LostLimit{{ID: "a", Lost: 7, Quota: 10, Until: 2 * sec}}, l.LostHolding(sec, lost))
	loseAll(t, l, sec, 3, Lost)
	require.Equal(t, []LostLimit{{ID: "a", Lost: 10, Quota: 10, Until: 10 * sec}}, l.LostHolding(sec, lost))
	require.Equal(t, []LostLimit{{ID: "a", Lost: 8, Quota: 10, Until: 10 * sec}}, l.LostHolding(2*sec, lost))
	require.Empty(t, l.LostHolding(10*sec, lost))
	require.Empty(t, l.LostHolding(time.Minute, lost))
	require.Nil(t, anyOf(&l.table.rules["a"].meters).lost)
}

func TestLostPermitsLetGoOfSoMuchWhenAWalkThroughAllOfThemSaysSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 6))
		var h lostWeights
		at := [2]time.Duration{}
		for range 1 + rng.IntN(40) {
			i := rng.IntN(2)
			at[i] += time.Duration(rng.IntN(4))
			[]*timeline{&h.lost, &h.closed}[i].add(at[i], 1+rng.Int64N(5), 0)
			if rng.IntN(5) == 0 {
				now := time.Duration(rng.IntN(20))
				h.lost.expire(now)
				h.closed.expire(now)
			}
		}
		for w := range h.sum() {
			left, want := h.sum(), time.Duration(0)
			for _, e := range h.inOrder() {
				if left <= w {
					break
				}
				left, want = left-e.w, e.at
			}
			require.Equal(t, want, h.downTo(w))
		}
	})
}

// A server that is gone has very many requests lost at once, each of a key of its own.
func TestWhatALostPermitCostsDoesNotDependOnHowManyAreLost(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "key", Quota: 1, Per: sec, Keyed: true})
	var last *Permit
	lose := func(n int) {
		for range n {
			last = &Permit{Limit: "key", Key: strconv.Itoa(len(l.lost))}
			require.NoError(t, l.Acquire(0, last))
			l.Settle(0, last, Outcome{Fate: Lost})
		}
	}
	lose(1)
	few := testing.AllocsPerRun(10, func() { l.LostHolding(0, last) })
	lose(3000)
	require.Equal(t, few, testing.AllocsPerRun(10, func() { l.LostHolding(0, last) }))
	require.Len(t, l.LostHolding(0, last), 1)
}

func TestWhoeverAsksIsToldWhenLostPermitsLetGo(t *testing.T) {
	for _, limit := range []Limit{{ID: "a", Quota: 1, Per: sec}, {ID: "a", Quota: 1, Per: sec, Window: Fixed}, {ID: "a", Quota: 1, Window: Concurrency}} {
		l := newLedger(t, Options{}, limit)
		lost := &Permit{Limit: "a"}
		l.Acquire(0, lost)
		l.Settle(0, lost, Outcome{Fate: Lost})
		foreseen, err := l.Foresee(sec, Permit{Limit: "a"})
		require.NoError(t, err)
		waits := &Permit{Limit: "a"}
		l.Acquire(sec, waits)
		hold := l.Holding(sec, waits)
		require.NotZero(t, hold.Until, "time alone will do it")
		require.Equal(t, hold.Until, foreseen.Charges[0].Opens)
		require.Equal(t, hold.Until, foreseen.Hold.Until)
		for waits.State() == Queued {
			at, ok := l.Wake()
			require.True(t, ok)
			l.Next(at)
			if waits.State() != Queued {
				require.Equal(t, hold.Until, at, "%v", limit.Window)
			}
		}
	}
}

// Whoever is refused is told the first instant at which there is room, and asks once.
func TestWhoeverIsRefusedForWhatWasLostIsToldWhenThereIsRoom(t *testing.T) {
	for _, kind := range []Window{Sliding, Leaky, Concurrency, FixedFromFirst} {
		rapid.Check(t, func(t *rapid.T) {
			const quota = 6
			l, err := New([]Limit{{ID: "a", Quota: quota, Per: perOf(kind, 5*sec), Window: kind, MaxDelay: 7 * sec, CloseDelay: 2 * sec}}, Options{})
			require.NoError(t, err)
			l.clock.rate = 0
			var now time.Duration
			var flying []*Permit
			for range rapid.IntRange(1, 40).Draw(t, "steps") {
				now += time.Duration(rapid.IntRange(0, 30).Draw(t, "tenths")) * 100 * ms
				if p := (&Permit{Limit: "a"}); rapid.Bool().Draw(t, "asks") && l.TryAcquire(now, p) == nil {
					flying = append(flying, p)
				}
				if len(flying) > 0 && rapid.Bool().Draw(t, "ends") {
					fate := rapid.SampledFrom([]Fate{Answered, Lost, Closed}).Draw(t, "fate")
					l.Settle(now, flying[0], Outcome{Fate: fate})
					flying = flying[1:]
				}
			}
			for _, p := range flying {
				now += 100 * ms
				l.Settle(now, p, Outcome{Fate: Lost})
			}
			p := &Permit{Limit: "a", Weight: rapid.Int64Range(1, quota).Draw(t, "weight")}
			var full *LimitError
			if err = l.TryAcquire(now, p); err == nil {
				return
			}
			require.ErrorAs(t, err, &full)
			require.Greater(t, full.RetryAt, now)
			require.Error(t, l.TryAcquire(full.RetryAt-1, p), "not before")
			require.NoError(t, l.TryAcquire(full.RetryAt, p), "but then")
		})
	}
}

func TestAConcurrencyLimitOpensOnceALostPermitIsLetGoThoughOthersHoldMore(t *testing.T) {
	play := func() *Ledger {
		l := newLedger(t, Options{}, Limit{ID: "c", Window: Concurrency, Quota: 2})
		l.Settle(0, granted(t, l, 0, "c"), Outcome{Fate: Closed}) // it is let go after a second
		require.NoError(t, l.Sync(0, "c", Parts{}, 2, 0))         // and one of somebody else's after ten
		return l
	}
	var full *LimitError
	require.ErrorAs(t, play().TryAcquire(ms, &Permit{Limit: "c"}), &full)
	require.Equal(t, sec, full.RetryAt)
	require.Error(t, play().TryAcquire(sec-1, &Permit{Limit: "c"}))
	require.NoError(t, play().TryAcquire(sec, &Permit{Limit: "c"}))
}

func TestWhoAsksAgainWhenToldDoesNotSpinOnALostPermitUnderAnUncertainClock(t *testing.T) {
	l := newLedger(t, Options{}, Limit{ID: "w", Window: Fixed, Quota: 1, Per: time.Minute, MaxDelay: time.Minute})
	l.SetClock(0, 1_000_000*sec, 1_000_001*sec) // a Date says no more
	l.Settle(0, granted(t, l, 0, "w"), Outcome{Fate: Lost})
	now, asked := sec, 0
	for {
		err := l.TryAcquire(now, &Permit{Limit: "w"})
		if err == nil {
			break
		}
		var full *LimitError
		require.ErrorAs(t, err, &full)
		require.Greater(t, full.RetryAt, now)
		asked++
		require.Less(t, asked, 6)
		now = max(full.RetryAt, now+20*time.Microsecond) // asking takes a moment
	}
	require.GreaterOrEqual(t, now, time.Minute, "it may arrive until then")
}

// Whoever is told to come back when what was lost is over would wait for seconds beside an answer
// that comes in a moment.
func TestNoInstantIsToldWhereAnAnswerBringsRoomBeforeWhatWasLostIsOver(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "c", Quota: 2, Window: Concurrency})
	lost, open := granted(t, l, 0, "c"), granted(t, l, 0, "c")
	l.Settle(sec, lost, Outcome{Fate: Lost})
	var full *LimitError
	require.ErrorAs(t, l.TryAcquire(2*sec, &Permit{Limit: "c"}), &full)
	require.Zero(t, full.RetryAt)
	require.ErrorAs(t, l.TryAcquire(2*sec, &Permit{Limit: "c", Weight: 2}), &full)
	require.Equal(t, 11*sec, full.RetryAt, "it needs the place of the lost one")
	l.Settle(3*sec, open, Outcome{})
	require.NoError(t, l.TryAcquire(3*sec, &Permit{Limit: "c"}))
}
