package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// rewinding is a seeker of which nothing else is known.
type rewinding struct{ *strings.Reader }

// aFile is one that stands behind its first three bytes.
func aFile(t *testing.T, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(path, []byte("abc"+content), 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { file.Close() })
	_, err = file.Seek(3, io.SeekStart)
	require.NoError(t, err)
	return file
}

// readers are bodies of a kind each; once says of which there is but one.
func readers(t *testing.T) map[string]struct {
	body any
	once bool
} {
	const text = "0123456789"
	buffer := bytes.NewBufferString("abc" + text)
	buffer.Next(3)
	inside := io.NewSectionReader(strings.NewReader("abcdef"+text), 3, 13)
	inside.Seek(3, io.SeekStart)
	late := strings.NewReader("abc" + text)
	late.Seek(3, io.SeekStart)
	half := bytes.NewReader([]byte("abc" + text))
	half.Seek(3, io.SeekStart)
	embedded := rewinding{strings.NewReader("abc" + text)}
	embedded.Seek(3, io.SeekStart)
	return map[string]struct {
		body any
		once bool
	}{
		"*bytes.Buffer":     {body: buffer},
		"*bytes.Reader":     {body: half},
		"*strings.Reader":   {body: late},
		"*io.SectionReader": {body: inside},
		"*os.File":          {body: aFile(t, text)},
		"io.Seeker":         {body: embedded},
		"io.Reader":         {body: io.MultiReader(strings.NewReader(text)), once: true},
		"a struct":          {body: unknown{strings.NewReader(text)}, once: true},
	}
}

// bodiesAt is a server that notes what bodies it is sent.
func bodiesAt(t *testing.T) (url string, got func() []string) {
	var mu sync.Mutex
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			bodies = append(bodies, string(body))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return bodies
	}
}

func TestARequestIsNeverSentAgainWithoutItsBody(t *testing.T) {
	for _, stream := range []bool{false, true} {
		for name, c := range readers(t) {
			url, got := bodiesAt(t)
			eng := newEngine(t, engine.Config{})
			req := &engine.Request{Method: "POST", URL: url, Body: c.body, Upload: engine.Upload{Stream: stream}}
			first, err := eng.Do(t.Context(), req)
			require.NoError(t, err, name)
			require.Equal(t, c.once, first.BodySpent, name)
			_, err = eng.Do(t.Context(), req)
			if c.once {
				require.ErrorIs(t, err, engine.ErrInvalidRequest, name)
				require.ErrorContains(t, err, "nothing to read", name)
				require.Equal(t, []string{"0123456789"}, got(), name)
				continue
			}
			require.NoError(t, err, name)
			require.Equal(t, []string{"0123456789", "0123456789"}, got(), "%s, streamed: %t", name, stream)
		}
	}
}

// The loop is the guide's.
func TestTheGuidesLoopSendsABodyWholeOrNotAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, stream := range []bool{false, true} {
			for name, c := range readers(t) {
				sendsABodyWholeOrNotAtAll(t, name, c.body, c.once && !stream, stream)
			}
		}
	})
}

// sendsABodyWholeOrNotAtAll has the loop wait for its turn, with a body that was read before it or that
// was not.
func sendsABodyWholeOrNotAtAll(t *testing.T, name string, body any, lost, stream bool) {
	var got []string
	eng := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		if text, err := io.ReadAll(r.Body); err == nil {
			got = append(got, string(text))
		}
	}).newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: 100 * time.Millisecond}}, DefaultLimitID: "calls"})
	_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/", Body: "full"})
	require.NoError(t, err)
	req := &engine.Request{Method: "POST", Path: "/", Body: body, Upload: engine.Upload{Stream: stream}, Timeout: 50 * time.Millisecond}
	_, err = fetchBook(t.Context(), eng, req)
	if lost { // it had to be read before the wait
		require.ErrorIs(t, err, engine.ErrBodyRead, name)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err), name)
		require.Equal(t, []string{"full"}, got, name)
		return
	}
	require.NoError(t, err, name)
	require.Equal(t, []string{"full", "0123456789"}, got, "%s, streamed: %t", name, stream)
}

