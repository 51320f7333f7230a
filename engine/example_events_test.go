package engine_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

func ExampleEvents() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		switch r.Header.Get("Last-Event-ID") {
		case "": // and then the connection is lost
			fmt.Fprint(w, "retry: 100\nid: 1\nevent: price\ndata: 60000\n\n")
		case "1":
			fmt.Fprint(w, "id: 2\nevent: price\ndata: 60001\n\n")
		default:
			w.WriteHeader(http.StatusNoContent) // no more
		}
	}))
	defer api.Close()
	eng, _ := engine.New(engine.Config{BaseURL: api.URL})
	defer eng.Close()

	for event, err := range engine.Events(context.Background(), eng, &engine.Request{Path: "/prices"}, engine.Subscription{
		Idle:        time.Minute,
		Interrupted: func(i engine.Interruption) { fmt.Println("again, behind event", i.LastEventID) },
	}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(event.Connection, event.ID, event.Type, event.Data)
	}
	// Output:
	// 1 1 price 60000
	// again, behind event 1
	// 2 2 price 60001
	// again, behind event 2
}
