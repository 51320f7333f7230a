package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
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

// wantHalted asserts the error of a request that was refused, and of which nothing left.
func wantHalted(t require.TestingT, err error, halt *engine.Halt) {
	require.ErrorIs(t, err, engine.ErrHalted)
	var why *engine.HaltError
	require.ErrorAs(t, err, &why)
	require.Equal(t, halt.ID(), why.ID)
	require.Equal(t, engine.NotSent, engine.OutcomeOf(err), "%v", err)
}

// begin sends a request and returns where its error comes.
func begin(eng *engine.Engine, req engine.Request) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := eng.Do(context.Background(), &req)
		done <- err
	}()
	synctest.Wait()
	return done
}

func TestAHaltRefusesWhatItSelectsWhereverItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var once sync.Once
		free := func() { once.Do(func() { close(release) }) }
		t.Cleanup(free)
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/slow") {
				<-release
			}
			if r.URL.Path == "/again" {
				w.WriteHeader(http.StatusInternalServerError)
			}
		})
		eng := s.newEngine(t, engine.Config{
			Limits:      []throttle.Limit{{ID: "full", Quota: 1, Per: time.Hour}, {ID: "free", Quota: 1000, Per: time.Hour}},
			Connections: engine.Connections{Max: 3},
			Admission:   engine.Admission{MaxInFlight: 6, MaxWaiting: 5},
			Retry:       engine.Retry{Max: 3, Base: time.Hour, Cap: time.Hour, Statuses: []int{500}},
		})
		pausing := begin(eng, engine.Request{Path: "/again", LimitID: "free"})
		require.NoError(t, <-begin(eng, engine.Request{Path: "/", LimitID: "full"}))
		onTheWire := []<-chan error{
			begin(eng, engine.Request{Path: "/slow/1", LimitID: "free"}), begin(eng, engine.Request{Path: "/slow/2", LimitID: "free"}),
			begin(eng, engine.Request{Path: "/slow/3", LimitID: "free"}),
		}
		waiting := map[string]<-chan error{
			"pausing between two attempts": pausing,
			"queued for a permit":          begin(eng, engine.Request{Path: "/", LimitID: "full"}),
			"waiting for a connection":     begin(eng, engine.Request{Path: "/", LimitID: "free"}),
			"waiting for admission":        begin(eng, engine.Request{Path: "/", LimitID: "free"}),
		}
		require.Equal(t, 6, eng.Stats().InFlight)
		require.Equal(t, 1, eng.Stats().Waiting)

		halt, err := eng.Halt(engine.Filter{Reason: "drill"})
		require.NoError(t, err)
		for where, done := range waiting {
			err := <-done
			require.ErrorIs(t, err, engine.ErrHalted, where)
			if done != pausing {
				wantHalted(t, err, halt)
			}
		}
		wantHalted(t, <-begin(eng, engine.Request{Path: "/", LimitID: "free"}), halt)
		require.ErrorContains(t, <-begin(eng, engine.Request{Path: "/", LimitID: "free"}), "(everything): drill")
		require.EqualValues(t, 6, halt.Refused())

		free()
		for _, done := range onTheWire {
			require.NoError(t, <-done, "what was on the wire goes on")
		}
		require.True(t, halt.Lift())
		require.False(t, halt.Lift())
		require.NoError(t, <-begin(eng, engine.Request{Path: "/", LimitID: "free"}))
		wantNothingHeld(t, eng)
	})
}

func TestCancelsPassAHaltThatIsBelowThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "orders", Quota: 1, Per: 10 * time.Second}}, DefaultLimitID: "orders"})
		require.NoError(t, <-begin(eng, engine.Request{Path: "/first"}))
		order := begin(eng, engine.Request{Method: "POST", Path: "/order"})
		cancel := begin(eng, engine.Request{Method: "DELETE", Path: "/cancel", Priority: engine.Urgent})
		halt, err := eng.Halt(engine.Filter{PriorityBelow: engine.Urgent})
		require.NoError(t, err)
		wantHalted(t, <-order, halt)
		require.NoError(t, <-cancel, "queued before")
		require.NoError(t, <-begin(eng, engine.Request{Method: "DELETE", Path: "/cancel", Priority: engine.Urgent}))
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Equal(t, []string{"/first", "/cancel", "/cancel"}, s.paths)
	})
}

func TestEachHaltIsLiftedByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{})
		orders, err := eng.Halt(engine.Filter{Method: "POST"})
		require.NoError(t, err)
		again, err := eng.Halt(engine.Filter{Method: "POST"})
		require.NoError(t, err)
		require.NotEqual(t, orders.ID(), again.ID())
		require.NoError(t, <-begin(eng, engine.Request{Path: "/"}), "a GET is not selected")
		wantHalted(t, <-begin(eng, engine.Request{Method: "POST", Path: "/"}), orders)
		require.True(t, orders.Lift())
		wantHalted(t, <-begin(eng, engine.Request{Method: "POST", Path: "/"}), again)
		require.True(t, eng.Lift(again.ID()))
		require.NoError(t, <-begin(eng, engine.Request{Method: "POST", Path: "/"}))
	})
}

func TestAFilterSelectsByEverythingThatARequestSays(t *testing.T) {
	req := engine.Request{
		Method: "POST", Path: "/orders/7?x=1", LimitID: "orders", Key: "BTC", Account: "a", Egress: "e", Priority: engine.High,
	}
	for filter, selected := range map[engine.Filter]bool{
		{}: true, {Account: "a"}: true, {Account: "b"}: false, {Account: throttle.DefaultAccount}: false,
		{Egress: "e"}: true, {Egress: "f"}: false, {Key: "BTC"}: true, {Key: "ETH"}: false,
		{LimitID: "orders"}: true, {LimitID: "other"}: false,
		{PriorityBelow: engine.Urgent}: true, {PriorityBelow: engine.High}: false,
		{Method: "POST"}: true, {Method: "GET"}: false,
		{PathPrefix: "/api/orders"}: true, {PathPrefix: "/orders"}: true, {PathPrefix: "/"}: true, {PathPrefix: "/api/orders/8"}: false,
		{PathPrefix: "/orders/8"}: false, {PathPrefix: "/pi"}: false,
		{Account: "a", Method: "POST"}: true, {Account: "a", Method: "GET"}: false,
	} {
		t.Run(filter.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{
					Accounts: map[string]auth.Authenticator{"a": auth.APIKey{Header: "X-Key", Key: "k"}, "b": nil},
					Egress:   map[string]engine.Egress{"e": {DialContext: s.dial}, "f": {}},
					BaseURL:  "http://server.test/api", Limits: []throttle.Limit{{ID: "orders", Quota: 1, Per: time.Minute}, {ID: "other", Quota: 1, Per: time.Minute}},
				})
				one := req
				require.NoError(t, <-begin(eng, engine.Request{Path: "/", LimitID: "orders"}))
				queued := begin(eng, one)
				halt, err := eng.Halt(filter)
				require.NoError(t, err)
				if selected {
					wantHalted(t, <-queued, halt)
					wantHalted(t, <-begin(eng, one), halt)
					return
				}
				require.NoError(t, <-queued, "it was put back, and left when there was room")
			})
		})
	}
}

