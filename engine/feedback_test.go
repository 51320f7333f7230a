package engine_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestARefusalPausesTheWholeScopeQueuedRequestsIncluded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if first {
				first = false
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 1}, Limits: []throttle.Limit{
			{ID: "a", Quota: 100, Per: time.Second, Scope: "address"},
			{ID: "b", Quota: 100, Per: time.Second, Scope: "address"},
			{ID: "c", Quota: 100, Per: time.Second, Scope: "another"},
		}})
		resp, err := eng.Do(t.Context(), &engine.Request{Path: "/a", LimitID: "a"})
		require.NoError(t, err)
		require.Equal(t, 429, resp.StatusCode, "a status is a response")

		var all sync.WaitGroup
		for _, id := range []string{"a", "b", "c"} {
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/" + id, LimitID: id})
				require.NoError(t, err)
			})
		}
		all.Wait()

		require.Equal(t, []time.Duration{0, 0, 30 * time.Second, 30 * time.Second}, s.seen())
		require.Equal(t, "/c", s.paths[1], "another scope goes on")
	})
}

func TestUsageInHeadersFillsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Mbx-Used-Weight-1m", "10") })
		var log bytes.Buffer
		eng := s.newEngine(t, engine.Config{
			Limits:   []throttle.Limit{{ID: "weight", Quota: 10, Per: time.Minute}},
			Feedback: feedback.Binance("weight", "unknown", ""),
			Logger:   slog.New(slog.NewTextHandler(&log, nil)),
		})
		for range 2 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "weight"})
			require.NoError(t, err)
		}
		require.GreaterOrEqual(t, s.seen()[1], time.Minute, "others have spent the rest")
	})
}

// The server counts a request when it arrives, says then what time it is, what remains and when its
// window ends, and answers a second later: the last requests of a window in the next one.
func TestANumberOfTheWindowBeforeHoldsNobodyUpInTheNext(t *testing.T) {
	const quota, per = 50, 10 * time.Second
	stamp := func(a feedback.Answer) feedback.Feedback {
		at, _ := time.Parse(time.RFC3339Nano, a.Header.Get("X-Time"))
		return feedback.Feedback{ServerTime: at, Resolution: time.Millisecond}
	}
	left := func(form feedback.ResetForm) feedback.Reader {
		return feedback.HeaderUsage{Limit: "w", Remaining: "X-Left", Reset: "X-Reset", Form: form}.Read
	}
	for name, read := range map[string]feedback.Reader{
		"the draft's fields": feedback.RateLimitFields(map[string]string{"w": "w"}),
		"an instant":         left(feedback.UnixSeconds),
		"a count down":       left(feedback.DeltaSeconds),
	} {
		synctest.Test(t, func(t *testing.T) {
			counts := map[int64]int{}
			var mu sync.Mutex
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				now := time.Now()
				if r.URL.Path == "/time" {
					fmt.Fprintf(w, `{"serverTime":%d}`, now.UnixMilli())
					return
				}
				window := now.UnixNano() / int64(per)
				mu.Lock()
				counts[window]++
				remains := quota - counts[window]
				mu.Unlock()
				end := time.Unix(0, (window+1)*int64(per))
				reset := fmt.Sprint(int(end.Sub(now).Seconds()))
				w.Header().Set("X-Time", now.UTC().Format(time.RFC3339Nano))
				w.Header().Set("RateLimit", fmt.Sprintf(`"w";r=%d;t=%s`, remains, reset))
				if name == "an instant" {
					reset = fmt.Sprint(end.Unix())
				}
				w.Header().Set("X-Left", fmt.Sprint(remains))
				w.Header().Set("X-Reset", reset)
				time.Sleep(time.Second)
			})
			eng := s.newEngine(t, engine.Config{
				Connections:    engine.Connections{Max: quota},
				Limits:         []throttle.Limit{{ID: "w", Window: throttle.Fixed, Quota: quota, Per: per}},
				DefaultLimitID: "w", Feedback: feedback.Join(stamp, read),
				Time: engine.TimeFrom("/time", "serverTime").ChargedTo(engine.Unlimited),
			})
			require.NoError(t, eng.AwaitTime(t.Context()))
			begin := time.Now().Truncate(per).Add(per)
			for _, at := range []time.Duration{per - 800*time.Millisecond, per + 1500*time.Millisecond} { // late in a window, early in the next
				time.Sleep(time.Until(begin.Add(at)))
				var all sync.WaitGroup
				for range quota {
					all.Go(func() {
						_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
						require.NoError(t, err)
					})
				}
				all.Wait()
				require.Less(t, time.Since(begin.Add(at)), 1100*time.Millisecond, "nobody waits for more than the answer: %s", name)
			}
		})
	}
}

func TestARefusedTimestampIsRepeatedOnceWithANewLookAtTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Duration(0) // of the server's clock
		orders, lookUps := 0, 0
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			now := time.Now().Add(ahead)
			if r.URL.Path == "/time" {
				lookUps++
				fmt.Fprintf(w, `{"serverTime":%d}`, now.UnixMilli())
				return
			}
			orders++
			at, ok := signedBy(r.URL.RawQuery)
			require.True(t, ok)
			if now.Sub(at).Abs() > 2*time.Second {
				w.WriteHeader(http.StatusBadRequest)
				io.WriteString(w, `{"code":-1021}`)
				return
			}
			io.WriteString(w, `{}`)
		})
		eng := s.newEngine(t, engine.Config{
			Auth:     auth.HMACQuery{Key: "key", Secret: secret},
			Time:     engine.TimeFrom("/time", "serverTime"),
			Feedback: feedback.Binance("", "", ""),
		})
		order := &engine.Request{Method: http.MethodPost, Path: "/order", Auth: true}
		_, err := eng.Do(t.Context(), order)
		require.NoError(t, err)

		ahead = time.Hour // the exchange's clock steps
		resp, err := eng.Do(t.Context(), order)

		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, 2, resp.Attempts)
		require.Equal(t, 3, orders)
		wantNothingHeld(t, eng)
	})
}
