package engine_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

func ExampleObserver() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") }))
	defer server.Close()
	eng, err := engine.New(engine.Config{
		BaseURL: server.URL,
		Observers: []engine.Observer{{
			Attempt: func(_ context.Context, a engine.Attempted) {
				fmt.Println("attempt", a.Number, "answered with", a.StatusCode)
			},
			End: func(_ context.Context, e engine.Ended) {
				fmt.Println(e.Request.Path, "is", e.Outcome(), "after", e.Attempts, "attempt")
			},
		}},
	})
	if err != nil {
		panic(err)
	}
	defer eng.Close()
	_, _ = eng.Do(context.Background(), &engine.Request{Path: "/time"})
	// Output:
	// attempt 1 answered with 200
	// /time is done after 1 attempt
}

func ExampleTiming() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		io.WriteString(w, "{}")
	}))
	defer server.Close()
	eng, err := engine.New(engine.Config{BaseURL: server.URL})
	if err != nil {
		panic(err)
	}
	defer eng.Close()
	response, err := eng.Do(context.Background(), &engine.Request{Path: "/time"})
	if err != nil {
		panic(err)
	}
	t := response.Timing
	fmt.Println("queued:", t.Queued)
	fmt.Println("mostly the server's:", t.FirstByte >= 20*time.Millisecond && t.FirstByte <= t.Total)
	// Output:
	// queued: 0s
	// mostly the server's: true
}

func ExampleErrand() {
	_ = engine.Observer{End: func(ctx context.Context, e engine.Ended) {
		if engine.Errand(ctx) {
			return // a look at the server's clock: nobody's request
		}
		fmt.Println(e)
	}}
	fmt.Println(engine.Errand(context.Background()))
	// Output: false
}

// tellSlow tells of requests that took longer than a bound, and where their time went.
func tellSlow(logger *slog.Logger, bound time.Duration) engine.Observer {
	return engine.Observer{End: func(ctx context.Context, e engine.Ended) {
		if e.Timing.Total < bound || engine.Errand(ctx) {
			return // quick, or the engine's own look at the server's clock
		}
		logger.WarnContext(ctx, "slow request", "request", e) // without query, header and body
	}}
}
