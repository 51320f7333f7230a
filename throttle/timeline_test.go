package throttle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// walk is the instant by which need has ended, found by a walk through all entries.
func walk(t *timeline, now time.Duration, need int64) time.Duration {
	at := now
	for i := range int(t.n) {
		if need <= 0 {
			return at
		}
		at = t.entry(i).at
		need -= t.entry(i).w
	}
	if need > 0 {
		return never
	}
	return at
}

func TestATimelineSaysByWhenWhatAWalkThroughItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4))
		var log timeline
		var now time.Duration
		if rng.IntN(2) == 0 {
			log.gone = mostGone - 1000 // soon counted anew
		}
		for range 400 {
			switch rng.IntN(10) {
			case 0:
				log.drop(rng.Int64N(20))
			case 1:
				log.delay(time.Duration(rng.IntN(5)))
			case 2, 3:
				now += time.Duration(rng.IntN(60))
				log.expire(now)
			default:
				log.add(now+1+time.Duration(rng.IntN(100)), 1+rng.Int64N(9), 0)
			}
			var sum int64
			for i := range int(log.n) {
				e := log.entry(i)
				require.Positive(t, e.w)
				sum += e.w
			}
			require.Equal(t, sum, log.sum)
			if log.n > 0 {
				require.Equal(t, log.entry(0).at, log.first)
				require.Equal(t, log.entry(int(log.n)-1).at, log.last)
			}
			need := rng.Int64N(sum+10) - 2
			require.Equal(t, walk(&log, now, need), log.when(now, need), "%d of %d", need, sum)
		}
	})
}

// What is counted is work: a heavy request at a full window looks at few entries of
// its log, however many it has to see the end of.
func TestAHeavyRequestAtAFullWindowLooksAtFewEntries(t *testing.T) {
	const quota = 30_000
	l := exact(t, Options{}, Limit{ID: "a", Quota: quota, Per: time.Minute})
	now := time.Duration(0)
	for range quota {
		now += ms
		l.Settle(now, granted(t, l, now, "a"), Outcome{})
	}
	log := &logOf(anyOf(&l.table.rules["a"].meters).window).log
	require.EqualValues(t, quota, log.n)
	const tries = 100
	asked := &asked{window: anyOf(&l.table.rules["a"].meters).window}
	anyOf(&l.table.rules["a"].meters).window = asked
	for i := range tries {
		p := &Permit{Limit: "a", Weight: quota - int64(i)}
		require.NoError(t, l.Acquire(now, p))
		require.Nil(t, l.Next(now))
		l.Cancel(now, p)
	}
	require.Positive(t, asked.n)
	require.LessOrEqual(t, asked.n, 6*tries)
	looks := 0
	for i := range tries {
		log.search(quota-int64(i), func(int) { looks++ })
	}
	require.LessOrEqual(t, looks, 16*tries)
}

// asked is a window that counts how often it is asked when there will be room.
type asked struct {
	window
	n int
}

func (a *asked) when(now time.Duration, w, flying int64) time.Duration {
	a.n++
	return a.window.when(now, w, flying)
}
