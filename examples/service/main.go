// Service is an HTTP service whose handlers share one engine, and how it ends: on a signal it
// takes no more calls, lets those finish that run, gives the engine until a deadline, and
// says what was left.
//
//	go run ./examples/service https://api.binance.com
//	curl localhost:8080/price?symbol=BTCUSDT
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// patience is how long requests may take to finish after the signal.
const patience = 5 * time.Second

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: service URL")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "localhost:8080")
	if err != nil {
		log.Fatal(err)
	}
	if err := serve(ctx, listener, os.Args[1], patience, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// serve answers until ctx ends, and then for as long as patience at most. An error says that
// requests had to be given up.
func serve(ctx context.Context, listener net.Listener, venue string, patience time.Duration, out io.Writer) error {
	eng, err := engine.New(engine.Config{
		BaseURL:        venue,
		Limits:         []throttle.Limit{{ID: "weight", Quota: 6000, Per: time.Minute, Weight: 2}},
		DefaultLimitID: "weight",
		Timeout:        10 * time.Second,
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer eng.Close()
	server := &http.Server{Handler: service{eng}, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	return end(server, eng, patience, out)
}

// end ends the service from the outside in: first the door that calls come through, so that
// none comes to an engine that is ending. Both have the one deadline.
func end(server *http.Server, eng *engine.Engine, patience time.Duration, out io.Writer) error {
	deadline, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	fmt.Fprintf(out, "stopping: %d requests are on their way, %d of them wait for permits\n", eng.Stats().InFlight, eng.Stats().Queued)
	err := server.Shutdown(deadline) // returns when the handlers have, or at the deadline
	left := eng.Stats()
	if shut := eng.Shutdown(deadline); shut != nil { // gives up what is left; its callers are answered
		fmt.Fprintf(out, "given up at the deadline: %d requests; each caller is told whether his was sent\n", left.InFlight)
		return errors.Join(err, shut, server.Close())
	}
	fmt.Fprintln(out, "stopped: nothing was left")
	return err
}

// service answers with a price.
type service struct{ eng *engine.Engine }

// ServeHTTP is part of http.Handler. The request to the venue ends with the caller's.
func (s service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	price, err := engine.Fetch[struct{ Symbol, Price string }](r.Context(), s.eng, &engine.Request{
		Path: "/api/v3/ticker/price", Query: engine.Values{"symbol": r.FormValue("symbol")},
	})
	var status *engine.StatusError
	switch {
	case err == nil:
		fmt.Fprintln(w, price.Symbol, price.Price)
	case errors.As(err, &status):
		http.Error(w, "the venue refused", http.StatusBadGateway)
	case engine.OutcomeOf(err) == engine.Unknown: // first, for ErrClosed ends what was on its way too
		http.Error(w, "the venue may have done it", http.StatusGatewayTimeout)
	case errors.Is(err, engine.ErrClosed), errors.Is(err, engine.ErrOverloaded):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "come again", http.StatusServiceUnavailable)
	default:
		http.Error(w, "the venue did not answer", http.StatusGatewayTimeout)
	}
}
