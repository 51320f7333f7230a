package throttle

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// one asks for a permit of a limit, and settles it if it is granted.
func one(t *testing.T, l *Ledger, now time.Duration, p Permit) State {
	t.Helper()
	require.NoError(t, l.Acquire(now, &p))
	state := p.State()
	if state == Granted {
		l.Settle(now, &p, Outcome{})
	} else {
		l.Cancel(now, &p)
	}
	return state
}

func TestEachCombinationOfTheNamedPartsHasAQuotaOfItsOwn(t *testing.T) {
	accounts, keys, egresses := []string{"", "main"}, []string{"x", "y"}, []string{"", "eth1"}
	for by := range byAll + 1 {
		t.Run(by.String(), func(t *testing.T) {
			l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, By: by})
			seen := map[Parts]bool{}
			for _, account := range accounts {
				for _, key := range keys {
					for _, egress := range egresses {
						var own Parts
						if by&ByAccount != 0 {
							own.Account = account
						}
						if by&ByKey != 0 {
							own.Key = key
						}
						if by&ByEgress != 0 {
							own.Egress = egress
						}
						want := Granted
						if seen[own] {
							want = Queued
						}
						seen[own] = true
						require.Equal(t, want, one(t, l, 0, Permit{Limit: "a", Account: account, Key: key, Egress: egress}), own)
					}
				}
			}
			for _, s := range l.Snapshot(0).Limits {
				require.True(t, seen[Parts{s.Account, s.Key, s.Egress}], "%+v", s)
			}
			require.Len(t, l.Snapshot(0).Limits, len(seen))
			require.Equal(t, len(seen), l.idlers.n, "who differs in what nobody looks at shares a path")
		})
	}
}

func TestKeyedIsByKeyWrittenShorter(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "short", Quota: 1, Per: sec, Keyed: true, By: ByAccount, Keys: []string{"x"}}, Limit{ID: "long", Quota: 1, Per: sec, By: ByKey | ByAccount})
	require.Equal(t, ByKey|ByAccount, l.table.rules["short"].By)
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "long", Account: "main"}), ErrNoKey)
	require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "short", Account: "main", Key: "y"}), ErrUnknownKey)
	require.Equal(t, Granted, one(t, l, 0, Permit{Limit: "long", Key: "x"}), "the default account needs no name")
}

func TestAByThatMeansNothingIsAMistake(t *testing.T) {
	_, err := New([]Limit{{ID: "a", Quota: 1, Per: sec, By: 8}, {ID: "b", Quota: 1, Per: sec, By: ByAccount, Keys: []string{"x"}}}, Options{})
	require.ErrorContains(t, err, `limit "a": by 0x8 names more than account, key and egress`)
	require.ErrorContains(t, err, `limit "b": has Keys, and is not keyed`)
	_, err = New([]Limit{{ID: "a", Quota: 1, Per: sec}, {ID: "r", By: ByEgress, Linked: []Link{{ID: "a"}}}}, Options{})
	require.ErrorContains(t, err, `limit "r": is a route, for it has links and no quota, and so by means nothing`)
}

func TestPartsWhoseHashesCollideAreToldApart(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, By: byAll})
	l.hasher.bits = 0
	for i := range 50 {
		require.Equal(t, Granted, one(t, l, 0, Permit{Limit: "a", Account: fmt.Sprint(i % 5), Key: fmt.Sprint(i), Egress: fmt.Sprint(i % 3)}))
	}
	require.Len(t, l.Snapshot(0).Limits, 50)
	silence(l, 3*sec)
	require.Zero(t, l.idlers.n)
	require.Zero(t, l.table.rules["a"].meters.n)
}

func TestAShareIsThatOfPartsWhoseHashesCollide(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec, By: ByKey})
	l.hasher.bits = 0
	for i := range 5 {
		require.Equal(t, Granted, one(t, l, 0, Permit{Limit: "a", Key: fmt.Sprint(i)}))
	}
	require.NoError(t, l.SetShare(0, "a", 0.2, NoMargin))
	for _, m := range l.Snapshot(0).Limits {
		require.EqualValues(t, 2, m.Quota)
	}
	for i := range 5 {
		require.Equal(t, Granted, one(t, l, 0, Permit{Limit: "a", Key: fmt.Sprint(i)}))
		require.Equal(t, Queued, one(t, l, 0, Permit{Limit: "a", Key: fmt.Sprint(i)}))
	}
}

// weighted are an account's orders, a symbol's, and what all share.
func weighted(t *testing.T, kind Window) *Ledger {
	limits := []Limit{
		{ID: "address", Quota: 10, Per: sec},
		{ID: "orders", Quota: 2, Per: perOf(kind, sec), Window: kind, By: ByAccount},
		{ID: "order", Linked: []Link{{ID: "address", Weight: 3}, {ID: "orders"}}},
	}
	if kind == Concurrency || kind == Lifetime {
		limits[1].Per = 0
	}
	return exact(t, Options{}, limits...)
}

