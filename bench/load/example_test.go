package load_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

// A function that makes one request is a client: here of a price list that is no HTTP server.
func ExampleClientFunc() {
	prices := map[string]int{"mem://prices/apple": 3, "http://prices/apple": 3}
	ask := load.ClientFunc(func(ctx context.Context, r *targets.Request, a *load.Answer) {
		if _, known := prices[r.URL]; !known {
			a.Err, a.Kind = fmt.Errorf("no price of %s", r.URL), "unknown"
		}
	})
	twenty := schedule.Constant(schedule.Rate{Requests: 100, Per: time.Second}, 200*time.Millisecond)
	run, err := load.Run(context.Background(), load.Config{
		Schedule: &twenty,
		Plan: targets.Plan{Chains: []targets.Chain{
			{Weight: 3, Steps: []targets.Step{{Operation: "apple", URL: "http://prices/apple"}}},
			{Weight: 1, Steps: []targets.Step{{Operation: "pear", URL: "http://prices/pear"}}},
		}},
		Client: ask,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range run.Header.Targets {
		of := run.Total[name]
		fmt.Printf("%s: %d requests, %d of them failed: %v\n", name, of.Count, of.Failed(), of.Errors)
	}
	// Output:
	// apple: 15 requests, 0 of them failed: map[]
	// pear: 5 requests, 5 of them failed: map[unknown:5]
}
