package inspect_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/throttle"
)

// The page is mounted beside whatever else a server has. The observer, which adds slow and
// failed requests, is made before the engine.
func Example_page() {
	api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer api.Close()
	page := inspect.New(inspect.Config{Title: "Trading"})
	defer page.Close()
	eng, err := engine.New(engine.Config{
		BaseURL:   api.URL,
		Limits:    []throttle.Limit{{ID: "orders", Quota: 2, Per: time.Hour}},
		Observers: []engine.Observer{page.Observer()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	page.Attach("orders", eng)
	mux := http.NewServeMux()
	mux.Handle("/debug/sluice/", page) // behind a login, or on 127.0.0.1
	server := httptest.NewServer(mux)
	defer server.Close()

	for range 2 {
		_, _ = eng.Do(context.Background(), &engine.Request{Path: "/order", LimitID: "orders"})
	}
	answer, err := http.Get(server.URL + "/debug/sluice/?format=json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	var state struct {
		Verdict  string
		Requests struct{ Ended int }
	}
	err = json.NewDecoder(answer.Body).Decode(&state)
	fmt.Println(state.Verdict, state.Requests.Ended, "requests have ended", err)
	http.DefaultClient.CloseIdleConnections()
	// Output: One limit full. 2 requests have ended <nil>
}

func ExampleHandler() {
	eng, _ := engine.New(engine.Config{BaseURL: "https://api.example.com"})
	defer eng.Close()
	http.Handle("/sluice/", inspect.Handler(eng))

	w := httptest.NewRecorder()
	http.DefaultServeMux.ServeHTTP(w, httptest.NewRequest("GET", "/sluice/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}
