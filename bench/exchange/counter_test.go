package exchange

import (
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// charged is one entry of an oracle's unabridged memory.
type charged struct {
	at     time.Duration
	weight int64
}

// oracle answers from the definition of a policy: the weight that counts at
// now, given everything ever charged.
type oracle func(l Limit, past []charged, now time.Duration) *big.Rat

var oracles = map[Policy]oracle{
	Fixed: func(l Limit, past []charged, now time.Duration) *big.Rat {
		return sumWhere(past, func(at time.Duration) bool { return at/l.Per == now/l.Per })
	},
	Sliding: func(l Limit, past []charged, now time.Duration) *big.Rat {
		return sumWhere(past, func(at time.Duration) bool { return at > now-l.Per && at <= now })
	},
	FromFirst: func(l Limit, past []charged, now time.Duration) *big.Rat {
		start := time.Duration(-1 << 60)
		for _, c := range past {
			if c.at >= start+l.Per {
				start = c.at
			}
		}
		return sumWhere(past, func(at time.Duration) bool { return at >= start && now < start+l.Per })
	},
	// The fullest suffix, less what drained since its first charge.
	TokenBucket: func(l Limit, past []charged, now time.Duration) *big.Rat {
		worst, sum := new(big.Rat), new(big.Rat)
		for i := len(past) - 1; i >= 0; i-- {
			sum.Add(sum, big.NewRat(past[i].weight, 1))
			drained := new(big.Rat).Mul(big.NewRat(l.Quota, int64(l.Per)), big.NewRat(int64(now-past[i].at), 1))
			if level := new(big.Rat).Sub(sum, drained); level.Cmp(worst) > 0 {
				worst = level
			}
		}
		return worst
	},
	// Nanosecond by nanosecond; charges follow the tick of their instant.
	Decaying: func(l Limit, past []charged, now time.Duration) *big.Rat {
		var used int64
		for t := time.Duration(0); t <= now; t++ {
			ticks := int64(t)*l.Quota/int64(l.Per) - int64(t-1)*l.Quota/int64(l.Per)
			if t > 0 {
				used = max(0, used-ticks)
			}
			for _, c := range past {
				if c.at == t {
					used += c.weight
				}
			}
		}
		return big.NewRat(used, 1)
	},
}

func sumWhere(past []charged, counts func(time.Duration) bool) *big.Rat {
	var sum int64
	for _, c := range past {
		if counts(c.at) {
			sum += c.weight
		}
	}
	return big.NewRat(sum, 1)
}

func fits(l Limit, past []charged, now time.Duration, weight int64) bool {
	used := oracles[l.Policy](l, past, now)
	return used.Add(used, big.NewRat(weight, 1)).Cmp(big.NewRat(l.capacity(), 1)) <= 0
}

func drawLimit(t *rapid.T) Limit {
	l := Limit{
		Policy: Policy(rapid.IntRange(0, int(FromFirst)).Draw(t, "policy")),
		Per:    time.Duration(rapid.IntRange(1, 15).Draw(t, "per")),
	}
	l.Quota = rapid.Int64Range(1, int64(l.Per)).Draw(t, "quota")
	if l.Policy == TokenBucket || l.Policy == Decaying {
		l.Burst = rapid.Int64Range(0, 12).Draw(t, "burst")
	}
	return l
}

func TestEveryCounterAgreesWithItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLimit(t)
		c, err := NewCounter(l)
		require.NoError(t, err)
		var past []charged
		now := time.Duration(0)
		for range rapid.IntRange(1, 25).Draw(t, "arrivals") {
			now += time.Duration(rapid.IntRange(0, 9).Draw(t, "gap"))
			weight := rapid.Int64Range(0, 6).Draw(t, "weight")
			if rapid.IntRange(0, 9).Draw(t, "forced") == 0 {
				c.Charge(now, weight)
				past = append(past, charged{now, weight})
				continue
			}
			past = checkAdmit(t, l, c, past, now, weight)
		}
	})
}

// checkAdmit compares one decision, its retry time and the weight in use.
func checkAdmit(t *rapid.T, l Limit, c Counter, past []charged, now time.Duration, weight int64) []charged {
	ok, retry := c.Admit(now, weight)
	require.Equal(t, fits(l, past, now, weight), ok, "%s at %d: %v + %d", l, now, past, weight)
	switch {
	case ok:
		require.Zero(t, retry)
		past = append(past, charged{now, weight})
	case weight > l.capacity():
		require.Equal(t, Never, retry)
	default:
		require.Positive(t, retry)
		require.True(t, fits(l, past, now+retry, weight), "%s at %d: retry %d is too early", l, now, retry)
		require.False(t, fits(l, past, now+retry-1, weight), "%s at %d: retry %d is too late", l, now, retry)
	}
	used := oracles[l.Policy](l, past, now)
	want := new(big.Int).Div(new(big.Int).Add(used.Num(), new(big.Int).Sub(used.Denom(), big.NewInt(1))), used.Denom())
	require.Equal(t, want.Int64(), c.Used(now), "%s at %d: %v", l, now, past)
	return past
}

