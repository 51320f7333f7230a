package throttler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
)

func TestAPoolHearsOfATicketOnceItsGrantIsRemembered(t *testing.T) {
	q, desk := newQuiet(t, throttle.Limit{ID: "a", Quota: 5, Per: time.Second})
	var later []func()
	desk.after = func(do func()) { later = append(later, do) }
	left, late := q.ticket("a"), q.ticket("a")
	desk.Acquire(0, left)
	desk.Acquire(0, late)
	require.True(t, left.Passed, "whoever leaves is followed there")
	desk.Abandon(0, left)
	desk.Expire(0, late)
	require.Empty(t, q.told)
	for _, do := range later {
		do()
	}
	require.Equal(t, []any{
		ticket.AcquireLease{Ticket: left}, ticket.AcquireLease{Ticket: late},
		ticket.AbandonLease{Ticket: left}, ticket.ExpireLease{Ticket: late},
	}, q.told)
}
