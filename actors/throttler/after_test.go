package throttler

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

func TestAPoolHearsOfATicketOnceItsGrantIsRemembered(t *testing.T) {
	var later []func(bool)
	th, q := newThrottler(t, func(do func(bool)) { later = append(later, do) }), new(quiet)
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
		do(true)
	}
	require.Equal(t, []any{
		ticket.AcquireLease{Ticket: left}, ticket.AcquireLease{Ticket: late},
		ticket.AbandonLease{Ticket: left}, ticket.ExpireLease{Ticket: late},
	}, q.told)
}

func TestATicketWhoseGrantIsNotRememberedGoesNowhere(t *testing.T) {
	th, q := newThrottler(t, func(func(bool)) {}), new(quiet)
	one, left := q.ticket("calls"), q.ticket("calls")
	for _, word := range []any{ticket.AcquirePermit{Ticket: one}, ticket.AcquirePermit{Ticket: left}, ticket.AbandonPermit{Ticket: left}} {
		require.True(t, incarnation{th}.Hear(word))
	}
	incarnation{th}.hearOwn(unrecorded{one}) // which it tells itself
	incarnation{th}.hearOwn(unrecorded{left})
	require.Equal(t, []any{ticket.TicketRefused{Ticket: one}, ticket.TicketRefused{Ticket: left}}, q.told, "no pool")
	require.ErrorIs(t, one.Refused, messages.ErrClosed)
	require.Zero(t, th.desk.ledger.Snapshot(th.now()).Limits[0].InFlight)
	require.EqualValues(t, 10, th.desk.ledger.Snapshot(th.now()).Limits[0].Room)
}
