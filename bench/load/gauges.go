package load

import (
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/results"
)

// gaugeReader reads what the process uses, without stopping it.
type gaugeReader struct {
	cpu, gc time.Duration // at the last reading
	gcs     int64
	stats   debug.GCStats
	heap    []metrics.Sample
}

func (g *gaugeReader) begin() {
	g.heap = []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	g.read()
}

// read returns the heap, and what has passed since the last reading. What the system does
// not tell is zero.
func (g *gaugeReader) read() results.Gauges {
	metrics.Read(g.heap)
	debug.ReadGCStats(&g.stats)
	cpu, err := gauge.CPUTime()
	if err != nil {
		cpu = g.cpu
	}
	now := results.Gauges{
		CPU: cpu - g.cpu, Heap: g.heap[0].Value.Uint64(),
		GC: g.stats.PauseTotal - g.gc, GCs: uint32(g.stats.NumGC - g.gcs),
	}
	g.cpu, g.gc, g.gcs = cpu, g.stats.PauseTotal, g.stats.NumGC
	return now
}
