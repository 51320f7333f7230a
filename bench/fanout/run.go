package fanout

import (
	"context"
	"fmt"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// Config says what is measured. Zero values are mistakes, but for Window and Inputs.
type Config struct {
	Server      []string // the command that runs Serve
	Connections int      // and callers, and goroutines of the pool
	Window      int      // of the stream; zero is FanOut's default
	Requests    int      // of a slice
	Rounds      int      // of two slices by each
	Inputs      int      // of the stream whose memory is looked at; zero leaves that out
	Seed        uint64   // of the bootstrap
	Progress    func(string)
}

// Defaults of the command.
const (
	DefaultConnections = 64
	DefaultRequests    = 100_000
	DefaultRounds      = 5
	DefaultInputs      = 10_000_000
)

// untimed is how many requests come before a slice, for each connection.
const untimed = 20

// Run measures everything in this process, which should do nothing else.
func Run(ctx context.Context, c Config) (*Result, error) {
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	server, origin, err := startServer(ctx, c.Server)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	defer server.Stop()
	result := &Result{Config: c, Costs: map[string][]gauge.Cost{}}
	if c.Inputs > 0 {
		c.Progress(fmt.Sprintf("memory: a stream of %d inputs", c.Inputs))
		if result.Memory, err = measureMemory(ctx, origin, c); err != nil {
			return nil, fmt.Errorf("memory: %w", err)
		}
	}
	if err := compare(ctx, origin, c, result); err != nil {
		return nil, err
	}
	return result, nil
}

func compare(ctx context.Context, origin string, c Config, result *Result) error {
	var all []contender
	for i, open := range []func(context.Context, string, Config) (contender, error){newStream, newDo, newPool} {
		one, err := open(ctx, origin, c)
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		defer one.end()
		all = append(all, one)
	}
	for round := range c.Rounds {
		c.Progress(fmt.Sprintf("round %d of %d", round+1, c.Rounds))
		for _, at := range gauge.Mirrored(round, len(all)) {
			cost, err := gauge.Measure(all[at].run, untimed*c.Connections, c.Requests)
			if err == nil {
				err = context.Cause(ctx)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", all[at].name, err)
			}
			result.Costs[all[at].name] = append(result.Costs[all[at].name], cost)
		}
	}
	return nil
}
