package main

import (
	"context"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// eachItsWayOut sends the requests of an account by the way out of its name: another
// local address, or a proxy. What the exchange counts by address is then each one's own.
func eachItsWayOut(config *engine.Config, ways map[string]engine.Egress) {
	config.Egress = ways
	config.PreProcessors = append(config.PreProcessors, engine.PreProcessorFunc(func(_ context.Context, req *engine.Request) error {
		req.Egress = req.Account
		return nil
	}))
	for i := range config.Limits {
		if config.Limits[i].ID == "weight" {
			config.Limits[i].By = throttle.ByEgress
		}
	}
}
