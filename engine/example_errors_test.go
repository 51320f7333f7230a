package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// What docs/guide/errors.md shows stands here; TestTheGuideToErrorsShowsWhatIsCompiled holds the two together.

type book struct{ Bids, Asks [][2]string }

type order struct {
	OrderID int64
	Status  string
}

// fetchBook repeats a request for as long as that makes sense.
func fetchBook(ctx context.Context, eng *engine.Engine, req *engine.Request) (book, error) {
	for {
		got, err := engine.Fetch[book](ctx, eng, req)
		if err == nil {
			return got, nil
		}
		switch engine.OutcomeOf(err) {
		case engine.NotSent, engine.Refused:
			if engine.Wait(ctx, err) != nil {
				return book{}, err // ctx ended, or will before it makes sense
			}
		default:
			return book{}, err
		}
	}
}

// patient makes an engine that waits out a connection on which nothing comes, and a
// server that has no time.
func patient(config engine.Config) (*engine.Engine, error) {
	config.Timeout = 10 * time.Second
	config.Retry = engine.Retry{
		PerAttempt: 2 * time.Second,
		Statuses:   []int{429, 502, 503, 504},
	}
	return engine.New(config)
}

// place places an order that the server knows by the caller's own id, so that its
// fate can be asked for.
func place(ctx context.Context, eng *engine.Engine, id string, terms engine.Values) (order, error) {
	terms = maps.Clone(terms)
	terms["newClientOrderId"] = id
	placed, err := engine.Fetch[order](ctx, eng, &engine.Request{
		Method: http.MethodPost, Path: "/order", Query: terms, LimitID: "order", Auth: true, Priority: engine.High,
		Timeout: 5 * time.Second,
	})
	switch engine.OutcomeOf(err) {
	case engine.Done:
		return placed, nil
	case engine.NotSent, engine.Refused, engine.Rejected:
		return order{}, err // no such order was placed
	}
	found, doubt := find(ctx, eng, id) // it may have been: ask, until the server says
	if doubt != nil && !errors.Is(doubt, errNotPlaced) {
		return order{}, errors.Join(err, doubt) // still Unknown, whatever became of the question
	}
	return found, doubt
}

var errNotPlaced = errors.New("the server knows of no such order")

// onItsWay is longer than an order can be, for the server refuses what was signed
// longer ago (Binance: recvWindow, five seconds unless auth.HMACQuery.Window says
// otherwise).
const onItsWay = 10 * time.Second

// find asks once a second, for a minute at most. It is urgent: no halt of what is less stops it.
func find(ctx context.Context, eng *engine.Engine, id string) (order, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	arrived := time.Now().Add(onItsWay)
	for {
		asked := time.Now()
		found, err := engine.Fetch[order](ctx, eng, &engine.Request{
			Path: "/order", Query: engine.Values{"origClientOrderId": id}, LimitID: "query", Auth: true, Priority: engine.Urgent,
		})
		switch {
		case err == nil:
			return found, nil
		case noSuchOrder(err) && asked.After(arrived):
			return order{}, errNotPlaced
		case engine.OutcomeOf(err) == engine.Rejected && !noSuchOrder(err):
			return order{}, err // it is the question that was refused: nothing is known of the order
		}
		if waitFor(ctx, time.Second) != nil || engine.Wait(ctx, err) != nil {
			return order{}, err
		}
	}
}

func waitFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noSuchOrder reads the API's own word for it, here Binance's.
func noSuchOrder(err error) bool {
	status, ok := errors.AsType[*engine.StatusError](err)
	return ok && bytes.Contains(status.Body, []byte(`"code":-2013`))
}

// explain says what an error knows.
func explain(err error) string {
	if status, ok := errors.AsType[*engine.StatusError](err); ok {
		// The server answered: status, header and body are all there.
		return fmt.Sprintf("status %d: %s", status.StatusCode, status.Body)
	}
	if decoding, ok := errors.AsType[*engine.DecodeError](err); ok {
		return fmt.Sprintf("status %d, but no %s: %s", decoding.StatusCode, decoding.Into, decoding.Body)
	}
	if failure, ok := errors.AsType[*engine.Error](err); ok {
		// Nothing was answered, or nothing that could be used.
		return fmt.Sprintf("%s while %s, sent: %s, try again in %s", failure.Path, failure.Stage, failure.Sent, failure.RetryAfter())
	}
	return err.Error()
}

func Example_errors() {
	limited := 2 // so many are turned away at first
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/depth" && limited > 0:
			limited--
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "busy")
		case r.URL.Path == "/depth":
			fmt.Fprint(w, `{"bids":[["60000","1"]]}`)
		default:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code":-2010,"msg":"insufficient balance"}`)
		}
	}))
	defer api.Close()
	eng, err := engine.New(engine.Config{
		BaseURL:        api.URL,
		Limits:         []throttle.Limit{{ID: "hourly", Quota: 3, Per: time.Hour}},
		DefaultLimitID: "hourly",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	ctx := context.Background()

	_, err = engine.Fetch[book](ctx, eng, &engine.Request{Path: "/depth"})
	fmt.Println(engine.OutcomeOf(err), "-", explain(err))

	_, err = engine.Fetch[order](ctx, eng, &engine.Request{Method: http.MethodPost, Path: "/order"})
	fmt.Println(engine.OutcomeOf(err), "-", explain(err))

	got, err := fetchBook(ctx, eng, &engine.Request{Path: "/nowhere", Timeout: time.Second})
	fmt.Println(engine.OutcomeOf(err), "-", len(got.Bids))

	_, err = engine.Fetch[book](ctx, eng, &engine.Request{Path: "/depth", Timeout: time.Second})
	fmt.Println(engine.OutcomeOf(err))
	// Output:
	// unknown - status 503: busy
	// rejected - status 400: {"code":-2010,"msg":"insufficient balance"}
	// rejected - 0
	// not sent
}
