// Readme is the program of the project's README, to the letter, run against the
// simulated exchange: books and orders asked for by many callers at once, for as
// long as told. The exchange, which counts what everything really weighs, says at
// the end whether anything was sent too fast or wrongly.
//
//	go run ./examples/readme
//	go run ./examples/readme -for 30s
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func main() {
	length := flag.Duration("for", 10*time.Second, "how long to trade")
	flag.Parse()
	if err := run(context.Background(), *length); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, length time.Duration) error {
	ex, err := exchange.New(exchange.Config{Skew: 3 * time.Second})
	if err != nil {
		return err
	}
	defer ex.Close()
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("a simulated exchange listens on", url)
	fmt.Println("its limits: 6,000 weight a minute, 100 orders in 10 s; its clock: 3 s ahead")
	if err := trade(ctx, configure(url, exchange.DemoKey, exchange.DemoSecret), length); err != nil {
		return err
	}
	report := ex.Report()
	fmt.Printf("\n%s", report)
	if n := report.Violations(); n != 0 {
		return fmt.Errorf("the exchange counted %d violations", n)
	}
	return nil
}

// configure is the README's first piece.
func configure(url string, key, secret auth.Secret) engine.Config {
	config := engine.Config{
		BaseURL: url, // "https://api.example.com"
		Limits: []throttle.Limit{
			{ID: "weight", Window: throttle.Fixed, Quota: 6000, Per: time.Minute,
				Reserve: []throttle.Reserve{{Priority: engine.High, Weight: 60}}}, // for orders and cancels
			{ID: "orders", Window: throttle.Fixed, Quota: 100, Per: 10 * time.Second},
			// What a request names: routes, each with what it costs.
			{ID: "time", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
			{ID: "depth", Linked: []throttle.Link{{ID: "weight", Weight: 25}}},
			{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders", Weight: 1}}},
			{ID: "cancel", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
		},
		Auth:     auth.HMACQuery{Key: key, Secret: secret},
		Time:     engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("time"),
		Feedback: feedback.Binance("weight", "orders", ""),
	}
	return config
}

type (
	Book  struct{ Bids, Asks [][2]string }
	Order struct {
		OrderID int64
		Status  string
	}
)

// look is the README's third piece.
func look(ctx context.Context, eng *engine.Engine) (Book, error) {
	book, err := engine.Fetch[Book](ctx, eng, &engine.Request{
		Path: "/api/v3/depth", Query: engine.Values{"symbol": "BTCUSDT", "limit": 500}, LimitID: "depth",
	})
	return book, err
}

// buy places an order.
func buy(ctx context.Context, eng *engine.Engine, id string) (Order, error) {
	order, err := engine.Fetch[Order](ctx, eng, &engine.Request{
		Method: http.MethodPost, Path: "/api/v3/order", LimitID: "order", Auth: true, Priority: engine.High,
		Query: engine.Values{
			"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
			"quantity": 0.01, "price": 50000, "newClientOrderId": id,
		},
		Timeout: 20 * time.Second,
	})
	return order, err
}

// cancel is the README's fourth piece.
func cancel(ctx context.Context, eng *engine.Engine, order Order) error {
	_, err := engine.Fetch[Order](ctx, eng, &engine.Request{
		Method: http.MethodDelete, Path: "/api/v3/order", LimitID: "cancel", Auth: true, Priority: engine.Urgent,
		Query:   engine.Values{"symbol": "BTCUSDT", "orderId": order.OrderID},
		Timeout: 5 * time.Second,
	})
	return err
}

// trade begins with the README's second piece. It has 50 callers look at books and 10 buy and
// cancel, without a pause, for a time. The limits are what slows them down.
func trade(ctx context.Context, config engine.Config, length time.Duration) error {
	eng, err := engine.New(config)
	if err != nil {
		return err
	}
	defer eng.Close()
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()

	var books, orders atomic.Int64
	var all sync.WaitGroup
	failed := make(chan error, 60)
	for range 50 {
		all.Go(func() {
			failed <- repeat(ctx, func() error {
				if _, err := look(ctx, eng); err != nil {
					return err
				}
				books.Add(1)
				return nil
			})
		})
	}
	for caller := range 10 {
		all.Go(func() {
			n := 0
			failed <- repeat(ctx, func() error {
				n++
				order, err := buy(ctx, eng, fmt.Sprintf("readme-%d-%d", caller, n))
				if err != nil {
					return err
				}
				orders.Add(1)
				return cancel(ctx, eng, order)
			})
		})
	}
	all.Wait()
	close(failed)
	for one := range failed {
		err = errors.Join(err, one)
	}
	fmt.Printf("%d books and %d orders in %s\n", books.Load(), orders.Load(), length)
	return err
}

// repeat does something until the time is over. What cannot be done in time is
// tried again when that makes sense; anything else ends it.
func repeat(ctx context.Context, do func() error) error {
	for ctx.Err() == nil {
		err := do()
		if err != nil && ctx.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		if err != nil && engine.Wait(ctx, err) != nil {
			return nil // the time is over
		}
	}
	return nil
}
