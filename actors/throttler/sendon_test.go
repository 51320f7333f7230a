package throttler

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/throttle"
)

// newThrottler returns one that is never spawned, with such a Needs.After.
func newThrottler(t *testing.T, after func(func(bool))) *Throttler {
	limits := []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}}
	ledger, err := throttle.New(limits, throttle.Options{})
	require.NoError(t, err)
	th := New(Needs{
		DeskNeeds: DeskNeeds{Ledger: ledger, Limits: limits}, Epoch: time.Now(), Clock: new(clock.Published),
		Logger: slog.New(slog.DiscardHandler), Address: mailbox.NewAddress(), After: after,
	})
	t.Cleanup(th.alarm.Stop) // it would ring at nobody's
	return th
}

func TestPoolsAreToldOfGrantedTicketsOnceAndInOrderWhenTheTurnIsOver(t *testing.T) {
	th, pool := newThrottler(t, nil), new(quiet)
	var tickets []*ticket.Ticket
	for range 3 {
		granted := pool.ticket("calls")
		th.desk.Acquire(th.now(), granted)
		require.True(t, granted.Passed, "a caller who leaves now is followed to the pool")
		tickets = append(tickets, granted)
	}
	require.Empty(t, pool.told, "the turn goes on")
	th.sendOn()
	require.Equal(t, []any{ticket.AcquireLease{Ticket: tickets[0]}, ticket.AcquireLease{Ticket: tickets[1]}, ticket.AcquireLease{Ticket: tickets[2]}}, pool.told)
	th.sendOn()
	require.Len(t, pool.told, 3)
}
