package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestARefusalNamesTheLimitThatIsFullAndWhenToAskAgain(t *testing.T) {
	l := exact(t, Options{MaxQueued: 1},
		Limit{ID: "pool", Quota: 10, Per: sec},
		Limit{ID: "symbol", Quota: 1, Per: 5 * sec, Keyed: true},
		Limit{ID: "order", Linked: []Link{{ID: "pool"}, {ID: "symbol"}}})
	for range 2 {
		p := &Permit{Limit: "order", Key: "BTC"}
		require.NoError(t, l.Acquire(0, p))
		if p.State() == Granted {
			l.Settle(0, p, Outcome{})
		}
	}
	why := func(p Permit, want error) *LimitError {
		t.Helper()
		err := l.Acquire(sec, &p)
		require.ErrorIs(t, err, want)
		var e *LimitError
		require.ErrorAs(t, err, &e)
		return e
	}
	require.Nil(t, l.Next(sec))
	full := why(Permit{Limit: "order", Key: "BTC"}, ErrQueueFull)
	require.Equal(t, &LimitError{ID: "order", Err: ErrQueueFull, Full: "symbol", Key: "BTC", RetryAt: 5 * sec}, full)
	require.EqualError(t, full, `limit "order": queue is full: Throttle.MaxQueued bounds it (of one key of "symbol")`)

	l.options.MaxQueued = 10
	late := why(Permit{Limit: "order", Key: "BTC", Deadline: 2 * sec}, ErrDeadline)
	require.Equal(t, &LimitError{ID: "order", Err: ErrDeadline, Full: "symbol", Key: "BTC", RetryAt: 5 * sec}, late)

	require.NoError(t, l.Pause(sec, Scope{Origin: "", Name: WholeOrigin}, 8*sec))
	paused := why(Permit{Limit: "order", Key: "BTC", Deadline: 2 * sec}, ErrDeadline)
	require.Equal(t, 8*sec, paused.RetryAt)
	require.NotEmpty(t, paused.Full)
	require.True(t, paused.Paused)
	require.EqualError(t, paused, `limit "order": no room before the deadline (of "pool", paused)`, "it is no limit that is to be raised")
	none := why(Permit{Limit: NoLimit, Deadline: 2 * sec}, ErrDeadline)
	require.Equal(t, &LimitError{ID: NoLimit, Err: ErrDeadline, Paused: true, RetryAt: 8 * sec}, none)
	require.EqualError(t, none, "no room before the deadline (paused)")
}

func TestInASlowStartNoInstantIsKnown(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 100, Per: sec})
	require.NoError(t, l.Pause(0, Scope{}, sec))
	first := granted(t, l, sec, "a")
	late := &Permit{Limit: "a", Deadline: sec + 500*ms}
	require.NoError(t, l.Acquire(sec, late))
	require.Equal(t, Hold{Limit: "a", Paused: true}, l.Holding(sec, late))
	require.Same(t, late, l.Next(sec+500*ms))
	require.Equal(t, &LimitError{ID: "a", Err: ErrDeadline, Full: "a", Paused: true}, late.Err())
	l.Settle(sec+501*ms, first, Outcome{})
	granted(t, l, sec+501*ms, "a") // for the answer has opened it
}

func TestAnExpiredPermitKnowsWhatKeptIt(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	granted(t, l, 0, "a")
	p := &Permit{Limit: "a", Deadline: 5 * sec}
	require.NoError(t, l.Acquire(0, p))
	require.Same(t, p, l.Next(5*sec))
	require.Equal(t, &LimitError{ID: "a", Err: ErrDeadline, Full: "a"}, p.Err(), "only an answer brings room")

	l = exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: 9 * sec})
	l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	first := queued(t, l, 0, "a")
	p = &Permit{Limit: "a", Deadline: 9*sec + 1}
	require.NoError(t, l.Acquire(0, p))
	require.Same(t, first, l.Next(9*sec))
	l.Settle(9*sec, first, Outcome{})
	require.Same(t, p, l.Next(9*sec+1))
	require.Equal(t, &LimitError{ID: "a", Err: ErrDeadline, Full: "a", RetryAt: 18 * sec}, p.Err())
}

