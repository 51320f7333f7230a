package counters

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// desk is three accounts that trade five symbols through one whole engine, at the
// simulated exchange.
type desk struct {
	t      *testing.T
	eng    *engine.Engine
	traded sync.WaitGroup
	until  time.Time
	serial atomic.Int64
}

// trade has everyone trade for a while through an engine with these limits, and
// returns the exchange's report.
func trade(t *testing.T, while time.Duration, rules []exchange.Limit, limits []throttle.Limit, one func(*desk, who)) (report exchange.Report) {
	synctest.Test(t, func(t *testing.T) {
		way, err := exchange.ParseDelay("uniform:5ms-50ms")
		require.NoError(t, err)
		config := exchange.Config{Limits: rules, Delay: way, ReturnDelay: way, Skew: 3 * time.Second}
		signers := map[string]auth.Authenticator{}
		for _, name := range accounts {
			key, secret := "key-"+name, "secret-"+name
			config.Accounts = append(config.Accounts, exchange.Account{Name: name, Key: key, Secret: secret})
			if name != "" {
				signers[name] = auth.Binance(auth.Secret(key), auth.Secret(secret))
			}
		}
		ex, err := exchange.New(config)
		require.NoError(t, err)
		listener := memnet.Listen()
		go ex.Serve(listener)
		defer ex.Close()
		eng, err := engine.New(engine.Config{
			BaseURL: listener.URL(), Dial: engine.Dial{DialContext: listener.DialContext},
			Auth: auth.Binance("key-", "secret-"), Accounts: signers, Limits: limits,
			Time:        engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo(engine.Unlimited),
			Connections: engine.Connections{Max: 1_000},
		})
		require.NoError(t, err)
		d := &desk{t: t, eng: eng, until: time.Now().Add(while)}
		everyone(func(of who) { one(d, of) })
		d.traded.Wait()
		report = ex.Report()
		require.NoError(t, eng.Close())
	})
	return report
}

// keep has n goroutines do something again and again until the time is over.
func (d *desk) keep(n int, do func()) {
	for range n {
		d.traded.Go(func() {
			for time.Now().Before(d.until) {
				do()
			}
		})
	}
}

// send sends a request of somebody's. What comes too late for the end is not awaited.
func (d *desk) send(of who, req engine.Request) *engine.Response {
	ctx, cancel := context.WithDeadline(context.Background(), d.until.Add(10*time.Second))
	defer cancel()
	req.Account, req.Key, req.Auth = of.account, of.symbol, true
	response, err := d.eng.Do(ctx, &req)
	if err != nil {
		require.ErrorIs(d.t, err, context.DeadlineExceeded)
		return nil
	}
	require.Equal(d.t, http.StatusOK, response.StatusCode, "%s", response.Text())
	return response
}

func (d *desk) id() string { return fmt.Sprint("order-", d.serial.Add(1)) }

func (d *desk) batch(of who, n int, weights map[string]int64) {
	var list []string
	for range n {
		list = append(list, fmt.Sprintf(
			`{"symbol":%q,"side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"1","price":"1","newClientOrderId":%q}`, of.symbol, d.id()))
	}
	d.send(of, engine.Request{
		Method: http.MethodPost, Path: "/api/v3/batchOrders", LimitID: "batch", Weights: weights,
		Body: engine.Form{"batchOrders": "[" + strings.Join(list, ",") + "]"},
	})
}

func (d *desk) order(of who, limit string, weights map[string]int64) (id string, placed bool) {
	id = d.id()
	return id, d.send(of, engine.Request{
		Method: http.MethodPost, Path: "/api/v3/order", LimitID: limit, Weights: weights,
		Query: engine.Values{"symbol": of.symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 1, "price": 1, "newClientOrderId": id},
	}) != nil
}

