package engine_test

import (
	"context"
	"errors"
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

// follow goes on where a sequence has ended for what may pass, as a proxy's 502 before a
// server that starts anew: behind the last event that was used, some seconds later.
func follow(ctx context.Context, eng *engine.Engine, req *engine.Request, use func(engine.Event)) error {
	how := engine.Subscription{Idle: time.Minute}
	for {
		var ended *engine.EventsError
		for event, err := range engine.Events(ctx, eng, req, how) {
			if errors.As(err, &ended) {
				break
			}
			use(event)
		}
		if ended == nil {
			return nil // a 204: the server wants nobody to come back
		}
		var status *engine.StatusError
		if !errors.As(ended, &status) || status.StatusCode < 500 {
			return ended
		}
		how.LastEventID = ended.LastEventID
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return ended
		}
	}
}
