package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: 2 * sec, Window: kind})
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
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: 2 * sec, Window: c.kind})
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
	require.Nil(t, l.LostHolding(0))
	loseAll(t, l, 0, 3, Lost)
	loseAll(t, l, sec, 2, Lost)
	require.Empty(t, l.LostHolding(sec), "half is not more than half")
	loseAll(t, l, sec, 2, Closed)
	require.Equal(t, []LostLimit{{ID: "a", Lost: 7, Quota: 10, Until: 2 * sec}}, l.LostHolding(sec))
	loseAll(t, l, sec, 3, Lost)
	require.Equal(t, []LostLimit{{ID: "a", Lost: 10, Quota: 10, Until: 10 * sec}}, l.LostHolding(sec))
	require.Equal(t, []LostLimit{{ID: "a", Lost: 8, Quota: 10, Until: 10 * sec}}, l.LostHolding(2*sec))
	require.Empty(t, l.LostHolding(10*sec))
	require.Empty(t, l.LostHolding(time.Minute))
	require.Nil(t, anyOf(&l.table.rules["a"].meters).lost)
}
