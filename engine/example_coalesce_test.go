package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"

	"github.com/sluice-engine/sluice/engine"
)

// Ten goroutines want the same at the same time: it is asked for once.
func ExampleRequest_coalesce() {
	var asked atomic.Int64
	everybody := make(chan struct{})
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-everybody
		fmt.Fprint(w, `{"symbols":["BTCUSDT"]}`)
	}))
	defer api.Close()
	eng, _ := engine.New(engine.Config{BaseURL: api.URL})
	defer eng.Close()

	var callers sync.WaitGroup
	for range 10 {
		callers.Go(func() {
			_, err := engine.Fetch[any](context.Background(), eng, &engine.Request{Path: "/exchangeInfo", Coalesce: true})
			if err != nil {
				fmt.Println(err)
			}
		})
	}
	for eng.Stats().Coalesced.Waiting < 10 {
	}
	close(everybody)
	callers.Wait()
	fmt.Println(asked.Load(), "request,", eng.Stats().Coalesced.Joined, "callers joined it")
	// Output: 1 request, 9 callers joined it
}
