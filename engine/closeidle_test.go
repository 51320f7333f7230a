package engine_test

import (
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
func TestAnHTTP2ConnectionWhoseStreamWasClosedEarlyIsClosedWithTheIdle(t *testing.T) {
	eng, accepted, _ := listenH2(t, 100, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
	})
	for want := range 3 {
		resp := openStream(t, eng, t.Context(), engine.Request{})
		require.NoError(t, resp.Stream.Close())
		wantNothingHeld(t, eng)
		eng.CloseIdleConnections()
		require.EqualValues(t, want+1, accepted.Load())
	}
}
