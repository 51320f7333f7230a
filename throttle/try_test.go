package throttle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// pair is two ledgers that are told the same, but for one: where the first is tried, the
// second is asked, and whoever is queued there leaves at once.
type pair struct {
	tried, asked *Ledger
	now          time.Duration
	flying       [2][]*Permit
	queued       [2][]*Permit
}

func newPair(t require.TestingT, limits []Limit) *pair {
	one, err := New(limits, Options{})
	require.NoError(t, err)
	other, err := New(limits, Options{})
	require.NoError(t, err)
	return &pair{tried: one, asked: other}
}

func (w *pair) each(do func(i int, l *Ledger)) {
	do(0, w.tried)
	do(1, w.asked)
}

// grant takes those out of the queue that have an answer.
func (w *pair) grant() {
	w.each(func(i int, l *Ledger) {
		for p := l.Next(w.now); p != nil; p = l.Next(w.now) {
			w.leaveQueue(i, p)
			if p.State() == Granted {
				w.flying[i] = append(w.flying[i], p)
			}
		}
	})
}

func (w *pair) leaveQueue(i int, p *Permit) {
	for at, other := range w.queued[i] {
		if other == p {
			w.queued[i] = append(w.queued[i][:at:at], w.queued[i][at+1:]...)
		}
	}
}

// try has the one ledger tried and the other asked, and compares what they say.
func (w *pair) try(t require.TestingT, p Permit) {
	one, other := p, p
	err, otherErr := w.tried.TryAcquire(w.now, &one), w.asked.Acquire(w.now, &other)
	require.NotEqual(t, Queued, one.State())
	if other.State() == Queued {
		require.ErrorIs(t, err, ErrNoRoom)
		require.True(t, w.asked.Cancel(w.now, &other))
		w.grant()
		return
	}
	require.Equal(t, other.State(), one.State(), "%v, %v", err, otherErr)
	require.Equal(t, otherErr, err)
	if one.State() == Granted {
		w.flying[0], w.flying[1] = append(w.flying[0], &one), append(w.flying[1], &other)
	}
}

func (w *pair) acquire(t require.TestingT, p Permit) {
	w.each(func(i int, l *Ledger) {
		one := p
		require.NoError(t, l.Acquire(w.now, &one))
		if one.State() == Granted {
			w.flying[i] = append(w.flying[i], &one)
		} else {
			w.queued[i] = append(w.queued[i], &one)
		}
	})
}

func (w *pair) settle(at int, o Outcome) {
	w.each(func(i int, l *Ledger) {
		p := w.flying[i][at]
		w.flying[i] = append(w.flying[i][:at:at], w.flying[i][at+1:]...)
		l.Settle(w.now, p, o)
	})
}

func (w *pair) wantAlike(t require.TestingT) {
	require.Equal(t, len(w.queued[1]), len(w.queued[0]))
	require.Equal(t, len(w.flying[1]), len(w.flying[0]))
	one, other := w.tried.Snapshot(w.now), w.asked.Snapshot(w.now)
	require.Equal(t, other, one)
}

// A try is granted exactly when whoever waits would be at once, leaves everything as it
// was when it is refused, and says an instant before which it would be refused again.
func TestATryIsGrantedExactlyWhenNobodyWouldHaveToWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		kinds := []Window{Sliding, FixedFromFirst, Leaky, Concurrency}
		pool, light := drawLimit(rng, "pool", kinds[rng.IntN(4)]), drawLimit(rng, "light", kinds[rng.IntN(4)], Link{ID: "pool", Weight: 2})
		w := newPair(t, []Limit{pool, light})
		for range 150 {
			w.now += time.Duration(rng.IntN(200)) * ms
			w.grant()
			p := Permit{Limit: []string{"pool", "light"}[rng.IntN(2)], Priority: Priority(rng.IntN(3))}
			switch rng.IntN(6) {
			case 0:
				w.acquire(t, p)
			case 1, 2, 3:
				w.try(t, p)
			case 4:
				if n := len(w.flying[0]); n > 0 {
					w.settle(rng.IntN(n), Outcome{Fate: Fate(rng.IntN(4))})
				}
			default:
				if rng.IntN(4) == 0 {
					w.each(func(_ int, l *Ledger) {
						require.NoError(t, l.Pause(w.now, Scope{Name: ""}, w.now+300*ms))
					})
				}
			}
			w.grant()
			w.wantAlike(t)
		}
	})
}

func TestARefusedTrySaysFromWhenOnAnotherIsWorthwhile(t *testing.T) {
	l, err := New([]Limit{{ID: "a", Quota: 1, Per: time.Second}}, Options{ClockRate: 1e-9})
	require.NoError(t, err)
	first := &Permit{Limit: "a"}
	require.NoError(t, l.TryAcquire(0, first))
	inFlight, ok := l.TryAcquire(0, &Permit{Limit: "a"}).(*LimitError)
	require.True(t, ok)
	require.Zero(t, inFlight.RetryAt, "only the answer brings it")
	l.Settle(0, first, Outcome{})
	refused, ok := l.TryAcquire(0, &Permit{Limit: "a"}).(*LimitError)
	require.True(t, ok)
	require.ErrorIs(t, refused, ErrNoRoom)
	require.Equal(t, "a", refused.Full)
	require.GreaterOrEqual(t, refused.RetryAt, time.Second)
	require.ErrorIs(t, l.TryAcquire(0, &Permit{Limit: "b"}), ErrUnknownLimit)
	require.ErrorIs(t, l.TryAcquire(2*time.Second, &Permit{Limit: "a", Deadline: time.Second}), ErrDeadline)
}
