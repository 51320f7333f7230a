package peers

import (
	"context"
	"fmt"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// apartRounds is how many mirrored rounds a case has that is measured apart.
const apartRounds = 1

// fanOutRunIn is how many untimed requests come before a fan-out, for each connection.
const fanOutRunIn = 20

// measureApart measures a case whose slices are too long for the rounds, with clients of its own.
func measureApart(ctx context.Context, load Case, sites map[Protocol]site, cfg Config) ([]Row, error) {
	callers := load.Callers
	if load.FanOut {
		callers = connections
	}
	set := newClientSet(sites, callers)
	defer set.close()
	clients, err := set.of(load)
	if err != nil {
		return nil, err
	}
	t := &trial{load: load, clients: clients, costs: make([][]gauge.Cost, len(clients))}
	run, untimed := func(client Client, n int) error { return fanOut(ctx, client, n) }, fanOutRunIn*connections
	if !load.FanOut {
		t.callers = gauge.NewCallers(ctx, load.Callers)
		defer t.callers.Stop()
		run, untimed = func(client Client, n int) error { return t.callers.Run(load.asks(client), n) }, load.Callers
	}
	for round := range apartRounds {
		order := gauge.Mirrored(round, len(clients))
		if cfg.Brief {
			order = order[:len(clients)] // one half
		}
		for _, i := range order {
			cost, err := gauge.Measure(func(n int) error { return run(clients[i], n) }, untimed, load.Requests)
			if err != nil {
				return nil, fmt.Errorf("with %s: %w", clients[i].Name(), err)
			}
			t.costs[i] = append(t.costs[i], cost)
		}
	}
	return trials{t}.rows(cfg.Seed), nil
}
