package throttle

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is counted here is work, not time: it must not grow with the number of lanes.
func TestAGrantLooksAtFewLanesHoweverManyWait(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine's arithmetic, and much of it")
	}
	for _, keys := range []int{100, 3000} {
		for _, shared := range sharedLimits(keys) {
			t.Run(fmt.Sprintf("%d keys, shared %s", keys, shared.name), func(t *testing.T) {
				c := newCrowd(t, keys, shared.limits)
				before, grants := c.l.queue.work, c.grants
				for range 2 * keys {
					c.grant(t)
				}
				n := uint64(c.grants - grants)
				after := c.l.queue.work
				require.LessOrEqual(t, after.examined-before.examined, 5*n, "lanes")
				require.LessOrEqual(t, after.attended-before.attended, 10*n, "lines")
				require.LessOrEqual(t, after.compared-before.compared, 400*n, "claims, in trees of a depth of about 20")
			})
		}
	}
}

func TestManyKeysAreGrantedWhatTheirLimitsAllow(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine's arithmetic, and much of it")
	}
	const keys = 1000
	for _, shared := range sharedLimits(keys) {
		t.Run(shared.name, func(t *testing.T) {
			c := newCrowd(t, keys, shared.limits)
			begun, grants := c.now, c.grants
			for c.now < begun+100*sec {
				c.grant(t)
			}
			allowed := float64(keys)
			for _, s := range shared.limits {
				allowed = min(allowed, float64(s.Quota)/s.Per.Seconds())
			}
			rate := float64(c.grants-grants) / (c.now - begun).Seconds()
			require.InEpsilon(t, allowed, rate, 0.01)
		})
	}
}

// Lanes of many priorities and origins that wait for one limit without room: each
// answer lets one of them go, and the others are not looked at.
func TestManyBlockedLanesAreNotLookedAtForOneAnswer(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "open", Quota: 1, Window: Concurrency})
	flying := granted(t, l, 0, "open")
	const lanes = 5000
	permits := make([]Permit, lanes)
	for i := range permits {
		permits[i] = Permit{Limit: "open", Priority: Priority(i % 100), Origin: fmt.Sprint(i / 100)}
		require.NoError(t, l.Acquire(0, &permits[i]))
	}
	require.Nil(t, l.Next(0))
	before := l.queue.work
	for i := range lanes {
		now := time.Duration(i) * ms
		l.Settle(now, flying, Outcome{})
		flying = l.Next(now)
		require.NotNil(t, flying)
		require.EqualValues(t, 99-i/50, flying.Priority)
		require.Nil(t, l.Next(now))
	}
	require.LessOrEqual(t, l.queue.work.examined-before.examined, uint64(2*lanes))
	require.LessOrEqual(t, l.queue.work.compared-before.compared, uint64(300*lanes))
}

func TestTenThousandWaitersCanBeCancelledOneByOne(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "open", Quota: 1, Window: Concurrency})
	granted(t, l, 0, "open")
	permits := make([]Permit, 10_000)
	for i := range permits {
		permits[i] = Permit{Limit: "open", Priority: Priority(i % 100), Origin: fmt.Sprint(i / 100)}
		require.NoError(t, l.Acquire(0, &permits[i]))
	}
	require.Nil(t, l.Next(0))
	before := l.queue.work
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(len(permits)) {
		require.True(t, l.Cancel(0, &permits[i]))
		require.Nil(t, l.Next(0))
	}
	n := uint64(len(permits))
	require.LessOrEqual(t, l.queue.work.examined-before.examined, n)
	require.LessOrEqual(t, l.queue.work.attended-before.attended, 3*n)
	require.LessOrEqual(t, l.queue.work.compared-before.compared, 300*n)
	require.Empty(t, l.queue.lanes)
}
