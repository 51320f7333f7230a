package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
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

var plenty = []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}}

// lateDial dials the server after a while.
func (s *server) lateDial(after time.Duration) engine.Dial {
	return engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		time.Sleep(after)
		return s.dial(ctx, network, addr)
	}}
}

func TestARefusalReachesThoseWhoWaitForTheirTurnToSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, refusing(429, "5", 10*time.Millisecond))
		eng := s.newEngine(t, engine.Config{Limits: plenty, DefaultLimitID: "calls", Auth: auth.Kraken{Key: "k", Secret: "c2VjcmV0"}})
		sendAll(t, eng, 20, engine.Request{Method: http.MethodPost, Auth: true})
		for _, at := range s.seen()[1:] {
			require.GreaterOrEqual(t, at, 5*time.Second)
		}
		wantNothingHeld(t, eng)
	})
}

func TestARedirectIsNotFollowedIntoAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, moved(302, map[string]string{"/": "/next"}))
		eng := s.newEngine(t, engine.Config{Limits: plenty})
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{PutIdleConn: func(error) {
			if len(s.seen()) == 1 {
				_ = eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, 4*time.Second)
			}
		}})
		_, err := eng.Do(ctx, &engine.Request{Path: "/", LimitID: engine.Unlimited, Redirects: 1})
		require.NoError(t, err)
		require.Equal(t, []time.Duration{0, 4 * time.Second}, s.seen())
	})
}

// It keeps its permit while it waits for another connection.
func TestAPauseReachesARequestWhoseConnectionHadDied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		var first net.Conn
		eng := s.newEngine(t, engine.Config{Limits: plenty, DefaultLimitID: "calls", Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if first != nil {
				time.Sleep(time.Second)
			}
			conn, err := s.dial(ctx, network, addr)
			first = conn
			return conn, err
		}}})
		sendAll(t, eng, 1, engine.Request{})
		first.Close()
		var all sync.WaitGroup
		all.Go(func() {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
		})
		synctest.Wait()
		require.NoError(t, eng.Pause(throttle.Scope{}, 5*time.Second))
		all.Wait()
		require.Equal(t, []time.Duration{0, 5 * time.Second}, s.seen())
		wantNothingHeld(t, eng)
	})
}

// Whether the pause ends by itself or by hand, and whether the permits were parked
// meanwhile, those who waited for a connection leave by priority and as they came.
func TestOrderIsKeptThroughAPauseAndItsEnd(t *testing.T) {
	var want []string
	for _, class := range []int{2, 1, 0} {
		for i := range 4 {
			want = append(want, fmt.Sprintf("/%d", 4*class+i))
		}
	}
	for _, resume := range []bool{false, true} {
		for _, dial := range []time.Duration{100 * time.Millisecond, time.Second, 2 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{Limits: plenty, DefaultLimitID: "calls", Connections: engine.Connections{Max: 1}, Dial: s.lateDial(dial)})
				var all sync.WaitGroup
				for i := range 12 {
					all.Go(func() {
						_, err := eng.Do(t.Context(), &engine.Request{Path: fmt.Sprintf("/%d", i), Priority: engine.Priority(i / 4)})
						require.NoError(t, err)
					})
					synctest.Wait()
				}
				require.NoError(t, eng.Pause(throttle.Scope{}, 3*time.Second))
				time.Sleep(1500 * time.Millisecond)
				if resume {
					require.NoError(t, eng.Resume(throttle.Scope{}))
				}
				all.Wait()
				require.Equal(t, want, s.paths, "resumed %v, dialled for %v", resume, dial)
				wantNothingHeld(t, eng)
			})
		}
	}
}

func TestARefusalOfOneOriginHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		seen := map[string][]time.Duration{}
		start, refuse := time.Now(), refusing(429, "7", 10*time.Millisecond)
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[r.Host] = append(seen[r.Host], time.Since(start))
			mu.Unlock()
			if r.Host == "one.test" {
				refuse(w, r)
			}
		})
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 1}, DefaultLimitID: "calls", Limits: []throttle.Limit{{ID: "calls", Quota: 5, Per: time.Second}}})
		var all sync.WaitGroup
		for range 20 {
			for _, host := range []string{"one.test", "two.test"} {
				all.Go(func() {
					_, err := eng.Do(t.Context(), &engine.Request{URL: "http://" + host})
					require.NoError(t, err)
				})
				synctest.Wait()
			}
		}
		all.Wait()
		require.GreaterOrEqual(t, seen["one.test"][1], 7*time.Second)
		require.Less(t, slices.Max(seen["two.test"]), 6*time.Second, "the permits of the others are not kept")
		require.Len(t, slices.Concat(seen["one.test"], seen["two.test"]), 40)
		wantNothingHeld(t, eng)
	})
}

// In HTTP/2 too, where a stream may be waited for.
func TestARefusalOvertakesTheStreamItCameOn(t *testing.T) {
	var arrived atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if arrived.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 1}
	server.StartTLS()
	defer server.Close()
	eng := newEngine(t, engine.Config{
		BaseURL: server.URL, Limits: plenty, DefaultLimitID: "calls",
		Dial:        engine.Dial{TLS: server.Client().Transport.(*http.Transport).TLSClientConfig},
		Connections: engine.Connections{Max: 1, HTTP2: func(string) bool { return true }},
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { _, _ = eng.Do(t.Context(), &engine.Request{Path: "/", Timeout: 300 * time.Millisecond}) })
	}
	all.Wait()
	require.EqualValues(t, 1, arrived.Load())
}

func TestALookAtTheClockObeysAPauseMadeByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"t":%d}`, time.Now().UnixMilli()) })
		eng := s.newEngine(t, engine.Config{
			Limits: plenty, DefaultLimitID: "calls", Auth: doingAuth(func() {}),
			Time: engine.TimeFrom("/time", "t").ChargedTo(engine.Unlimited), Clock: engine.Clock{Every: time.Second},
		})
		sendAll(t, eng, 1, engine.Request{Auth: true})
		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, time.Minute))
		time.Sleep(2 * time.Minute)
		before := len(s.seen())
		for _, at := range s.seen()[2:] {
			require.GreaterOrEqual(t, at, time.Minute)
		}
		require.Greater(t, before, 10, "it goes on afterwards")
	})
}
