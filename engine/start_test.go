package engine_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// startAndEnd is an engine that carries nothing.
func startAndEnd(t testing.TB) {
	eng, err := engine.New(engine.Config{BaseURL: "https://api.example.com"})
	require.NoError(t, err)
	require.NoError(t, eng.Close())
}

// The actor library's own constructor makes 65,000 objects of 3 MB, each time.
func TestAnEngineCostsLittleToStartAndToEnd(t *testing.T) {
	startAndEnd(t) // the process pays once for what all engines share
	require.Less(t, testing.AllocsPerRun(20, func() { startAndEnd(t) }), 600.0)

	const rounds = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range rounds {
		startAndEnd(t)
	}
	runtime.ReadMemStats(&after)
	require.Less(t, (after.TotalAlloc-before.TotalAlloc)/rounds, uint64(100<<10), "bytes for each engine")
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		startAndEnd(b)
	}
}
