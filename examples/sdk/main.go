// Sdk puts three clients, none of which knows anything of the engine, behind a limit
// of 3 orders in 3 s, and has each place 15 orders at once: go-binance, a client in
// the shape of ccxt's, and one written by hand. They sign when they are called, and
// most of their orders wait for longer than the 5 s that the exchange lets a
// timestamp be old. They go through engine.Resign, and then once more without it.
//
//	go run ./examples/sdk
package main

import (
	"context"
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
)

const orders = 15

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	fmt.Printf("%d orders each, behind 3 in 3 s; the exchange's clock is right\n", orders)
	var all sync.WaitGroup
	failed := make(chan error, 2*len(clients))
	for name, client := range clients {
		for _, resigned := range []bool{true, false} {
			all.Go(func() {
				accepted, err := trial(ctx, client, resigned)
				if err == nil && resigned && accepted < orders {
					err = fmt.Errorf("%s: %d orders were refused", name, orders-accepted)
				}
				failed <- err
				fmt.Printf("%-10s with Resign: %-5t accepted: %2d of %d\n", name, resigned, accepted, orders)
			})
		}
	}
	all.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// trial runs one client against an exchange of its own.
func trial(ctx context.Context, client newClient, resigned bool) (accepted int64, err error) {
	ex, err := newExchange(0)
	if err != nil {
		return 0, err
	}
	defer ex.Close()
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	eng, err := engine.New(configure(url, exchange.DemoKey, exchange.DemoSecret))
	if err != nil {
		return 0, err
	}
	defer eng.Close()
	return placeAll(ctx, client(transport(eng, resigned), url, exchange.DemoKey, exchange.DemoSecret)), nil
}

func newExchange(skew time.Duration) (*exchange.Exchange, error) {
	return exchange.New(exchange.Config{Skew: skew, Limits: []exchange.Limit{
		{Kind: exchange.Weight, Quota: 6000, Per: time.Minute, Policy: exchange.Fixed},
		{Kind: exchange.Orders, Quota: 3, Per: 3 * time.Second, Policy: exchange.Sliding},
	}})
}

// configure is the guide's first piece.
func configure(url string, key, secret auth.Secret) engine.Config {
	config := engine.Config{
		BaseURL: url,                       // "https://api.binance.com": where signatures may go
		Auth:    auth.Binance(key, secret), // the SDK's key and secret
		Time:    engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("weight"),
		Limits: []throttle.Limit{
			{ID: "weight", Window: throttle.Fixed, Quota: 6000, Per: time.Minute},
			{ID: "orders", Quota: 3, Per: 3 * time.Second},
			{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders", Weight: 1}}},
		},
		DefaultLimitID: "weight",
	}
	return config
}

// route tells the engine what an SDK cannot: which limit a request is charged to.
func route(r *http.Request, asked *engine.Request) {
	if r.URL.Path == "/api/v3/order" && r.Method == http.MethodPost {
		asked.LimitID, asked.Priority = "order", engine.High
	}
}

// transport is what every client here is given.
func transport(eng *engine.Engine, resigned bool) http.RoundTripper {
	if !resigned {
		return eng.RoundTripper(route) // signed too early: what this program warns of
	}
	trip := eng.RoundTripper(route, engine.Resign(eng))
	return trip
}

// newClient makes a client that sends through trip, and returns how it buys.
type newClient func(trip http.RoundTripper, url, key, secret string) buy

// buy places an order of the given id.
type buy func(ctx context.Context, id string) error

var clients = map[string]newClient{"go-binance": goBinance, "ccxt": ccxtShaped, "by hand": byHand}

// placeAll places all orders at once, and returns how many were accepted.
func placeAll(ctx context.Context, buy buy) int64 {
	var all sync.WaitGroup
	var accepted atomic.Int64
	for i := range orders {
		all.Go(func() {
			if buy(ctx, fmt.Sprintf("sdk-%d", i)) == nil {
				accepted.Add(1)
			}
		})
	}
	all.Wait()
	return accepted.Load()
}