// By definition: what was admitted within the budget is never more than the quota and
// what was earned, and what was admitted beyond it lies a period apart.
func TestABudgetIsSpentOnceAndThenLeaksOneAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{Kind: Actions, Policy: Budget, Quota: rapid.Int64Range(1, 20).Draw(t, "quota"), Per: 10}
		c, err := NewCounter(l)
		require.NoError(t, err)
		left, last, now := l.Quota, time.Duration(-10), time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "arrivals") {
			now += time.Duration(rapid.IntRange(0, 6).Draw(t, "gap"))
			if rapid.IntRange(0, 9).Draw(t, "trades") == 0 {
				c.(*budget).earn(3)
				left += 3
			}
			weight := rapid.Int64Range(1, 4).Draw(t, "weight")
			within, beyond := weight <= left, now >= last+10
			ok, retry := c.Admit(now, weight)
			require.Equal(t, within || beyond, ok, "at %d: %d left, the last beyond at %d", now, left, last)
			switch {
			case within:
				left -= weight
			case beyond:
				last = now
			default:
				require.Equal(t, last+10-now, retry)
			}
		}
	})
}

func TestAFixedWindowEndsAtTheExactNanosecond(t *testing.T) {
	c, err := NewCounter(Limit{Quota: 1, Per: time.Minute})
	require.NoError(t, err)
	at := 10*time.Minute + 59*time.Second + 999*time.Millisecond
	ok, _ := c.Admit(at, 1)
	require.True(t, ok)
	ok, retry := c.Admit(11*time.Minute-1, 1)
	require.False(t, ok)
	require.Equal(t, time.Duration(1), retry)
	ok, _ = c.Admit(11*time.Minute, 1)
	require.True(t, ok)
}

func TestASlidingLogForgetsAnArrivalExactlyOnePeriodLater(t *testing.T) {
	c, err := NewCounter(Limit{Quota: 2, Per: time.Second, Policy: Sliding})
	require.NoError(t, err)
	for _, at := range []time.Duration{0, 400 * time.Millisecond} {
		ok, _ := c.Admit(at, 1)
		require.True(t, ok)
	}
	ok, retry := c.Admit(time.Second-1, 1)
	require.False(t, ok)
	require.Equal(t, time.Duration(1), retry)
	ok, _ = c.Admit(time.Second, 1)
	require.True(t, ok)
	require.EqualValues(t, 2, c.Used(time.Second))
}

func TestADecayingCounterFallsInWholeTicks(t *testing.T) {
	// Kraken's intermediate tier: at most 20, one less every two seconds.
	c, err := NewCounter(Limit{Quota: 20, Per: 40 * time.Second, Policy: Decaying})
	require.NoError(t, err)
	c.Charge(time.Second, 20)
	require.EqualValues(t, 20, c.Used(2*time.Second-1))
	require.EqualValues(t, 19, c.Used(2*time.Second))
	require.Equal(t, 2*time.Second, c.Wait(2*time.Second, 2))
}

func TestLeakyCountersStayExactWithADaysQuotaAndAnEpochOfNanoseconds(t *testing.T) {
	for _, policy := range []Policy{TokenBucket, Decaying} {
		c, err := NewCounter(Limit{Quota: 199_999, Per: 24 * time.Hour, Policy: policy})
		require.NoError(t, err, policy)
		now := time.Duration(1_795_444_359_553_000_000)
		c.Charge(now, 199_999)
		require.EqualValues(t, 199_999, c.Used(now), policy)
		ok, retry := c.Admit(now+time.Hour, 199_999)
		require.False(t, ok)
		require.InDelta(t, 23*time.Hour, retry, float64(time.Second), policy)
		require.Zero(t, c.Used(now+24*time.Hour), policy)
	}
}

func TestABucketSurvivesChargesBeyondEverything(t *testing.T) {
	for _, policy := range []Policy{TokenBucket, Decaying} {
		c, err := NewCounter(Limit{Quota: 3, Per: 7, Policy: policy})
		require.NoError(t, err)
		for range 3 {
			c.Charge(0, 1<<62)
		}
		require.Positive(t, c.Used(0), policy)
		require.Positive(t, c.Wait(0, 1), policy)
	}
}

func BenchmarkAdmit(b *testing.B) {
	for policy := range policyNames {
		l := Limit{Quota: 6_000, Per: time.Minute, Policy: Policy(policy)}
		b.Run(l.Policy.String(), func(b *testing.B) {
			c, err := NewCounter(l)
			require.NoError(b, err)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.Admit(time.Duration(i)*11*time.Millisecond, 1)
			}
		})
	}
}
