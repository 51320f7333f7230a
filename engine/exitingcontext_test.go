package engine_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// A context's methods may end the goroutine that calls them, as t.FailNow does: whoever waits in
// Do has his own ended, and what he submitted ends with an error. Nothing is held any more, and the
// next request has its turn.
func TestAContextThatEndsTheGoroutineEndsOneRequest(t *testing.T) {
	for _, way := range append(slices.Collect(maps.Keys(allWays)), shared) {
		for _, method := range []string{"Value", "Err", "Deadline", "Done"} {
			for _, shape := range []string{"an answer", "an exchange", "a streamed answer", "a queue", "a pool", "a deadline"} {
				if way != "Do" && way != "Submit" && shape == "a streamed answer" {
					continue
				}
				t.Run(way+", "+method+", "+shape, func(t *testing.T) {
					for from, met := int64(1), true; met; from++ {
						require.Less(t, from, int64(100), "there is no end of calls")
						synctest.Test(t, func(t *testing.T) {
							met = tryExit(t, way, shape, treacherous{method: method, from: from, always: true, exits: true, calls: new(atomic.Int64)})
						})
					}
				})
			}
		}
	}
}

// shared is Do, of an answer that might be shared.
const shared = "Do, shared"

// tryExit makes one request under the context, and reports whether it has ended a goroutine.
func tryExit(t *testing.T, way, shape string, under treacherous) bool {
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			dawdles(w, r)
		}
	})
	eng, err := engine.New(engine.Config{
		BaseURL: "http://server.test", Dial: engine.Dial{DialContext: s.dial}, Connections: engine.Connections{Max: 1},
		Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: time.Minute}}, DefaultLimitID: "one",
	})
	require.NoError(t, err)
	defer eng.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
	defer cancel()
	under.Context = ctx
	req := &engine.Request{Path: "/", Stream: shape == "a streamed answer"}
	var busy sync.WaitGroup
	leaves := func(busyPath, limit string) {
		busy.Go(func() {
			_, _ = eng.Do(t.Context(), &engine.Request{Path: busyPath, LimitID: limit, Timeout: 2 * time.Second})
		})
		synctest.Wait()
		time.AfterFunc(time.Second, cancel)
	}
	switch shape {
	case "an exchange":
		req.Path = "/slow"
		time.AfterFunc(time.Second, cancel)
	case "a queue":
		leaves("/", "one")
	case "a pool":
		req.LimitID = engine.Unlimited
		leaves("/slow", engine.Unlimited)
	case "a deadline":
		leaves("/slow", engine.Unlimited)
		req.LimitID, req.Timeout = engine.Unlimited, time.Second
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		send := allWays[way]
		if way == shared {
			req.Coalesce, send = true, allWays["Do"]
		}
		response, _ := send(eng, under, req)
		if response != nil && response.Stream != nil {
			response.Stream.Close()
		}
	}()
	<-ended
	busy.Wait()
	synctest.Wait()
	require.Zero(t, eng.Stats().InFlight)
	require.Zero(t, eng.Stats().Queued)
	require.Zero(t, eng.Stats().Coalesced.InFlight)
	time.Sleep(time.Second) // an origin is left alone for a while whose dial has ended its goroutine
	for range 2 {
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 10 * time.Minute})
		require.NoError(t, err, "a permit or a connection is lost")
	}
	wantNothingHeld(t, eng)
	began := time.Now()
	require.NoError(t, eng.Close())
	require.Zero(t, time.Since(began))
	return under.calls.Load() >= under.from
}

// Requests whose contexts end together are told by one goroutine, which one of these contexts ends.
func TestAContextThatEndsTheGoroutineHasTheOthersToldAllTheSame(t *testing.T) {
	for _, method := range []string{"Err", "Value"} {
		for from := int64(1); from < 10; from++ {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, nil).newEngine(t, engine.Config{
					Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: time.Hour}}, DefaultLimitID: "one",
				})
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				exits := treacherous{Context: ctx, method: method, from: from, always: true, exits: true, calls: new(atomic.Int64)}
				var all []*engine.Pending
				for i := range 100 {
					under := context.Context(ctx)
					if i%10 == 5 {
						under = exits
					}
					began := make(chan *engine.Pending, 1)
					go func() {
						defer close(began)
						began <- eng.Submit(under, &engine.Request{Path: fmt.Sprint("/", i)})
					}()
					if p := <-began; p != nil { // else the submitter's goroutine was ended
						all = append(all, p)
					}
				}
				cancel()
				synctest.Wait()
				require.GreaterOrEqual(t, len(all), 90)
				for _, p := range all {
					_, err := p.Result()
					if !errors.Is(err, context.Canceled) {
						require.ErrorAs(t, err, new(*engine.PanicError))
					}
				}
				wantNothingHeld(t, eng)
			})
		}
	}
}

func TestAContextWhoseDoneSaysNothingEndsItsRequestAtTheSameStageEveryWay(t *testing.T) {
	for way, send := range allWays {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, nil).newEngine(t, engine.Config{})
			_, err := send(eng, treacherous{Context: t.Context(), method: "Done", from: 1, always: true, calls: new(atomic.Int64)}, &engine.Request{Path: "/"})
			failed, is := errors.AsType[*engine.Error](err)
			require.True(t, is, way)
			require.Equal(t, engine.Preparing, failed.Stage, way)
			panicked, is := errors.AsType[*engine.PanicError](err)
			require.True(t, is, way)
			require.Equal(t, engine.Preparing, panicked.Stage, way)
			require.Equal(t, int64(1), eng.Stats().Totals.NotSent)
			wantNothingHeld(t, eng)
		})
	}
}
