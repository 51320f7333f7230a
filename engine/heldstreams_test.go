package engine_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// forget opens streams, and closes none before the test ends.
func forget(t *testing.T, eng *engine.Engine, n int) []io.ReadCloser {
	var all []io.ReadCloser
	for range n {
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/stream", Stream: true})
		require.NoError(t, err)
		t.Cleanup(func() { response.Stream.Close() })
		all = append(all, response.Stream)
	}
	return all
}

// streaming never ends its answers to /stream.
func streaming(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/stream" {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func TestStreamsThatNobodyClosesAreNamedToWhoeverWaits(t *testing.T) {
	for _, traced := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var log lockedBuffer
			s := newServer(t, streaming)
			eng := s.newEngine(t, engine.Config{
				Logger:      slog.New(slog.NewTextHandler(&log, nil)),
				Connections: engine.Connections{TraceStreams: traced},
			})
			forgotten := forget(t, eng, 64)
			require.Equal(t, 64, eng.Stats().Pools[0].Streams)
			require.Equal(t, "64 leased (64 by streams), 0 idle", eng.Stats().Pools[0].String())
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 3 * time.Second})

			require.ErrorIs(t, err, context.DeadlineExceeded)
			var full *engine.PoolFullError
			require.ErrorAs(t, err, &full)
			require.Equal(t, "Connections.Max", full.Cap)
			require.Equal(t, 64, full.Most)
			require.Equal(t, 64, full.Streams)
			require.Equal(t, 3*time.Second, full.Oldest)
			require.ErrorContains(t, err, "64 of them by response streams that were not closed, the oldest opened 3s ago")
			require.Equal(t, traced, strings.Contains(full.OpenedAt, "engine_test.forget ("), full.OpenedAt)
			require.False(t, strings.Contains(full.OpenedAt, "sluice/actors"), full.OpenedAt)

			for range 20 { // none of which is more than the first
				_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			synctest.Wait()
			require.Equal(t, 1, strings.Count(log.String(), "level=WARN"), log.String())
			require.Contains(t, log.String(), `msg="requests wait while response streams that were not closed hold every connection"`)
			require.Contains(t, log.String(), "origin=http://server.test:80 connections=64 streams=64 oldest=1s")
			require.Equal(t, traced, strings.Contains(log.String(), "heldstreams_test.go:"))

			go forgotten[0].Close()
			_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
			require.NoError(t, err)
			require.Equal(t, 63, eng.Stats().Pools[0].Streams)
		})
	}
}

// The streams of an http.Client's are the engine's.
func TestBodiesThatAnHTTPClientLeavesOpenAreNamedWithTheirOpener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, streaming)
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 1, TraceStreams: true}})
		client := &http.Client{Transport: eng.RoundTripper(func(_ *http.Request, asked *engine.Request) { asked.Stream = true })}
		response, err := client.Get("http://server.test/stream")
		require.NoError(t, err)
		defer response.Body.Close()
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Second})
		var full *engine.PoolFullError
		require.ErrorAs(t, err, &full)
		require.Contains(t, full.OpenedAt, "heldstreams_test.go:")
	})
}

// Whoever waits behind another caller's streams must not keep the permits that are
// wanted elsewhere.
func TestStreamsThatNobodyClosesTakeNothingFromAnotherOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, streaming)
		eng := s.newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 2}, DefaultLimitID: "open",
			Limits: []throttle.Limit{{ID: "open", Quota: 3, Window: throttle.Concurrency}, {ID: "streams", Quota: 100, Per: time.Second}},
		})
		for range 2 {
			response, err := eng.Do(t.Context(), &engine.Request{Path: "/stream", Stream: true, LimitID: "streams"})
			require.NoError(t, err)
			defer response.Stream.Close()
		}
		for range 3 {
			go eng.Do(t.Context(), &engine.Request{Path: "/"})
		}
		_, err := eng.Do(t.Context(), &engine.Request{URL: "http://other.test/", Timeout: time.Second})
		require.NoError(t, err)
	})
}
