package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASuccessorKeepsPausesRefusalsAndLostPermits(t *testing.T) {
	limits := []Limit{{ID: "a", Quota: 5, Per: sec, Scope: "ip"}, {ID: "k", Quota: 1, Per: sec, Keyed: true}}
	torn := exact(t, Options{MaxPause: 5 * time.Minute}, limits...)
	loseAll(t, torn, 0, 5, Lost)
	k := &Permit{Limit: "k", Key: "x"}
	require.NoError(t, torn.Acquire(0, k))
	torn.Settle(0, k, Outcome{Fate: Lost})
	until, err := torn.Refused(0, 0, Scope{Origin: "o", Name: "ip"}, time.Minute)
	require.NoError(t, err)
	require.NoError(t, torn.Pause(0, Scope{Origin: AnyOrigin, Name: ""}, 2*time.Minute))

	l, err := torn.Successor(sec, limits[:])
	require.NoError(t, err)
	l.clock.rate = 0
	require.NoError(t, l.Replace(sec, limits))
	require.EqualValues(t, 5, limitOf(l, sec, "a").InFlight)
	holding := func(limit, key string) int {
		p := &Permit{Limit: limit, Key: key}
		require.NoError(t, l.Acquire(sec, p))
		defer l.Cancel(sec, p)
		return len(l.LostHolding(sec, p))
	}
	require.Equal(t, 1, holding("a", ""))
	require.Equal(t, 1, holding("k", "x"))
	require.Equal(t, Queued, to(t, l, sec, "a", "o").State())
	require.Equal(t, until, l.Holding(sec, to(t, l, sec, "a", "o")).Until)
	p := to(t, l, sec, "a", "p")
	require.Nil(t, l.Next(11*sec-1), "lost permits are lost still")
	require.Same(t, p, l.Next(11*sec))
	require.Equal(t, Queued, to(t, l, 30*sec, "k", "new").State())
	again, err := l.Refused(until+sec, until, Scope{Origin: "o", Name: "ip"}, 0)
	require.NoError(t, err)
	require.Equal(t, until+3*sec, again, "it was refused before")
}

func TestASuccessorOfATornLedgerTakesWhatIsWhole(t *testing.T) {
	limits := []Limit{{ID: "a", Quota: 5, Per: sec}}
	torn := exact(t, Options{}, limits...)
	loseAll(t, torn, 0, 3, Lost)
	torn.lost[1].path = nil
	torn.lost[2].cost = -1 << 62
	require.NoError(t, torn.Pause(0, Scope{}, time.Minute))
	torn.pauses.troubled = append(torn.pauses.troubled, nil)
	torn.queue = queue{}
	torn.idlers = idlers{}
	torn.table.rules["a"].meters = index[meter]{}

	l, err := torn.Successor(sec, limits)
	require.NoError(t, err)
	require.EqualValues(t, 1, limitOf(l, sec, "a").InFlight)
	require.Equal(t, time.Minute, l.Paused(sec)[0].Until)
	require.Zero(t, limitOf(l, sec, "a").Room)
	_, err = torn.Successor(sec, []Limit{{ID: "a"}})
	require.Error(t, err)
}

func TestAPermitKeepsItsRankOverACrash(t *testing.T) {
	limits := []Limit{{ID: "a", Quota: 2, Per: sec}}
	torn := exact(t, Options{}, limits...)
	flying, parked := granted(t, torn, 0, "a"), granted(t, torn, 0, "a")
	waits := queued(t, torn, 0, "a")
	torn.Park(0, parked)
	l, err := torn.Successor(0, limits)
	require.NoError(t, err)
	require.NoError(t, l.Adopt(0, flying))
	waits.Reset()
	later := queued(t, l, 0, "a")
	require.NoError(t, l.Requeue(0, waits))
	require.NoError(t, l.Requeue(0, parked))
	require.NoError(t, l.Requeue(0, flying))
	require.Equal(t, []*Permit{flying, parked}, drain(l, 1001*ms))
	for _, p := range []*Permit{flying, parked} {
		l.Settle(1001*ms, p, Outcome{Fate: NeverSent})
	}
	require.Equal(t, []*Permit{waits, later}, drain(l, 1001*ms))
}

