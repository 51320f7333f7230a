// Reference shows each thing that NetworkPype's REST guide does, in Sluice:
// a connection, a request, a managed request with limits, an error returned as
// data, processors before and after, time synchronisation, one engine for all. It talks
// to a simulated exchange in this process.
//
//	go run ./examples/reference
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	ex, err := exchange.New(exchange.Config{Skew: -3 * time.Second})
	if err != nil {
		return err
	}
	url, err := ex.Start("127.0.0.1:0")
	if err != nil {
		return err
	}
	defer ex.Close()

	for _, step := range []struct {
		name string
		show func(context.Context, string, io.Writer) error
	}{
		{"a connection", connection},
		{"a request", request},
		{"a URL that is encoded already", encoded},
		{"a body, its content type, and text", bodyAndText},
		{"a timeout", timeout},
		{"a request under limits", limits},
		{"a request with credentials and a limit", signed},
		{"an error as data", errorAsData},
		{"a pre-processor", preProcessor},
		{"a post-processor", postProcessor},
		{"several processors", severalProcessors},
		{"time synchronisation", timeSynchronisation},
		{"one engine for all", oneForAll},
	} {
		fmt.Fprintf(out, "— %s\n", step.name)
		if err := step.show(ctx, url, out); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if n := ex.Violations(); n != 0 {
		return fmt.Errorf("the exchange counted %d violations", n)
	}
	return nil
}

// connection: one engine is one shared session, with its pool, limits, cookies
// and credentials. Do returns any status as a response.
func connection(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		return err
	}
	defer eng.Close()

	resp, err := eng.Do(ctx, &engine.Request{URL: url + "/api/v3/nowhere"})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s: %d %s\n", resp.Method, "/api/v3/nowhere", resp.StatusCode, resp.Header.Get("Content-Type"))
	return nil
}

// request: a method, a path joined to the base URL, parameters, headers.
// Parameters that are nil are left out.
func request(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{BaseURL: url + "/api/v3"})
	if err != nil {
		return err
	}
	defer eng.Close()

	resp, err := eng.Do(ctx, &engine.Request{
		Path:   "/ticker/price",
		Query:  engine.Values{"symbol": "ETHUSDT", "window": nil},
		Header: map[string][]string{"X-Trace": {"reference"}},
	})
	if err != nil {
		return err
	}
	var ticker struct{ Symbol, Price string }
	if err := resp.JSON(&ticker); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s costs %s\n", ticker.Symbol, ticker.Price)
	return nil
}

// encoded: what a URL has of percent signs stays as it is. Otherwise what may not stand
// in a URL is encoded, and Query always is.
func encoded(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		return err
	}
	defer eng.Close()

	for _, req := range []*engine.Request{
		{URL: url + "/api/v3/ticker/price?symbols=%5B%22BTCUSDT%22%5D", Encoded: true},
		{URL: url + `/api/v3/ticker/price?symbols=["BTCUSDT"]`},
		{URL: url + "/api/v3/ticker/price", Query: engine.Values{"symbols": `["BTCUSDT"]`}},
	} {
		prices, err := engine.Fetch[[]struct{ Symbol string }](ctx, eng, req)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "encoded by the caller: %t, asked for %s\n", req.Encoded, prices[0].Symbol)
	}
	return nil
}

// bodyAndText: a body is sent as what it is, with the content type that goes with it,
// unless the request has another. An answer is read as text, as bytes, or as JSON.
func bodyAndText(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL: url, Auth: auth.HMACQuery{Key: exchange.DemoKey, Secret: exchange.DemoSecret},
		Time: engine.TimeFrom("/api/v3/time", "serverTime"),
	})
	if err != nil {
		return err
	}
	defer eng.Close()

	order := engine.Form{
		"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": 0.01, "newOrderRespType": "ACK", "price": nil,
	}
	resp, err := eng.Do(ctx, &engine.Request{Method: http.MethodPost, Path: "/api/v3/order", Body: order, Auth: true})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "a form: %d, as text: %t\n", resp.StatusCode, strings.HasPrefix(resp.Text(), `{"clientOrderId":`))

	resp, err = eng.Do(ctx, &engine.Request{
		Method: http.MethodPost, Path: "/api/v3/order/test", Body: map[string]any{"symbol": "BTCUSDT"},
		Header: http.Header{"Content-Type": {"application/vnd.order+json"}}, Accept: "application/json",
	})
	if err != nil {
		return err
	}
	var refusal struct{ Msg string }
	err = resp.JSON(&refusal)
	fmt.Fprintf(out, "JSON under a name of its own: %d %s %v\n", resp.StatusCode, refusal.Msg, err)
	return nil
}

