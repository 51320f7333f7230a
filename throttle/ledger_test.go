package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	ms  = time.Millisecond
	sec = time.Second
)

// newLedger returns a ledger whose clock rate is so small that spans up to
// minutes come out exact but for one nanosecond.
func newLedger(t testing.TB, o Options, limits ...Limit) *Ledger {
	t.Helper()
	l, err := New(limits, o)
	require.NoError(t, err)
	return l
}

// exact makes a ledger that takes the server's clock to run exactly as ours.
func exact(t testing.TB, o Options, limits ...Limit) *Ledger {
	t.Helper()
	l := newLedger(t, o, limits...)
	l.clock.rate = 0
	require.NoError(t, l.Replace(0, limits))
	return l
}

func acquire(t testing.TB, l *Ledger, now time.Duration, limit string) *Permit {
	t.Helper()
	p := &Permit{Limit: limit}
	require.NoError(t, l.Acquire(now, p))
	return p
}

func granted(t testing.TB, l *Ledger, now time.Duration, limit string) *Permit {
	t.Helper()
	p := acquire(t, l, now, limit)
	require.Equal(t, Granted, p.State(), "at %v", now)
	return p
}

func queued(t testing.TB, l *Ledger, now time.Duration, limit string) *Permit {
	t.Helper()
	p := acquire(t, l, now, limit)
	require.Nil(t, l.Next(now))
	require.Equal(t, Queued, p.State(), "at %v", now)
	return p
}

func wakesAt(t testing.TB, l *Ledger, want time.Duration) {
	t.Helper()
	at, ok := l.Wake()
	require.True(t, ok)
	require.Equal(t, want, at)
}

func TestASlidingPermitComesBackItsWindowAfterTheAnswer(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec})
	p := granted(t, l, 0, "a")
	q := queued(t, l, 10*ms, "a")
	_, ok := l.Wake()
	require.False(t, ok, "only an answer can bring room")

	l.Settle(50*ms, p, Outcome{})
	require.Nil(t, l.Next(50*ms))
	wakesAt(t, l, 1050*ms)
	require.Nil(t, l.Next(1050*ms-1))
	require.Same(t, q, l.Next(1050*ms))
	require.Equal(t, Granted, q.State())
}