// What leaves after Halt has returned has begun to before.
func TestNothingLeavesOnceHaltHasReturned(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			var halted atomic.Bool
			var late atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/order" && halted.Load() {
					late.Add(1)
				}
				io.WriteString(w, r.Proto)
			}))
			server.EnableHTTP2 = true
			server.StartTLS()
			defer server.Close()
			config := engine.Config{BaseURL: server.URL, Connections: engine.Connections{Max: 16}}
			config.Dial.TLS = server.Client().Transport.(*http.Transport).TLSClientConfig
			if proto == "HTTP/2.0" {
				config.Connections.HTTP2 = func(string) bool { return true }
			}
			eng := newEngine(t, config)
			defer eng.Close()

			stop := make(chan struct{})
			var all sync.WaitGroup
			var refused, cancels, doubtful atomic.Int64
			orders := make([]atomic.Int64, 20) // answered, one way or the other, to each of those who ask in a loop
			ask := func(req engine.Request, answered *atomic.Int64) {
				for {
					select {
					case <-stop:
						return
					default:
					}
					switch resp, err := eng.Do(context.Background(), &req); {
					case err == nil && resp.Text() == proto:
					case errors.Is(err, engine.ErrHalted) && engine.OutcomeOf(err) == engine.NotSent && req.Path == "/order":
						refused.Add(1)
						runtime.Gosched()
					case errors.Is(err, engine.ErrHalted) && req.Path == "/order":
						doubtful.Add(1) // its goroutine did not run for a tenth of a second, and so it was aborted
					default:
						t.Errorf("%s: %v", req.Path, err)
						return
					}
					answered.Add(1)
				}
			}
			for i := range orders {
				all.Go(func() { ask(engine.Request{Method: "POST", Path: "/order"}, &orders[i]) })
			}
			for range 4 {
				all.Go(func() { ask(engine.Request{Method: "DELETE", Path: "/cancel", Priority: engine.Urgent}, &cancels) })
			}
			more := func(n *atomic.Int64, by int64) {
				for from := n.Load(); n.Load() < from+by && !t.Failed(); {
					time.Sleep(50 * time.Microsecond)
				}
			}
			for range 10 {
				more(&orders[0], 3)
				halt, err := eng.Halt(engine.Filter{PriorityBelow: engine.Urgent})
				require.NoError(t, err)
				// Whatever was on the wire is answered once each of them has had an answer.
				for i := range orders {
					more(&orders[i], 1)
				}
				halted.Store(true)
				more(&cancels, 20)
				halted.Store(false)
				require.True(t, halt.Lift())
			}
			close(stop)
			all.Wait()
			require.Zero(t, late.Load())
			require.Positive(t, refused.Load())
			require.LessOrEqual(t, doubtful.Load(), int64(3), "even on a machine that has too much to do")
			wantNothingHeld(t, eng)
		})
	}
}

func TestAHaltOfAnEngineThatHasEndedIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{})
		require.NoError(t, eng.Close())
		_, err := eng.Halt(engine.Filter{})
		require.ErrorIs(t, err, engine.ErrClosed)
		var none *engine.Engine
		_, err = none.Halt(engine.Filter{})
		require.ErrorIs(t, err, engine.ErrNoEngine)
		require.False(t, none.Lift(1))
	})
}

func TestTheErrorOfAHaltHasNeitherAccountNorKey(t *testing.T) {
	err := &engine.HaltError{Filter: engine.Filter{Account: "desk-7", Key: "k-9", LimitID: "orders", Reason: "two\nlines"}}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", *err), fmt.Sprintf("%q", err)} {
		require.NotContains(t, text, "desk-7")
		require.NotContains(t, text, "k-9")
		require.Contains(t, text, "one account, one key, limit")
		require.NotContains(t, text, "\n")
	}
}

func TestStatsTellWhatIsHaltedAndPausedAndByWhom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, refusing(429, "60", 0))
		eng := s.newEngine(t, engine.Config{Accounts: map[string]auth.Authenticator{"a": auth.APIKey{Header: "X-Key", Key: "k"}}, Limits: []throttle.Limit{
			{ID: "answers", Quota: 10, Per: time.Minute, Scope: "answers"}, {ID: "hands", Quota: 10, Per: time.Minute, Scope: "hands"},
		}})
		require.Empty(t, eng.Stats().Halts)
		require.NoError(t, <-begin(eng, engine.Request{Path: "/", LimitID: "answers"}), "it is refused by its status")
		require.NoError(t, <-begin(eng, engine.Request{Path: "/", LimitID: "hands"}))
		paused := time.Now()
		require.NoError(t, eng.Pause(throttle.Scope{Name: "hands"}, 10*time.Second))
		time.Sleep(2 * time.Second)
		require.NoError(t, eng.Pause(throttle.Scope{Name: "hands"}, 20*time.Second))
		halt, err := eng.Halt(engine.Filter{Account: "a", Method: "POST", Reason: "drill"})
		require.NoError(t, err)
		wantHalted(t, <-begin(eng, engine.Request{Method: "POST", Account: "a", Path: "/", LimitID: "hands"}), halt)

		stats := eng.Stats()
		require.Equal(t, []engine.HaltStats{{
			ID: halt.ID(), Filter: engine.Filter{Account: "a", Method: "POST", Reason: "drill"}, Selects: `account "a", method "POST"`,
			Reason: "drill", Since: stats.Halts[0].Since, Refused: 1,
		}}, stats.Halts)
		require.WithinDuration(t, time.Now(), stats.Halts[0].Since, 0)
		scopes := map[string]engine.ScopeStats{}
		for _, scope := range stats.Limits.Scopes {
			scopes[scope.Name] = scope
		}
		require.True(t, scopes["hands"].PausedByHand)
		require.WithinDuration(t, paused, scopes["hands"].PausedSince, time.Millisecond)
		require.WithinDuration(t, time.Now().Add(20*time.Second), scopes["hands"].PausedUntil, time.Millisecond)
		require.False(t, scopes["answers"].PausedByHand)
		require.WithinDuration(t, paused, scopes["answers"].PausedSince, time.Millisecond)
		text, err := json.Marshal(stats)
		require.NoError(t, err)
		require.Contains(t, string(text), `"selects":"account \"a\", method \"POST\""`)
		require.Contains(t, string(text), `"paused_by_hand":true`)

		require.NoError(t, eng.Resume(throttle.Scope{Name: "hands"}))
		halt.Lift()
		require.Empty(t, eng.Stats().Halts)
		require.NoError(t, <-begin(eng, engine.Request{Method: "POST", Account: "a", Path: "/", LimitID: "hands"}))
	})
}

