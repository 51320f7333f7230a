//go:build unix

package inspect

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// spent is the processor time of this process.
func spent(t *testing.T) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func TestWhoLooksCostsLessThanTwoPercentOfAProcessorAtAHundredThousandMeters(t *testing.T) {
	page, _ := used(t, 100_000)
	page.sent()
	const pictures = 50
	began := spent(t)
	for range pictures {
		page.sent()
	}
	each := (spent(t) - began) / pictures
	t.Logf("a picture takes %v of a processor, with the collector's share", each)
	require.Less(t, each, page.config.Every/50)
}
