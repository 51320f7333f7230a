// Events follows a stream of prices (server-sent events) over the engine: within its limits,
// over a connection that breaks again and again, and without missing a price, because the
// server goes on behind the last event's id.
//
//	go run ./examples/events
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

const prices = 12

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	api := httptest.NewServer(http.HandlerFunc(serve))
	defer api.Close()
	if err := run(ctx, engine.Config{BaseURL: api.URL}, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, config engine.Config, out io.Writer) error {
	eng, err := engine.New(config)
	if err != nil {
		return err
	}
	defer eng.Close()
	for event, err := range engine.Events(ctx, eng, &engine.Request{Path: "/prices"}, engine.Subscription{
		Idle: 5 * time.Second, // the server says something every second
		Interrupted: func(i engine.Interruption) {
			fmt.Fprintf(out, "connection %d: %v; again in %v\n", i.Connection, i.Err, i.Pause.Round(100*time.Millisecond))
		},
	}) {
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s %s\n", event.ID, event.Type, event.Data)
	}
	return nil // the server has no more
}

// serve is somebody else's stream. It ends the first connection behind five prices, falls
// silent on the second, and says with a 204 when all has been said.
func serve(w http.ResponseWriter, r *http.Request) {
	last, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	if last == prices {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 500\n\n")
	for id := last + 1; id <= prices; id++ {
		fmt.Fprintf(w, "id: %d\nevent: price\ndata: %d\n\n", id, 60_000+id)
		_ = http.NewResponseController(w).Flush()
		switch id {
		case 5:
			return
		case 9:
			<-r.Context().Done() // a connection that is dead without a word
			return
		}
	}
}
