package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestAnOriginIsSpokenToInHTTP2IfConfiguredSo(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }))
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 4}
	server.StartTLS()
	defer server.Close()
	trusting := server.Client().Transport.(*http.Transport).TLSClientConfig
	for want, config := range map[string]engine.Config{
		"HTTP/1.1": {},
		"HTTP/2.0": {Connections: engine.Connections{HTTP2: func(hostPort string) bool { return hostPort == server.Listener.Addr().String() }}},
	} {
		config.BaseURL, config.Dial.TLS, config.Connections.Max = server.URL, trusting, 16
		eng := newEngine(t, config)
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				resp, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				require.NoError(t, err)
				require.Equal(t, want, resp.Text())
			})
		}
		all.Wait()
		wantNothingHeld(t, eng)
		require.NoError(t, eng.Close())
	}
}

// A connection is kept for a moment after a stream was given up, but not by an engine
// that has ended.
func TestNoConnectionOutlivesItsEngine(t *testing.T) {
	arrived := make(chan struct{}, 1)
	eng, _, closed := listenH2(t, 10, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	_, err := eng.Do(ctx, &engine.Request{Path: "/"})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, eng.Close())
	require.Eventually(t, func() bool { return closed.Load() == 1 }, 500*time.Millisecond, time.Millisecond)
}

// listenH2 is a server of HTTP/2 that counts its connections, and those that were
// closed, and an engine for it.
func listenH2(t *testing.T, streams int, handler http.HandlerFunc) (eng *engine.Engine, accepted, closed *atomic.Int32) {
	accepted, closed = new(atomic.Int32), new(atomic.Int32)
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams}
	server.Config.ErrorLog = discardLog
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			accepted.Add(1)
		case http.StateClosed:
			closed.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	config := engine.Config{BaseURL: server.URL}
	config.Dial.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
	config.Connections.HTTP2 = func(string) bool { return true }
	config.Connections.Max = streams
	return newEngine(t, config), accepted, closed
}

func TestFiveStreamsClosedEarlyNeedOneHandshake(t *testing.T) {
	eng, accepted, _ := listenH2(t, 100, func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
	})
	for range 5 {
		resp := openStream(t, eng, t.Context(), engine.Request{})
		_, err := io.ReadFull(resp.Stream, make([]byte, 10_000))
		require.NoError(t, err)
		require.NoError(t, resp.Stream.Close())
	}
	require.EqualValues(t, 1, accepted.Load())
	wantNothingHeld(t, eng)
}

func TestAHundredCancelledStreamsDisturbNoneOfAHundredOthers(t *testing.T) {
	const half = 100
	arrived, leave := make(chan struct{}, 2*half), make(chan struct{})
	eng, accepted, _ := listenH2(t, 2*half, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-leave:
		case <-r.Context().Done():
		}
		io.WriteString(w, r.RemoteAddr)
	})
	from := make(chan string, half)
	ctx, cancel := context.WithCancel(t.Context())
	var all, cancelled sync.WaitGroup
	for range half {
		all.Go(func() {
			resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Minute})
			if err != nil {
				t.Error(err)
				return
			}
			from <- resp.Text()
		})
		cancelled.Go(func() {
			if _, err := eng.Do(ctx, &engine.Request{Path: "/", Timeout: time.Minute}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for range 2 * half {
		<-arrived
	}
	cancel()
	cancelled.Wait()
	close(leave)
	all.Wait()
	first := <-from
	for range half - 1 {
		require.Equal(t, first, <-from, "all on one connection")
	}
	require.EqualValues(t, 1, accepted.Load())
	wantNothingHeld(t, eng)
}

// The owner of an answer may read it, close it and leave, from wherever he likes.
func TestTheOwnerOfAStreamMayCloseItWhileHeReads(t *testing.T) {
	eng, _, _ := listenH2(t, 100, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, io.LimitReader(r.Body, 1000)) // and the rest is not read
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1000)); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
	})
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			body := make([]byte, 1<<20)
			resp, err := eng.Do(ctx, &engine.Request{Method: http.MethodPost, Path: "/", Body: body, Stream: true})
			if err != nil {
				t.Error(err)
				return
			}
			var readers sync.WaitGroup
			readers.Go(func() { io.Copy(io.Discard, resp.Stream) })
			if i%2 == 0 {
				cancel()
			}
			resp.Stream.Close()
			clear(body) // it is the caller's again: the race detector would see somebody read
			readers.Wait()
		})
	}
	all.Wait()
	wantNothingHeld(t, eng)
}

// What a server sends is nothing that the whole process's log is to be filled with.
func TestNoAnswerWritesToTheStandardLogger(t *testing.T) {
	var written bytes.Buffer
	out := log.Writer()
	log.SetOutput(&written)
	defer log.SetOutput(out)
	for name, answer := range map[string]func(http.ResponseWriter){
		"bytes behind an answer": func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		},
		"a broken head": func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/9.9 nonsense\r\n\r\n")
		},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answer(w) }))
		eng := newEngine(t, engine.Config{BaseURL: server.URL})
		for range 3 {
			_, _ = eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Timeout: time.Second}) // whatever comes of it
		}
		require.NoError(t, eng.Close())
		server.Close()
		require.Empty(t, written.String(), name)
	}
}