func TestAQueuedPermitSaysWhatHoldsIt(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "a", Quota: 1, Per: 3 * sec, Scope: "ip"},
		Limit{ID: "b", Quota: 1, Per: 9 * sec, Keyed: true, Linked: []Link{{ID: "a"}}})
	require.Zero(t, l.Holding(0, &Permit{Limit: "b"}))
	p := &Permit{Limit: "b", Key: "x"}
	require.NoError(t, l.Acquire(0, p))
	require.Zero(t, l.Holding(0, p))
	q := &Permit{Limit: "b", Key: "x"}
	require.NoError(t, l.Acquire(0, q))
	require.Zero(t, l.Holding(0, q).Until, "an answer")
	l.Settle(sec, p, Outcome{})
	require.Nil(t, l.Next(sec))
	require.Equal(t, Hold{Limit: "b", Key: "x", Until: 10 * sec}, l.Holding(sec, q))
	r := &Permit{Limit: "a"}
	require.NoError(t, l.Acquire(sec, r))
	require.Equal(t, Hold{Limit: "a", Until: 4 * sec}, l.Holding(sec, r))
	require.NoError(t, l.Pause(sec, Scope{Origin: "", Name: "ip"}, 6*sec))
	require.Equal(t, Hold{Limit: "a", Scope: Scope{Origin: "", Name: "ip"}, Paused: true, Until: 6 * sec}, l.Holding(sec, r))
	require.Equal(t, Hold{Limit: "b", Key: "x", Until: 10 * sec}, l.Holding(sec, q), "a longer one counts")
}

func TestWhoWaitsInTheSameScopeIsAheadWhateverItsLimit(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 100, Per: sec}, Limit{ID: "b", Quota: 100, Per: sec}, Limit{ID: "c", Quota: 100, Per: sec, Scope: "other"})
	require.NoError(t, l.Pause(0, Scope{}, time.Minute))
	for range 3 {
		queued(t, l, 0, "b")
	}
	f, err := l.Foresee(0, Permit{Limit: "a"})
	require.NoError(t, err)
	require.Equal(t, []Class{{0, 3}}, f.Ahead)
	require.Equal(t, time.Minute, f.Hold.Until, "if nobody was ahead")
	queued(t, l, 0, "a")
	all := l.Waiters(0, 10)
	require.Equal(t, []int{3, 2}, []int{all[3].Ahead, all[3].Behind})
	require.Equal(t, []int{0, -1}, []int{all[0].Ahead, all[0].Behind})

	require.NotNil(t, l.Next(time.Minute))
	require.Nil(t, l.Next(time.Minute))
	f, err = l.Foresee(time.Minute, Permit{Limit: "b"})
	require.NoError(t, err)
	require.Equal(t, []Class{{0, 3}}, f.Ahead)
	require.Zero(t, f.Hold.Until, "an answer may come at any time")
	f, err = l.Foresee(time.Minute, Permit{Limit: "c"})
	require.NoError(t, err)
	require.True(t, f.AtOnce)
	require.Empty(t, f.Ahead)
}

func TestARefusalSaysWhatIsKeptForMoreUrgentOnes(t *testing.T) {
	l := exact(t, Options{MaxQueued: 1}, Limit{ID: "w", Quota: 20, Per: sec, Reserve: []Reserve{{Priority: High, Weight: 6}, {Priority: Urgent, Weight: 4}, {Priority: 7, Weight: 1}}})
	why := func(p Permit, want error) *LimitError {
		t.Helper()
		p.Limit = "w"
		err := l.Acquire(0, &p)
		require.ErrorIs(t, err, want)
		var e *LimitError
		require.ErrorAs(t, err, &e)
		return e
	}
	late := func(priority Priority, weight int64) string {
		t.Helper()
		return why(Permit{Priority: priority, Weight: weight, Deadline: 1}, ErrDeadline).Error()
	}
	for range 9 {
		l.Settle(0, granted(t, l, 0, "w"), Outcome{})
	}
	require.Equal(t, &LimitError{ID: "w", Err: ErrDeadline, Full: "w", Kept: Kept{Weight: 11, For: 7}, RetryAt: sec}, why(Permit{Deadline: 1}, ErrDeadline))
	require.Equal(t, `limit "w": no room before the deadline (11 kept for priority 7 and above)`, late(Normal, 1))
	require.Equal(t, `limit "w": no room before the deadline (10 kept for priority high and above)`, late(Account, 2))
	require.Equal(t, `limit "w": no room before the deadline (4 kept for priority urgent and above)`, late(High, 8))
	require.Equal(t, `limit "w": no room before the deadline`, late(Urgent, 12), "nothing is kept from it")

	snapshot := l.Snapshot(0)
	require.Equal(t, []Kept{{Weight: 4, For: Urgent}, {Weight: 6, For: High}, {Weight: 1, For: 7}}, snapshot.Limits[0].Kept)
	require.NoError(t, l.Acquire(0, &Permit{Limit: "w"}))
	require.Nil(t, l.Next(0))
	require.EqualError(t, why(Permit{}, ErrQueueFull), `limit "w": queue is full: Throttle.MaxQueued bounds it (11 kept for priority 7 and above)`)
	require.NoError(t, l.Pause(0, Scope{}, time.Minute))
	require.Zero(t, why(Permit{}, ErrQueueFull).Kept, "the pause holds it")
}
