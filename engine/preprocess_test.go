package engine_test

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestAPreProcessorSeesWhatWillBeSentAndOwnsWhatItSees(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // around what 20 callers write
		var header http.Header
		s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			header = r.Header
		})
		var saw engine.Request
		eng := s.newEngine(t, engine.Config{
			BaseURL: "http://server.test/api", Header: http.Header{"X-Key": {"k"}},
			Limits: []throttle.Limit{{ID: "calls", Quota: 100, Per: time.Second}}, DefaultLimitID: "calls",
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(_ context.Context, r *engine.Request) error {
				mu.Lock()
				saw = *r
				saw.Header = r.Header.Clone()
				mu.Unlock()
				r.Header.Set("X-Traced", "yes")
				r.Header.Del("X-Key")
				r.Query["added"] = 1
				r.Body.(map[string]any)["seen"] = true
				return nil
			})},
		})
		request := &engine.Request{Path: "/a b", Body: map[string]any{"list": []any{map[string]any{"deep": 1}}}}
		var all sync.WaitGroup
		for range 20 { // one value from many goroutines
			all.Go(func() {
				_, err := eng.Do(t.Context(), request)
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.Equal(t, "GET", saw.Method)
		require.Equal(t, "http://server.test/api/a%20b", saw.URL)
		require.Equal(t, "calls", saw.LimitID)
		require.Equal(t, "sluice", saw.Header.Get("User-Agent"))
		require.Equal(t, "k", saw.Header.Get("X-Key"))
		require.Equal(t, map[string]any{"list": []any{map[string]any{"deep": 1}}}, request.Body, "the caller's own is as it was")
		require.Equal(t, "yes", header.Get("X-Traced"))
		require.Empty(t, header.Get("X-Key"), "taken away")
		require.Equal(t, "gzip, deflate", header.Get("Accept-Encoding"))
	})
}

// runtime.Goexit is what t.FailNow calls. Whatever is called on a request's
// behalf may end its goroutine, and hurts nobody else.
func TestCodeThatEndsItsGoroutineGivesEverythingBack(t *testing.T) {
	exit := func() { runtime.Goexit() }
	for name, config := range map[string]engine.Config{
		"pre-processor": {PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
			exit()
			return nil
		})}},
		"post-processor": {PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error {
			exit()
			return nil
		})}},
		"authenticator": {Auth: doingAuth(exit)},
		"feedback":      {Feedback: exitingReader(exit)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				config.Connections.Max = 1
				config.Limits = []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Hour}}
				eng := s.newEngine(t, config)
				for range 3 {
					done := make(chan struct{})
					go func() {
						defer close(done)
						_, _ = eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls", Auth: config.Auth != nil})
					}()
					<-done
				}
				synctest.Wait()
				wantNothingHeld(t, eng)
			})
		})
	}
}
