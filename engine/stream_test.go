package engine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// slowBody sends its head at once and a byte every second.
func slowBody(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for range n {
			http.NewResponseController(w).Flush()
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
				return
			}
			io.WriteString(w, "x")
		}
	}
}

func openStream(t *testing.T, eng *engine.Engine, ctx context.Context, req engine.Request) *engine.Response {
	t.Helper()
	if req.Path == "" {
		req.Path = "/"
	}
	req.Stream = true
	resp, err := eng.Do(ctx, &req)
	require.NoError(t, err)
	return resp
}

func TestAStreamedAnswerIsHandedOverAtItsHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slowBody(5))
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: 10 * time.Second}}, DefaultLimitID: "calls"})
		begun := time.Now()
		resp := openStream(t, eng, t.Context(), engine.Request{})
		require.Zero(t, time.Since(begun))
		stats := eng.Stats()
		require.Equal(t, 1, stats.Pools[0].Leased)
		require.Equal(t, 1, stats.InFlight)
		require.Zero(t, stats.Limits.Scopes[0].InFlight, "the permit was settled at the head")

		body, err := io.ReadAll(resp.Stream)
		require.NoError(t, err)
		require.Equal(t, "xxxxx", string(body))
		require.Equal(t, 5*time.Second, time.Since(begun))
		wantNothingHeld(t, eng)
		require.NoError(t, resp.Stream.Close())

		_, err = io.ReadAll(openStream(t, eng, t.Context(), engine.Request{}).Stream)
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, aged(10 * time.Second)}, s.seen())
		require.EqualValues(t, 1, eng.Stats().Pools[0].Dialled, "the connection was used again")
	})
}

func TestAStreamEndsWithItsContextOrDeadlineEvenIfNobodyReads(t *testing.T) {
	boom := errors.New("boom")
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slowBody(100))
		eng := s.newEngine(t, engine.Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		cancelled := openStream(t, eng, ctx, engine.Request{})
		late := openStream(t, eng, t.Context(), engine.Request{Timeout: 2500 * time.Millisecond})
		cancel(boom)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		wantNothingHeld(t, eng)

		_, err := io.ReadAll(cancelled.Stream)
		require.ErrorIs(t, err, boom)
		require.ErrorIs(t, err, context.Canceled)
		_, err = io.ReadAll(late.Stream)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestAReaderIsWokenByCancellationAndByClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slowBody(100))
		eng := s.newEngine(t, engine.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		for _, end := range []func(io.Closer){func(io.Closer) { cancel() }, func(c io.Closer) { c.Close() }} {
			stream := openStream(t, eng, ctx, engine.Request{}).Stream
			ended := make(chan error)
			go func() {
				_, err := io.ReadAll(stream)
				ended <- err
			}()
			time.Sleep(1500 * time.Millisecond)
			begun := time.Now()
			end(stream)
			require.Error(t, <-ended)
			require.Zero(t, time.Since(begun))
			synctest.Wait()
			wantNothingHeld(t, eng)
			ctx = t.Context()
		}
	})
}

func TestCloseEndsStreamsAndShutdownAwaitsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slowBody(5))
		eng := s.newEngine(t, engine.Config{})
		stream := openStream(t, eng, t.Context(), engine.Request{}).Stream
		require.NoError(t, eng.Close())
		_, err := io.ReadAll(stream)
		require.ErrorIs(t, err, engine.ErrClosed)

		eng = s.newEngine(t, engine.Config{})
		stream = openStream(t, eng, t.Context(), engine.Request{}).Stream
		var all sync.WaitGroup
		all.Go(func() {
			body, err := io.ReadAll(stream)
			require.NoError(t, err)
			require.Len(t, body, 5)
		})
		begun := time.Now()
		require.NoError(t, eng.Shutdown(t.Context()))
		require.Equal(t, 5*time.Second, time.Since(begun))
		all.Wait()
	})
}

func TestAStreamMayBeLargerThanMaxBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 100_000)) })
		eng := s.newEngine(t, engine.Config{Responses: engine.Responses{MaxBody: 1000}})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.ErrorIs(t, err, engine.ErrBodyTooLarge)
		require.ErrorContains(t, err, "Responses.MaxBody is 1000 bytes, and what is read by Request.Stream has none")

		n, err := io.Copy(io.Discard, openStream(t, eng, t.Context(), engine.Request{}).Stream)
		require.NoError(t, err)
		require.EqualValues(t, 100_000, n)
	})
}

func TestAStreamThatTheCallerNeverGetsIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slowBody(5))
		eng := s.newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{
			engine.PostProcessorFunc(func(_ context.Context, req *engine.Request, _ *engine.Response) error {
				if req.Path == "/panic" {
					panic("boom")
				}
				return errors.New("boom")
			}),
		}})
		for _, path := range []string{"/", "/panic"} {
			_, err := eng.Do(t.Context(), &engine.Request{Path: path, Stream: true})
			require.Error(t, err)
			wantNothingHeld(t, eng)
		}
	})
}

func TestAStreamWithoutABodyIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
		eng := s.newEngine(t, engine.Config{})
		body, err := io.ReadAll(openStream(t, eng, t.Context(), engine.Request{}).Stream)
		require.NoError(t, err)
		require.Empty(t, body)
		wantNothingHeld(t, eng)
	})
}

func TestFetchReadsWhatIsNotAskedForAsAResponse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `"text"`) })
		eng := s.newEngine(t, engine.Config{})
		text, err := engine.Fetch[string](t.Context(), eng, &engine.Request{Path: "/", Stream: true})
		require.NoError(t, err)
		require.Equal(t, `"text"`, text)
		resp, err := engine.Fetch[*engine.Response](t.Context(), eng, &engine.Request{Path: "/", Stream: true})
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Stream)
		require.NoError(t, err)
		require.Equal(t, `"text"`, string(body))
	})
}

// squeezed answers in gzip whoever accepts it, and tells what was accepted.
func squeezed(w http.ResponseWriter, r *http.Request) {
	accepted := r.Header.Get("Accept-Encoding")
	w.Header().Set("Accepted", accepted)
	if !strings.Contains(accepted, "gzip") {
		io.WriteString(w, "plain")
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	io.WriteString(z, "squeezed")
	z.Close()
}

func TestACodingIsAskedForAndUndone(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	io.WriteString(z, "squeezed")
	z.Close()
	for name, c := range map[string]struct {
		config         engine.Config
		header         http.Header
		accepted, body string
	}{
		"by default":                  {accepted: "gzip, deflate", body: "squeezed"},
		"as configured":               {config: engine.Config{Responses: engine.Responses{Codings: []string{"zstd", "br", "gzip"}}}, accepted: "zstd, br, gzip", body: "squeezed"},
		"unless configured otherwise": {config: engine.Config{Responses: engine.Responses{Codings: []string{}}}, body: "plain"},
		"unless the caller does it":   {header: http.Header{"Accept-Encoding": {"gzip"}}, accepted: "gzip", body: packed.String()},
		"unless every caller does it": {config: engine.Config{Header: http.Header{"Accept-Encoding": {"gzip"}}}, accepted: "gzip", body: packed.String()},
		"but for parts":               {header: http.Header{"Range": {"bytes=0-1"}}, body: "plain"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, squeezed).newEngine(t, c.config)
				resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Header: c.header})
				require.NoError(t, err)
				require.Equal(t, c.accepted, resp.Header.Get("Accepted"))
				require.Equal(t, c.body, resp.Text())
				require.Equal(t, c.body == "squeezed", resp.Uncompressed)
			})
		})
	}
	_, err := engine.New(engine.Config{Responses: engine.Responses{Codings: []string{"lzw"}}})
	require.ErrorContains(t, err, `content coding "lzw"`)
}

// unasked answers in a coding whatever was accepted.
func unasked(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", r.URL.Query().Get("coding"))
	w.Header().Set("Content-Length", "3")
	io.WriteString(w, "raw")
}

