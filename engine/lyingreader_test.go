package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// readsLike is a reader that is a function.
type readsLike func(p []byte) (int, error)

// Read is part of io.Reader.
func (f readsLike) Read(p []byte) (int, error) { return f(p) }

// What a body's reader returns is the caller's word, and in HTTP/2 it is read on a
// goroutine of net/http's, where a panic would end the program.
func TestAReaderWhoseCountsCannotBeEndsItsRequestAlone(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, http2 := range []bool{false, true} {
		eng, err := engine.New(engine.Config{
			BaseURL:     server.URL,
			Dial:        engine.Dial{TLS: server.Client().Transport.(*http.Transport).TLSClientConfig},
			Connections: engine.Connections{HTTP2: func(string) bool { return http2 }},
		})
		require.NoError(t, err)
		defer eng.Close()
		for name, read := range map[string]readsLike{
			"more than there is room for": func(p []byte) (int, error) { return len(p) + 1, nil },
			"more, at the end":            func(p []byte) (int, error) { return len(p) + 1, io.EOF },
			"less than nothing":           func([]byte) (int, error) { return -1, nil },
			"nothing for ever":            func([]byte) (int, error) { return 0, nil },
		} {
			for _, body := range []any{read, engine.Multipart{Files: []engine.File{{Field: "f", Content: read}}}} {
				for _, streamed := range []bool{false, true} {
					_, err := eng.Do(t.Context(), &engine.Request{
						Method: http.MethodPost, Path: "/", Body: body, Upload: engine.Upload{Stream: streamed}, Timeout: 30 * time.Second,
					})
					what := fmt.Sprintf("%s, HTTP/2 %t, %T, streamed %t", name, http2, body, streamed)
					if name == "nothing for ever" {
						require.ErrorIs(t, err, io.ErrNoProgress, what)
					} else {
						require.ErrorIs(t, err, engine.ErrInvalidRequest, what)
					}
				}
			}
		}
		_, err = eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Body: "sound"})
		require.NoError(t, err)
	}
}

// A body without end that is read into memory would fill it, long after its request
// had ended.
func TestABodyIsNotReadOnWhenItsRequestHasEnded(t *testing.T) {
	for name, body := range map[string]func(io.Reader) any{
		"plain":     func(r io.Reader) any { return r },
		"multipart": func(r io.Reader) any { return engine.Multipart{Files: []engine.File{{Field: "f", Content: r}}} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newEngine(t, engine.Config{BaseURL: "http://server.test"})
				var reads atomic.Int64
				endless := readsLike(func([]byte) (int, error) {
					if reads.Add(1) > 60 {
						return 0, io.EOF // or the test would have no end either
					}
					time.Sleep(time.Second)
					return 1, nil
				})
				_, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Timeout: 10 * time.Second, Body: body(endless)})
				require.Error(t, err)
				before := reads.Load()
				time.Sleep(time.Minute)
				require.LessOrEqual(t, reads.Load(), before+1)
			})
		})
	}
}

func TestABodyThatOpensNoReaderIsNotSent(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
	defer server.Close()
	eng, err := engine.New(engine.Config{BaseURL: server.URL})
	require.NoError(t, err)
	defer eng.Close()
	_, err = eng.Do(t.Context(), &engine.Request{
		Method: http.MethodPost, Path: "/", Body: func() (io.Reader, error) { return nil, nil }, Upload: engine.Upload{Stream: true},
	})
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
}