func TestARefusedRequestWithoutItsBodyIsNotWaitedFor(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer server.Close()
	eng := newEngine(t, engine.Config{})
	for _, c := range []struct {
		body  any
		spent bool
	}{{unknown{strings.NewReader("once")}, true}, {strings.NewReader("often"), false}} {
		_, err := engine.Fetch[any](t.Context(), eng, &engine.Request{Method: "POST", URL: server.URL, Body: c.body})
		require.Equal(t, engine.Refused, engine.OutcomeOf(err))
		require.Equal(t, c.spent, errors.Is(err, engine.ErrBodyRead))
		if c.spent {
			require.Same(t, err, engine.Wait(t.Context(), err))
		}
	}
}

func TestManyGoroutinesMaySendOneRequestWithWhatStandsStill(t *testing.T) {
	text := strings.Repeat("q", 1<<16)
	for name, body := range map[string]any{
		"*strings.Reader": strings.NewReader(text), "*bytes.Reader": bytes.NewReader([]byte(text)), "*bytes.Buffer": bytes.NewBufferString(text),
		"*io.SectionReader": io.NewSectionReader(strings.NewReader(text), 0, 1<<16), "*os.File": aFile(t, text),
		"a file of a form": engine.Multipart{Files: []engine.File{{Field: "f", Content: strings.NewReader(text)}}},
	} {
		for _, stream := range []bool{false, true} {
			url, got := bodiesAt(t)
			eng := newEngine(t, engine.Config{})
			req := &engine.Request{Method: "POST", URL: url, Body: body, Upload: engine.Upload{Stream: stream}}
			var all sync.WaitGroup
			for range 20 {
				all.Go(func() {
					if _, err := eng.Do(context.Background(), req); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			require.Len(t, got(), 20, name)
			for _, one := range got() {
				require.Equal(t, 1<<16, strings.Count(one, "q"), name)
			}
		}
	}
}

// heldBack reads when it is told to.
type heldBack struct {
	io.Reader
	begun, release chan struct{}
	first          *atomic.Bool
}

func (s heldBack) Read(p []byte) (int, error) {
	if s.first.CompareAndSwap(false, true) {
		close(s.begun)
	}
	<-s.release
	return s.Reader.Read(p)
}

func TestAReaderThatThereIsButOneOfIsOneRequestsAtATime(t *testing.T) {
	for _, stream := range []bool{false, true} {
		for _, whole := range []bool{false, true} { // a body, or a file of one
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
				eng, other := s.newEngine(t, engine.Config{}), s.newEngine(t, engine.Config{})
				reader := &heldBack{strings.NewReader("body"), make(chan struct{}), make(chan struct{}), new(atomic.Bool)}
				req := &engine.Request{Method: "POST", Path: "/", Upload: engine.Upload{Stream: stream}, Body: io.Reader(reader)}
				if whole {
					req.Body = engine.Multipart{Files: []engine.File{{Field: "f", Content: reader}}}
				}
				var sent atomic.Bool
				go func() {
					_, err := eng.Do(t.Context(), req)
					sent.Store(err == nil)
				}()
				<-reader.begun
				for _, e := range []*engine.Engine{eng, other} {
					_, err := e.Do(t.Context(), req)
					require.ErrorIs(t, err, engine.ErrInvalidRequest)
					require.ErrorContains(t, err, "another request's body")
					require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
				}
				close(reader.release)
				synctest.Wait()
				require.True(t, sent.Load())
				reader.Reader = strings.NewReader("more")
				_, err := eng.Do(t.Context(), req)
				require.NoError(t, err, "it was let go, and has more")
			})
		}
	}
}

func TestAReaderIsNotLetGoWhileItsReadHasNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
		eng := s.newEngine(t, engine.Config{})
		for _, stream := range []bool{false, true} {
			reader := &heldBack{strings.NewReader("body"), make(chan struct{}), make(chan struct{}), new(atomic.Bool)}
			req := &engine.Request{Method: "POST", Path: "/", Upload: engine.Upload{Stream: stream}, Body: io.Reader(reader), Timeout: time.Second}
			_, err := eng.Do(t.Context(), req)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, engine.ErrBodyRead)
			_, err = eng.Do(t.Context(), req)
			require.ErrorContains(t, err, "another request's body")
			close(reader.release)
			synctest.Wait()
		}
	})
}

