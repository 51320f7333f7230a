package exchange_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
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

// judged has a client make requests of an API that is limited to 20 in a sliding second, over a
// network that stalls, and returns what the referee says.
func judged(t *testing.T, seed uint64, faults string, client func(url string, listen *memnet.Listener)) (report exchange.Report) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		routes, err := exchange.ParseRoute("* /*=weight 2,body [1]")
		require.NoError(t, err)
		delay, err := exchange.ParseDelay("150us:10,2ms:5+pareto:100us,2")
		require.NoError(t, err)
		spoil, err := exchange.ParseFaults(faults)
		require.NoError(t, err)
		ex, err := exchange.New(exchange.Config{
			Routes: []exchange.Route{routes}, Delay: delay, Seed: seed, Faults: spoil,
			Limits: []exchange.Limit{{Kind: exchange.Weight, Quota: 40, Per: time.Second, Policy: exchange.Sliding}},
			Stalls: []exchange.Stall{{For: 300 * time.Millisecond, After: 2 * time.Second}},
		})
		require.NoError(t, err)
		listen := memnet.Listen()
		go ex.Serve(listen)
		client(listen.URL(), listen)
		require.NoError(t, ex.Close())
		report = ex.Report()
	})
	return report
}

// impatient is net/http from many goroutines, without a limit.
func impatient(url string, listen *memnet.Listener) {
	transport := &http.Transport{DialContext: listen.DialContext}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if answer, err := client.Get(url + "/v1/items"); err == nil {
				io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		})
	}
	all.Wait()
}

func TestAnyClientIsJudgedByTheSameBook(t *testing.T) {
	polite := judged(t, 1, "", func(url string, listen *memnet.Listener) {
		eng, err := engine.New(engine.Config{
			BaseURL: url, DefaultLimitID: "all", Dial: engine.Dial{DialContext: listen.DialContext},
			Limits: []throttle.Limit{{ID: "all", Quota: 20, Per: 1100 * time.Millisecond}}, // a tenth for the network
		})
		require.NoError(t, err)
		defer eng.Close()
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				_, err := eng.Do(context.Background(), &engine.Request{Path: "/v1/items"})
				require.NoError(t, err)
			})
		}
		all.Wait()
	})
	t.Log(polite.Headline())
	require.Zero(t, polite.Violations(), polite)
	require.EqualValues(t, 200, polite.Requests)
	require.Greater(t, polite.Limits[0].Utilisation, 0.8)

	rude := judged(t, 1, "", impatient)
	t.Log(rude.Headline())
	require.EqualValues(t, 80, rude.Violations(), "twenty are let in")
	require.Positive(t, rude.WaitsBroken())
}

func TestTheSameSeedSpoilsTheSameRequestsInTheSameWay(t *testing.T) {
	one := func(seed uint64) (outcomes []string, report exchange.Report) {
		report = judged(t, seed, "503:10%,reset:10%,after-reset:10%,truncate:10%,half-close:5%,slow:5%,short-length:5%", func(url string, listen *memnet.Listener) {
			transport := &http.Transport{DialContext: listen.DialContext, DisableKeepAlives: true}
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport}
			for range 60 {
				time.Sleep(200 * time.Millisecond)
				sent := time.Now()
				answer, err := client.Post(url+"/v1/items", "text/plain", nil)
				outcome := "failed"
				if err == nil {
					_, err = io.Copy(io.Discard, answer.Body)
					answer.Body.Close()
					outcome = answer.Status
					if errors.Is(err, io.ErrUnexpectedEOF) {
						outcome += " cut"
					}
				}
				outcomes = append(outcomes, outcome+" "+time.Since(sent).String())
			}
		})
		return outcomes, report
	}
	first, report := one(7)
	again, _ := one(7)
	other, _ := one(8)
	require.Equal(t, first, again)
	require.NotEqual(t, first, other)
	require.EqualValues(t, 7, report.Seed)
	require.Greater(t, len(report.Faults), 4)
	require.Equal(t, report.Faults["after-reset"]+report.Faults["truncate"]+report.Faults["half-close"], report.Outcomes.Unknown)
}

// A venue frees the id of an order that is no longer open. An engine that is told that the order
// may be repeated has it executed twice, and says that all is well; the referee does not.
func TestAMarketOrderThatIsCalledIdempotentIsExecutedTwiceAndTheRefereeSaysSo(t *testing.T) {
	for _, c := range []struct {
		keep   bool
		told   engine.Outcome
		orders int64
		want   map[exchange.Violation]int64
	}{
		{keep: false, told: engine.Done, orders: 2, want: map[exchange.Violation]int64{exchange.ExecutedTwice: 1}},
		{keep: true, told: engine.Unknown, orders: 1, want: map[exchange.Violation]int64{exchange.DuplicateOrder: 1}},
	} {
		synctest.Test(t, func(t *testing.T) {
			ex, err := exchange.New(exchange.Config{
				KeepOrderIDs: c.keep, Seed: 6, Faults: []exchange.Fault{{Kind: exchange.FaultCloseAfter, Probability: 0.5}},
			})
			require.NoError(t, err)
			listen := memnet.Listen()
			go ex.Serve(listen)
			eng, err := engine.New(engine.Config{
				BaseURL: listen.URL(), Dial: engine.Dial{DialContext: listen.DialContext},
				Auth: auth.Binance(exchange.DemoKey, exchange.DemoSecret),
			})
			require.NoError(t, err)
			_, err = engine.Fetch[any](t.Context(), eng, &engine.Request{
				Method: http.MethodPost, Path: "/api/v3/order", Auth: true, Idempotent: true,
				Query: engine.Values{"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 1, "newClientOrderId": "mine"},
			})
			require.Equal(t, c.told, engine.OutcomeOf(err))
			require.NoError(t, eng.Close())
			require.NoError(t, ex.Close())
			report := ex.Report()
			require.Equal(t, exchange.Outcomes{Unknown: 1, Repeated: 1}, report.Outcomes, "the answer to the first is lost, and only that one")
			require.Equal(t, c.orders, report.Orders)
			require.Equal(t, c.want, report.Counts)
		})
	}
}
