package live

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/throttle"
)

func jitter(t *testing.T) exchange.Delay {
	d, err := exchange.ParseDelay("uniform:1ms-10ms")
	require.NoError(t, err)
	return d
}

func TestALimitDrivenToItsEndIsNotBroken(t *testing.T) {
	results, err := Run(t.Context(), []Scenario{
		{"sliding", 20, 200 * time.Millisecond, exchange.Sliding, throttle.Sliding, 0.5},
	}, Config{Duration: 1200 * time.Millisecond, Jitter: jitter(t), Seed: 1})
	require.NoError(t, err)
	require.Zero(t, results[0].Violations)
	require.Zero(t, results[0].Failures)
	require.Greater(t, results[0].Requests, int64(40))

	var out strings.Builder
	require.NoError(t, WriteTable(&out, results))
	require.Contains(t, out.String(), "sliding")
}

func TestTheRefereeSeesAWrongConfiguration(t *testing.T) {
	results, err := Run(t.Context(), []Scenario{ // the engine believes in a bucket, the exchange keeps a window
		{"wrong", 20, 500 * time.Millisecond, exchange.Sliding, throttle.Leaky, 0.5},
	}, Config{Duration: time.Second, Jitter: jitter(t), Seed: 1})
	require.NoError(t, err)
	require.Positive(t, results[0].Violations)
	require.False(t, results[0].Good())
}