func TestACodingThatNobodyAskedForIsHandedOverAsNetHTTPDoes(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(unasked))
		server.EnableHTTP2 = http2
		server.StartTLS()
		defer server.Close()
		bare := server.Client()
		eng := newEngine(t, engine.Config{Dial: engine.Dial{TLS: bare.Transport.(*http.Transport).TLSClientConfig}, Connections: engine.Connections{HTTP2: func(string) bool { return http2 }}})
		streaming := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Stream = true })
		for _, c := range []struct{ coding, accept string }{{"br", ""}, {"gzip, gzip", ""}, {"gzip", "gzip"}, {"zstd", "identity"}} {
			var answers []string
			for _, client := range []*http.Client{bare, clientOf(eng), streaming} {
				req, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"?coding="+url.QueryEscape(c.coding), nil)
				require.NoError(t, err)
				if c.accept != "" {
					req.Header.Set("Accept-Encoding", c.accept)
				}
				resp, err := client.Do(req)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				answers = append(answers, fmt.Sprint(string(body), resp.Header["Content-Encoding"], resp.Header["Content-Length"], resp.ContentLength, resp.Uncompressed))
			}
			require.Equal(t, fmt.Sprintf("raw[%s] [3] 3 false", c.coding), answers[0])
			require.Equal(t, []string{answers[0], answers[0]}, answers[1:])
		}
	}
}

// mirror answers with the body it was sent, but hangs up on the first requests.
func mirror(hangUps int32, copies *atomic.Int32) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if copies.Add(1) <= hangUps {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Framing", strings.Join(r.TransferEncoding, ""))
		w.Write(body)
	}
}

// once hides everything about a reader but Read.
func once(text string) io.Reader { return io.MultiReader(strings.NewReader(text)) }

func TestABodyIsStreamedWithOrWithoutItsLength(t *testing.T) {
	for framing, req := range map[string]engine.Request{
		"":        {Body: strings.NewReader("abc")},
		"chunked": {Body: once("abc")},
	} {
		synctest.Test(t, func(t *testing.T) {
			var copies atomic.Int32
			eng := newServer(t, mirror(0, &copies)).newEngine(t, engine.Config{})
			req.Method, req.Path, req.Upload.Stream, req.Upload.ExpectContinue = http.MethodPost, "/", true, true
			resp, err := eng.Do(t.Context(), &req)
			require.NoError(t, err)
			require.Equal(t, "abc", resp.Text())
			require.Equal(t, framing, resp.Header.Get("Framing"))
			wantNothingHeld(t, eng)
		})
	}
}

func TestAStreamedBodyIsSentAgainOnlyIfThatIsPossible(t *testing.T) {
	opened := func() (io.Reader, error) { return once("abc"), nil }
	for name, c := range map[string]struct {
		request engine.Request
		copies  int32
		fails   bool
	}{
		"a reader that was read":     {engine.Request{Method: http.MethodPut, Body: once("abc")}, 1, true},
		"a reader that is opened":    {engine.Request{Method: http.MethodPut, Body: opened}, 2, false},
		"a request that must not be": {engine.Request{Method: http.MethodPost, Body: opened}, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var copies atomic.Int32
				eng := newServer(t, mirror(1, &copies)).newEngine(t, engine.Config{})
				c.request.Path, c.request.Upload.Stream = "/", true
				_, err := eng.Do(t.Context(), &c.request)
				require.Equal(t, c.fails, err != nil, "%v", err)
				require.Equal(t, c.copies, copies.Load())
				var e *engine.Error
				if errors.As(err, &e) {
					require.Equal(t, engine.SentMaybe, e.Sent)
				}
			})
		})
	}
}

func TestAnUntouchedReaderSurvivesAFailedDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var copies atomic.Int32
		dials := 0
		s := newServer(t, mirror(0, &copies))
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{DialContext: failFirst(s, &dials)}})
		resp, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/", Body: once("abc"), Upload: engine.Upload{Stream: true}})
		require.NoError(t, err)
		require.Equal(t, "abc", resp.Text())
		require.Equal(t, 2, dials)
	})
}

func TestAStreamedBodyMustBeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{Auth: auth.HMACQuery{Key: "key", Secret: secret}})
		for _, req := range []engine.Request{
			{Body: "text"},
			{Body: once("abc"), Auth: true},
		} {
			req.Method, req.Path, req.Upload.Stream = http.MethodPost, "/", true
			_, err := eng.Do(t.Context(), &req)
			require.ErrorIs(t, err, engine.ErrInvalidRequest)
		}
		wantNothingHeld(t, eng)
	})
}

// wrapped is a body that a post-processor put around another.
type wrapped struct {
	io.ReadCloser
	closed *atomic.Int64
}

func (w wrapped) Close() error { w.closed.Add(1); return w.ReadCloser.Close() }

