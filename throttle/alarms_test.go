package throttle

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAlarmsRingInTheOrderInWhichAMapHasThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 7))
		waits := rapid.SampledFrom([][]int64{{1000}, {10, 1000, 30, 5000, 1}, {1000, 999, 998, 1001, 990, 995}}).Draw(t, "waits")
		jitter := rapid.SampledFrom([]int64{1, 3, 2000}).Draw(t, "jitter")
		lines := make([]line, rapid.SampledFrom([]int{1, 3, 30, 300}).Draw(t, "lines"))
		var h alarms
		want := map[*line]time.Duration{}
		now := time.Duration(0)
		for range 2000 {
			ln := &lines[rng.IntN(len(lines))]
			at := now + time.Duration(waits[rng.IntN(len(waits))]+rng.Int64N(jitter))
			switch rng.IntN(8) {
			case 0:
				h.clear(ln)
				delete(want, ln)
			case 1:
				h.set(ln, never)
				delete(want, ln)
			case 2:
				h.advance(ln, at)
				if was, set := want[ln]; !set || at < was {
					want[ln] = at
				}
			case 3, 4, 5:
				h.set(ln, at)
				want[ln] = at
			default:
				now += time.Duration(rng.Int64N(5))
				ring(t, &h, want, now)
			}
			require.Equal(t, len(want), h.n)
		}
		requireAlarms(t, &h, want)
		ring(t, &h, want, never-1)
		require.Empty(t, want)
	})
}

// ring has all ring that are due by now, and checks that each is one of the first.
func ring(t *rapid.T, h *alarms, want map[*line]time.Duration, now time.Duration) {
	for h.next() <= now {
		first := never
		for _, at := range want {
			first = min(first, at)
		}
		require.Equal(t, first, h.next())
		require.Equal(t, first, want[h.first.line])
		delete(want, h.first.line)
		h.clear(h.first.line)
	}
	for _, at := range want {
		require.Greater(t, at, now)
	}
}

// requireAlarms checks that each line stands where it says, and that rows are in order.
func requireAlarms(t *rapid.T, h *alarms, want map[*line]time.Duration) {
	for ln, at := range want {
		a := alarm{at, ln}
		if ln.stand == inHeap {
			require.Equal(t, a, h.heap[ln.slot])
		} else {
			require.Equal(t, a, h.rows[ln.stand-1].ring[ln.slot])
		}
	}
	for _, r := range h.rows {
		last := unset
		standing := 0
		for i := range r.n {
			if a := r.ring[(r.front+i)&(len(r.ring)-1)]; a.line != nil {
				require.LessOrEqual(t, last, a.at)
				last = a.at
				standing++
			}
		}
		require.Equal(t, r.standing, standing)
	}
}

// Each limit's lines are set one after another, and none of them meets the others.
func TestAlarmsThatComeInOrderNeedNoHeap(t *testing.T) {
	var h alarms
	lines := make([]line, 4000)
	waits := []time.Duration{time.Hour, time.Second, time.Minute, 100 * ms}
	now := time.Duration(0)
	for i := range 20_000 {
		now += ms
		for h.next() <= now {
			h.clear(h.first.line)
		}
		if ln := &lines[i%len(lines)]; ln.stand == nowhere {
			h.set(ln, now+waits[i%len(waits)])
		}
	}
	require.Empty(t, h.heap)
}

func TestARowKeepsNoMoreGapsThanHaveToBe(t *testing.T) {
	var h alarms
	lines := make([]line, 100)
	h.set(&lines[0], 0) // it stands in front of all others
	for i := range 100_000 {
		h.set(&lines[1+i%99], time.Duration(1+i))
	}
	require.LessOrEqual(t, len(h.rows[0].ring), 4*len(lines))
	require.Equal(t, len(lines), h.n)
}

func TestALongRowThatIsEmptyKeepsNoMemory(t *testing.T) {
	var h alarms
	lines := make([]line, 5000)
	for i := range lines {
		h.set(&lines[i], time.Duration(i))
	}
	for i := range lines {
		h.clear(&lines[i])
	}
	require.Nil(t, h.rows[0].ring)
}
