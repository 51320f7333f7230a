package load_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/slo"
	"github.com/sluice-engine/sluice/bench/targets"
)

func Example() {
	rate := schedule.Constant(schedule.Rate{Requests: 200, Per: time.Second}, time.Second)
	p99, err := slo.Parse("p99<10s")
	if err != nil {
		fmt.Println(err)
		return
	}
	run, err := load.Run(context.Background(), load.Config{
		Schedule:   &rate,
		Plan:       targets.Plan{Chains: []targets.Chain{{Steps: []targets.Step{{URL: "http://store/orders"}}}}},
		Client:     load.ClientFunc(askTheStore),
		Objectives: []slo.Objective{p99},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	all := run.Total[""] // all operations together
	fmt.Println(all.Count, "requests,", all.Failed(), "failed;", run.End.Verdicts[0].Objective, run.End.Verdicts[0].Held)
	// Output: 200 requests, 0 failed; p99<10s true
}

// askTheStore is whatever a request is to you. It is called from many goroutines.
func askTheStore(ctx context.Context, r *targets.Request, a *load.Answer) {
	a.Err = store(ctx, r.URL)
}

// store stands for a library of the user's.
func store(ctx context.Context, _ string) error { return ctx.Err() }
