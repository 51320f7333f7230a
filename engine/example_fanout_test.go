package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

// prices is the server of the examples, and an engine for it.
func prices() (eng *engine.Engine, closeAll func()) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		symbol := r.URL.Query().Get("symbol")
		if symbol == "NOPE" {
			w.WriteHeader(http.StatusNotFound)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"symbol":%q,"price":"60000"}`, symbol)
	}))
	eng, err := engine.New(engine.Config{BaseURL: api.URL})
	if err != nil {
		panic(err)
	}
	return eng, func() { eng.Close(); api.Close() }
}

func priceOf(symbol string) *engine.Request {
	return &engine.Request{Path: "/price", Query: engine.Values{"symbol": symbol}}
}

// The input may have millions of requests, of which a few are in memory at once.
func ExampleEngine_Stream() {
	eng, closeAll := prices()
	defer closeAll()

	input := func(yield func(*engine.Request) bool) {
		for n := range 1000 { // or the rows of a database
			if !yield(priceOf(fmt.Sprintf("COIN%03d", n))) {
				return
			}
		}
	}
	good := 0
	for req, result := range eng.Stream(context.Background(), input, engine.FanOut{Each: time.Minute}) {
		if result.Err != nil {
			fmt.Println(req, result.Err)
			continue
		}
		good++
	}
	fmt.Println(good)
	// Output: 1000
}

// In order, with the loop left early: what is on its way is cancelled.
func ExampleEngine_Stream_inOrder() {
	eng, closeAll := prices()
	defer closeAll()

	input := slices.Values([]*engine.Request{priceOf("BTC"), priceOf("ETH"), priceOf("SOL"), priceOf("XRP")})
	for _, result := range eng.Stream(context.Background(), input, engine.FanOut{InOrder: true}) {
		fmt.Println(result.Index, result.Response.Text())
		if result.Index == 1 {
			break
		}
	}
	// Output:
	// 0 {"symbol":"BTC","price":"60000"}
	// 1 {"symbol":"ETH","price":"60000"}
}

func ExampleEngine_All() {
	eng, closeAll := prices()
	defer closeAll()

	requests := []*engine.Request{priceOf("BTC"), priceOf("NOPE"), priceOf("ETH")}
	results, err := eng.All(context.Background(), requests, engine.FanOut{FailStatuses: true})
	fmt.Println(results[0].Response.Text(), results[2].Response.StatusCode)
	var failures *engine.Failures
	if errors.As(err, &failures) {
		for _, failure := range failures.Each {
			var status *engine.StatusError
			fmt.Println(failure.Index, errors.As(failure, &status), status.StatusCode)
		}
	}
	// Output:
	// {"symbol":"BTC","price":"60000"} 200
	// 1 true 404
}

func ExampleFetchAll() {
	eng, closeAll := prices()
	defer closeAll()

	type ticker struct{ Symbol, Price string }
	tickers, err := engine.FetchAll[ticker](context.Background(), eng, []*engine.Request{priceOf("BTC"), priceOf("ETH")}, engine.FanOut{})
	fmt.Println(tickers, err)
	// Output: [{BTC 60000} {ETH 60000}] <nil>
}

func ExampleMap() {
	eng, closeAll := prices()
	defer closeAll()

	type ticker struct{ Symbol, Price string }
	symbols := slices.Values([]string{"BTC", "ETH", "NOPE"})
	tickers, err := engine.Map[string, ticker](context.Background(), eng, symbols, priceOf, engine.FanOut{})
	fmt.Println(len(tickers), tickers["ETH"].Price)
	var failures *engine.Failures
	if errors.As(err, &failures) {
		fmt.Println("failed:", failures.Each[0].Key)
	}
	// Output:
	// 2 60000
	// failed: NOPE
}

// The progress of a long run, with the end that its limits let expect.
func ExampleFanOut_progress() {
	eng, closeAll := prices()
	defer closeAll()

	requests := []*engine.Request{priceOf("BTC"), priceOf("ETH")}
	_, err := eng.All(context.Background(), requests, engine.FanOut{
		RetryLater: 5,
		OnProgress: func(p engine.Progress) {
			fmt.Printf("%d of %d done, %d failed\n", p.Done, p.Total, p.Failed)
			if !p.EstimatedEnd.IsZero() {
				fmt.Println("ends at", p.EstimatedEnd)
			}
		},
	})
	fmt.Println(err)
	// Output:
	// 2 of 2 done, 0 failed
	// <nil>
}

// The same question to two mirrors: the first success counts.
func ExampleEngine_Race() {
	eng, closeAll := prices()
	defer closeAll()

	response, index, err := eng.Race(context.Background(), priceOf("NOPE"), priceOf("BTC"))
	fmt.Println(response.Text(), index, err)
	// Output: {"symbol":"BTC","price":"60000"} 1 <nil>
}

// A second request goes out only if the first takes too long.
func ExampleEngine_Hedge() {
	eng, closeAll := prices()
	defer closeAll()

	book := priceOf("BTC")
	book.Stream = true
	response, index, err := eng.Hedge(context.Background(), 10*time.Second, book, book)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Stream.Close()
	body, err := io.ReadAll(response.Stream)
	fmt.Println(string(body), index, err)
	// Output: {"symbol":"BTC","price":"60000"} 0 <nil>
}