func TestWeightsOverrideEveryLimitOnTheWay(t *testing.T) {
	l := weighted(t, Sliding)
	p := &Permit{Limit: "order", Weights: []Cost{{"orders", 2}, {"address", 5}}}
	require.NoError(t, l.Acquire(0, p))
	require.EqualValues(t, 5, limitOf(l, 0, "address").InFlight)
	require.EqualValues(t, 2, limitOf(l, 0, "orders").InFlight)
	l.Settle(0, p, Outcome{})
	require.EqualValues(t, 5, limitOf(l, 0, "address").Used)

	own := &Permit{Limit: "address", Weight: 4, Weights: []Cost{{"address", 1}}}
	require.NoError(t, l.Acquire(0, own))
	require.EqualValues(t, 6, limitOf(l, 0, "address").Used, "Weights win over Weight")
}

func TestEveryMistakeInWeightsIsNamed(t *testing.T) {
	l := weighted(t, Sliding)
	err := l.Acquire(0, &Permit{Limit: "order", Weights: []Cost{{"nobody's", 1}, {"orders", -1}, {"orders", 1}, {"address", 11}}})
	require.ErrorIs(t, err, ErrNotCharged)
	require.ErrorIs(t, err, ErrWeightTwice)
	require.ErrorIs(t, err, ErrWeight)
	for _, text := range []string{`"nobody's": a weight is given for a limit that is not charged by "order"`, `"orders": weight can never fit: -1 is negative`, `"orders": more than one weight`, `"address": weight can never fit: 11 is more than 10`} {
		require.ErrorContains(t, err, text)
	}
	var one *LimitError
	require.ErrorAs(t, l.Acquire(0, &Permit{Limit: NoLimit, Weights: []Cost{{"orders", 1}}}), &one)
	require.Equal(t, "orders", one.ID)
	require.True(t, errors.Is(one, ErrNotCharged))
	require.Zero(t, l.Snapshot(0).Queued)
}

func TestWhatIsChargedNothingWaitsForNoRoomAndTakesNone(t *testing.T) {
	for _, kind := range allKinds() {
		t.Run(kind.String(), func(t *testing.T) {
			l := weighted(t, kind)
			l.SetClock(0, 1000*sec, 1000*sec)
			fill := &Permit{Limit: "orders", Weight: 2}
			require.NoError(t, l.Acquire(0, fill))
			if kind == Lifetime {
				l.Settle(0, fill, Outcome{})
				require.ErrorIs(t, l.Acquire(0, &Permit{Limit: "orders"}), ErrSpent)
			} else {
				require.Equal(t, Queued, to(t, l, 0, "order", "").State())
			}
			p := &Permit{Limit: "order", Priority: 1, Weights: []Cost{{ID: "orders"}}}
			require.NoError(t, l.Acquire(0, p))
			require.Equal(t, Granted, p.State(), "it is not blocked by a full meter")
			require.EqualValues(t, 2, limitOf(l, 0, "orders").Used)
			for _, fate := range []Fate{NeverSent, Answered, Lost, Closed} {
				if p.State() == Idle {
					require.NoError(t, l.Acquire(0, p))
				}
				l.Settle(0, p, Outcome{Fate: fate})
				require.EqualValues(t, 2, limitOf(l, 0, "orders").Used, fate)
				l.Adjust(0, "address", Parts{}, -10)
			}
		})
	}
}

func TestWhatIsChargedNothingOpensNoWindow(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 2, Per: 10 * sec, Window: FixedFromFirst})
	require.Equal(t, Granted, one(t, l, 0, Permit{Limit: "a", Weights: []Cost{{ID: "a"}}}))
	require.False(t, anyOf(&l.table.rules["a"].meters).window.(*fromFirst).open)
	require.Zero(t, anyOf(&l.table.rules["a"].meters).window.(*fromFirst).log.n)
}

func TestWhatIsChargedNothingWaitsOutAPauseAllTheSame(t *testing.T) {
	l := weighted(t, Sliding)
	require.NoError(t, l.Pause(0, Scope{}, sec))
	p := &Permit{Limit: "order", Weights: []Cost{{ID: "orders"}, {ID: "address"}}}
	require.NoError(t, l.Acquire(0, p))
	require.Equal(t, Queued, p.State())
	require.Nil(t, l.Next(sec-1))
	require.Same(t, p, l.Next(sec))
}

func TestAHeadThatIsChargedNothingHoldsNothingFromOthers(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec}, Limit{ID: "b", Quota: 1, Per: sec},
		Limit{ID: "both", Linked: []Link{{ID: "a"}, {ID: "b"}}})
	granted(t, l, 0, "a")
	p := &Permit{Limit: "both", Priority: 9, Weights: []Cost{{ID: "b"}}}
	require.NoError(t, l.Acquire(0, p))
	require.Equal(t, Queued, p.State(), "a is full")
	require.Equal(t, "a", l.Holding(0, p).Limit)
	require.Nil(t, l.Next(0))
	granted(t, l, 0, "b")
}

