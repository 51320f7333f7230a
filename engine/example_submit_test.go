package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// Requests that wait for a limit, without a goroutine for each.
func ExampleEngine_Submit() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	defer server.Close()
	eng, err := engine.New(engine.Config{
		BaseURL: server.URL, DefaultLimitID: "quick",
		Limits: []throttle.Limit{{ID: "quick", Quota: 2, Per: 50 * time.Millisecond}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	var pending []*engine.Pending
	for _, path := range []string{"/a", "/b", "/c", "/d"} {
		pending = append(pending, eng.Submit(context.Background(), &engine.Request{Path: path}))
	}
	last := eng.Submit(context.Background(), &engine.Request{Path: "/e"})
	last.Cancel()
	if _, err := last.Result(); errors.Is(err, context.Canceled) {
		fmt.Println("nobody wants", last.Request().Path)
	}
	for _, p := range pending {
		response, err := p.Result()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(string(response.Body))
	}
	// Output:
	// nobody wants /e
	// /a
	// /b
	// /c
	// /d
}
