package engine_test

import (
	"context"
	"errors"
	"fmt"
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

// A window of the server's that the engine knows nothing of: so many requests every ten
// seconds, and whoever comes too much is told when to come back.
func windowed(quota int, status int) (handler http.HandlerFunc, refused *atomic.Int64) {
	var mu sync.Mutex
	var began time.Time
	used := 0
	refused = new(atomic.Int64)
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(began) >= 10*time.Second {
			began, used = time.Now(), 0
		}
		if used++; used > quota {
			refused.Add(1)
			w.Header().Set("Retry-After", "10")
			w.WriteHeader(status)
			return
		}
		fmt.Fprint(w, r.URL.Path)
	}, refused
}

// unmoved pauses nothing, whatever an answer says: the run alone heeds it.
var unmoved = feedback.Join()

func TestWhatWasRefusedGoesAgainWhenTheRefusalSays(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		synctest.Test(t, func(t *testing.T) {
			handler, refused := windowed(10, status)
			eng := newServer(t, handler).newEngine(t, engine.Config{})
			start := time.Now()
			tries := map[int]int{}
			for req, result := range eng.Stream(t.Context(), asking(35, plain, nil), engine.FanOut{RetryLater: 20}) {
				require.NoError(t, result.Err)
				require.Equal(t, 200, result.Response.StatusCode)
				require.Equal(t, req.Path, result.Response.Text())
				tries[result.Tries]++
			}
			require.Positive(t, refused.Load())
			require.GreaterOrEqual(t, time.Since(start), 30*time.Second)
			require.Less(t, time.Since(start), 60*time.Second)
			require.Greater(t, len(tries), 1)
			wantNothingHeld(t, eng)
		})
	}
}

func TestWhatWaitsToGoAgainHoldsNobodyBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var again sync.Map
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			// Those of /later are refused the first time.
			if r.URL.Query().Get("later") != "" {
				if _, loaded := again.LoadOrStore(r.URL.Path, true); !loaded {
					w.Header().Set("Retry-After", "60")
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
			}
			time.Sleep(10 * time.Millisecond)
		}).newEngine(t, engine.Config{Feedback: unmoved})
		start := time.Now()
		path := func(i int) string {
			if i < 20 { // more than the window has room for
				return fmt.Sprintf("/%d?later=1", i)
			}
			return plain(i)
		}
		var late []time.Duration
		for _, result := range eng.Stream(t.Context(), asking(100, path, nil), engine.FanOut{RetryLater: 1, Window: 4, FailStatuses: true}) {
			require.NoError(t, result.Err)
			if result.Index < 20 {
				require.Equal(t, 2, result.Tries)
				late = append(late, time.Since(start))
			} else {
				require.Less(t, time.Since(start), time.Second)
			}
		}
		require.Len(t, late, 20)
		require.GreaterOrEqual(t, late[0], 60*time.Second)
		require.Less(t, late[19], 62*time.Second)
		require.GreaterOrEqual(t, late[19], 60*time.Second+50*time.Millisecond, "they go again within the window as well")
	})
}

func TestInOrderWhatGoesAgainComesInItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, _ := windowed(10, http.StatusTooManyRequests)
		eng := newServer(t, handler).newEngine(t, engine.Config{})
		next := int64(0)
		for _, result := range eng.Stream(t.Context(), asking(50, plain, nil), engine.FanOut{RetryLater: 20, Window: 8, InOrder: true}) {
			require.NoError(t, result.Err)
			require.Equal(t, next, result.Index)
			next++
		}
		require.EqualValues(t, 50, next)
	})
}

func TestWhatMayHaveBeenCarriedOutDoesNotGoAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var came sync.Map
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			n, _ := came.LoadOrStore(r.URL.Path, new(atomic.Int64))
			n.(*atomic.Int64).Add(1)
			switch r.URL.Path {
			case "/503":
				w.WriteHeader(503)
			case "/429":
				w.WriteHeader(429)
			case "/500":
				w.WriteHeader(500)
			}
		}).newEngine(t, engine.Config{})
		requests := []*engine.Request{
			{Path: "/503"}, {Path: "/503", Method: "POST"}, {Path: "/503", Method: "POST", Idempotent: true},
			{Path: "/429", Method: "POST"}, {Path: "/500"}, nil,
		}
		results, err := eng.All(t.Context(), requests, engine.FanOut{RetryLater: 3, FailStatuses: true})
		failures, ok := errors.AsType[*engine.Failures](err)
		require.True(t, ok)
		require.Len(t, failures.Each, 6)
		var tries []int
		for _, result := range results {
			tries = append(tries, result.Tries)
		}
		// A 503 may stand for anything; a 429 says that it was not carried out.
		require.Equal(t, []int{4, 1, 4, 4, 1, 1}, tries)
		n, _ := came.Load("/503")
		require.EqualValues(t, 9, n.(*atomic.Int64).Load())
	})
}

func TestARefusalOfTheEnginesOwnGoesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, nil).newEngine(t, engine.Config{
			Limits:         []throttle.Limit{{ID: "calls", Quota: 5, Per: time.Second}},
			DefaultLimitID: "calls",
			Throttle:       throttle.Options{MaxQueued: 3},
			Admission:      engine.Admission{MaxInFlight: 10, MaxWaiting: -1},
		})
		requests := make([]*engine.Request, 40)
		for i := range requests {
			requests[i] = &engine.Request{Path: plain(i)}
		}
		_, err := eng.All(t.Context(), requests, engine.FanOut{})
		failures, ok := errors.AsType[*engine.Failures](err)
		require.True(t, ok)
		require.Greater(t, len(failures.Each), 20)
		require.True(t, errors.Is(err, engine.ErrOverloaded) || errors.Is(err, engine.ErrQueueFull))

		time.Sleep(time.Minute)
		for _, late := range requests[:20] {
			late.Timeout = 300 * time.Millisecond // refused at once if it could not be let through by then, with a RetryAt
		}
		results, err := eng.All(t.Context(), requests, engine.FanOut{RetryLater: 1000})
		require.NoError(t, err)
		require.True(t, slices.ContainsFunc(results, func(r engine.Result) bool { return r.Tries > 1 }))
		wantNothingHeld(t, eng)
	})
}

func TestNothingWaitsToGoAgainBeyondItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, _ := windowed(1, http.StatusTooManyRequests)
		eng := newServer(t, handler).newEngine(t, engine.Config{Feedback: unmoved})
		start := time.Now()
		how := engine.FanOut{RetryLater: 5, FailStatuses: true, Each: 5 * time.Second}
		_, err := eng.All(t.Context(), slices.Collect(asking(3, plain, nil)), how)
		require.Error(t, err)
		require.Less(t, time.Since(start), time.Second)
		how.Each, how.Within = 0, 5*time.Second
		_, err = eng.All(t.Context(), slices.Collect(asking(3, plain, nil)), how)
		require.Error(t, err)
		require.Less(t, time.Since(start), time.Second)

		// The end of the context ends the wait, with the failure that there was.
		how.Within = 0
		late, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		_, failed := eng.All(late, slices.Collect(asking(3, plain, nil)), how)
		status, ok := errors.AsType[*engine.StatusError](failed)
		require.True(t, ok)
		require.Equal(t, 429, status.StatusCode)
		require.Less(t, time.Since(start), 6*time.Second)
		require.GreaterOrEqual(t, time.Since(start), 5*time.Second)
	})
}

func TestAStreamOfARefusalIsClosedBeforeItGoesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, refused := windowed(1, http.StatusTooManyRequests)
		eng := newServer(t, handler).newEngine(t, engine.Config{Connections: engine.Connections{Max: 2}})
		input := func(yield func(*engine.Request) bool) {
			for i := range 5 {
				if !yield(&engine.Request{Path: plain(i), Stream: true}) {
					return
				}
			}
		}
		for _, result := range eng.Stream(t.Context(), input, engine.FanOut{RetryLater: 50}) {
			require.NoError(t, result.Err)
			require.Equal(t, 200, result.Response.StatusCode)
			require.NoError(t, result.Response.Stream.Close())
		}
		require.Positive(t, refused.Load())
		wantNothingHeld(t, eng)
	})
}

func TestALoopThatIsLeftDoesNotWaitForWhatWouldGoAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/4" {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			time.Sleep(10 * time.Millisecond)
		}).newEngine(t, engine.Config{Feedback: unmoved})
		start := time.Now()
		for _, result := range eng.Stream(t.Context(), asking(5, plain, nil), engine.FanOut{RetryLater: 5}) {
			require.EqualValues(t, 4, result.Index)
			time.Sleep(time.Second) // the others wait to go again by now
			break
		}
		require.Less(t, time.Since(start), 2*time.Second)
		wantNothingHeld(t, eng)
	})
}

func TestARefusalWithABodyOfAStreamGoesAgainWithinItsTime(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for _, crowd := range []int{1, 400} { // more than 256 that wait are submitted
			var mu sync.Mutex
			seen := map[string]int{}
			_, eng := open(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if seen[r.URL.Path]++; seen[r.URL.Path] == 1 {
					w.WriteHeader(http.StatusTooManyRequests)
					fmt.Fprint(w, "busy")
				}
			}, engine.Config{Feedback: unmoved, Limits: []throttle.Limit{{ID: "l", Quota: 50, Per: time.Second}}, DefaultLimitID: "l"})
			input := slices.Values(pathsOf(crowd, engine.Request{Stream: true}))
			for _, result := range eng.Stream(t.Context(), input, engine.FanOut{Each: time.Minute, RetryLater: 3}) {
				require.NoError(t, result.Err)
				require.Equal(t, 200, result.Response.StatusCode)
				require.Equal(t, 2, result.Tries)
				require.NoError(t, result.Response.Stream.Close())
			}
		}
	})
}

func TestTheEndOfTheEngineEndsWhatWaitsToGoAgain(t *testing.T) {
	for name, end := range map[string]func(*engine.Engine) error{
		"close":    (*engine.Engine).Close,
		"shutdown": func(eng *engine.Engine) error { return eng.Shutdown(context.Background()) },
	} {
		for _, inOrder := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				var seen atomic.Int64
				eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/2" { // it is on its way when the engine ends
						time.Sleep(2 * time.Second)
					}
					seen.Add(1)
					w.Header().Set("Retry-After", "3600")
					w.WriteHeader(http.StatusServiceUnavailable)
				}).newEngine(t, engine.Config{Feedback: unmoved})
				began := time.Now()
				time.AfterFunc(time.Second, func() { require.NoError(t, end(eng)) })
				results := 0
				for _, result := range eng.Stream(t.Context(), asking(3, plain, nil), engine.FanOut{RetryLater: 3, InOrder: inOrder}) {
					results++
					require.LessOrEqual(t, time.Since(began), 2*time.Second, name)
					require.Equal(t, 1, result.Tries)
					if result.Index < 2 {
						require.ErrorIs(t, result.Err, engine.ErrClosed, name)
						require.Equal(t, engine.Unknown, engine.OutcomeOf(result.Err), "a 503 may have been carried out")
					} else if name == "shutdown" {
						require.Equal(t, 503, result.Response.StatusCode, "it was on its journey, and does not go again")
					}
				}
				require.Equal(t, 3, results)
			})
		}
	}
}
