// Quickstart starts a simulated exchange in this process, with tight limits
// and a clock that is two seconds off, and trades on it through Sluice: prices
// in parallel, a signed order, its cancellation. At the end the exchange, which
// counted every arrival, says whether anything was sent too fast or wrongly.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	ex, url, err := startExchange()
	if err != nil {
		return err
	}
	defer ex.Close()

	eng, err := engine.New(engine.Config{
		BaseURL: url,
		Limits: []throttle.Limit{
			{ID: "weight", Window: throttle.Fixed, Quota: 100, Per: 2 * time.Second},
			{ID: "orders", Window: throttle.Fixed, Quota: 5, Per: 2 * time.Second},
			// What a request names: routes, each with what it costs.
			{ID: "time", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
			{ID: "price", Linked: []throttle.Link{{ID: "weight", Weight: 2}}},
			{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders", Weight: 1}}},
			{ID: "cancel", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
		},
		Auth: auth.HMACQuery{Key: exchange.DemoKey, Secret: exchange.DemoSecret},
		Time: engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("time"),
	})
	if err != nil {
		return err
	}
	defer eng.Close()

	if err := prices(ctx, eng, 120); err != nil {
		return err
	}
	if err := placeAndCancel(ctx, eng); err != nil {
		return err
	}
	report := ex.Report()
	fmt.Printf("\n%s", report)
	if n := report.Violations(); n != 0 {
		return fmt.Errorf("the exchange counted %d violations", n)
	}
	return nil
}

func startExchange() (*exchange.Exchange, string, error) {
	ex, err := exchange.New(exchange.Config{
		Skew: 2 * time.Second,
		Limits: []exchange.Limit{
			{Kind: exchange.Weight, Quota: 100, Per: 2 * time.Second},
			{Kind: exchange.Orders, Quota: 5, Per: 2 * time.Second},
		},
	})
	if err != nil {
		return nil, "", err
	}
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	fmt.Println("a simulated exchange listens on", url)
	fmt.Println("its limits: 100 weight and 5 orders in 2 s; its clock: 2 s ahead")
	return ex, url, nil
}

// prices asks for more than a window allows, all at once: the engine spreads
// the requests, and the exchange refuses none.
func prices(ctx context.Context, eng *engine.Engine, n int) error {
	type ticker struct{ Symbol, Price string }
	start := time.Now()
	errs := make(chan error, n)
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			_, err := engine.Fetch[ticker](ctx, eng, &engine.Request{
				Path: "/api/v3/ticker/price", Query: engine.Values{"symbol": "BTCUSDT"}, LimitID: "price",
			})
			errs <- err
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return fmt.Errorf("price: %w", err)
		}
	}
	fmt.Printf("%d prices of weight 2, asked for at once, took %s\n", n, time.Since(start).Round(time.Millisecond))
	return nil
}

func placeAndCancel(ctx context.Context, eng *engine.Engine) error {
	type order struct {
		OrderID int64
		Status  string
	}
	placed, err := engine.Fetch[order](ctx, eng, &engine.Request{
		Method: http.MethodPost, Path: "/api/v3/order", LimitID: "order", Auth: true, Priority: engine.High,
		Query: engine.Values{
			"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
			"quantity": 0.01, "price": 50000, "newClientOrderId": "quickstart-1", "icebergQty": nil,
		},
	})
	if err != nil {
		// An order that is "unknown" may have been placed: docs/guide/errors.md.
		return fmt.Errorf("order, %s: %w", engine.OutcomeOf(err), err)
	}
	fmt.Printf("order %d is %s\n", placed.OrderID, placed.Status)

	cancelled, err := engine.Fetch[order](ctx, eng, &engine.Request{
		Method: http.MethodDelete, Path: "/api/v3/order", LimitID: "cancel", Auth: true, Priority: engine.Urgent,
		Query:   engine.Values{"symbol": "BTCUSDT", "orderId": placed.OrderID},
		Timeout: 5 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("cancel: %w", err)
	}
	fmt.Printf("order %d is %s\n", cancelled.OrderID, cancelled.Status)
	return nil
}