// wrapStreams is a configuration whose post-processor wraps every stream, and
// then fails if fail is not nil.
func wrapStreams(closed *atomic.Int64, fail error) engine.Config {
	return engine.Config{PostProcessors: []engine.PostProcessor{
		engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, resp *engine.Response) error {
			resp.Stream = wrapped{resp.Stream, closed}
			return fail
		}),
	}}
}

func TestAStreamThatAPostProcessorWrapsKeepsItsCreditToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int64
		eng := newServer(t, slowBody(5)).newEngine(t, wrapStreams(&closed, nil))
		resp := openStream(t, eng, t.Context(), engine.Request{})
		require.Equal(t, 1, eng.Stats().InFlight)
		ended := make(chan error)
		go func() { ended <- eng.Shutdown(t.Context()) }()
		body, err := io.ReadAll(resp.Stream)
		require.NoError(t, err)
		require.Equal(t, "xxxxx", string(body), "Shutdown lets it end")
		require.NoError(t, <-ended)
	})
}

func TestAStreamThatAPostProcessorTakesAwayIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, slowBody(5)).newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{
			engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, resp *engine.Response) error {
				resp.Stream = nil
				return nil
			}),
		}})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Stream: true})
		require.NoError(t, err)
		wantNothingHeld(t, eng)
	})
}

func TestAWrappedStreamIsClosedByTheRequestsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int64
		boom := errors.New("boom")
		eng := newServer(t, slowBody(5)).newEngine(t, wrapStreams(&closed, boom))
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Stream: true})
		require.ErrorIs(t, err, boom)
		require.EqualValues(t, 1, closed.Load())
		wantNothingHeld(t, eng)
	})
}

func TestFetchGivesBackTheStreamOfARefusalAndKeepsTheBeginningOfItsBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const long = 100 << 10
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			if r.URL.Path == "/long" {
				io.WriteString(w, strings.Repeat("x", long))
				return
			}
			io.WriteString(w, `{"code":-1}`)
		}).newEngine(t, engine.Config{Connections: engine.Connections{Max: 1}})
		for range 3 {
			_, err := engine.Fetch[*engine.Response](t.Context(), eng, &engine.Request{Path: "/", Stream: true})
			var status *engine.StatusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, `{"code":-1}`, string(status.Body))
			wantNothingHeld(t, eng)

			_, err = engine.Fetch[*engine.Response](t.Context(), eng, &engine.Request{Path: "/long", Stream: true})
			require.ErrorAs(t, err, &status)
			require.Len(t, status.Body, 64<<10)
			wantNothingHeld(t, eng)
		}
		resp, err := engine.Fetch[*engine.Response](t.Context(), eng, &engine.Request{Path: "/long", Stream: true, ReturnErrors: true})
		require.NoError(t, err, "this one is asked for")
		require.NoError(t, resp.Stream.Close())
	})
}

// timelessConn is an in-memory connection as one writes it for a test: deadlines do nothing.
type timelessConn struct{ net.Conn }

func (timelessConn) SetDeadline(time.Time) error      { return nil }
func (timelessConn) SetReadDeadline(time.Time) error  { return nil }
func (timelessConn) SetWriteDeadline(time.Time) error { return nil }

// Whoever ends a stream waits for its reader, who waits for a timer: in a bubble both must be seen to
// wait, or its time stands still.
func TestAStreamEndsInABubbleThoughItsConnectionKeepsNoDeadlines(t *testing.T) {
	for name, ends := range map[string]func(io.Closer, context.CancelFunc){
		"deadline": func(io.Closer, context.CancelFunc) {},
		"cancel":   func(_ io.Closer, cancel context.CancelFunc) { time.AfterFunc(time.Millisecond, cancel) },
		"Close": func(stream io.Closer, _ context.CancelFunc) {
			time.AfterFunc(time.Millisecond, func() { _ = stream.Close() })
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "half")
				flush(w)
				<-r.Context().Done()
			})
			eng := newEngine(t, engine.Config{BaseURL: "http://server.test", Timeout: time.Second, Dial: engine.Dial{
				DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := s.dial(ctx, network, addr)
					return timelessConn{conn}, err
				},
			}})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			resp, err := eng.Do(ctx, &engine.Request{Path: "/", Stream: true})
			require.NoError(t, err)
			ends(resp.Stream, cancel)
			_, err = io.ReadAll(resp.Stream)
			require.Error(t, err, name)
			require.NoError(t, resp.Stream.Close())
		})
	}
}