// timeout: it covers everything, and first of all the queue. Nobody waits for a window
// that comes too late.
func timeout(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL: url,
		Timeout: 10 * time.Second, // of requests that have none of their own
		Limits:  []throttle.Limit{{ID: "ping", Quota: 1, Per: time.Minute}},
	})
	if err != nil {
		return err
	}
	defer eng.Close()

	start := time.Now()
	for range 2 {
		_, err = eng.Do(ctx, &engine.Request{Path: "/api/v3/ping", LimitID: "ping", Timeout: 2 * time.Second})
	}
	fmt.Fprintf(out, "the second could not be in time: %t, and was %s; waited for it: %t\n",
		errors.Is(err, context.DeadlineExceeded), engine.OutcomeOf(err), time.Since(start) > 2*time.Second)
	return nil
}

// limits: a request names a limit, and is charged it and everything linked to
// it, all or nothing. Here the third request has to wait for the window.
func limits(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL: url,
		Limits: []throttle.Limit{
			{ID: "pool", Quota: 1200, Per: time.Minute},
			{ID: "ping", Quota: 2, Per: 300 * time.Millisecond, Linked: []throttle.Link{{ID: "pool", Weight: 1}}},
		},
	})
	if err != nil {
		return err
	}
	defer eng.Close()

	start := time.Now()
	for range 3 {
		if _, err := engine.Fetch[struct{}](ctx, eng, &engine.Request{Path: "/api/v3/ping", LimitID: "ping"}); err != nil {
			return err
		}
	}
	fmt.Fprintf(out, "two at once, the third after the window: %t\n", time.Since(start) >= 300*time.Millisecond)

	_, err = eng.Do(ctx, &engine.Request{Path: "/api/v3/ping", LimitID: "pnig"})
	fmt.Fprintf(out, "an unknown limit is an error: %t\n", errors.Is(err, engine.ErrUnknownLimit))
	return nil
}

// signed: Auth has the engine sign the request, right before it leaves; LimitID says
// what it is charged to.
func signed(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL: url,
		Auth:    auth.HMACQuery{Key: exchange.DemoKey, Secret: exchange.DemoSecret},
		Time:    engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("weight"),
		Limits: []throttle.Limit{
			{ID: "weight", Quota: 6000, Per: time.Minute},
			{ID: "account", Linked: []throttle.Link{{ID: "weight", Weight: 20}}},
		},
	})
	if err != nil {
		return err
	}
	defer eng.Close()

	resp, err := eng.Do(ctx, &engine.Request{Path: "/api/v3/account", LimitID: "account", Auth: true})
	if err != nil {
		return err
	}
	weight := eng.Stats().Limits.Limits[0]
	fmt.Fprintf(out, "signed: status %d, %d of %d used\n", resp.StatusCode, weight.Used, weight.Quota)
	return nil
}

// errorAsData: Fetch makes an error of a 4xx or 5xx, with its body; with
// ReturnErrors the body is the result.
func errorAsData(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{BaseURL: url})
	if err != nil {
		return err
	}
	defer eng.Close()

	type refusal struct {
		Code int
		Msg  string
	}
	req := &engine.Request{Path: "/api/v3/depth", Query: engine.Values{"symbol": "NOSUCH"}}
	_, err = engine.Fetch[refusal](ctx, eng, req)
	var status *engine.StatusError
	if !errors.As(err, &status) {
		return fmt.Errorf("want a StatusError, have %w", err)
	}
	// docs/guide/errors.md says what to do with which outcome.
	fmt.Fprintf(out, "as an error: status %d, so the request is %s\n", status.StatusCode, engine.OutcomeOf(err))

	asData := *req
	asData.ReturnErrors = true
	data, err := engine.Fetch[refusal](ctx, eng, &asData)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "as data: code %d\n", data.Code)
	return nil
}

