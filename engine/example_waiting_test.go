package engine_test

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func ExampleEngine_Waiting() {
	api := exampleServer()
	defer api.Close()
	eng, _ := engine.New(engine.Config{
		BaseURL: api.URL, Limits: []throttle.Limit{{ID: "prices", Quota: 1, Per: time.Hour}},
	})
	defer eng.Close()

	ctx, cancel := context.WithCancel(context.Background())
	price := &engine.Request{Path: "/price", Query: engine.Values{"symbol": "BTCUSDT"}, LimitID: "prices"}
	_, _ = eng.Do(ctx, price)
	ended := make(chan error)
	go func() {
		_, err := eng.Do(ctx, price)
		ended <- err
	}()
	for len(eng.Waiting(1)) == 0 {
		time.Sleep(time.Millisecond)
	}
	for _, w := range eng.Waiting(100) {
		fmt.Printf("%s waits for a %v, held by %q for %v\n", w.Subject, w.For, w.HeldBy.Limit, time.Until(w.HeldBy.Until).Round(time.Hour))
	}
	cancel()
	<-ended
	// Output: GET /price waits for a permit, held by "prices" for 1h0m0s
}

func ExampleEngine_Glance() {
	api := exampleServer()
	defer api.Close()
	eng, _ := engine.New(engine.Config{
		BaseURL: api.URL, Limits: []throttle.Limit{{ID: "prices", Quota: 2, Per: time.Hour, By: throttle.ByKey}},
	})
	defer eng.Close()
	for i := range 1_000 {
		key := fmt.Sprint(i)
		_, _ = eng.Do(context.Background(), &engine.Request{Path: "/price", LimitID: "prices", Key: key})
	}
	stats := eng.Glance(10) // of a thousand keys, each with a quota of its own
	fmt.Println(len(stats.Limits.Limits), "and", stats.Limits.LeftOut, "more")
	// Output: 10 and 990 more
}
