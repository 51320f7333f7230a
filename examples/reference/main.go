// Reference shows each thing that NetworkPype's REST guide does, in Sluice:
// a connection, a request, a managed request with limits, an error returned as
// data, a pre-processor, a post-processor, time synchronisation. It talks to a
// simulated exchange in this process.
//
//	go run ./examples/reference
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
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
		{"a request under limits", limits},
		{"an error as data", errorAsData},
		{"a pre-processor", preProcessor},
		{"a post-processor", postProcessor},
		{"time synchronisation", timeSynchronisation},
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