func TestAReaderAtItsEndIsNoEmptyBody(t *testing.T) {
	url, got := bodiesAt(t)
	eng := newEngine(t, engine.Config{})
	for name, c := range readers(t) {
		if _, seeks := c.body.(io.Seeker); !seeks {
			continue
		}
		_, err := io.Copy(io.Discard, c.body.(io.Reader))
		require.NoError(t, err)
		for _, stream := range []bool{false, true} {
			for _, body := range []any{c.body, engine.Multipart{Files: []engine.File{{Field: "f", Content: c.body}}}} {
				_, err = eng.Do(t.Context(), &engine.Request{Method: "POST", URL: url, Body: body, Upload: engine.Upload{Stream: stream}})
				require.ErrorIs(t, err, engine.ErrInvalidRequest, name)
			}
		}
	}
	require.Empty(t, got())
	for _, empty := range []any{new(bytes.Buffer), strings.NewReader(""), http.NoBody, bytes.NewReader(nil), rewinding{strings.NewReader("")}} {
		for _, stream := range []bool{false, true} {
			_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", URL: url, Body: empty, Upload: engine.Upload{Stream: stream}})
			require.NoError(t, err, "%T has never had anything", empty)
		}
	}
}

func TestALengthThatAReaderInMemoryDoesNotHaveIsNoticedBeforeAnythingIsSent(t *testing.T) {
	url, got := bodiesAt(t)
	eng := newEngine(t, engine.Config{})
	for _, length := range []int64{3, 5} {
		_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", URL: url, Body: strings.NewReader("four"), Upload: engine.Upload{Stream: true, Length: length}})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.ErrorContains(t, err, "4 bytes")
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
	}
	require.Empty(t, got())
}

// What stands still is repeated by the engine as well.
func TestABodyThatStandsStillIsSentByEveryAttempt(t *testing.T) {
	for _, stream := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var bodies []string
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if bodies = append(bodies, string(body)); len(bodies) == 1 {
					panic(http.ErrAbortHandler)
				}
			})
			eng := s.newEngine(t, engine.Config{})
			_, err := eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/", Body: strings.NewReader("text"), Upload: engine.Upload{Stream: stream}})
			require.NoError(t, err)
			require.Equal(t, []string{"text", "text"}, bodies)
		})
	}
}

// A goroutine of the engine's that does not come back is told.
func TestCloseWaitsForReadersThatOutliveTheirRequests(t *testing.T) {
	for name, request := range map[string]func(io.Reader) engine.Request{
		"a body":          func(r io.Reader) engine.Request { return engine.Request{Body: r} },
		"a streamed body": func(r io.Reader) engine.Request { return engine.Request{Body: r, Upload: engine.Upload{Stream: true}} },
		"a probed body": func(r io.Reader) engine.Request {
			return engine.Request{Method: "DELETE", Body: r, Upload: engine.Upload{Stream: true}}
		},
		"what opens a body": func(r io.Reader) engine.Request {
			return engine.Request{Body: func() (io.Reader, error) { r.Read(make([]byte, 1)); return r, nil }, Upload: engine.Upload{Stream: true}}
		},
		"what was opened": func(r io.Reader) engine.Request {
			return engine.Request{Body: func() (io.Reader, error) { return r, nil }, Upload: engine.Upload{Stream: true}}
		},
		"a file of a form": func(r io.Reader) engine.Request {
			return engine.Request{Body: engine.Multipart{Files: []engine.File{{Field: "f", Content: r}}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
				_, eng := open(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, engine.Config{})
				reader := &heldBack{strings.NewReader("body"), make(chan struct{}), make(chan struct{}), new(atomic.Bool)}
				asked := request(reader)
				asked.Path, asked.Timeout = "/", time.Second
				if asked.Method == "" {
					asked.Method = "POST"
				}
				_, err := eng.Do(t.Context(), &asked)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				err = eng.Close()
				require.ErrorIs(t, err, engine.ErrStillRunning)
				require.ErrorContains(t, err, " goroutines in readers of bodies")
				close(reader.release)
				synctest.Wait()
				require.NoError(t, eng.Close())
			})
		})
	}
}
