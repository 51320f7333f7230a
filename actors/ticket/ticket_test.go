package ticket

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATicketIsAnsweredOrCancelledNeverBoth(t *testing.T) {
	for range 1000 {
		var one Ticket
		one.Reopen()
		cancelled := make(chan bool)
		go func() { cancelled <- one.Cancel() }()
		answered := one.Answer()
		require.NotEqual(t, answered, <-cancelled)
	}
}