func TestALedgerCanStartAsIfEveryWindowWereFull(t *testing.T) {
	for _, kind := range []Window{Sliding, Fixed, FixedFromFirst, Leaky} {
		l := newLedger(t, Options{StartFull: true}, Limit{ID: "a", Quota: 5, Per: perOf(kind, sec), Window: kind, Keyed: true})
		for range 5 {
			p := &Permit{Limit: "a", Key: "x"}
			require.NoError(t, l.Acquire(100*sec, p))
			require.Nil(t, l.Next(100*sec), kind)
		}
		require.Len(t, drain(l, 101*sec+ms), 5, kind)
		late := &Permit{Limit: "a", Key: "y"}
		require.NoError(t, l.Acquire(102*sec, late))
		require.Equal(t, Granted, late.State(), "a key seen later was full long ago")
	}
}

func TestWhatIsInFlightIsAdoptedThoughItCouldNotBeAskedForAnyMore(t *testing.T) {
	calls := Limit{ID: "calls", Quota: 3, Window: Concurrency, Scope: "ip"}
	keyed := Limit{ID: "keyed", Quota: 3, Per: sec, Keyed: true}
	orders := Limit{ID: "orders", Quota: 9, Per: sec, Linked: []Link{{ID: "calls", Weight: 1}, {ID: "keyed", Weight: 2}}}
	torn := exact(t, Options{}, calls, keyed, orders)
	order, heavy := &Permit{Limit: "orders", Key: "x", Origin: "o"}, &Permit{Limit: "calls", Weight: 2}
	for _, p := range []*Permit{order, heavy} {
		require.NoError(t, torn.Acquire(0, p))
	}
	gone := &Permit{Limit: "gone"}
	require.NoError(t, torn.Replace(0, []Limit{calls, keyed, orders, {ID: "gone", Quota: 1, Per: sec}}))
	require.NoError(t, torn.Acquire(0, gone))
	calls.Quota = 1

	l, err := torn.Successor(sec, []Limit{calls, keyed})
	require.NoError(t, err)
	require.NoError(t, l.Adopt(sec, order), "what it was linked to counts")
	require.NoError(t, l.Adopt(sec, heavy), "a weight that never fits counts")
	require.ErrorIs(t, l.Adopt(sec, gone), ErrUnknownLimit)
	require.ErrorIs(t, l.Adopt(sec, &Permit{Limit: "gone"}), ErrUnknownLimit)
	require.EqualValues(t, 3, limitOf(l, sec, "calls").InFlight)
	require.EqualValues(t, 2, limitOf(l, sec, "keyed").InFlight)
	require.Equal(t, "x", limitOf(l, sec, "keyed").Key)

	require.NoError(t, l.Pause(sec, Scope{Origin: "o", Name: "ip"}, 3*sec))
	require.ErrorIs(t, l.Requeue(sec, order), ErrUnknownLimit, "asked for it cannot be")
	l.Settle(sec, heavy, Outcome{})
	require.Zero(t, limitOf(l, sec, "calls").InFlight)
	require.Zero(t, limitOf(l, sec, "keyed").InFlight)
	for _, s := range l.Snapshot(sec).Scopes {
		require.Zero(t, s.InFlight, s.Scope)
	}
}

func TestAPermitWhoseSettlingTearsTheLedgerIsInFlightStill(t *testing.T) {
	limits := []Limit{{ID: "a", Quota: 2, Window: Concurrency}}
	torn := exact(t, Options{}, limits...)
	lost, back := granted(t, torn, 0, "a"), granted(t, torn, 0, "a")
	whole := torn.pauses
	torn.pauses = nil
	require.Panics(t, func() { torn.Settle(0, lost, Outcome{Fate: Lost}) })
	require.Panics(t, func() { torn.Park(0, back) })
	torn.pauses = whole

	l, err := torn.Successor(0, limits)
	require.NoError(t, err)
	for _, p := range []*Permit{lost, back} {
		require.Equal(t, Granted, p.State())
		require.NoError(t, l.Adopt(0, p))
	}
	l.Settle(0, lost, Outcome{Fate: Lost})
	require.EqualValues(t, 2, limitOf(l, 0, "a").InFlight)
	require.NoError(t, l.Requeue(0, back))
	require.EqualValues(t, 1, limitOf(l, 0, "a").InFlight)
}
