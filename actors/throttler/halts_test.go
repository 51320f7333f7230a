package throttler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// crowd queues tickets behind one that is in flight.
func crowd(t *testing.T, n int) (*Desk, *throttle.Halts, *ticket.Ticket, []*ticket.Ticket) {
	q, d := newQuiet(t, throttle.Limit{ID: "slots", Quota: 1, Window: throttle.Concurrency})
	halts := new(throttle.Halts)
	d.halts = halts
	flying := q.ticket("slots")
	d.Acquire(0, flying)
	require.True(t, flying.Passed)
	queued := make([]*ticket.Ticket, n)
	for i := range queued {
		queued[i] = q.ticket("slots")
		queued[i].Method, queued[i].Path = "GET", "/books"
		if i%2 == 1 {
			queued[i].Method, queued[i].Path = "POST", "/orders"
		}
		d.Acquire(0, queued[i])
	}
	return d, halts, flying, queued
}

func TestACrowdIsAnsweredAFewAtATime(t *testing.T) {
	d, halts, flying, queued := crowd(t, 200)
	d.Halt(0, halts.Add(throttle.Filter{PriorityBelow: messages.Urgent}, time.Time{}))
	require.Zero(t, d.ledger.Len(), "nobody is queued any more")
	require.Equal(t, 200-atOnce, d.Drain(0))
	urgent := &ticket.Ticket{Asked: flying.Asked}
	urgent.Permit.Limit, urgent.Permit.Priority = "slots", messages.Urgent
	d.Acquire(0, urgent)
	d.settle(0, flying, throttle.Answered)
	require.True(t, urgent.Passed, "whoever is not halted leaves meanwhile")
	for d.Drain(0) > 0 {
	}
	for _, one := range queued {
		require.ErrorIs(t, one.Refused, throttle.ErrHalted)
		require.Zero(t, one.Place)
	}
}

// Those that a filter does not select wait on, in their order.
func TestWhoeverIsNotHaltedIsPutBack(t *testing.T) {
	d, halts, flying, queued := crowd(t, 200)
	d.Halt(0, halts.Add(throttle.Filter{PathPrefix: "/orders"}, time.Time{}))
	for d.Drain(0) > 0 {
	}
	require.Equal(t, 100, d.ledger.Len())
	for i, one := range queued {
		if i%2 == 1 {
			require.ErrorIs(t, one.Refused, throttle.ErrHalted)
			continue
		}
		require.NoError(t, one.Refused)
		d.settle(0, flying, throttle.Answered)
		require.True(t, one.Passed)
		flying = one
	}
}

// A halt holds for whoever comes, and for whoever comes back.
func TestAHaltHoldsForWhoeverAsks(t *testing.T) {
	d, halts, flying, queued := crowd(t, 1)
	halts.Add(throttle.Filter{Method: "POST"}, time.Time{})
	flying.Method = "POST"
	d.Requeue(0, flying)
	require.ErrorIs(t, flying.Refused, throttle.ErrHalted)
	require.Equal(t, throttle.Idle, flying.Permit.State(), "its permit is given back")
	require.Zero(t, flying.Place)
	require.True(t, queued[0].Passed, "and is another's")

	late := &ticket.Ticket{Asked: flying.Asked}
	late.Permit.Limit = "slots"
	d.Acquire(0, late)
	require.ErrorIs(t, late.Refused, throttle.ErrHalted)
}

func TestAHaltOutlivesAFailure(t *testing.T) {
	d, halts, _, queued := crowd(t, 3)
	d.Halt(0, halts.Add(throttle.Filter{Method: "POST"}, time.Time{}))
	d.Failed(nil) // before anybody is answered
	d.Recover(0)
	require.ErrorIs(t, queued[1].Refused, throttle.ErrHalted)
	require.NoError(t, queued[0].Refused)
	require.Equal(t, 2, d.ledger.Len(), "the others are queued anew")
}
