package engine_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// streamed has an answer handed over at its head.
func streamed(_ *http.Request, asked *engine.Request) { asked.Stream = true }

func TestARequestThatCannotBeSentIsRefusedInNetHTTPsWords(t *testing.T) {
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{})
	at := func(raw string) *url.URL {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		return u
	}
	for words, req := range map[string]*http.Request{
		"http: nil Request.URL":                         {Method: "GET"},
		`unsupported protocol scheme ""`:                {Method: "GET", URL: at("//server.test/")},
		`unsupported protocol scheme "ftp"`:             {Method: "GET", URL: at("ftp://server.test/")},
		"http: no Host in request URL":                  {Method: "GET", URL: at("http:///")},
		`net/http: invalid method "GET /"`:              {Method: "GET /", URL: at("http://server.test/")},
		`net/http: invalid header field value for "X"`:  {Method: "GET", Header: http.Header{"X": {"a\nb"}}, URL: at("http://server.test/")},
		`net/http: invalid header field name "X Y"`:     {Method: "GET", Header: http.Header{"X Y": {"a"}}, URL: at("http://server.test/")},
		`net/http: invalid trailer field value for "X"`: {Method: "POST", Trailer: http.Header{"X": {"a\nb"}}, URL: at("http://server.test/")},
	} {
		if req.Header == nil {
			req.Header = http.Header{}
		}
		oracle := &http.Transport{}
		_, want := oracle.RoundTrip(req.WithContext(t.Context()))
		require.EqualError(t, want, words, "as net/http has it")
		body := &witness{Reader: once("abc")}
		req.Body = body
		_, err := eng.RoundTripper().RoundTrip(req.WithContext(t.Context()))
		require.EqualError(t, err, words)
		require.EqualValues(t, 1, body.closed.Load(), words)
		wantNothingSent(t, err)
	}
	for words, req := range map[string]*http.Request{
		"CONNECT opens a tunnel":               {Method: "CONNECT", URL: at("http://server.test")},
		"names what belongs to the connection": {Method: "GET", Header: http.Header{"Connection": {"x, Content-Length"}}, URL: at("http://server.test/")},
		`invalid header "content-length"`:      {Method: "GET", Header: http.Header{"content-length": {"3"}}, URL: at("http://server.test/")},
		`invalid trailer "Authorization"`:      {Method: "POST", Trailer: http.Header{"Authorization": {"3"}}, Body: io.NopCloser(once("a")), URL: at("http://server.test/")},
	} {
		_, err := eng.RoundTripper().RoundTrip(req.WithContext(t.Context()))
		require.ErrorContains(t, err, words)
		wantNothingSent(t, err)
	}
	require.Empty(t, s.seen())
}

// wantNothingSent asserts that an error is the request's own, and says that nothing
// was sent.
func wantNothingSent(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	var e *engine.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, engine.SentNo, e.Sent)
}

func TestTheEndOfAContextIsReturnedAsItIs(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		context func(context.Context) (context.Context, func())
		want    error
	}{
		"cancelled": {func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}, context.Canceled},
		"cancelled for a cause": {func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			time.AfterFunc(time.Second, func() { cancel(boom) })
			return ctx, func() { cancel(nil) }
		}, boom},
		"late": {func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			return ctx, cancel
		}, context.DeadlineExceeded},
		"late for a cause": {func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeoutCause(ctx, time.Second, boom)
			return ctx, cancel
		}, boom},
	} {
		for where, limits := range map[string][]throttle.Limit{
			"at the server": nil,
			"in the queue":  {{ID: "one", Quota: 1, Window: throttle.Concurrency}},
		} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, slowly(time.Minute))
				eng := s.newEngine(t, engine.Config{Limits: limits, DefaultLimitID: map[bool]string{true: "one"}[limits != nil]})
				if limits != nil {
					go eng.Do(t.Context(), &engine.Request{Path: "/"})
					synctest.Wait()
				}
				for _, rt := range []http.RoundTripper{eng.RoundTripper(), eng.RoundTripper(streamed)} {
					ctx, cancel := c.context(t.Context())
					req, _ := http.NewRequestWithContext(ctx, "GET", "http://server.test/", nil)
					began := time.Now()
					_, err := rt.RoundTrip(req)
					require.Equal(t, time.Second, time.Since(began))
					require.True(t, err == c.want, "%s, %s: %v", name, where, err)
					cancel()
				}
				time.Sleep(2 * time.Minute)
				wantNothingHeld(t, eng)
			})
		}
	}
}