func TestAWholeEngineWithBatchesOfTwentyIsNotRefused(t *testing.T) {
	const per = 2 * time.Second
	both := throttle.ByAccount | throttle.ByKey
	report := trade(t, 30*time.Second, []exchange.Limit{
		{Kind: exchange.Orders, Quota: 300, Per: per, Policy: exchange.Sliding, PerSymbol: true},
		{Kind: exchange.Orders, Quota: 1_000, Per: per, Policy: exchange.Sliding},
		{Kind: exchange.Orders, Quota: 600, Per: 10 * time.Second, WholeBatch: true},
	}, []throttle.Limit{
		{ID: "symbol", Quota: 300, Per: per, By: both, RTTFloor: leastTrip},
		{ID: "account", Quota: 1_000, Per: per, By: throttle.ByAccount, RTTFloor: leastTrip},
		{ID: "batches", Quota: 600, Per: 10 * time.Second, Window: throttle.Fixed, By: throttle.ByAccount},
		{ID: "order", Linked: []throttle.Link{{ID: "symbol"}, {ID: "account"}, {ID: "batches"}}},
		{ID: "batch", Linked: []throttle.Link{{ID: "symbol"}, {ID: "account"}, {ID: "batches"}}},
	}, func(d *desk, of who) {
		d.keep(4, func() { d.batch(of, 20, map[string]int64{"symbol": 20, "account": 20, "batches": 1}) })
		d.keep(2, func() { d.order(of, "order", nil) })
	})
	require.Zero(t, report.Violations(), "%s", report)
	for _, l := range report.Limits {
		if l.Quota == 1_000 {
			require.Greater(t, l.Utilisation, 0.95, "%s of %s", l.Limit, l.Scope)
		}
	}
}

func TestAWholeEngineThatPaysForItsHasteIsNotRefused(t *testing.T) {
	report := trade(t, 3*time.Minute, []exchange.Limit{
		{Kind: exchange.Matching, Quota: 234, Per: 100 * time.Second, Burst: 125, Policy: exchange.TokenBucket, PerSymbol: true},
	}, []throttle.Limit{
		{ID: "engine", Window: throttle.Leaky, Quota: 234, Per: 100 * time.Second, Burst: 125, By: throttle.ByAccount | throttle.ByKey},
	}, func(d *desk, of who) {
		d.keep(16, func() {
			id, placed := d.order(of, "engine", nil)
			known := time.Now()
			time.Sleep(time.Duration(d.serial.Load()%40) * time.Second)
			if !placed {
				return
			}
			d.send(of, engine.Request{
				Method: http.MethodDelete, Path: "/api/v3/order", LimitID: "engine", Priority: engine.Urgent,
				Query:   engine.Values{"symbol": of.symbol, "origClientOrderId": id},
				Weights: map[string]int64{"engine": cancelCost(time.Since(known) * 4_999 / 5_000)},
			})
		})
	})
	require.Zero(t, report.Violations(), "%s", report)
	require.Len(t, report.Limits, 15)
	for _, l := range report.Limits {
		require.Greater(t, l.Weight, int64(450), "%s, of the 546 that there are", l.Scope)
	}
}

func TestAWholeEngineLivesOnATrickleOnceItsBudgetIsSpent(t *testing.T) {
	report := trade(t, 2*time.Minute, []exchange.Limit{
		{Kind: exchange.Actions, Quota: 50, Per: 10 * time.Second, Policy: exchange.Budget},
	}, []throttle.Limit{
		{ID: "actions", Quota: 50, Window: throttle.Lifetime, By: throttle.ByAccount, Fallback: "trickle"},
		{ID: "trickle", Quota: 1, Per: 10 * time.Second, By: throttle.ByAccount, RTTFloor: leastTrip},
	}, func(d *desk, of who) {
		d.keep(1, func() { d.order(of, "actions", nil) })
	})
	require.Zero(t, report.Violations(), "%s", report)
	for _, l := range report.Limits {
		require.InDelta(t, 62, l.Weight, 1, "%s: fifty, and one every ten seconds", l.Scope)
	}
}
