package kills

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-engine/sluice/bench/child"
	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// CostConfig says how to compare engines with and without a memory.
type CostConfig struct {
	// Server is the command line of a process that calls peers.Serve on its standard
	// streams.
	Server   []string
	Rounds   int // of two slices of each engine
	Requests int // of a slice
	Callers  int
	Seed     uint64
	Progress func(done, rounds int)
}

// Cost is what a memory costs.
type Cost struct {
	Without, With float64 // CPU a request, in µs: medians
	Ratio         float64 // of CPU, with to without: the median of neighbours
	Interval      gauge.Interval
}

// Measure compares the CPU time of this process a request, in slices of mirrored
// order. Every request is charged to two limits.
func Measure(ctx context.Context, cfg CostConfig) (*Cost, error) {
	p, err := child.Start(ctx, cfg.Server)
	if err != nil {
		return nil, err
	}
	defer p.Kill()
	var where struct{ Origins map[string]string }
	if err := p.Receive(ctx, &where); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-kills")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var pair [2]*client
	for i := range pair {
		config := engine.Config{BaseURL: where.Origins[""], Limits: wide()}
		if i == 1 {
			config.Memory = engine.MemoryFile(filepath.Join(dir, "memory"))
		}
		eng, err := engine.New(config)
		if err != nil {
			return nil, err
		}
		defer eng.Close()
		pair[i] = &client{eng}
	}
	return cfg.compare(ctx, pair)
}

// wide are limits that hold nobody up.
func wide() []throttle.Limit {
	const plenty = 1 << 30
	return []throttle.Limit{
		{ID: "weight", Quota: plenty, Per: time.Second},
		{ID: "price", Quota: plenty, Per: time.Second, Linked: []throttle.Link{{ID: "weight", Weight: 2}}},
	}
}

type client struct{ eng *engine.Engine }

func (c *client) Get(ctx context.Context) error {
	response, err := c.eng.Do(ctx, &engine.Request{Path: "/price", LimitID: "price"})
	if err != nil {
		return err
	}
	return response.Err()
}

func (cfg CostConfig) compare(ctx context.Context, pair [2]*client) (*Cost, error) {
	callers := gauge.NewCallers(ctx, cfg.Callers)
	defer callers.Stop()
	var cpu [2][]float64
	for round := range cfg.Rounds {
		for _, i := range gauge.Mirrored(round, 2) {
			cost, err := callers.Measure(pair[i], cfg.Requests, gauge.RunIn)
			if err != nil {
				return nil, err
			}
			cpu[i] = append(cpu[i], cost.CPU)
		}
		if cfg.Progress != nil {
			cfg.Progress(round+1, cfg.Rounds)
		}
	}
	ratios := gauge.Ratios(cpu[1], cpu[0])
	return &Cost{
		Without: gauge.Median(cpu[0]), With: gauge.Median(cpu[1]),
		Ratio: gauge.Median(ratios), Interval: gauge.MedianInterval(ratios, cfg.Seed),
	}, nil
}

// WriteText writes the comparison.
func (c *Cost) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "CPU a request: %.2f µs without memory, %.2f µs with it; ratio %.3f (%.3f to %.3f)\n",
		c.Without, c.With, c.Ratio, c.Interval.Low, c.Interval.High)
	return err
}