// preProcessor: it gets a copy of the request, and may change it or refuse it.
func preProcessor(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL: url,
		PreProcessors: []engine.PreProcessor{
			engine.PreProcessorFunc(func(_ context.Context, req *engine.Request) error {
				req.Query["symbol"] = "LTCBTC"
				return nil
			}),
		},
	})
	if err != nil {
		return err
	}
	defer eng.Close()

	type ticker struct{ Symbol string }
	req := &engine.Request{Path: "/api/v3/ticker/price", Query: engine.Values{"symbol": "BTCUSDT"}}
	got, err := engine.Fetch[ticker](ctx, eng, req)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "asked for %s, sent for %s\n", req.Query["symbol"], got.Symbol)
	return nil
}

// postProcessor: it may look at an answer, change it, or make an error of it.
func postProcessor(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL: url,
		PostProcessors: []engine.PostProcessor{
			engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, resp *engine.Response) error {
				fmt.Fprintf(out, "used weight is sent with every answer: %t\n", resp.Header.Get("X-MBX-USED-WEIGHT-1M") != "")
				return nil
			}),
		},
	})
	if err != nil {
		return err
	}
	defer eng.Close()
	_, err = eng.Do(ctx, &engine.Request{Path: "/api/v3/ping"})
	return err
}

// severalProcessors: they run in the order in which they are listed. An error of one is
// that request's end, and the next ones do not see it.
func severalProcessors(ctx context.Context, url string, out io.Writer) error {
	var order []string
	note := func(what string) { order = append(order, what) } // one request at a time here
	before := func(name string) engine.PreProcessor {
		return engine.PreProcessorFunc(func(context.Context, *engine.Request) error { note(name); return nil })
	}
	after := func(name string) engine.PostProcessor {
		return engine.PostProcessorFunc(func(_ context.Context, req *engine.Request, _ *engine.Response) error {
			note(name)
			if req.Header.Get("X-Refuse") == name {
				return errors.New("refused by " + name)
			}
			return nil
		})
	}
	eng, err := engine.New(engine.Config{
		BaseURL:        url,
		PreProcessors:  []engine.PreProcessor{before("first"), before("second")},
		PostProcessors: []engine.PostProcessor{after("third"), after("fourth")},
	})
	if err != nil {
		return err
	}
	defer eng.Close()
	if _, err := eng.Do(ctx, &engine.Request{Path: "/api/v3/ping"}); err != nil {
		return err
	}
	fmt.Fprintf(out, "in the order listed: %v\n", order)
	_, err = eng.Do(ctx, &engine.Request{Path: "/api/v3/ping", Header: http.Header{"X-Refuse": {"third"}}})
	fmt.Fprintf(out, "ended by one of them: %t, and the next ran %d times\n", err != nil, len(order)-6)
	return nil
}

// oneForAll: limits, connections, cookies, credentials and processors are the engine's,
// and it is for any number of goroutines at once. A program makes one, and closes it.
func oneForAll(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL: url, DefaultLimitID: "weight",
		Limits: []throttle.Limit{{ID: "weight", Quota: 6000, Per: time.Minute}},
	})
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	errs := make([]error, 100)
	for i := range errs {
		all.Go(func() { _, errs[i] = eng.Do(ctx, &engine.Request{Path: "/api/v3/ping"}) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	limit, err := eng.Stats().Limits.Limits[0], eng.Shutdown(ctx) // lets what is on its way end, and then closes
	fmt.Fprintf(out, "a hundred at once: %d used of %d; ended: %v\n", limit.Used, limit.Quota, err)
	return nil
}

// timeSynchronisation: the exchange's clock is three seconds behind. The first
// signed request waits for one look at it; then it is kept in the background.
func timeSynchronisation(ctx context.Context, url string, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL: url,
		Auth:    auth.HMACQuery{Key: exchange.DemoKey, Secret: exchange.DemoSecret},
		Time:    engine.TimeFrom("/api/v3/time", "serverTime"),
	})
	if err != nil {
		return err
	}
	defer eng.Close()

	resp, err := eng.Do(ctx, &engine.Request{Path: "/api/v3/account", Auth: true})
	if err != nil {
		return err
	}
	behind := time.Until(eng.Clock().Now())
	fmt.Fprintf(out, "signed request: status %d; the exchange's clock is %s off, known within a second: %t\n",
		resp.StatusCode, behind.Round(time.Second), eng.Clock().Bound() < time.Second)
	return nil
}
