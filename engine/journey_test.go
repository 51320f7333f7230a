package engine_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// aged is how long a permit of a sliding limit is held after its answer: the
// period on a server's clock that is slower by up to 200 ppm.
func aged(per time.Duration) time.Duration {
	return time.Duration(math.Ceil(float64(per) / (1 - 200e-6)))
}

func TestAThrottledSequenceLeavesAtExactInstants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 2, Per: 10 * time.Second}}})

		for range 5 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
			require.NoError(t, err)
		}

		turn := aged(10 * time.Second)
		require.Equal(t, []time.Duration{0, 0, turn, turn, 2 * turn}, s.seen())
		wantNothingHeld(t, eng)
	})
}

func TestAPermitIsHeldUntilItsAnswerHasAged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { time.Sleep(3 * time.Second) })
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: 10 * time.Second}}})

		for range 3 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
			require.NoError(t, err)
		}

		turn := 3*time.Second + aged(10*time.Second)
		require.Equal(t, []time.Duration{0, turn, 2 * turn}, s.seen())
	})
}

func TestLinkedLimitsAreChargedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{
			{ID: "weight", Quota: 10, Per: time.Minute},
			{ID: "orders", Quota: 2, Per: time.Second},
			{ID: "order", Linked: []throttle.Link{{ID: "weight", Weight: 3}, {ID: "orders", Weight: 1}}},
		}})

		for range 4 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "order"})
			require.NoError(t, err)
		}

		require.Equal(t, []time.Duration{0, 0, aged(time.Second), aged(time.Minute)}, s.seen())
	})
}

func TestTheMoreUrgentRequestLeavesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Second}}})
		send := func(path string, p engine.Priority) {
			_, err := eng.Do(t.Context(), &engine.Request{Path: path, LimitID: "calls", Priority: p})
			require.NoError(t, err)
		}
		send("/first", engine.Normal)

		var all sync.WaitGroup
		for _, path := range []string{"/bulk-1", "/bulk-2"} {
			all.Go(func() { send(path, engine.Background) })
			synctest.Wait()
		}
		all.Go(func() { send("/cancel", engine.Urgent) })
		all.Wait()

		require.Equal(t, []string{"/first", "/cancel", "/bulk-1", "/bulk-2"}, s.paths)
	})
}

const secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

// signedBy reports whether the query ends in its own HMAC, and its timestamp.
func signedBy(query string) (at time.Time, ok bool) {
	payload, signature, _ := strings.Cut(query, "&signature=")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(payload))
	values, _ := url.ParseQuery(payload)
	var ms int64
	fmt.Sscan(values.Get("timestamp"), &ms)
	return time.UnixMilli(ms), hex.EncodeToString(mac.Sum(nil)) == signature
}

// exchangeClock answers /time with a clock that is ahead, after a delay.
func exchangeClock(ahead, delay time.Duration, look func(r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/time" {
			fmt.Fprintf(w, `{"serverTime":%d}`, time.Now().Add(ahead).UnixMilli())
			time.Sleep(delay)
			return
		}
		look(r)
		io.WriteString(w, "{}")
	}
}

func TestSigningHappensAfterTheWaitWithTheServersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stamps []time.Duration
		s := newServer(t, exchangeClock(time.Hour, 0, func(r *http.Request) {
			at, ok := signedBy(r.URL.RawQuery)
			require.True(t, ok, "signature of %s", r.URL.RawQuery)
			stamps = append(stamps, time.Now().Add(time.Hour).Sub(at))
		}))
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Minute}},
			Auth:   auth.HMACQuery{Key: "key", Secret: secret},
			Time:   engine.TimeFrom("/time", "serverTime").ChargedTo(engine.Unlimited),
		})

		for range 2 {
			resp, err := eng.Do(t.Context(), &engine.Request{Path: "/", Query: engine.Values{"a": "ü b"}, LimitID: "calls", Auth: true})
			require.NoError(t, err)
			require.NotContains(t, resp.URL, "signature")
		}

		require.Len(t, stamps, 2)
		for _, late := range stamps {
			require.Less(t, late.Abs(), 100*time.Millisecond, "the timestamp is made when the request leaves")
		}
	})
}

func TestConcurrentFirstRequestsShareOneLookAtTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, exchangeClock(0, time.Second, func(*http.Request) {}))
		eng := s.newEngine(t, engine.Config{
			Auth: auth.HMACQuery{Key: "key", Secret: secret},
			Time: engine.TimeFrom("/time", "serverTime"),
		})

		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", Auth: true})
				require.NoError(t, err)
			})
		}
		all.Wait()

		lookUps := 0
		for _, path := range s.paths {
			if path == "/time" {
				lookUps++
			}
		}
		require.Equal(t, 1, lookUps)
	})
}

func TestTheClockIsRefreshedInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, exchangeClock(0, 0, func(*http.Request) {}))
		eng := s.newEngine(t, engine.Config{
			Auth: auth.HMACQuery{Key: "key", Secret: secret},
			Time: engine.TimeFrom("/time", "serverTime"),
		})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
		require.NoError(t, err)
		time.Sleep(10 * time.Minute)

		require.Less(t, eng.Clock().Bound(), 50*time.Millisecond, "the bound would have grown without new samples")
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
		require.NoError(t, err)
	})
}

func TestProcessorsRunInOrderOnACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got string
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { got = r.Header.Get("Trace") + r.URL.RawQuery })
		pre := func(name string) engine.PreProcessor {
			return engine.PreProcessorFunc(func(_ context.Context, req *engine.Request) error {
				req.Header.Set("Trace", req.Header.Get("Trace")+name)
				req.Query["n"] = name
				return nil
			})
		}
		var order []string
		post := func(name string) engine.PostProcessor {
			return engine.PostProcessorFunc(func(_ context.Context, req *engine.Request, resp *engine.Response) error {
				order = append(order, name)
				require.Equal(t, 200, resp.StatusCode)
				return nil
			})
		}
		eng := s.newEngine(t, engine.Config{
			PreProcessors:  []engine.PreProcessor{pre("a"), pre("b")},
			PostProcessors: []engine.PostProcessor{post("y"), post("z")},
		})

		req := &engine.Request{Path: "/", Header: http.Header{"Trace": {"0"}}, Query: engine.Values{"n": "0"}}
		_, err := eng.Do(t.Context(), req)

		require.NoError(t, err)
		require.Equal(t, "0abn=b", got)
		require.Equal(t, []string{"y", "z"}, order)
		require.Equal(t, "0", req.Header.Get("Trace"), "the caller's request")
		require.Equal(t, "0", req.Query["n"])
	})
}

func TestTheSameRequestIsSentFromManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 7}, Limits: []throttle.Limit{{ID: "calls", Quota: 40, Per: time.Second}}})
		req := &engine.Request{Path: "/", Query: engine.Values{"a": 1}, LimitID: "calls"}

		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				_, err := eng.Do(t.Context(), req)
				require.NoError(t, err)
			})
		}
		all.Wait()

		require.Len(t, s.seen(), 200)
		wantNeverOver(t, s.seen(), 40, time.Second)
		wantNothingHeld(t, eng)
	})
}

// wantNeverOver counts arrivals in every half-open span that starts with one.
func wantNeverOver(t *testing.T, arrivals []time.Duration, quota int, per time.Duration) {
	t.Helper()
	for i := range arrivals {
		n := 0
		for _, a := range arrivals[i:] {
			if a < arrivals[i]+per {
				n++
			}
		}
		require.LessOrEqual(t, n, quota, "from %s", arrivals[i])
	}
}

func TestShutdownLetsQueuedRequestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Second}}})

		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
				require.NoError(t, err)
			})
		}
		synctest.Wait()
		require.NoError(t, eng.Shutdown(t.Context()))
		all.Wait()

		require.Len(t, s.seen(), 4)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
		require.ErrorIs(t, err, engine.ErrClosed)
		require.NoError(t, eng.Shutdown(t.Context()), "again")
	})
}

func TestShutdownCutsShortWhatItsContextDoesNotWaitFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Hour):
			}
		})
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 2, Per: time.Hour}}})
		errs := make(chan error, 5)
		for range 5 {
			go func() {
				_, err := eng.Do(context.Background(), &engine.Request{Path: "/", LimitID: "calls"})
				errs <- err
			}()
		}
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, eng.Shutdown(ctx), context.DeadlineExceeded)

		stages := map[engine.Stage]int{}
		for range 5 {
			var e *engine.Error
			require.True(t, errors.As(<-errs, &e))
			require.ErrorIs(t, e, engine.ErrClosed)
			stages[e.Stage]++
		}
		require.Equal(t, map[engine.Stage]int{engine.Exchanging: 2, engine.Throttled: 3}, stages)
	})
}

func TestAFailedDialIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		dials := 0
		eng := s.newEngine(t, engine.Config{Dial: engine.Dial{DialContext: failFirst(s, &dials)}})

		resp, err := eng.Do(t.Context(), &engine.Request{Method: http.MethodPost, Path: "/"})

		require.NoError(t, err)
		require.Equal(t, 1, resp.Attempts)
		require.Equal(t, 2, dials)
	})
}

func TestCookiesAreKeptAndSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			got = append(got, r.Header.Get("Cookie"))
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "2"})
		})
		eng := s.newEngine(t, engine.Config{})
		require.NoError(t, eng.UpdateCookies("http://server.test/", &http.Cookie{Name: "session", Value: "1"}))

		for range 2 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
			require.NoError(t, err)
		}
		require.Equal(t, []string{"session=1", "session=2"}, got)
	})
}

func TestLimitsAreReplacedAtRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Hour}}})
		send := func() error {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "calls"})
			return err
		}
		require.NoError(t, send())
		waited := make(chan error)
		go func() { waited <- send() }()
		synctest.Wait()

		require.Error(t, eng.ReplaceLimits([]throttle.Limit{{ID: "calls"}, {ID: ""}}))
		require.NoError(t, eng.ReplaceLimits([]throttle.Limit{{ID: "calls", Quota: 2, Per: time.Minute}}))

		require.NoError(t, <-waited)
		require.Equal(t, []time.Duration{0, 0}, s.seen())
	})
}
