package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

// usdmExchange counts as the guide's table says.
func usdmExchange(t *testing.T) (*exchange.Exchange, *memnet.Listener) {
	t.Helper()
	way, err := exchange.ParseDelay("uniform:5ms-50ms")
	require.NoError(t, err)
	ex, err := exchange.New(exchange.Config{
		Accounts: accounts, Delay: way, ReturnDelay: way,
		Weights: map[string]int64{"POST /api/v3/order": 0, "POST /api/v3/batchOrders": 5, "DELETE /api/v3/openOrders": 1, "GET /api/v3/time": 1},
		Limits: []exchange.Limit{
			{Kind: exchange.Weight, Quota: 2400, Per: time.Minute},
			{Kind: exchange.Orders, Quota: 300, Per: 10 * time.Second},
			{Kind: exchange.Orders, Quota: 1200, Per: time.Minute, WholeBatch: true},
		},
	})
	require.NoError(t, err)
	listener := memnet.Listen()
	go ex.Serve(listener)
	t.Cleanup(func() { _ = ex.Close() })
	return ex, listener
}

func TestTheVenuesTableHoldsAtFullDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, listener := usdmExchange(t)
		config := configure(listener.URL(), "")
		config.Memory, config.Limits, config.Timeout = nil, usdm(), 2*time.Minute
		config.Dial.DialContext = listener.DialContext
		config.Connections.Max = 500
		eng, err := engine.New(config)
		require.NoError(t, err)
		until := time.Now().Add(3 * time.Minute)
		var all sync.WaitGroup
		send := func(n int, make func() *engine.Request) {
			for range n {
				all.Go(func() {
					for time.Now().Before(until) {
						response, err := eng.Do(t.Context(), make())
						require.NoError(t, err)
						require.NotEqual(t, http.StatusTooManyRequests, response.StatusCode, response.Text())
					}
				})
			}
		}
		for _, a := range accounts {
			for _, symbol := range symbols {
				terms := engine.Values{"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1, "price": 1}
				order := engine.Request{Method: http.MethodPost, Path: "/api/v3/order", Query: terms, Account: a.Name, Auth: true, LimitID: "order"}
				list := strings.Repeat(fmt.Sprintf(`,{"symbol":%q,"side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"1","price":"1"}`, symbol), 5)
				batch := engine.Request{
					Method: http.MethodPost, Path: "/api/v3/batchOrders", Body: engine.Form{"batchOrders": "[" + list[1:] + "]"},
					Account: a.Name, Auth: true, LimitID: "batch", Weights: batchOf(5),
				}
				cancel := engine.Request{
					Method: http.MethodDelete, Path: "/api/v3/openOrders", Query: engine.Values{"symbol": symbol},
					Account: a.Name, Auth: true, LimitID: "cancel", Priority: cancelling,
				}
				send(3, func() *engine.Request { return &order })
				send(3, func() *engine.Request { return &batch })
				send(1, func() *engine.Request { time.Sleep(2 * time.Second); return &cancel })
			}
		}
		all.Wait()
		require.NoError(t, eng.Close())
		report := ex.Report()
		require.Zero(t, report.Violations(), "%s", report)
		for _, l := range report.Limits {
			if l.Quota != 300 { // the short window only binds in bursts
				require.Greater(t, l.Utilisation, 0.9, "%s of %s", l.Limit, l.Scope)
			}
		}
	})
}

// The book's weights in the guide: 2, 5, 10 and 20 by the parameter "limit", and 10 without
// it.
func TestABookWeighsWhatItsDepthSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, listener := usdmExchange(t)
		config := configure(listener.URL(), "")
		config.Memory, config.Limits, config.Time = nil, usdm(), nil
		config.Dial.DialContext = listener.DialContext
		eng, err := engine.New(config)
		require.NoError(t, err)
		defer eng.Close()
		for levels, weight := range map[any]int64{nil: 10, 5: 2, 50: 2, 51: 5, 100: 5, 500: 10, 1000: 20} {
			x, err := eng.Explain(&engine.Request{Path: "/api/v3/depth", LimitID: "depth", Query: engine.Values{"symbol": "BTCUSDT", "limit": levels}})
			require.NoError(t, err)
			require.Len(t, x.Charges, 1)
			require.Equal(t, weight, x.Charges[0].Weight, "%v levels", levels)
		}
	})
}
