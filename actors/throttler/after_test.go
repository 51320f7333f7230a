package throttler

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
)

func TestAPoolHearsOfATicketOnceItsGrantIsRemembered(t *testing.T) {
	var later []func()
	th, q := newThrottler(t, func(do func()) { later = append(later, do) }), new(quiet)
	left, late := q.ticket("calls"), q.ticket("calls")
	hear := func(word any) {
		require.True(t, incarnation{th}.Hear(word))
		th.sendOn()
	}
	hear(ticket.AcquirePermit{Ticket: left})
	hear(ticket.AcquirePermit{Ticket: late})
	require.True(t, left.Passed, "whoever leaves is followed there")
	hear(ticket.AbandonPermit{Ticket: left})
	hear(ticket.ExpirePermit{Ticket: late})
	require.Empty(t, q.told)
	for _, do := range later {
		do()
	}
	require.Equal(t, []any{
		ticket.AcquireLease{Ticket: left}, ticket.AcquireLease{Ticket: late},
		ticket.AbandonLease{Ticket: left}, ticket.ExpireLease{Ticket: late},
	}, q.told)
}
