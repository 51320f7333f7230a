package request

import (
	"net/http/httptrace"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
)

// The throttler may keep it for long after its caller has left.
func TestATicketThatBroughtAConnectionPinsNothingOfTheCallers(t *testing.T) {
	granted := new(ticket.Ticket)
	granted.Trace, granted.Values = new(httptrace.ClientTrace), t.Context()
	granted.Lease, granted.Limited = new(ticket.Lease), true
	a := &attempt{slot: &slot{Carrier: &Carrier{needs: Needs{Plan: Plan{DialValues: true}}}}}
	a.take(granted)
	require.NotNil(t, a.lease)
	require.True(t, a.permit)
	require.Nil(t, granted.Lease)
	require.Nil(t, granted.Trace)
	require.Nil(t, granted.Values)

	a.ctx, a.trace.hooks, a.ticket = t.Context(), new(httptrace.ClientTrace), granted
	a.reopenTicket() // for another connection
	require.Equal(t, t.Context(), granted.Values)
	require.Same(t, a.trace.hooks, granted.Trace)
}

func TestWeightsAreCopiedInOrderIntoTheRoomThatIsThere(t *testing.T) {
	weights := map[string]int64{"b": 0, "a": 2, "c": 1}
	room := override(nil, weights)
	require.Equal(t, []throttle.Cost{{ID: "a", Weight: 2}, {ID: "b"}, {ID: "c", Weight: 1}}, room)
	require.Zero(t, testing.AllocsPerRun(10, func() { room = override(room[:0], weights) }))
	require.Empty(t, override(room[:0], nil), "a life without any has none of the one before")
}

// A slot may rest for long.
func TestASlotAtRestPinsNoWeights(t *testing.T) {
	for _, n := range []int{1, keptWeights + 1} {
		s := &slot{ticket: new(ticket.Ticket)}
		s.ticket.Close()
		kept := make([]throttle.Cost, n)
		kept[0].ID = "orders"
		s.ticket.Permit.Weights = kept
		s.rest(false)
		require.Empty(t, s.ticket.Permit.Weights)
		require.Empty(t, kept[0].ID)
		require.LessOrEqual(t, cap(s.ticket.Permit.Weights), keptWeights)
	}
}
