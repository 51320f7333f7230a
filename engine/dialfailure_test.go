package engine_test

import (
	"context"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// shut refuses every connection until it is opened, and counts the dials.
type shut struct {
	server *server
	open   atomic.Bool
	dials  atomic.Int32
	err    error
}

func (s *shut) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	s.dials.Add(1)
	if !s.open.Load() {
		return nil, &net.OpError{Op: "dial", Net: network, Err: s.err}
	}
	return s.server.dial(ctx, network, addr)
}

func newShut(t *testing.T, err error, config engine.Config) (*shut, *engine.Engine) {
	s := &shut{server: newServer(t, nil), err: err}
	config.Dial.DialContext = s.dial
	return s, s.server.newEngine(t, config)
}

func TestRequestsToAnOriginThatRefusesFailAtOnceAndSayUntilWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, eng := newShut(t, syscall.ECONNREFUSED, engine.Config{})
		begun := time.Now()
		var err error
		for range 50 {
			_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: time.Hour})
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		}
		require.LessOrEqual(t, time.Since(begun), 150*time.Millisecond, "two repetitions of the first, and no more")
		require.LessOrEqual(t, s.dials.Load(), int32(3))
		var failure *engine.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, engine.Leasing, failure.Stage)
		require.ErrorContains(t, err, "not dialled again yet")
		require.True(t, failure.RetryAt.After(time.Now()))
		require.True(t, failure.Temporary())
		require.Error(t, eng.Warm(t.Context(), "", 1), "nor does a warm-up wait")

		s.open.Store(true)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.NoError(t, engine.Wait(t.Context(), err))
		require.Equal(t, failure.RetryAt, time.Now())
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
	})
}

// A loop around Wait dials as often as the pauses allow, and spends nothing of what
// may be repeated.
func TestALoopAroundWaitDialsOnceAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, eng := newShut(t, syscall.ECONNREFUSED, engine.Config{})
		for begun := time.Now(); time.Since(begun) < time.Minute; {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
			require.NoError(t, engine.Wait(t.Context(), err))
		}
		require.Less(t, s.dials.Load(), int32(35), "50, 100, 200 ms … 5 s, each from its upper half")
	})
}

func TestACrowdBeforeAnOriginThatRefusesIsDialledForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, eng := newShut(t, syscall.ECONNREFUSED, engine.Config{Retry: engine.Retry{Max: -1}, Dial: engine.Dial{Backoff: time.Second}})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, engine.Wait(t.Context(), err))
		answers := make(chan error)
		for range 100 {
			go func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				answers <- err
			}()
		}
		for range 100 {
			require.ErrorIs(t, <-answers, syscall.ECONNREFUSED)
		}
		require.Equal(t, int32(2), s.dials.Load())
		wantNothingHeld(t, eng)
	})
}

// The time of the server is looked up at an origin like any other.
func TestALookAtTheClockOfAnOriginThatRefusesFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, eng := newShut(t, syscall.ECONNREFUSED, engine.Config{
			Auth: auth.Binance("key", "secret"), Time: engine.TimeFrom("/time", "t"),
		})
		begun := time.Now()
		for range 20 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
			require.ErrorIs(t, err, engine.ErrNoTime)
			require.ErrorIs(t, err, syscall.ECONNREFUSED)
		}
		require.Less(t, time.Since(begun), time.Second)
		require.Less(t, s.dials.Load(), int32(8))
	})
}

// A stream may hold its connection for ever, and so may a request that hangs.
func TestAListenerThatIsGoneIsToldThoughAConnectionIsInUse(t *testing.T) {
	for _, path := range []string{"/stream", "/hang"} {
		release := make(chan struct{})
		arrived := make(chan struct{}, 1)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stream" {
				io.WriteString(w, "begun")
				w.(http.Flusher).Flush()
			}
			arrived <- struct{}{}
			<-release
		}))
		eng := newEngine(t, engine.Config{
			BaseURL: server.URL, DefaultLimitID: "calls",
			Limits: []throttle.Limit{{ID: "calls", Quota: 100, Per: time.Second}},
		})
		done := make(chan struct{})
		go func() {
			defer close(done)
			response, err := eng.Do(t.Context(), &engine.Request{Path: path, Stream: path == "/stream"})
			if err == nil && response.Stream != nil {
				<-release
				response.Stream.Close()
			}
		}()
		<-arrived
		require.Eventually(t, func() bool { return path == "/hang" || eng.Stats().Pools[0].Streams == 1 }, 5*time.Second, time.Millisecond)
		require.NoError(t, server.Listener.Close())

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := eng.Do(ctx, &engine.Request{Path: "/"})
		require.ErrorIs(t, err, syscall.ECONNREFUSED, path)
		require.NotErrorIs(t, err, context.DeadlineExceeded, path)
		cancel()
		close(release)
		<-done
		server.Close()
	}
}

func TestAnOriginThatTakesOneConnectionServesACrowdThroughIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slowly(100*time.Millisecond))
		var dials atomic.Int32
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
			}
			return s.dial(ctx, network, addr)
		}}})
		answers := make(chan error)
		for range 50 {
			go func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
				answers <- err
			}()
		}
		for range 50 {
			require.NoError(t, <-answers)
		}
	})
}

func TestAnUnknownHostIsLookedUpOnceARequestAndNoPauseIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, eng := newShut(t, &net.DNSError{Err: "no such host", Name: "server.test", IsNotFound: true}, engine.Config{})
		begun := time.Now()
		for n := range 20 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			var unknown *net.DNSError
			require.ErrorAs(t, err, &unknown)
			require.Equal(t, int32(n+1), s.dials.Load())
			var failure *engine.Error
			require.ErrorAs(t, err, &failure)
			require.Zero(t, failure.RetryAt)
			require.False(t, failure.Temporary())
		}
		require.Zero(t, time.Since(begun))

		s.err = syscall.ECONNREFUSED
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.LessOrEqual(t, time.Since(begun), 150*time.Millisecond, "the pauses begin anew")
		s.open.Store(true)
		require.NoError(t, engine.Wait(t.Context(), err))
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
	})
}

func TestACertificateThatIsNotTrustedIsLookedAtOnceARequest(t *testing.T) {
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = discardLog
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	defer server.Close()
	for _, http2 := range []bool{false, true} {
		connections.Store(0)
		eng := newEngine(t, engine.Config{BaseURL: server.URL, Connections: engine.Connections{HTTP2: func(string) bool { return http2 }}})
		for range 3 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			var unknown x509.UnknownAuthorityError
			require.ErrorAs(t, err, &unknown)
		}
		require.Equal(t, int32(3), connections.Load())
	}
}

func TestAProxyThatWantsAnotherPasswordIsAskedOnceARequest(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	defer proxy.Close()
	via, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	eng := newEngine(t, engine.Config{BaseURL: "https://server.test", Dial: engine.Dial{Proxy: http.ProxyURL(via)}})
	for n := range 3 {
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		var refused *engine.ProxyError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, http.StatusProxyAuthRequired, refused.Status)
		require.Equal(t, int32(n+1), asked.Load())
	}
}
