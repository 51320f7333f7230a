package throttle

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A permit keeps its path, and finds it again faster. The same is asked for with new
// permits, of a ledger of its own, while keys are forgotten, come back and change, and
// limits are replaced.
func TestAPermitThatIsUsedAgainIsChargedAsANewOneIs(t *testing.T) {
	rapid.Check(t, func(drawn *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(drawn, "seed"), 6))
		first, second := perKeyAndBudget(2), perKeyAndBudget(3)
		again, anew := newLedger(t, Options{}, first...), newLedger(t, Options{}, first...)
		reused, fresh := make([]Permit, 5), make([]*Permit, 5)
		var now time.Duration
		for range 200 {
			now += time.Duration(rng.Int64N(int64(time.Second)))
			if rng.IntN(20) == 0 {
				now += time.Hour // so that keys are forgotten
			}
			if rng.IntN(40) == 0 {
				first, second = second, first
				require.NoError(t, again.Replace(now, first))
				require.NoError(t, anew.Replace(now, first))
			}
			again.Forget(now)
			anew.Forget(now)
			i := rng.IntN(len(reused))
			p, q := &reused[i], fresh[i]
			if p.State() == Granted {
				again.Settle(now, p, Outcome{})
				anew.Settle(now, q, Outcome{})
				continue
			}
			p.Limit, p.Key, p.Origin = "key", fmt.Sprint(rng.IntN(3)), fmt.Sprint(rng.IntN(2))
			if rng.IntN(4) == 0 {
				p.Limit = "budget"
			}
			fresh[i] = &Permit{Limit: p.Limit, Key: p.Key, Origin: p.Origin}
			require.Equal(t, anew.TryAcquire(now, fresh[i]), again.TryAcquire(now, p))
			require.Equal(t, fresh[i].State(), p.State())
		}
	})
}

func perKeyAndBudget(quota int64) []Limit {
	return []Limit{
		{ID: "key", Keyed: true, Quota: quota, Per: 10 * time.Second},
		{ID: "budget", Keyed: true, Quota: 20 * quota, Window: Lifetime},
	}
}

func TestAPermitIsUsedAgainWithoutALookUpOfItsKey(t *testing.T) {
	l := newLedger(t, Options{}, Limit{ID: "key", Keyed: true, Quota: 2, Per: sec})
	a, b := &Permit{Limit: "key", Key: "a"}, &Permit{Limit: "key", Key: "b"}
	for _, p := range []*Permit{a, b} {
		require.NoError(t, l.Acquire(0, p))
		l.Settle(0, p, Outcome{})
	}
	l.table.routes["key"].paths.n = 0 // nothing is found any more
	require.NoError(t, l.Acquire(0, a))
	require.Equal(t, Granted, a.State())
	require.NoError(t, l.Acquire(0, b))
	require.Equal(t, Granted, b.State())
}

func TestAPermitThatIsUsedAgainRecallsAKeyThatWasKeptForGood(t *testing.T) {
	l := newLedger(t, Options{}, Limit{ID: "budget", Keyed: true, Quota: 5, Window: Lifetime})
	p := &Permit{Limit: "budget", Key: "a"}
	require.NoError(t, l.Acquire(0, p))
	l.Settle(0, p, Outcome{})
	l.Forget(time.Hour)
	require.True(t, p.path.kept)
	require.NoError(t, l.Acquire(time.Hour, p))
	require.False(t, p.path.kept, "or it would be in no line once the budget is topped up")
}
