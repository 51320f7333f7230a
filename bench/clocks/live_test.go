package clocks

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNoSignedRequestIsRefusedForItsTimestamp(t *testing.T) {
	row, err := RunLive(t.Context(), LiveConfig{Requests: 600, Workers: 32, Network: "uniform:1ms-10ms", Seed: 1})
	require.NoError(t, err)
	require.Equal(t, 600, row.Accepted, row)
	for _, v := range row.Verdicts() {
		require.True(t, v.Kept, v)
	}
	var text bytes.Buffer
	require.NoError(t, row.WriteText(&text))
	require.Contains(t, text.String(), "600 signed: 600 accepted")
}

func TestALiveRunCatchesAClockThatIsNotTheExchanges(t *testing.T) {
	for skew, count := range map[time.Duration]func(LiveRow) int{
		30 * time.Second:  func(r LiveRow) int { return r.Behind },
		-30 * time.Second: func(r LiveRow) int { return r.Ahead },
	} {
		row, err := RunLive(t.Context(), LiveConfig{Requests: 50, Workers: 10, Network: "1ms", Skew: skew, LocalClock: true})
		require.NoError(t, err)
		require.GreaterOrEqual(t, count(row), 50, row)
		require.Zero(t, row.Accepted)
		require.Contains(t, row.FirstRefusal, "ms from the server's time")
		require.GreaterOrEqual(t, Broken(row.Verdicts()), 2)
	}
}

func TestALiveRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := RunLive(ctx, LiveConfig{Network: "uniform:5ms-50ms"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestMistakesInALiveRunAreReportedTogether(t *testing.T) {
	_, err := RunLive(t.Context(), LiveConfig{Requests: -1, DriftPPM: 700, Network: "soon"})
	for _, want := range []string{"-1", "700", "soon"} {
		require.ErrorContains(t, err, want)
	}
}
