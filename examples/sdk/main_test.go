package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	binance "github.com/adshao/go-binance/v2"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

// skews are how far the exchange's clock is ahead of the one that engine and clients
// share.
var skews = []time.Duration{0, 700 * time.Millisecond, 3 * time.Minute, -3 * time.Minute, 26 * time.Hour}

// onExchange starts an exchange and an engine for it, in memory and in fake time.
func onExchange(t *testing.T, skew time.Duration, do func(t *testing.T, ex *exchange.Exchange, eng *engine.Engine, url string)) {
	synctest.Test(t, func(t *testing.T) {
		ex, err := newExchange(skew)
		require.NoError(t, err)
		listener := memnet.Listen()
		go ex.Serve(listener)
		config := configure(listener.URL(), exchange.DemoKey, exchange.DemoSecret)
		config.Dial.DialContext = listener.DialContext
		eng, err := engine.New(config)
		require.NoError(t, err)
		defer func() {
			require.NoError(t, eng.Close())
			require.NoError(t, ex.Close())
		}()
		do(t, ex, eng, listener.URL())
	})
}

func TestNoOrderOfAnSDKIsRefusedHoweverLongItWaits(t *testing.T) {
	for name, client := range clients {
		for _, skew := range skews {
			t.Run(name+", "+skew.String(), func(t *testing.T) {
				onExchange(t, skew, func(t *testing.T, ex *exchange.Exchange, eng *engine.Engine, url string) {
					began := time.Now()
					accepted := placeAll(t.Context(), client(transport(eng, true), url, exchange.DemoKey, exchange.DemoSecret))
					report := ex.Report()
					require.EqualValues(t, orders, accepted, "%s", report)
					require.EqualValues(t, orders, report.Orders)
					require.Zero(t, report.Violations(), "%s", report)
					require.GreaterOrEqual(t, time.Since(began), 12*time.Second, "the last three have waited")
				})
			})
		}
	}
}

// The same orders without Resign: those that wait for longer than the window are
// refused, and with a clock that is far from the exchange's, all.
func TestWithoutResignWhatHasWaitedIsRefused(t *testing.T) {
	onTime := map[string]int64{"go-binance": 6, "by hand": 6, "ccxt": 12} // in windows of 5, 5 and 10 s
	for name, client := range clients {
		for _, skew := range []time.Duration{0, 3 * time.Minute} {
			t.Run(name+", "+skew.String(), func(t *testing.T) {
				onExchange(t, skew, func(t *testing.T, ex *exchange.Exchange, eng *engine.Engine, url string) {
					accepted := placeAll(t.Context(), client(transport(eng, false), url, exchange.DemoKey, exchange.DemoSecret))
					want := onTime[name]
					if skew != 0 {
						want = 0
					}
					require.Equal(t, want, accepted)
					require.Equal(t, orders-want, ex.Report().Violations())
				})
			})
		}
	}
}

func TestTheRestOfAnSDKGoesOnAsBefore(t *testing.T) {
	onExchange(t, -time.Hour, func(t *testing.T, ex *exchange.Exchange, eng *engine.Engine, url string) {
		client, ctx := binance.NewClient(exchange.DemoKey, exchange.DemoSecret), t.Context()
		client.BaseURL, client.HTTPClient = url, &http.Client{Transport: transport(eng, true)}

		require.NoError(t, client.NewPingService().Do(ctx))
		depth, err := client.NewDepthService().Symbol("BTCUSDT").Limit(5).Do(ctx)
		require.NoError(t, err)
		require.NotEmpty(t, depth.Bids)
		account, err := client.NewGetAccountService().Do(ctx)
		require.NoError(t, err)
		require.NotEmpty(t, account.Balances)
		require.NoError(t, goBinance(transport(eng, true), url, exchange.DemoKey, exchange.DemoSecret)(ctx, "mine"))
		open, err := client.NewListOpenOrdersService().Symbol("BTCUSDT").Do(ctx, binance.WithRecvWindow(2000))
		require.NoError(t, err)
		require.Len(t, open, 1)
		_, err = client.NewCancelOrderService().Symbol("BTCUSDT").OrderID(open[0].OrderID).Do(ctx)
		require.NoError(t, err)

		shaped := &ccxt{url: url, apiKey: exchange.DemoKey, secret: exchange.DemoSecret, recvWindow: 5000, http: client.HTTPClient}
		answer, err := shaped.request(ctx, "openOrders", "private", "GET", map[string]string{"symbol": "BTCUSDT"})
		require.NoError(t, err)
		require.Equal(t, "[]", strings.TrimSpace(answer))
		answer, err = shaped.request(ctx, "ticker/price", "public", "GET", map[string]string{"symbol": "BTCUSDT"})
		require.NoError(t, err)
		require.Contains(t, answer, "BTCUSDT")
		require.Zero(t, ex.Report().Violations(), "%s", ex.Report())
	})
}

// Every piece of Go in the guide stands in this program as it stands there.
func TestTheGuideShowsWhatIsRun(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "guide", "sdk.md"))
	require.NoError(t, err)
	var program strings.Builder
	for _, file := range []string{"main.go", "gobinance.go", "ccxt.go", "byhand.go", "streams.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(source)) {
			program.WriteString(strings.TrimLeft(line, "\t"))
		}
	}
	shown := 0
	for i, piece := range strings.Split(string(guide), "```") {
		code, is := strings.CutPrefix(piece, "go\n")
		if !is || i%2 == 0 {
			continue
		}
		shown++
		var flat strings.Builder
		for line := range strings.Lines(code) {
			flat.WriteString(strings.TrimLeft(line, "\t"))
		}
		require.Contains(t, program.String(), flat.String())
	}
	require.Equal(t, 8, shown)
}