// What ends a request before its context does is told with all that is known of it.
func TestAnErrorOfTheEnginesOwnIsFoundBehindItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{hourly}, DefaultLimitID: "hourly"})
		client := clientOf(eng)
		resp, err := client.Get("http://server.test/")
		require.NoError(t, err)
		resp.Body.Close()

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://server.test/", nil)
		began := time.Now()
		_, err = client.Do(req)
		require.Zero(t, time.Since(began), "no permit can meet the deadline")
		var e *engine.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, engine.Throttled, e.Stage)
		require.Equal(t, "hourly", e.Limit)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		var failed *url.Error
		require.ErrorAs(t, err, &failed)
		require.True(t, failed.Timeout())
		require.True(t, failed.Temporary())
		_, is := failed.Err.(net.Error)
		require.True(t, is)
		require.Equal(t, e.Err.Error()+" (sluice: throttled by \"hourly\", route \"hourly\", try again in 1h0m0.7s; sent: no)", failed.Err.Error())
	})
}

func TestAServerThatCannotBeTrustedIsToldByTheTypeOfTheError(t *testing.T) {
	server := quietTLSServer(http.NotFound)
	defer server.Close()
	eng := newEngine(t, engine.Config{Retry: engine.Retry{Max: -1}})
	_, err := clientOf(eng).Get(server.URL)
	var failed *url.Error
	require.ErrorAs(t, err, &failed)
	_, untrusted := failed.Err.(*tls.CertificateVerificationError) // as retriers look, no further
	require.True(t, untrusted, "%T", failed.Err)
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, err, &unknown)
}

func TestAnHTTPServerAskedByHTTPSIsToldAsThat(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	eng := newEngine(t, engine.Config{Retry: engine.Retry{Max: -1}})
	at := strings.Replace(server.URL, "http:", "https:", 1)
	_, err := clientOf(eng).Get(at)
	require.ErrorIs(t, err, http.ErrSchemeMismatch)
	_, want := http.Get(at)
	require.ErrorContains(t, err, want.Error())
}

func TestARefusedConnectionIsToldAsByNetHTTP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	listener.Close()
	eng := newEngine(t, engine.Config{Retry: engine.Retry{Max: -1}})
	_, err = clientOf(eng).Get("http://" + listener.Addr().String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.ErrorContains(t, err, "connection refused")
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, "dial", op.Op)
	var e *engine.Error
	require.ErrorAs(t, err, &e)
}

func TestAConnectionThatEndsIsToldInIOsWords(t *testing.T) {
	for answer, want := range map[string]error{
		"":                  io.EOF,
		"HTTP/1.1 200 OK\r": io.ErrUnexpectedEOF,
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na":               io.ErrUnexpectedEOF,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na": io.ErrUnexpectedEOF,
	} {
		at := saying(t, answer)
		_, err := clientOf(newEngine(t, engine.Config{Retry: engine.Retry{Max: -1}})).Get(at)
		require.ErrorIs(t, err, want)
		require.ErrorIs(t, err, engine.ErrTruncated)
		require.ErrorContains(t, err, ": "+want.Error()+": ")
		require.Equal(t, engine.Unknown, engine.OutcomeOf(err))
	}
}

// connect-go and others take the text apart to learn the code.
func TestAResetStreamReadsAsInNetHTTP(t *testing.T) {
	leave := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			<-leave
		}
		panic(http.ErrAbortHandler)
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = discardLog
	server.StartTLS()
	defer server.Close()
	config := asNetHTTP(server, true)
	config.Retry.Max = -1
	eng := newEngine(t, config)
	const before, after = "stream error: ", "; INTERNAL_ERROR; received from peer"

	_, err := eng.RoundTripper().RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", server.URL, nil))
	require.True(t, strings.HasPrefix(err.Error(), before) && strings.HasSuffix(err.Error(), after), err.Error())
	var e *engine.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, engine.SentMaybe, e.Sent)

	resp, err := eng.RoundTripper(streamed).RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", server.URL+"/body", nil))
	require.NoError(t, err)
	close(leave)
	_, err = io.ReadAll(resp.Body)
	require.True(t, strings.HasPrefix(err.Error(), before) && strings.HasSuffix(err.Error(), after), err.Error())
	require.ErrorIs(t, err, engine.ErrTruncated)
	resp.Body.Close()
}

func TestAClientsTimeoutSaysSoInItsOwnWords(t *testing.T) {
	for range 20 { // two timers ring at once, in either order
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/body" {
					io.WriteString(w, "some")
					w.(http.Flusher).Flush()
				}
				slowly(time.Hour)(w, r)
			})
			eng := s.newEngine(t, engine.Config{})
			for _, adjust := range []func(*http.Request, *engine.Request){streamed, func(*http.Request, *engine.Request) {}} {
				client := clientOf(eng, adjust)
				client.Timeout = time.Second
				_, err := client.Get("http://server.test/")
				require.ErrorContains(t, err, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			client := clientOf(eng, streamed)
			client.Timeout = time.Second
			resp, err := client.Get("http://server.test/body")
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.ErrorContains(t, err, "context deadline exceeded (Client.Timeout or context cancellation while reading body)")
			var timeout net.Error
			require.ErrorAs(t, err, &timeout)
			require.True(t, timeout.Timeout())
			resp.Body.Close()
			synctest.Wait()
			wantNothingHeld(t, eng)
		})
	}
}

func TestARequestsCancelEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/body" {
				io.WriteString(w, "some")
				w.(http.Flusher).Flush()
			}
			slowly(time.Hour)(w, r)
		})
		eng := s.newEngine(t, engine.Config{})
		canceled := func(path string) *http.Request {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://server.test"+path, nil)
			cancel := make(chan struct{})
			setCancel(req, cancel)
			time.AfterFunc(time.Second, func() { close(cancel) })
			return req
		}
		for _, rt := range []http.RoundTripper{eng.RoundTripper(), eng.RoundTripper(streamed)} {
			began := time.Now()
			_, err := rt.RoundTrip(canceled("/"))
			require.Equal(t, time.Second, time.Since(began))
			require.EqualError(t, err, "net/http: request canceled")
		}
		resp, err := eng.RoundTripper(streamed).RoundTrip(canceled("/body"))
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.EqualError(t, err, "net/http: request canceled")
		resp.Body.Close()
		synctest.Wait()
		wantNothingHeld(t, eng)
	})
}

func TestARequestThatIsCanceledAlreadyIsNotSent(t *testing.T) {
	var arrived atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }))
	defer server.Close()
	eng := newEngine(t, engine.Config{})
	_, err := eng.Do(t.Context(), &engine.Request{URL: server.URL}) // so that a connection is there
	require.NoError(t, err)
	canceled := make(chan struct{})
	close(canceled)
	for range 100 {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
		setCancel(req, canceled)
		_, err := eng.RoundTripper().RoundTrip(req)
		require.EqualError(t, err, "net/http: request canceled")
	}
	require.EqualValues(t, 1, arrived.Load())
}

// A Cancel that nobody closes leaves nothing behind: goleak looks.
func TestARequestThatIsNotCanceledLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{})
		for _, rt := range []http.RoundTripper{eng.RoundTripper(), eng.RoundTripper(streamed)} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://server.test/", nil)
			setCancel(req, make(chan struct{}))
			resp, err := rt.RoundTrip(req)
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.NoError(t, err)
		}
	})
}

// What a request's body returned is said as net/http says it, and the rest is behind
// it.
func TestTheErrorOfARequestsBodyReadsAsItself(t *testing.T) {
	broken := errors.New("read error")
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
		server.EnableHTTP2 = http2
		server.Config.ErrorLog = discardLog
		server.StartTLS()
		t.Cleanup(server.Close)
		config := asNetHTTP(server, http2)
		config.Retry.Max = -1
		eng := newEngine(t, config)
		for name, rt := range map[string]http.RoundTripper{
			"net/http": server.Client().Transport,
			"in time":  eng.RoundTripper(),
			"streamed": eng.RoundTripper(streamed),
		} {
			for place, body := range map[string]io.Reader{
				"at once":              iotest.ErrReader(broken),
				"behind its beginning": io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)),
			} {
				req, err := http.NewRequestWithContext(t.Context(), "POST", server.URL, body)
				require.NoError(t, err)
				_, err = rt.RoundTrip(req)
				require.EqualError(t, err, "read error", "%s, %s, HTTP/2 %v", name, place, http2)
				require.ErrorIs(t, err, broken)
				if name == "net/http" {
					continue
				}
				var e *engine.Error
				require.ErrorAs(t, err, &e)
				require.NotEqual(t, engine.SentYes, e.Sent)
			}
		}
	}
}

func TestABrokenCodingIsWhatADecompressorSaysOfIt(t *testing.T) {
	good := zipped("unzipped, and long enough to be worth it")
	altered := func(at int, with byte) []byte {
		changed := bytes.Clone(good)
		changed[at] = with
		return changed
	}
	bodies := map[string][]byte{
		"/header":   make([]byte, 1024),
		"/checksum": altered(len(good)-5, good[len(good)-5]^1),
		"/data":     altered(10, 7), // a block of a kind that there is not
		"/cut":      good[:len(good)-9],
	}
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bodies[r.URL.Path])
		}))
		server.EnableHTTP2 = http2
		server.StartTLS()
		t.Cleanup(server.Close)
		config := asNetHTTP(server, http2)
		config.Retry.Max = -1
		eng := newEngine(t, config)
		for path := range bodies {
			resp, err := server.Client().Get(server.URL + path)
			require.NoError(t, err)
			_, want := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.Error(t, want)

			_, err = clientOf(eng).Get(server.URL + path)
			require.ErrorIs(t, err, want, "read whole, HTTP/2 %v", http2)
			require.ErrorIs(t, err, engine.ErrMalformedResponse)
			require.ErrorContains(t, err, want.Error())

			resp, err = clientOf(eng, streamed).Get(server.URL + path)
			require.NoError(t, err)
			_, err = io.ReadAll(resp.Body)
			require.ErrorIs(t, err, want, "streamed, HTTP/2 %v", http2)
			require.ErrorContains(t, err, want.Error())
			resp.Body.Close()
		}
	}
}

func setCancel(req *http.Request, canceled <-chan struct{}) {
	//lint:ignore SA1019 some clients still do
	req.Cancel = canceled
}
