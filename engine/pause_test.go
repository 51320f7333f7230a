package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// refusing answers the first request with a status and a Retry-After, and every
// other one with 200. It takes a while over each answer.
func refusing(status int, retryAfter string, takes time.Duration) http.HandlerFunc {
	var once sync.Once
	return func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(takes)
		once.Do(func() {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			w.WriteHeader(status)
		})
	}
}

// sendAll sends n requests at once and returns when all are answered.
func sendAll(t *testing.T, eng *engine.Engine, n int, request engine.Request) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			one := request
			one.Path = fmt.Sprintf("/%d", i)
			_, err := eng.Do(t.Context(), &one)
			require.NoError(t, err)
		})
		synctest.Wait()
	}
	all.Wait()
}

// None of those that hold a permit and wait for the one connection leaves while
// the pause lasts.
func TestARefusalReachesRequestsThatWaitForTheirConnection(t *testing.T) {
	for _, limit := range []string{"calls", engine.Unlimited} {
		t.Run(limit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, refusing(429, "5", 10*time.Millisecond))
				eng := s.newEngine(t, engine.Config{
					Connections: engine.Connections{Max: 1},
					Limits:      []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}},
				})
				sendAll(t, eng, 20, engine.Request{LimitID: limit})
				arrivals := s.seen()
				require.Len(t, arrivals, 20)
				for _, at := range arrivals[1:] {
					require.GreaterOrEqual(t, at, 5*time.Second+10*time.Millisecond)
				}
				wantNothingHeld(t, eng)
			})
		})
	}
}

// A refusal counts from its head on: its body may come late.
func TestARefusalReachesOthersBeforeItsBodyHasCome(t *testing.T) {
	for wait, least := range map[string]time.Duration{"5": 5 * time.Second, "": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var seen atomic.Int64
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				if seen.Add(1) > 1 {
					return
				}
				if wait != "" {
					w.Header().Set("Retry-After", wait)
				}
				w.WriteHeader(429)
				require.NoError(t, http.NewResponseController(w).Flush())
				time.Sleep(3 * time.Second)
				_, _ = io.WriteString(w, "too many")
			})
			eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}}})
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
					require.NoError(t, err)
				})
				time.Sleep(time.Millisecond)
			}
			all.Wait()
			for _, at := range s.seen()[1:] {
				require.GreaterOrEqual(t, at, least)
			}
			wantNothingHeld(t, eng)
		})
	}
}

// And it counts for as long as its head says, in whichever of its lines.
func TestARefusalPausesFromItsHeadOnForAsLongAsAnyOfItsLinesSays(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		s, eng := open(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refused" {
				w.Header().Set("RateLimit-Policy", `"burst";q=100;w=60`)
				w.Header().Set("RateLimit", `"burst";r=0;t=30`)
				w.WriteHeader(http.StatusTooManyRequests)
				require.NoError(t, http.NewResponseController(w).Flush())
				time.Sleep(10 * time.Second)
				_, _ = io.WriteString(w, "too many")
			}
		}, engine.Config{
			Limits:   []throttle.Limit{{ID: "calls", Quota: 100, Per: time.Minute, Scope: "all"}, {ID: "orders", Quota: 100, Per: time.Minute, Scope: "all"}},
			Feedback: feedback.RateLimitFields(map[string]string{"burst": "calls"}),
		})
		refused := eng.Submit(t.Context(), &engine.Request{Path: "/refused", LimitID: "calls"})
		time.Sleep(2 * time.Second) // longer than a pause of unknown length
		sendAll(t, eng, 1, engine.Request{LimitID: "orders"})
		_, _ = refused.Result()
		arrivals := s.seen()
		require.GreaterOrEqual(t, arrivals[len(arrivals)-1]-arrivals[0], 30*time.Second)
	})
}

// A list that a server, or a proxy before it, has written on several lines is one list.
func TestARefusalPausesForTheLongestOfAListOnSeveralLines(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		s, eng := open(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refused" {
				w.Header()["Ratelimit-Policy"] = []string{`"burst";q=100;w=1`, `"daily";q=1000;w=86400`}
				w.Header()["Ratelimit"] = []string{`"burst";r=10;t=1`, `"daily";r=0;t=60`}
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}, engine.Config{
			Limits:   []throttle.Limit{{ID: "burst", Quota: 100, Per: time.Second}, {ID: "daily", Quota: 1000, Per: 24 * time.Hour}},
			Feedback: feedback.RateLimitFields(map[string]string{"burst": "burst", "daily": "daily"}),
			Retry:    engine.Retry{Max: -1},
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/refused", LimitID: "burst"})
		require.NoError(t, err)
		sendAll(t, eng, 1, engine.Request{LimitID: "burst"})
		arrivals := s.seen()
		require.GreaterOrEqual(t, arrivals[len(arrivals)-1]-arrivals[0], time.Minute)
	})
}

