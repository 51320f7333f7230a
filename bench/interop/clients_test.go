package interop

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	binance "github.com/adshao/go-binance/v2"
	"github.com/adshao/go-binance/v2/common"
	"github.com/go-resty/resty/v2"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// echo is what the server's /anything tells of a request.
type echo struct {
	Args, Form, Files map[string][]string
	JSON              map[string]any
	Headers           http.Header
	Method, Data      string
}

func restyOver(t *testing.T) *resty.Client {
	eng := startEngine(t, engine.Config{})
	return resty.New().SetTransport(eng.RoundTripper()).SetBaseURL(startHTTPBin(t))
}

func TestRestySendsQueryHeaderAndJSON(t *testing.T) {
	var got echo
	resp, err := restyOver(t).R().SetContext(t.Context()).SetResult(&got).
		SetQueryParam("symbol", "BTC USDT").SetHeader("X-Key", "k").SetBody(map[string]any{"side": "BUY", "n": 1.5}).
		Put("/anything/order")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode())
	require.Equal(t, "PUT", got.Method)
	require.Equal(t, []string{"BTC USDT"}, got.Args["symbol"])
	require.Equal(t, "k", got.Headers.Get("X-Key"))
	require.Equal(t, map[string]any{"side": "BUY", "n": 1.5}, got.JSON)
	require.Positive(t, resp.Size())
}

func TestRestySendsFormsAndFiles(t *testing.T) {
	client := restyOver(t)
	var form, files echo
	_, err := client.R().SetResult(&form).SetFormData(map[string]string{"a": "1 & 2", "b": "ü"}).Post("/anything")
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"a": {"1 & 2"}, "b": {"ü"}}, form.Form)

	content := strings.Repeat("row\n", 50_000)
	_, err = client.R().SetResult(&files).SetFormData(map[string]string{"kind": "csv"}).
		SetFileReader("upload", "rows.csv", strings.NewReader(content)).Post("/anything")
	require.NoError(t, err)
	require.Equal(t, []string{content}, files.Files["upload"])
	require.Equal(t, []string{"csv"}, files.Form["kind"])
}

func TestRestyRepeatsWhatFailedByItsOwnRules(t *testing.T) {
	client := restyOver(t).SetRetryCount(3).SetRetryWaitTime(time.Millisecond).
		AddRetryCondition(func(r *resty.Response, err error) bool { return r.StatusCode() == 503 })
	resp, err := client.R().Get("/status/503")
	require.NoError(t, err)
	require.Equal(t, 503, resp.StatusCode())
	require.Equal(t, 4, resp.Request.Attempt)
}

func TestRestyUnderstandsCodingsRedirectsCookiesAndAuth(t *testing.T) {
	client := restyOver(t)
	var zipped struct{ Gzipped bool }
	_, err := client.R().SetResult(&zipped).Get("/gzip")
	require.NoError(t, err)
	require.True(t, zipped.Gzipped)

	resp, err := client.R().Get("/redirect/3")
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode())
	require.Equal(t, "/get", resp.RawResponse.Request.URL.Path)

	var jar struct{ Cookies map[string]string }
	_, err = client.R().SetResult(&jar).Get("/cookies/set?session=s1")
	require.NoError(t, err)
	require.Equal(t, map[string]string{"session": "s1"}, jar.Cookies)

	resp, err = client.R().SetBasicAuth("user", "pw").Get("/basic-auth/user/pw")
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode())
}

func TestRestySeesAContextEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	_, err := restyOver(t).R().SetContext(ctx).Get("/delay/1s")
	var failed *url.Error
	require.ErrorAs(t, err, &failed)
	require.True(t, failed.Err == context.DeadlineExceeded, "%v", failed.Err)
}

func TestRestyStreamsAnUnparsedBody(t *testing.T) {
	resp, err := restyOver(t).R().SetDoNotParseResponse(true).Get("/stream-bytes/200000?seed=1")
	require.NoError(t, err)
	defer resp.RawBody().Close()
	var got bytes.Buffer
	_, err = got.ReadFrom(resp.RawBody())
	require.NoError(t, err)
	require.Equal(t, 200_000, got.Len())
}

