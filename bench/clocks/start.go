package clocks

import (
	"context"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/clocksim"
	"github.com/sluice-engine/sluice/bench/parallel"
)

// Start is how narrow the bound is after the first requests: half-widths in
// milliseconds, over many runs.
type Start struct {
	Network    string
	Resolution string
	Requests   int
	Median     float64
	P99        float64
	Max        float64
}

// prompt is the constant path with a server that answers at once: every round
// trip is 10 ms exactly.
const prompt = "constant, no pause"

// start is the first requests to a server, one after the other as fast as the
// estimator wants them.
type start struct {
	network    clocksim.Network
	resolution time.Duration
	requests   int
}

func starts() (all []start) {
	paths := []clocksim.Network{named(prompt, networks[0].Network)}
	for _, n := range networks {
		paths = append(paths, n.Network)
	}
	for _, resolution := range resolutions {
		for _, path := range paths {
			for _, requests := range []int{1, 2, 4, 8} {
				all = append(all, start{path, resolution, requests})
			}
		}
	}
	return all
}

func runStarts(ctx context.Context, c TableConfig) ([]Start, error) {
	all := starts()
	results := make([]Start, len(all))
	err := parallel.For(ctx, len(all), func(i int) { results[i] = all[i].run(c.Seed, c.Starts) })
	return results, err
}

func (s start) run(seed uint64, times int) Start {
	widths := make([]float64, times)
	for i := range widths {
		scenario := clocksim.Scenario{Network: s.network, Resolution: s.resolution, Seed: seed<<16 + uint64(i)}
		if s.network.Name == prompt {
			scenario.Processing = 1
		}
		widths[i] = millis(clocksim.Burst(scenario, s.requests))
	}
	slices.Sort(widths)
	at := func(q float64) float64 { return widths[min(int(q*float64(times)), times-1)] }
	return Start{Network: s.network.Name, Resolution: s.resolution.String(), Requests: s.requests,
		Median: at(0.5), P99: at(0.99), Max: at(1)}
}
