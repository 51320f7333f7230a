// Package bot is the part of a trading bot that talks to its exchange, made so that it can be
// tested: what it is told of the exchange is an engine.Config, and nothing else is. Its test
// plays two minutes of orders against a simulated exchange, in some milliseconds.
//
//	go test -v ./examples/bot
package bot

import (
	"context"
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// Config is what the bot knows of its exchange.
func Config(url string, key, secret auth.Secret) engine.Config {
	return engine.Config{
		BaseURL: url,
		Auth:    auth.Binance(key, secret),
		Time:    engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("query"),
		Limits: []throttle.Limit{
			{ID: "weight", Window: throttle.Fixed, Quota: 6000, Per: time.Minute},
			{ID: "orders", Window: throttle.Fixed, Quota: 100, Per: 10 * time.Second},
			{ID: "query", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
			{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 1}, {ID: "orders", Weight: 1}}},
		},
	}
}

// Buy places an order under an id of the bot's own, and returns the exchange's.
func Buy(ctx context.Context, eng *engine.Engine, symbol, id string, price float64) (int64, error) {
	placed, err := engine.Fetch[struct{ OrderID int64 }](ctx, eng, &engine.Request{
		Method: http.MethodPost, Path: "/api/v3/order", Auth: true, LimitID: "order", Priority: engine.High,
		Query: engine.Values{
			"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
			"quantity": 0.01, "price": price, "newClientOrderId": id,
		},
	})
	return placed.OrderID, err
}