// What is open until the server hears of the end is settled as closed, and the answer
// is an answer nevertheless.
func TestARefusalWhoseBodyIsBrokenPausesForAsLongAsAnyOther(t *testing.T) {
	for _, limit := range []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}, {ID: "calls", Quota: 10, Window: throttle.Concurrency}} {
		synctest.Test(t, func(t *testing.T) {
			var seen atomic.Int64
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				if seen.Add(1) == 1 {
					w.Header().Set("Content-Encoding", "gzip")
					w.WriteHeader(418)
					io.WriteString(w, "this is no gzip at all")
				}
			})
			eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{limit}, DefaultLimitID: "calls"})
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.ErrorIs(t, err, engine.ErrMalformedResponse)
			sendAll(t, eng, 1, engine.Request{})
			require.Equal(t, []time.Duration{0, 2 * time.Minute}, s.seen())
			wantNothingHeld(t, eng)
		})
	}
}

func TestARecalledRequestKeepsItsRank(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, refusing(429, "5", 10*time.Millisecond))
		eng := s.newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 1},
			Limits:      []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}},
		})
		sendAll(t, eng, 10, engine.Request{LimitID: "calls"})
		require.Equal(t, []string{"/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"}, s.paths)
	})
}

func TestARefusalOfARequestWithoutALimitPausesItsOrigin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, refusing(418, "7", 0))
		other := newServer(t, nil)
		eng := newEngine(t, engine.Config{
			BaseURL: "http://server.test", Dial: engine.Dial{DialContext: byHost(s, other)},
			Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}},
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/refused", LimitID: engine.Unlimited})
		require.NoError(t, err)

		_, err = eng.Do(t.Context(), &engine.Request{URL: "http://other.test/", LimitID: "calls"})
		require.NoError(t, err)
		require.Equal(t, time.Duration(0), other.seen()[0], "another origin goes on")
		for _, limit := range []string{"calls", engine.Unlimited} {
			_, err = eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: limit})
			require.NoError(t, err)
		}
		require.Equal(t, []time.Duration{0, 7 * time.Second, 7 * time.Second}, s.seen())
	})
}

func TestARefusalPausesItsOriginHoweverAURLSpellsIt(t *testing.T) {
	for _, spellings := range [][2]string{
		{"http://server.test/", "http://server.test:080/"}, {"http://Server.test:00080/", "http://server.test/"},
		{"http://[::1]/", "http://[0:0:0:0:0:0:0:1]/"}, {"http://[2001:DB8:0::A]:80/", "http://[2001:db8::a]/"},
		{"http://[fe80::1%25eth0]/", "http://[FE80:0::1%25eth0]:080/"}, {"http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"},
	} {
		for _, inBase := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, refusing(418, "7", 0))
				config := engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Second}}, DefaultLimitID: "calls"}
				first := &engine.Request{URL: spellings[0]}
				if inBase {
					config.BaseURL, first = spellings[0], &engine.Request{Path: "/"}
				}
				eng := s.newEngine(t, config)
				_, err := eng.Do(t.Context(), first)
				require.NoError(t, err)

				again := &engine.Request{URL: spellings[1]}
				explained, err := eng.Explain(again)
				require.NoError(t, err)
				require.False(t, explained.Leaves, spellings)
				_, err = eng.Do(t.Context(), again)
				require.NoError(t, err)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, spellings[1], nil)
				require.NoError(t, err)
				_, err = eng.RoundTripper().RoundTrip(req)
				require.NoError(t, err)
				require.Equal(t, []time.Duration{0, 7 * time.Second, 7 * time.Second}, s.seen(), spellings)
				require.Len(t, eng.Stats().Pools, 1, spellings)
			})
		}
	}
}

// byHost dials one server for server.test, and another for every other name.
func byHost(s, other *server) func(ctx context.Context, network, addr string) (conn netConn, err error) {
	return func(ctx context.Context, network, addr string) (netConn, error) {
		if addr == "server.test:80" {
			return s.dial(ctx, network, addr)
		}
		return other.dial(ctx, network, addr)
	}
}

func TestARetryAfterThatRefusesNothingPausesNothing(t *testing.T) {
	for _, status := range []int{200, 301, 404} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, refusing(status, "3600", 0))
			eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}}})
			sendAll(t, eng, 2, engine.Request{LimitID: "calls"})
			require.Equal(t, []time.Duration{0, 0}, s.seen(), "after a %d", status)
		})
	}
}

func TestAServerThatIsBusyPausesForAShortTimeOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, refusing(503, "3600", 0))
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}}})
		sendAll(t, eng, 2, engine.Request{LimitID: "calls"})
		require.Equal(t, []time.Duration{0, 30 * time.Second}, s.seen())
	})
}

func TestAPauseCanBeMadeAndEndedByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second, Scope: "account"}}})
		require.NoError(t, eng.Pause(throttle.Scope{Name: "account"}, time.Hour))
		time.AfterFunc(time.Minute, func() { _ = eng.Resume(throttle.Scope{Name: "account"}) })
		sendAll(t, eng, 2, engine.Request{LimitID: "calls"})
		require.Equal(t, []time.Duration{time.Minute, time.Minute}, s.seen())

		require.NoError(t, eng.Pause(throttle.Scope{Origin: "http://server.test", Name: throttle.WholeOrigin}, time.Second))
		sendAll(t, eng, 1, engine.Request{LimitID: engine.Unlimited})
		require.Equal(t, time.Minute+time.Second, s.seen()[2])
		require.Error(t, eng.Pause(throttle.Scope{Name: "nobody's"}, time.Second))
		require.ErrorIs(t, eng.Pause(throttle.Scope{Origin: "://", Name: "account"}, time.Second), engine.ErrInvalidRequest)
	})
}

func TestAPauseForEverIsCutToTheLongestThereIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Throttle: throttle.Options{MaxPause: time.Hour}})
		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, math.MaxInt64))
		require.ErrorIs(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, math.MinInt64), engine.ErrInvalidRequest)
		sendAll(t, eng, 1, engine.Request{})
		require.Equal(t, []time.Duration{time.Hour}, s.seen())
	})
}

func TestARequestIsRecalledAfterItWasSignedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		var eng *engine.Engine
		eng = s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}},
			Auth:   doingAuth(sync.OnceFunc(func() { require.NoError(t, eng.Pause(throttle.Scope{}, 9*time.Second)) })),
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls", Auth: true})
		require.NoError(t, err)
		require.Equal(t, []time.Duration{9 * time.Second}, s.seen())
		wantNothingHeld(t, eng)
	})
}

func TestAStreamedRefusalOfATimestampGivesItsConnectionBackFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, refusedTimestamps())
		eng := s.newEngine(t, signedConfig())
		response, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true, Stream: true, Timeout: 5 * time.Second})
		require.NoError(t, err)
		defer response.Stream.Close()
		body, err := io.ReadAll(response.Stream)
		require.NoError(t, err)
		require.Equal(t, "{}", string(body))
	})
}

func TestOneCallersCancellationIsNotTheNextOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		var takes atomic.Int64
		hang.Store(true)
		s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Duration(takes.Load()))
			if hang.Load() {
				<-r.Context().Done()
			}
		})
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 1}})
		ask := func(ctx context.Context) error {
			_, err := eng.Do(ctx, &engine.Request{Path: "/"})
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		for range 3 { // the slot stays registered with a context that it meets again
			require.True(t, errors.Is(ask(ctx), context.Canceled))
		}
		hang.Store(false)
		for range 4 {
			require.NoError(t, ask(context.Background()))
		}

		before, leave := context.WithCancel(t.Context())
		for range 3 {
			require.NoError(t, ask(before))
		}
		takes.Store(int64(2 * time.Second))
		time.AfterFunc(time.Second, leave) // while the slot serves another
		require.NoError(t, ask(context.Background()))
		require.EqualValues(t, 2, eng.Stats().Pools[0].Dialled, "a good connection is kept")
	})
}

func TestATimeoutEndsARequestWhoseReaderBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{})
		reader, writer := io.Pipe()
		begun := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/", Body: reader, Timeout: time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun))
		writer.Close() // or its goroutine would outlive the test
	})
}

// leavingConn has its caller leave just before a read returns.
type leavingConn struct {
	net.Conn
	leave func()
}

func (c leavingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.leave()
		time.Sleep(time.Nanosecond) // for what watches the context
	}
	return n, err
}

func TestARefusalIsHeededWhoseCallerLeavesAsItComes(t *testing.T) {
	for _, stream := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "5")
				w.WriteHeader(429)
				io.WriteString(w, "too many")
			})
			ctx, leave := context.WithCancel(t.Context())
			eng := s.newEngine(t, engine.Config{
				Limits: []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Second}},
				Dial: engine.Dial{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					conn, err := s.dial(ctx, network, addr)
					return leavingConn{conn, leave}, err
				}},
			})
			_, err := eng.Do(ctx, &engine.Request{Path: "/", LimitID: "calls", Stream: stream})
			if stream { // otherwise the whole answer was there before its caller left
				require.ErrorIs(t, err, context.Canceled)
			}
			scopes := eng.Stats().Limits.Scopes
			require.Len(t, slices.DeleteFunc(scopes, func(s engine.ScopeStats) bool { return s.PausedUntil.IsZero() }), 1, "stream: %t", stream)
			wantNothingHeld(t, eng)
		})
	}
}
