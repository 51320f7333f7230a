package throttle

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// byKind is a limit whose tariff charges a request, and its tariffs.
func byKind(weight int64) ([]Limit, *Tariffs) {
	limits := []Limit{{ID: "weight", Quota: 10, Per: time.Second, Tariff: Tariff{{Weight: weight}}}, {ID: "other", Quota: 1, Per: time.Second}}
	tariffs := TariffsOf(limits, nil)
	return limits, &tariffs
}

// weighedAs is a permit of a request that was weighed by tariffs.
func weighedAs(by *Tariffs, limit string, weights ...Cost) *Permit {
	return &Permit{Limit: limit, Weights: weights, WeighedBy: by}
}

func TestAPermitIsNotChargedByTariffsThatAreNoLongerTheTables(t *testing.T) {
	limits, before := byKind(1)
	l, err := New(limits, Options{})
	require.NoError(t, err)
	require.Nil(t, l.WeighBy(before))
	held := weighedAs(before, "weight", Cost{"weight", 1})
	require.NoError(t, l.Acquire(0, held))
	parked := weighedAs(before, "weight", Cost{"weight", 1})
	require.NoError(t, l.Acquire(0, parked))
	l.Park(0, parked)
	require.NoError(t, l.Pause(0, Scope{Name: WholeOrigin}, time.Minute))
	queued := weighedAs(before, "weight", Cost{"weight", 1})
	require.NoError(t, l.Acquire(0, queued))
	plain := weighedAs(before, "other")
	require.NoError(t, l.Acquire(0, plain))
	own := weighedAs(nil, "weight", Cost{"weight", 1})
	require.NoError(t, l.Acquire(0, own))

	dearer, after := byKind(5)
	require.Equal(t, before, l.WeighBy(after))
	require.NoError(t, l.Replace(0, dearer))
	refused := l.Next(0)
	require.Same(t, queued, refused)
	require.ErrorIs(t, queued.Err(), ErrReweigh)
	require.Equal(t, Queued, plain.State(), "its limit has none, before and after")
	require.Equal(t, Queued, own.State(), "its weights are the caller's")
	require.ErrorIs(t, l.Requeue(0, held), ErrReweigh)
	require.ErrorIs(t, l.Requeue(0, parked), ErrReweigh)
	require.ErrorIs(t, l.Acquire(0, weighedAs(before, "weight", Cost{"weight", 1})), ErrReweigh)
	require.ErrorIs(t, l.Acquire(0, weighedAs(NoTariffs, "weight")), ErrReweigh)

	next, err := l.Successor(0, dearer)
	require.NoError(t, err)
	require.ErrorIs(t, next.Acquire(0, weighedAs(before, "weight", Cost{"weight", 1})), ErrReweigh)

	_, alike := byKind(5)
	require.Same(t, after, l.WeighBy(alike))
	require.NoError(t, l.Replace(0, dearer))
	weighed := weighedAs(after, "weight", Cost{"weight", 5})
	require.NoError(t, l.Acquire(0, weighed), "another list of the same tariffs")
	require.Same(t, alike, weighed.WeighedBy)
}