// Whoever halts in haste writes the path as the requests have it.
func TestAPathIsHaltedAsTheRequestsNameIt(t *testing.T) {
	for _, base := range []string{"/base", "/base/"} {
		for prefix, selected := range map[string]bool{"/api": true, "/base/api": true, "/base": true, "/": true, "/ba": true, "/other": false, "/ap/": false, "api": false} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{BaseURL: "http://server.test" + base})
				halt, err := eng.Halt(engine.Filter{PathPrefix: prefix})
				if prefix == "api" {
					require.ErrorIs(t, err, engine.ErrInvalidRequest)
					return
				}
				require.NoError(t, err)
				for _, asked := range []engine.Request{{Path: "/api/orders?a=1"}, {Path: "api"}, {URL: "http://server.test/base/api"}} {
					explained, err := eng.Explain(&asked)
					require.NoError(t, err)
					require.Len(t, explained.Halts, map[bool]int{true: 1}[selected], "%s under %s", prefix, base)
					if selected {
						wantHalted(t, <-begin(eng, asked), halt)
						continue
					}
					require.NoError(t, <-begin(eng, asked))
				}
				for _, outside := range []string{"http://server.test/basement/api", "http://server.test/bas"} {
					explained, err := eng.Explain(&engine.Request{URL: outside})
					require.NoError(t, err)
					require.Equal(t, prefix == "/" || prefix == "/ba" || prefix == "/base" && outside != "http://server.test/bas", len(explained.Halts) > 0, "%s: %s", prefix, outside)
				}
			})
		}
	}
}

func TestAFilterThatCanSelectNothingIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "a", Quota: 1, Per: time.Second}}, Accounts: map[string]auth.Authenticator{"main": nil},
		})
		_, err := eng.Halt(engine.Filter{Account: "makr", Egress: "eth9", LimitID: "ordres", Method: "delete", PathPrefix: "api"})
		for _, want := range []error{engine.ErrInvalidRequest, engine.ErrUnknownAccount, engine.ErrUnknownEgress, engine.ErrUnknownLimit} {
			require.ErrorIs(t, err, want)
		}
		require.ErrorContains(t, err, `Method "delete" is not in upper case`)
		require.ErrorContains(t, err, `PathPrefix "api" does not begin with a slash`)
		for _, query := range []string{"/api?a=1", "/api#a"} {
			_, err = eng.Halt(engine.Filter{PathPrefix: query})
			require.ErrorIs(t, err, engine.ErrInvalidRequest)
			require.ErrorContains(t, err, "PathPrefix has a query or a fragment")
		}
		require.Empty(t, eng.Stats().Halts, "nothing is halted")
		for _, right := range []engine.Filter{
			{}, {Account: "main"}, {Account: throttle.DefaultAccount}, {Egress: throttle.DefaultEgress}, {LimitID: "a"}, {LimitID: engine.Unlimited},
			{Method: "DELETE", PathPrefix: "/api"},
		} {
			halt, err := eng.Halt(right)
			require.NoError(t, err, right)
			require.True(t, halt.Lift())
		}
		require.NoError(t, eng.ReplaceLimits([]throttle.Limit{{ID: "b", Quota: 1, Per: time.Second}}))
		_, err = eng.Halt(engine.Filter{LimitID: "a"})
		require.ErrorIs(t, err, engine.ErrUnknownLimit)
	})
}
