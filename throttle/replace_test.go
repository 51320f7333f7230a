package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAWindowOfAnotherKindRemembersWhatThisOneForgot(t *testing.T) {
	for _, kind := range []Window{Sliding, FixedFromFirst, Leaky} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec, Window: Fixed})
		l.SetClock(0, 1_000_000*sec, 1_000_000*sec) // a window begins at our zero
		for range 10 {
			l.Settle(900*ms, granted(t, l, 900*ms, "a"), Outcome{})
		}
		require.EqualValues(t, 10, limitOf(l, 1001*ms, "a").Room, "a new window has begun")
		require.NoError(t, l.Replace(1001*ms, []Limit{{ID: "a", Quota: 10, Per: perOf(kind, sec), Window: kind}}))
		require.LessOrEqual(t, limitOf(l, 1001*ms, "a").Room, int64(0), kind)
		require.Greater(t, limitOf(l, 2002*ms, "a").Room, int64(8), kind)
	}
}

func TestACounterThatKeepsNoLogIsTakenForFull(t *testing.T) {
	for _, kind := range []Window{Leaky, Concurrency} {
		l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: perOf(kind, sec), Window: kind})
		for i := range 10 {
			l.Settle(time.Duration(i)*100*ms, granted(t, l, time.Duration(i)*100*ms, "a"), Outcome{})
		}
		require.NoError(t, l.Replace(sec, []Limit{{ID: "a", Quota: 10, Per: sec}}))
		require.Zero(t, limitOf(l, sec, "a").Room, kind)
		require.EqualValues(t, 10, limitOf(l, 2*sec, "a").Room, kind)

		require.NoError(t, l.Replace(9*sec, []Limit{{ID: "a", Quota: 10, Per: perOf(kind, sec), Window: kind}}))
		require.NoError(t, l.Replace(10*sec, []Limit{{ID: "a", Quota: 10, Per: sec}}))
		require.EqualValues(t, 10, limitOf(l, 10*sec, "a").Room, "%v: nothing was answered for a whole window", kind)
	}
}

// At 499 ms nothing has fallen off the server's counter of 5, for it falls at 500;
// from then on it falls by 1 every 100 ms.
func TestACounterThatFellInLargerStepsMayLieAsFarAboveTheLine(t *testing.T) {
	limit := Limit{ID: "a", Quota: 10, Per: sec, Burst: 10, Tick: 500 * ms, Window: Leaky}
	l := exact(t, Options{}, limit)
	for range 5 {
		l.Settle(0, granted(t, l, 0, "a"), Outcome{})
	}
	require.EqualValues(t, 4, limitOf(l, 499*ms, "a").Room)
	limit.Tick = 100 * ms
	require.NoError(t, l.Replace(499*ms, []Limit{limit}))
	require.LessOrEqual(t, limitOf(l, 499*ms, "a").Room, int64(10-5))
	require.EqualValues(t, 9, limitOf(l, 901*ms, "a").Room, "it is empty")
	limit.Tick = 0
	require.NoError(t, l.Replace(902*ms, []Limit{limit}))
	require.EqualValues(t, 9, limitOf(l, 902*ms, "a").Room, "one step may still be in it")
}

// Whatever the kinds, what is granted after a replacement obeys the new rule
// together with all that was granted before it.
func TestNoReplacementLetsMoreThroughThanEitherKind(t *testing.T) {
	kinds := []Window{Sliding, Fixed, FixedFromFirst, Leaky, Concurrency}
	rapid.Check(t, func(t *rapid.T) {
		from := rapid.SampledFrom(kinds).Draw(t, "from")
		to := rapid.SampledFrom([]Window{Sliding, Fixed, Leaky}).Draw(t, "to")
		limit := Limit{ID: "a", Quota: 5, Per: perOf(from, sec), Window: from}
		l, err := New([]Limit{limit}, Options{})
		require.NoError(t, err)
		l.SetClock(0, 1_000_000*sec, 1_000_000*sec)
		oracle := &oracle{lenient: true, limit: limit, rate: l.clock.rate, clock: l.clock}
		oracle.limit.Window, oracle.limit.Per = to, sec
		replaced := rapid.IntRange(1, 60).Draw(t, "replaced after")
		var flying []*Permit
		uses := map[*Permit]*usage{}
		now := time.Duration(0)
		for i := range 100 {
			now += time.Duration(rapid.IntRange(0, 120).Draw(t, "pause")) * ms
			if i == replaced {
				limit.Window, limit.Per = to, sec
				require.NoError(t, l.Replace(now, []Limit{limit}))
			}
			if len(flying) > 0 && rapid.Bool().Draw(t, "answer") {
				p := flying[0]
				flying = flying[1:]
				l.Settle(now, p, Outcome{})
				oracle.answered(uses[p], now)
				continue
			}
			p := &Permit{Limit: "a"}
			require.NoError(t, l.Acquire(now, p))
			if p.State() == Queued {
				l.Cancel(now, p)
				continue
			}
			uses[p] = &usage{1, now, never}
			oracle.log = append(oracle.log, uses[p])
			flying = append(flying, p)
			if i >= replaced {
				require.GreaterOrEqual(t, oracle.room(now), int64(0), "%v to %v at %v", from, to, now)
			}
		}
	})
}

// answered keeps the log in the order of the answers.
func (o *oracle) answered(u *usage, now time.Duration) {
	u.answered = now
	for i, v := range o.log {
		if v == u {
			o.log = append(append(o.log[:i:i], o.log[i+1:]...), u)
			return
		}
	}
}
