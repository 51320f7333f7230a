package request

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestWhatTheServerDidNotProcessMayBeRepeatedThoughItWasSent(t *testing.T) {
	budget := newRetryBudget(Retry{Max: 2, Base: time.Millisecond, Cap: time.Second, Rate: 10})
	for _, test := range []struct {
		err        error
		idempotent bool
		again      bool
	}{
		{messages.ErrTruncated, false, false},
		{messages.ErrTruncated, true, true},
		{messages.ErrUnprocessed, false, true},
	} {
		_, again := budget.after(1, messages.SentMaybe, test.idempotent, test.err)
		require.Equal(t, test.again, again, "%v", test.err)
	}
}
