package engine_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// hangingClose is a connection whose Close does not return before it is released.
type hangingClose struct {
	net.Conn
	release chan struct{}
}

func (h hangingClose) Close() error {
	<-h.release
	return h.Conn.Close()
}

// Whoever waits behind it goes on, and meanwhile keeps no permit from others.
func TestAConnectionWhoseCloseHangsHoldsUpNobodyForLong(t *testing.T) {
	for name, closing := range map[string]string{"closed by its server": "close", "closed by its client": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if closing != "" {
						w.Header().Set("Connection", closing)
					}
				})
				release := make(chan struct{})
				var log lockedBuffer
				defer close(release)
				var dials atomic.Int32
				config := engine.Config{
					Limits:      []throttle.Limit{{ID: "open", Window: throttle.Concurrency, Quota: 1}},
					Connections: engine.Connections{Max: 1, MaxTotal: 1}, DefaultLimitID: "open",
					Logger: slog.New(slog.NewTextHandler(&log, nil)),
				}
				config.Dial.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
					dials.Add(1)
					c, err := s.dial(ctx, network, addr)
					return hangingClose{c, release}, err
				}
				eng := s.newEngine(t, config)
				begun := time.Now()
				for i := range 4 {
					url := "http://one.test/"
					if i%2 == 1 {
						url = "http://another.test/"
					}
					_, err := eng.Do(t.Context(), &engine.Request{URL: url, Close: closing == ""})
					require.NoError(t, err)
				}
				require.EqualValues(t, 4, dials.Load())
				require.Less(t, time.Since(begun), 5*time.Second)
				require.NoError(t, eng.Close()) // which writes what is left of the log
				require.Equal(t, 2, strings.Count(log.String(), "Close of a connection does not return"), "once for each origin")
			})
		})
	}
}
