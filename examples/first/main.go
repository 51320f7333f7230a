// First is the first program of the README: one request, within a limit.
//
//	go run ./examples/first https://api.binance.com
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: first URL, as https://api.binance.com")
	}
	eng, err := engine.New(engine.Config{
		BaseURL:        os.Args[1],
		Limits:         []throttle.Limit{{ID: "weight", Quota: 6000, Per: time.Minute}},
		DefaultLimitID: "weight",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()
	clock, err := engine.Fetch[struct{ ServerTime int64 }](context.Background(), eng, &engine.Request{Path: "/api/v3/time"})
	fmt.Println(clock.ServerTime, err)
}
