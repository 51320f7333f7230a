package engine_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestNoRequestGoesOverAnHTTP2ConnectionThatWasToBeClosedBefore(t *testing.T) {
	eng, accepted, _ := listenH2(t, 100, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RemoteAddr)
	})
	last := ""
	for i := range 50 {
		resp, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.NotEqual(t, last, resp.Text(), "round %d", i)
		last = resp.Text()
		eng.CloseIdleConnections()
	}
	require.EqualValues(t, 50, accepted.Load())
}

// Such a connection is kept a moment for whoever comes back.
func TestAnHTTP2ConnectionWhoseExchangeWasCancelledIsClosedWithTheIdle(t *testing.T) {
	arrived := make(chan struct{})
	eng, accepted, _ := listenH2(t, 100, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	for want := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-arrived
			cancel()
		}()
		_, err := eng.Do(ctx, &engine.Request{Path: "/"})
		require.ErrorIs(t, err, context.Canceled)
		wantNothingHeld(t, eng)
		eng.CloseIdleConnections()
		require.EqualValues(t, want+1, accepted.Load())
	}
}
