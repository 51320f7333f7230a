// Websocket enters orders over a WebSocket and over REST at once, under one budget: the
// exchange counts both together, and so does the engine. A message takes a permit of the
// engine's before it is sent, and tells it what became of it.
//
//	go run ./examples/websocket
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

const orders = 30 // each way

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ex, err := newExchange()
	if err != nil {
		log.Fatal(err)
	}
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer ex.Close()
	if err := run(ctx, configure(url), http.DefaultClient, os.Stdout); err != nil {
		log.Fatal(err)
	}
	fmt.Print(ex.Report())
}

func newExchange() (*exchange.Exchange, error) {
	return exchange.New(exchange.Config{Limits: []exchange.Limit{
		{Kind: exchange.Weight, Quota: 1200, Per: time.Minute},
		{Kind: exchange.Orders, Quota: 10, Per: 2 * time.Second, Policy: exchange.Sliding},
	}})
}

var credentials = auth.HMACQuery{Key: exchange.DemoKey, Secret: exchange.DemoSecret}

func configure(url string) engine.Config {
	return engine.Config{
		BaseURL: url,
		Auth:    credentials,
		Time:    engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("weight"),
		Limits: []throttle.Limit{
			{ID: "weight", Quota: 1200, Per: time.Minute, Window: throttle.Fixed},
			{ID: "orders", Quota: 10, Per: 2 * time.Second},
			// A request and a message of the same meaning name the same limit.
			{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders"}}},
			{ID: "handshake", Linked: []throttle.Link{{ID: "weight", Weight: 2}}},
		},
	}
}

// run places orders both ways at once.
func run(ctx context.Context, config engine.Config, client *http.Client, out io.Writer) error {
	eng, err := engine.New(config)
	if err != nil {
		return err
	}
	defer eng.Close()
	if err := eng.AwaitTime(ctx); err != nil { // messages are signed by the server's clock
		return err
	}
	entry, err := dial(ctx, eng, config.BaseURL+"/ws-api/v3", client)
	if err != nil {
		return err
	}
	defer entry.close()

	start := time.Now()
	failed := make(chan error, 2*orders)
	var all sync.WaitGroup
	for i := range orders {
		all.Go(func() { failed <- entry.place(ctx, fmt.Sprintf("ws-%d", i)) })
		all.Go(func() { failed <- placeOverREST(ctx, eng, fmt.Sprintf("rest-%d", i)) })
	}
	all.Wait()
	for range 2 * orders {
		if err := <-failed; err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "%d orders over the WebSocket and %d over REST took %v, of which the limit takes 10 s\n",
		orders, orders, time.Since(start).Round(100*time.Millisecond))
	return nil
}

func placeOverREST(ctx context.Context, eng *engine.Engine, id string) error {
	_, err := engine.Fetch[struct{ OrderID int64 }](ctx, eng, &engine.Request{
		Method: http.MethodPost, Path: "/api/v3/order", Auth: true, LimitID: "order", Priority: engine.High,
		Query: engine.Values{
			"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
			"quantity": "0.01", "price": "50000", "newClientOrderId": id,
		},
	})
	return err
}
