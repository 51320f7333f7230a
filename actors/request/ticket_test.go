package request

import (
	"net/http/httptrace"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
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