func startExchange(t *testing.T, config exchange.Config) (*exchange.Exchange, string) {
	t.Helper()
	ex, err := exchange.New(config)
	require.NoError(t, err)
	url, err := ex.Start("127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ex.Close()) })
	return ex, url
}

// binanceOver is Binance's client with nothing but its transport changed.
func binanceOver(eng *engine.Engine, url string) *binance.Client {
	client := binance.NewClient(exchange.DemoKey, exchange.DemoSecret)
	client.BaseURL = url
	client.HTTPClient = &http.Client{Transport: eng.RoundTripper()}
	return client
}

func TestGoBinanceReadsTheMarket(t *testing.T) {
	ex, url := startExchange(t, exchange.Config{})
	client, ctx := binanceOver(startEngine(t, engine.Config{}), url), t.Context()
	require.NoError(t, client.NewPingService().Do(ctx))
	now, err := client.NewServerTimeService().Do(ctx)
	require.NoError(t, err)
	require.InDelta(t, time.Now().UnixMilli(), now, 60_000)
	info, err := client.NewExchangeInfoService().Do(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, info.Symbols)
	prices, err := client.NewListPricesService().Do(ctx)
	require.NoError(t, err)
	require.Len(t, prices, 5)
	depth, err := client.NewDepthService().Symbol("BTCUSDT").Limit(100).Do(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, depth.Bids)
	require.Zero(t, ex.Report().Violations())
}

func TestGoBinanceKeepsItsOrders(t *testing.T) {
	ex, url := startExchange(t, exchange.Config{})
	client, ctx := binanceOver(startEngine(t, engine.Config{}), url), t.Context()
	account, err := client.NewGetAccountService().Do(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, account.Balances)
	order, err := client.NewCreateOrderService().Symbol("BTCUSDT").Side(binance.SideTypeBuy).Type(binance.OrderTypeLimit).
		TimeInForce(binance.TimeInForceTypeGTC).Quantity("0.01").Price("50000").NewClientOrderID("mine-1").Do(ctx)
	require.NoError(t, err)
	require.Equal(t, "mine-1", order.ClientOrderID)
	kept, err := client.NewGetOrderService().Symbol("BTCUSDT").OrderID(order.OrderID).Do(ctx)
	require.NoError(t, err)
	require.Equal(t, order.OrderID, kept.OrderID)
	open, err := client.NewListOpenOrdersService().Symbol("BTCUSDT").Do(ctx)
	require.NoError(t, err)
	require.Len(t, open, 1)
	gone, err := client.NewCancelOrderService().Symbol("BTCUSDT").OrderID(order.OrderID).Do(ctx)
	require.NoError(t, err)
	require.Equal(t, binance.OrderStatusTypeCanceled, gone.Status)
	require.Zero(t, ex.Report().Violations())
}

func TestGoBinanceSeesTheExchangesOwnErrors(t *testing.T) {
	_, url := startExchange(t, exchange.Config{})
	client := binanceOver(startEngine(t, engine.Config{}), url)
	_, err := client.NewListPricesService().Symbol("NOSUCH").Do(t.Context())
	var typed *common.APIError
	require.ErrorAs(t, err, &typed)
	require.EqualValues(t, -1121, typed.Code)
}

// Forty pings at ten in half a second: Binance's client knows nothing of the
// limit, and breaks it never.
func TestGoBinanceObeysTheEnginesLimits(t *testing.T) {
	ex, url := startExchange(t, exchange.Config{Limits: []exchange.Limit{
		{Quota: 10, Per: 500 * time.Millisecond, Policy: exchange.Sliding},
	}})
	client := binanceOver(startEngine(t, engine.Config{
		DefaultLimitID: "weight",
		Limits:         []throttle.Limit{{ID: "weight", Quota: 10, Per: 500 * time.Millisecond}},
	}), url)
	began := time.Now()
	var callers sync.WaitGroup
	errs := make([]error, 40)
	for i := range errs {
		callers.Go(func() { errs[i] = client.NewPingService().Do(t.Context()) })
	}
	callers.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, time.Since(began), 1500*time.Millisecond)
	require.EqualValues(t, 40, ex.Requests())
	require.Zero(t, ex.Report().Violations())
}
