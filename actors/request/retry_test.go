package request

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestOnlyWhatDidNoHarmAndMayFareBetterIsRepeated(t *testing.T) {
	budget := newRetryBudget(Retry{Max: 2, Base: time.Millisecond, Cap: time.Second, Rate: 100})
	for _, test := range []struct {
		err        error
		idempotent bool
		again      bool
		sent       messages.Sent
	}{
		{messages.ErrTruncated, false, false, messages.SentMaybe},
		{messages.ErrTruncated, true, true, messages.SentMaybe},
		{messages.ErrUnprocessed, false, true, messages.SentMaybe},
		{messages.ErrTruncated, false, false, messages.SentYes},
		{messages.ErrTruncated, true, true, messages.SentYes},
		{messages.ErrAttemptTimeout, false, false, messages.SentYes},
		{messages.ErrAttemptTimeout, true, true, messages.SentYes},
		{&net.OpError{Op: "read", Err: syscall.ETIMEDOUT}, true, true, messages.SentYes},
		{messages.ErrBodyTooLarge, true, false, messages.SentYes},
		{messages.ErrMalformedResponse, true, false, messages.SentYes},
		{errors.New("of no known kind"), true, false, messages.SentYes},
		{fmt.Errorf("%w: %w", messages.ErrTruncated, context.DeadlineExceeded), true, false, messages.SentYes},
	} {
		_, again := budget.after(1, test.sent, test.idempotent, test.err)
		require.Equal(t, test.again, again, "%v, sent %v", test.err, test.sent)
	}
}
