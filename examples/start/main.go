// Start is the first page of the guide: twelve requests at once to a server that takes
// five in a second.
//
//	go run ./examples/start
package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func main() {
	api := strictServer(5, time.Second)
	defer api.Close()

	eng, err := engine.New(engine.Config{
		BaseURL: api.URL,
		Limits:  []throttle.Limit{{ID: "calls", Quota: 5, Per: time.Second}},
		// Charged by requests that name no limit of their own.
		DefaultLimitID: "calls",
		Logger:         slog.Default(), // warnings, such as of a server that refuses
	})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var all sync.WaitGroup
	var refused atomic.Int32
	begun := time.Now()
	for i := range 12 {
		all.Go(func() {
			type price struct{ Symbol, Price string }
			got, err := engine.Fetch[price](ctx, eng, &engine.Request{
				Path: "/price", Query: engine.Values{"symbol": fmt.Sprintf("COIN%d", i)},
			})
			if err != nil {
				refused.Add(1)
				log.Print(err)
				return
			}
			fmt.Printf("%4.1f s  %s costs %s\n", time.Since(begun).Seconds(), got.Symbol, got.Price)
		})
	}
	all.Wait()
	fmt.Printf("12 requests, %d refused\n", refused.Load())
}

// strictServer answers so many requests in any span of that length, and refuses more.
func strictServer(quota int, per time.Duration) *httptest.Server {
	var mu sync.Mutex
	var came []time.Time // the last that were answered
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if len(came) == quota && now.Sub(came[0]) < per {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		came = append(came, now)
		came = came[max(0, len(came)-quota):]
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"symbol":%q,"price":"60000"}`, r.URL.Query().Get("symbol"))
	}))
}
