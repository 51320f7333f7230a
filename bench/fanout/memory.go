package fanout

import (
	"context"
	"runtime/metrics"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
)

// Memory is what a stream of many inputs held.
type Memory struct {
	Inputs int `json:"inputs"`
	// Peak is the most that the process had from the system at any time, the server apart.
	Peak float64 `json:"peak_bytes"`
	// Early and Late are heap and stacks after a collection, when a hundredth of the inputs
	// had been read and just before the last.
	Early float64       `json:"early_bytes"`
	Late  float64       `json:"late_bytes"`
	Took  time.Duration `json:"took_ns"`
}

// measureMemory streams inputs, with the defaults of FanOut.
func measureMemory(ctx context.Context, origin string, c Config) (Memory, error) {
	eng, err := newEngine(origin, c.Connections)
	if err != nil {
		return Memory{}, err
	}
	defer eng.Close()
	m := Memory{Inputs: c.Inputs}
	began := time.Now()
	err = stream(ctx, eng, c.Inputs, engine.FanOut{Window: c.Window}, func(done int) {
		if done%1000 == 0 {
			m.Peak = max(m.Peak, fromSystem())
		}
		switch done {
		case max(1, c.Inputs/100):
			m.Early = gauge.MemoryInUse()
		case max(1, c.Inputs-1):
			m.Late = gauge.MemoryInUse()
		}
	})
	m.Peak = max(m.Peak, fromSystem())
	m.Took = time.Since(began)
	return m, err
}

// fromSystem is all that the runtime has from the system, but for what it has given back.
func fromSystem() float64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return float64(samples[0].Value.Uint64() - samples[1].Value.Uint64())
}
