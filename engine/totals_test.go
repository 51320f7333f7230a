package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestTotalsCountWhatHasHappenedSinceNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, dials := 0, 0
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			switch asked++; r.URL.Path {
			case "/refused":
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
			case "/rejected":
				w.WriteHeader(http.StatusNotFound)
			case "/again":
				if asked%2 == 0 {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			case "/from":
				http.Redirect(w, r, "/to", http.StatusFound)
			case "/body":
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			case "/lost":
				<-r.Context().Done()
			case "/broken":
				panic(http.ErrAbortHandler)
			}
		})
		eng := s.newEngine(t, engine.Config{
			Limits:    []throttle.Limit{{ID: "calls", Quota: 100, Per: time.Minute}, {ID: "full", Quota: 1, Per: time.Hour}},
			Throttle:  throttle.Options{MaxQueued: 1},
			Admission: engine.Admission{MaxInFlight: 2, MaxWaiting: -1}, DefaultLimitID: "calls",
			Retry: engine.Retry{Statuses: []int{503}},
			Dial: engine.Dial{Backoff: time.Millisecond, BackoffCap: time.Millisecond, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials++; dials == 1 {
					return nil, errors.New("nobody is there yet")
				}
				return s.dial(ctx, network, addr)
			}},
		})
		require.NoError(t, eng.AdjustLimit("full", engine.Parts{}, 1))
		do := func(ask engine.Request) { _, _ = eng.Do(t.Context(), &ask) }
		before := eng.Stats().Totals
		require.Zero(t, before)
		want := engine.Totals{}
		step := func(name string, change func(*engine.Totals)) {
			t.Helper()
			synctest.Wait()
			change(&want)
			require.Equal(t, want, eng.Stats().Totals, name)
		}

		do(engine.Request{Path: "/ok"})
		step("a dial that was repeated", func(w *engine.Totals) { w.Begun, w.Done, w.Attempts, w.DialsFailed, w.Opened = 1, 1, 1, 1, 1 })
		do(engine.Request{Path: "/rejected"})
		step("a 404", func(w *engine.Totals) { w.Begun++; w.Rejected++; w.Attempts++ })
		do(engine.Request{Path: "/from", Redirects: 1})
		step("a redirect", func(w *engine.Totals) { w.Begun++; w.Done++; w.Attempts += 2 })
		asked = 1
		do(engine.Request{Path: "/again"})
		step("a repetition", func(w *engine.Totals) { w.Begun++; w.Done++; w.Attempts += 2; w.Repeated++; w.Pauses++ })
		do(engine.Request{Path: "/refused"})
		step("a refusal", func(w *engine.Totals) { w.Begun++; w.Refused++; w.Attempts++; w.Pauses++ })
		time.Sleep(10 * time.Second)
		do(engine.Request{Path: "/lost", Method: http.MethodPost, Timeout: time.Second})
		time.Sleep(time.Second)
		step("no answer", func(w *engine.Totals) { w.Begun++; w.Unknown++; w.Attempts++; w.PermitsLost++; w.Closed++ })
		do(engine.Request{Path: "/ok", LimitID: "none"})
		step("an unknown limit", func(w *engine.Totals) { w.Begun++; w.NotSent++ })
		_, err := eng.DryRun(t.Context(), &engine.Request{Path: "/ok"})
		require.NoError(t, err)
		_, err = eng.Do(t.Context(), nil)
		require.Error(t, err)
		step("a rehearsal, and no request", func(*engine.Totals) {})

		ctx, cancel := context.WithCancel(t.Context())
		go eng.Do(ctx, &engine.Request{Path: "/ok", LimitID: "full"})
		step("one that waits", func(w *engine.Totals) { w.Begun++ })
		do(engine.Request{Path: "/ok", LimitID: "full", Priority: engine.Background})
		step("a full queue", func(w *engine.Totals) { w.Begun++; w.NotSent++; w.QueueFull++ })
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/body", Stream: true})
		require.NoError(t, err)
		step("a stream", func(w *engine.Totals) { w.Begun++; w.Done++; w.Attempts++; w.Opened++ })
		do(engine.Request{Path: "/ok"})
		step("no credit", func(w *engine.Totals) { w.Begun++; w.NotSent++; w.Overloaded++ })
		require.NoError(t, response.Stream.Close())
		cancel()
		step("one that has waited, and a stream given up", func(w *engine.Totals) { w.NotSent++; w.Closed++ })
		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, time.Second))
		step("a pause by hand", func(w *engine.Totals) { w.Pauses++ })
		time.Sleep(time.Second)

		var gone sync.WaitGroup
		gone.Go(func() {
			eng.Do(t.Context(), &engine.Request{Path: "/ok", Method: http.MethodPost, Body: exiting{}, Upload: engine.Upload{Length: 1}})
		})
		gone.Wait()
		synctest.Wait()
		require.Equal(t, want.Begun+1, eng.Stats().Totals.Begun, "one whose goroutine was ended, or that was given an error for it")
		require.NoError(t, eng.Close())
		ended := eng.Stats().Totals
		require.Equal(t, ended.Begun, ended.Done+ended.Refused+ended.Rejected+ended.NotSent+ended.Unknown)
		require.Equal(t, ended.Opened, ended.Closed, "they are told of an engine that has ended")
	})
}

// exiting is a body whose reader ends its goroutine.
type exiting struct{}

func (exiting) Read([]byte) (int, error) { runtime.Goexit(); return 0, nil }

func TestTotalsOnlyEverGrow(t *testing.T) {
	eng := newEngine(t, engine.Config{BaseURL: steadyServer(t, smallAnswer), Limits: tapeLimits, Admission: engine.Admission{MaxInFlight: 3, MaxWaiting: -1}})
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				_, _ = eng.Do(context.Background(), &engine.Request{Path: "/price", LimitID: "route"})
			}
		})
	}
	go func() { all.Wait(); close(done) }()
	var last reflect.Value
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		totals := eng.Stats().Totals
		now := reflect.ValueOf(totals)
		for i := 0; last.IsValid() && i < now.NumField(); i++ {
			require.GreaterOrEqual(t, now.Field(i).Int(), last.Field(i).Int(), now.Type().Field(i).Name)
		}
		require.GreaterOrEqual(t, totals.Begun, totals.Done+totals.NotSent)
		last = now
	}
	totals := eng.Stats().Totals
	require.EqualValues(t, 2000, totals.Begun)
	require.EqualValues(t, 2000, totals.Done+totals.NotSent)
	require.Equal(t, totals.Done, totals.Attempts)
	require.Equal(t, totals.NotSent, totals.Overloaded)
}

func TestTotalsPrintWhatIsNotZero(t *testing.T) {
	require.Equal(t, "0 begun", engine.Totals{}.String())
	require.Equal(t, "1200 begun, 1200 done, 1200 attempts, 4 connections opened",
		fmt.Sprint(engine.Totals{Begun: 1200, Done: 1200, Attempts: 1200, Opened: 4}))
	var all engine.Totals
	fields := reflect.ValueOf(&all).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetInt(int64(1000 + i))
	}
	for i := range fields.NumField() {
		require.Contains(t, all.String(), fmt.Sprint(1000+i, " "), fields.Type().Field(i).Name)
	}
}
