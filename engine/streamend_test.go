package engine_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// A stream that its context ends is ended on nobody's goroutine, and what is told of
// that is the caller's code.
func TestAStreamEndsWholeWhateverItsEndCalls(t *testing.T) {
	for name, bang := range map[string]func(){"panic": func() { panic("boom") }, "exit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					http.NewResponseController(w).Flush()
					<-r.Context().Done()
				})
				eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "open", Quota: 1, Window: throttle.Concurrency}}})
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{PutIdleConn: func(error) { bang() }})
				ctx, cancel := context.WithCancel(ctx)
				request := uploading(bang)
				request.Stream, request.LimitID = true, "open"
				_, err := eng.Do(ctx, request)
				require.NoError(t, err)
				cancel()
				synctest.Wait()
				wantNothingHeld(t, eng)
			})
		})
	}
}