func TestWhatWasToCostNothingIsChargedWhatItCost(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "k", Quota: 4, Per: 100 * sec, By: ByAccount | ByKey})
	p := &Permit{Limit: "k", Account: "main", Key: "x", Weights: []Cost{{ID: "k"}}}
	require.NoError(t, l.Acquire(0, p))
	silence(l, time.Hour)
	require.Zero(t, l.idlers.n, "it was forgotten in flight, for it holds nothing")
	l.Settle(time.Hour, p, Outcome{Costs: []Cost{{"k", 3}}})
	require.EqualValues(t, 3, limitOf(l, time.Hour, "k").Used)
}

func TestWeightsSurviveWhatHappensToAPermit(t *testing.T) {
	weights := []Cost{{"orders", 2}, {"address", 7}}
	used := func(l *Ledger, now time.Duration) [2]int64 {
		return [2]int64{limitOf(l, now, "address").Used, limitOf(l, now, "orders").Used}
	}
	t.Run("lost", func(t *testing.T) {
		l := weighted(t, Sliding)
		p := &Permit{Limit: "order", Weights: weights}
		require.NoError(t, l.Acquire(0, p))
		l.Settle(0, p, Outcome{Fate: Lost})
		p.Weights = nil // it is the caller's again
		require.Equal(t, [2]int64{7, 2}, used(l, 5*sec))
		next, err := l.Successor(5*sec, []Limit{{ID: "address", Quota: 10, Per: sec}, {ID: "orders", Quota: 2, Per: sec, By: ByAccount}})
		require.NoError(t, err)
		require.EqualValues(t, 7, limitOf(next, 8*sec, "address").InFlight)
		require.Zero(t, l.Snapshot(12*sec).Lost)
		require.Equal(t, [2]int64{}, used(l, 12*sec))
	})
	t.Run("parked and queued again", func(t *testing.T) {
		l := weighted(t, Sliding)
		p := &Permit{Limit: "order", Weights: weights}
		require.NoError(t, l.Acquire(0, p))
		l.Park(0, p)
		require.Equal(t, [2]int64{}, used(l, 0))
		require.NoError(t, l.Requeue(0, p))
		require.Equal(t, [2]int64{7, 2}, used(l, 0))
	})
	t.Run("adopted", func(t *testing.T) {
		l := weighted(t, Sliding)
		p := &Permit{Limit: "order", Weights: weights}
		require.NoError(t, l.Acquire(0, p))
		next, err := l.Successor(0, []Limit{{ID: "address", Quota: 10, Per: sec}})
		require.NoError(t, err)
		require.NoError(t, next.Adopt(0, p))
		require.EqualValues(t, 7, limitOf(next, 0, "address").InFlight)
	})
	t.Run("another table", func(t *testing.T) {
		l := weighted(t, Sliding)
		first := &Permit{Limit: "order", Weights: weights}
		require.NoError(t, l.Acquire(0, first))
		p := &Permit{Limit: "order", Weights: weights}
		require.NoError(t, l.Acquire(0, p))
		require.Equal(t, Queued, p.State())
		require.NoError(t, l.Replace(0, []Limit{
			{ID: "address", Quota: 20, Per: sec}, {ID: "new", Quota: 9, Per: sec},
			{ID: "order", Linked: []Link{{ID: "address", Weight: 1}, {ID: "new", Weight: 4}}},
		}))
		require.Same(t, p, l.Next(0), "orders are not on its way any more, which is no mistake of its own")
		require.EqualValues(t, 14, limitOf(l, 0, "address").InFlight)
		require.EqualValues(t, 4, limitOf(l, 0, "new").InFlight)
	})
}

func TestWeightsCostNoAllocation(t *testing.T) {
	l := weighted(t, Leaky)
	weights := []Cost{{ID: "orders"}, {"address", 1}}
	p := &Permit{Limit: "order", Account: "main"}
	now := time.Duration(0)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		now += sec
		p.Weights = weights
		if l.Acquire(now, p) != nil || p.State() != Granted {
			t.Fatal("there is room")
		}
		l.Settle(now, p, Outcome{})
	}))
}

func TestADecisionOnAMeterThatIsKnownCostsNoAllocation(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "orders", Quota: 100, Window: Concurrency, By: byAll})
	parts := []Parts{{"main", "x", ""}, {"main", "y", "eth1"}, {"", "x", "eth1"}, {"sub", "y", ""}}
	p, now, i := &Permit{Limit: "orders"}, time.Duration(0), 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		now, i = now+ms, i+1
		of := &parts[i%len(parts)]
		p.Account, p.Key, p.Egress = of.Account, of.Key, of.Egress
		if l.Acquire(now, p) != nil || p.State() != Granted {
			t.Fatal("there is room")
		}
		l.Settle(now, p, Outcome{})
	}))
}
