package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// exampleServer stands for somebody else's API.
func exampleServer() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/price" {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprintf(w, `{"symbol":%q,"price":"60000"}`, r.URL.Query().Get("symbol"))
	}))
}

func ExampleEngine_Do() {
	api := exampleServer()
	defer api.Close()
	eng, err := engine.New(engine.Config{BaseURL: api.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()

	resp, err := eng.Do(context.Background(), &engine.Request{
		Path: "/price", Query: engine.Values{"symbol": "BTCUSDT", "unused": nil},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(resp.StatusCode, resp.Header.Get("content-type"), resp.Text())
	// Output: 200 application/json {"symbol":"BTCUSDT","price":"60000"}
}

func ExampleFetch() {
	api := exampleServer()
	defer api.Close()
	eng, _ := engine.New(engine.Config{BaseURL: api.URL})
	defer eng.Close()

	type ticker struct{ Symbol, Price string }
	got, err := engine.Fetch[ticker](context.Background(), eng, &engine.Request{
		Path: "/price", Query: engine.Values{"symbol": "ETHUSDT"},
	})
	fmt.Println(got.Symbol, got.Price, err)

	_, err = engine.Fetch[ticker](context.Background(), eng, &engine.Request{Path: "/nothing"})
	var status *engine.StatusError
	fmt.Println(errors.As(err, &status), status.StatusCode)
	// Output:
	// ETHUSDT 60000 <nil>
	// true 404
}

// Two limits, charged together: the third request waits for the window.
func ExampleNew_limits() {
	api := exampleServer()
	defer api.Close()
	eng, err := engine.New(engine.Config{
		BaseURL: api.URL,
		Limits: []throttle.Limit{
			{ID: "weight", Quota: 1200, Per: time.Minute},
			{ID: "price", Quota: 2, Per: 100 * time.Millisecond, Linked: []throttle.Link{{ID: "weight", Weight: 4}}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()

	start := time.Now()
	for range 3 {
		if _, err := eng.Do(context.Background(), &engine.Request{Path: "/price", LimitID: "price"}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(time.Since(start) > 100*time.Millisecond)
	// Output: true
}

// Every mistake is reported at once.
func ExampleNew_mistakes() {
	_, err := engine.New(engine.Config{
		BaseURL:     "api.example.com",
		Connections: engine.Connections{Max: -1},
		Limits:      []throttle.Limit{{ID: "a", Per: time.Second}},
	})
	fmt.Println(err != nil)
	// Output: true
}

// Orders go over a WebSocket, and everything else over REST: one budget for both.
func ExampleEngine_Acquire() {
	api := exampleServer()
	defer api.Close()
	eng, err := engine.New(engine.Config{
		BaseURL: api.URL,
		Limits:  []throttle.Limit{{ID: "orders", Quota: 3, Per: time.Minute}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	ctx := context.Background()

	// write stands for a message to the socket, and the answer to it.
	write := func(order string) error { return nil }
	place := func(order string) error {
		permit, err := eng.Acquire(ctx, engine.Charge{LimitID: "orders", Priority: engine.High})
		if err != nil {
			return err
		}
		defer permit.Done(engine.Unknown) // if nobody has said more by then
		if permit.Paused() {              // since it was granted: nothing has left yet
			permit.Done(engine.NotSent)
			return errors.New("paused")
		}
		if err := write(order); err != nil {
			return err
		}
		permit.Done(engine.Done)
		return nil
	}
	fmt.Println(place("buy"), place("sell"))

	_, err = eng.Do(ctx, &engine.Request{Path: "/price", LimitID: "orders"})
	fmt.Println(err)
	_, err = eng.TryAcquire(engine.Charge{LimitID: "orders"})
	var full *engine.Error
	if errors.As(err, &full) {
		fmt.Println(full.Limit, errors.Is(err, engine.ErrNoRoom), full.RetryAfter() > 50*time.Second)
	}
	// Output:
	// <nil> <nil>
	// <nil>
	// orders true true
}

// The server refuses a message on the stream, and says for how long to leave it alone.
func ExamplePermit_Settle() {
	eng, err := engine.New(engine.Config{
		BaseURL: "https://api.example.com",
		Limits:  []throttle.Limit{{ID: "messages", Quota: 10, Per: time.Second}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	stream := engine.Charge{LimitID: "messages", Origin: "wss://stream.example.com"}

	permit, err := eng.TryAcquire(stream)
	if err != nil {
		fmt.Println(err)
		return
	}
	permit.Settle(engine.Settlement{Outcome: engine.Refused, RetryAfter: 30 * time.Second})

	_, err = eng.TryAcquire(stream)
	var paused *throttle.LimitError
	fmt.Println(errors.As(err, &paused) && paused.Paused)
	// Output: true
}

// A request's error says where it ended and whether anything was sent.
func ExampleError() {
	eng, _ := engine.New(engine.Config{
		Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Second}},
	})
	defer eng.Close()

	_, err := eng.Do(context.Background(), &engine.Request{URL: "http://api.example.com/", LimitID: "cals"})
	var failure *engine.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Stage, failure.Sent, errors.Is(err, engine.ErrUnknownLimit))
	}
	// Output: throttled no true
}

// An SDK signs when it is called, which may be long before the limits let its request
// go. Here it believes that it is the year 2017; the engine signs by the server's clock.
func ExampleResign() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		stamp, _ := strconv.ParseInt(query.Get("timestamp"), 10, 64)
		fmt.Println(query.Get("symbol"), query["recvWindow"], len(query["signature"]), time.Since(time.UnixMilli(stamp)) < time.Minute)
	}))
	defer server.Close()
	eng, err := engine.New(engine.Config{BaseURL: server.URL, Auth: auth.Binance("key", "secret")})
	if err != nil {
		panic(err)
	}
	defer eng.Close()

	client := &http.Client{Transport: eng.RoundTripper(engine.Resign(eng))}
	resp, err := client.Get(server.URL + "/order?symbol=LTCBTC&recvWindow=5000&timestamp=1499827319559&signature=c8db56")
	if err != nil {
		panic(err)
	}
	resp.Body.Close()
	// Output: LTCBTC [5000] 1 true
}

func ExampleParseOrigin() {
	for _, url := range []string{"https://API.example.com/v1/orders?side=buy", "http://[::1]:8080", "/v1/orders", "https://me:secret@api.example.com"} {
		origin, err := engine.ParseOrigin(url)
		if err != nil {
			fmt.Println("none:", err)
			continue
		}
		fmt.Println(origin)
	}
	// Output:
	// https://api.example.com:443
	// http://[::1]:8080
	// none: URL scheme "" is neither http nor https: a URL begins with https:// or http://
	// none: URL carries credentials; use an authenticator
}
