package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/internal/loan"
	"github.com/sluice-engine/sluice/throttle"
)

// slow answers after a second, with the number of the request.
func slow(body string) http.HandlerFunc {
	var n atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		i := n.Add(1)
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		}
		fmt.Fprintf(w, "%d%s", i, body)
	}
}

// ending is what a caller is told.
type ending struct {
	response *engine.Response
	err      error
	after    time.Duration
}

// asks sends a request on a goroutine of its own.
func asks(ctx context.Context, eng *engine.Engine, req *engine.Request) <-chan ending {
	c, began := make(chan ending, 1), time.Now()
	go func() {
		response, err := eng.Do(ctx, req)
		c <- ending{response, err, time.Since(began)}
	}()
	return c
}

func TestEqualRequestsOnTheirJourneyShareOneAnswer(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		loan.PoisonEnded(true)
		defer loan.PoisonEnded(false)
		text := strings.Repeat("x", 40_000)
		s, eng := open(slow(text), engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 10, Per: time.Hour}}, DefaultLimitID: "l"})
		for round := range 3 {
			var callers sync.WaitGroup
			for i := range 30 {
				callers.Go(func() {
					response, err := eng.Do(t.Context(), &engine.Request{Path: "/a", Query: engine.Values{"list": []int{1, 2}}, Coalesce: true})
					require.NoError(t, err)
					require.Equal(t, fmt.Sprint(round+1)+text, response.Text(), "what others do with theirs changes nothing here")
					if i%2 == 0 {
						response.Release()
					} else {
						clear(response.Body)
					}
				})
			}
			synctest.Wait()
			stats := eng.Stats()
			require.Equal(t, engine.CoalesceStats{InFlight: 1, Waiting: 30, Joined: int64(29 * (round + 1))}, stats.Coalesced)
			require.EqualValues(t, round+1, stats.Limits.Limits[0].Used, "one permit")
			callers.Wait()
		}
		require.Len(t, s.seen(), 3, "an answer that has come is nobody else's")
		require.Zero(t, eng.Stats().Coalesced.InFlight)
		wantNothingHeld(t, eng)
	})
}

func TestOnlyEqualRequestsShareAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slow(""))
		account := auth.Binance("key", "secret")
		eng := s.newEngine(t, engine.Config{
			Auth: auth.Binance("main", "secret"), Accounts: map[string]auth.Authenticator{"b": account},
			Egress:         map[string]engine.Egress{"way": {DialContext: s.dial}},
			Limits:         []throttle.Limit{{ID: "l", Quota: 1000, Per: time.Hour}, {ID: "m", Quota: 1000, Per: time.Hour}},
			DefaultLimitID: "l", Connections: engine.Connections{Max: 100},
		})
		base := engine.Request{Path: "/a", Query: engine.Values{"a": 1}, Coalesce: true}
		changes := map[string]func(*engine.Request){
			"method": func(r *engine.Request) { r.Method = http.MethodHead },
			"url":    func(r *engine.Request) { r.URL, r.Path = "http://server.test/b", "" },
			"path":   func(r *engine.Request) { r.Path = "/b" }, "query": func(r *engine.Request) { r.Query = engine.Values{"a": 2} },
			"header":   func(r *engine.Request) { r.Header = http.Header{"Authorization": {"other"}} },
			"header 2": func(r *engine.Request) { r.Header = http.Header{"Authorization": {"another"}} },
			"lines":    func(r *engine.Request) { r.Header = http.Header{"Authorization": {"other", "another"}} },
			"auth":     func(r *engine.Request) { r.Auth = true }, "key only": func(r *engine.Request) { r.KeyOnly = true },
			"account": func(r *engine.Request) { r.Account = "b" }, "egress": func(r *engine.Request) { r.Egress = "way" },
			"limit": func(r *engine.Request) { r.LimitID = "m" }, "weight": func(r *engine.Request) { r.Weight = 2 },
			"weights": func(r *engine.Request) { r.Weights = map[string]int64{"l": 3} },
			"key":     func(r *engine.Request) { r.Key = "k" }, "close": func(r *engine.Request) { r.Close = true },
			"accept": func(r *engine.Request) { r.Accept = "text/plain" }, "redirects": func(r *engine.Request) { r.Redirects = 1 },
			"encoded": func(r *engine.Request) { r.Encoded = true }, "urgent": func(r *engine.Request) { r.Priority = engine.Urgent },
			"post": func(r *engine.Request) { r.Method = http.MethodPost }, "put": func(r *engine.Request) { r.Method = http.MethodPut },
			"body": func(r *engine.Request) { r.Body = []byte("x") }, "stream": func(r *engine.Request) { r.Stream = true },
			"off": func(r *engine.Request) { r.Coalesce = false },
		}
		for name, change := range changes {
			before := len(s.seen())
			changed := base
			change(&changed)
			one, other := asks(t.Context(), eng, &base), (<-chan ending)(nil)
			synctest.Wait()
			other = asks(t.Context(), eng, &changed)
			for _, c := range []<-chan ending{one, other} {
				got := <-c
				require.NoError(t, got.err, name)
				if got.response.Stream != nil {
					require.NoError(t, got.response.Stream.Close())
				}
			}
			require.Equal(t, 2, len(s.seen())-before, name)
		}
		before, lines := len(s.seen()), base
		base.Header, lines.Header = http.Header{"Authorization": {"one"}}, http.Header{"Authorization": {"two"}}
		one, other := asks(t.Context(), eng, &base), asks(t.Context(), eng, &lines)
		require.NoError(t, errors.Join((<-one).err, (<-other).err))
		require.Equal(t, 2, len(s.seen())-before, "a line of the same name with another value")
		for name, change := range map[string]func(*engine.Request){
			"nothing": func(*engine.Request) {}, "GET": func(r *engine.Request) { r.Method = "GET" },
			"timeout": func(r *engine.Request) { r.Timeout = time.Minute }, "idempotent": func(r *engine.Request) { r.Idempotent = true },
			"less urgent": func(r *engine.Request) { r.Priority = engine.Background },
			"the same":    func(r *engine.Request) { r.Query = engine.Values{"a": "1", "b": nil} },
		} {
			before := len(s.seen())
			changed := base
			change(&changed)
			one := asks(t.Context(), eng, &base)
			synctest.Wait()
			other := asks(t.Context(), eng, &changed)
			require.NoError(t, (<-one).err, name)
			require.NoError(t, (<-other).err, name)
			require.Equal(t, 1, len(s.seen())-before, name)
		}
	})
}

func TestWhoeverSharesAnAnswerKeepsHisOwnTime(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		s, eng := open(slow(""), engine.Config{})
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		first := asks(ctx, eng, &engine.Request{Coalesce: true})
		time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
		hasty := asks(t.Context(), eng, &engine.Request{Coalesce: true, Timeout: 500 * time.Millisecond})
		patient := asks(t.Context(), eng, &engine.Request{Coalesce: true, Timeout: time.Hour})

		left := <-first
		require.ErrorIs(t, left.err, why)
		require.ErrorIs(t, left.err, context.Canceled)
		require.Equal(t, 100*time.Millisecond, left.after)
		late := <-hasty
		require.ErrorIs(t, late.err, context.DeadlineExceeded)
		require.NotErrorIs(t, late.err, context.Canceled)
		require.Equal(t, 500*time.Millisecond, late.after)
		var failure *engine.Error
		require.ErrorAs(t, late.err, &failure)
		require.Equal(t, engine.SentMaybe, failure.Sent)
		got := <-patient
		require.NoError(t, got.err, "that the first left is nothing to the others")
		require.Equal(t, "1", got.response.Text())
		require.Len(t, s.seen(), 1)
		wantNothingHeld(t, eng)
	})
}

func TestWhatNobodyWaitsForAnyLongerEnds(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		var given atomic.Int64
		s, eng := open(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			given.Add(1)
		}, engine.Config{})
		one := asks(t.Context(), eng, &engine.Request{Coalesce: true, Timeout: time.Second})
		other := asks(t.Context(), eng, &engine.Request{Coalesce: true, Timeout: 2 * time.Second})
		require.ErrorIs(t, (<-one).err, context.DeadlineExceeded)
		synctest.Wait()
		require.Zero(t, given.Load())
		last := <-other
		require.ErrorIs(t, last.err, context.DeadlineExceeded)
		require.NotErrorIs(t, last.err, context.Canceled)
		require.Equal(t, 2*time.Second, last.after)
		synctest.Wait()
		require.EqualValues(t, 1, given.Load())
		require.Len(t, s.seen(), 1)
		require.Zero(t, eng.Stats().Coalesced.InFlight)
		wantNothingHeld(t, eng)
	})
}

// One that was given up, and has not ended yet, is no leader for anybody.
func TestNobodyJoinsWhatHasBeenGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slow(""))
		eng := s.newEngine(t, engine.Config{})
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			one := asks(ctx, eng, &engine.Request{Coalesce: true})
			synctest.Wait()
			go cancel()
			other := asks(t.Context(), eng, &engine.Request{Coalesce: true})
			<-one
			require.NoError(t, (<-other).err)
		}
	})
}

func TestTheLastToLeaveIsToldWhatTheRequestWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		unchanged := engine.PreProcessorFunc(func(context.Context, *engine.Request) error { return nil }) // or it would not wait
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Minute}}, DefaultLimitID: "l", PreProcessors: []engine.PreProcessor{unchanged},
		})
		_, err := eng.Do(t.Context(), &engine.Request{})
		require.NoError(t, err)
		_, err = eng.Do(t.Context(), &engine.Request{Coalesce: true, Timeout: time.Second})
		var failure *engine.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, "l", failure.Limit)
		require.Equal(t, engine.Throttled, failure.Stage)
		require.Equal(t, engine.SentNo, failure.Sent)
		require.Equal(t, time.Second, failure.Waited)
		wantNothingHeld(t, eng)
	})
}

func TestWhoeverSharesAnAnswerThatComesTooLateIsRefusedAsIfAskingAlone(t *testing.T) {
	limits := engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Minute}}, DefaultLimitID: "l"}
	for _, coalesce := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, nil)
			eng := s.newEngine(t, limits)
			_, err := eng.Do(t.Context(), &engine.Request{})
			require.NoError(t, err)
			began := time.Now()
			requests := []*engine.Request{{Coalesce: coalesce}, {Coalesce: coalesce}, {Coalesce: coalesce}}
			for _, result := range eng.Stream(t.Context(), slices.Values(requests), engine.FanOut{Each: 10 * time.Second}) {
				var failure *engine.Error
				require.ErrorAs(t, result.Err, &failure)
				require.ErrorIs(t, result.Err, context.DeadlineExceeded)
				require.ErrorIs(t, result.Err, throttle.ErrDeadline)
				require.Zero(t, time.Since(began))
				require.Equal(t, engine.Throttled, failure.Stage)
				require.Equal(t, engine.SentNo, failure.Sent)
				require.Equal(t, engine.NotSent, engine.OutcomeOf(result.Err))
				require.Equal(t, "l", failure.Limit)
				require.Equal(t, "l", failure.Route)
				require.Equal(t, time.Minute, failure.RetryAt.Sub(began).Round(time.Second))
			}
			require.Len(t, s.seen(), 1)
			wantNothingHeld(t, eng)

			for i := range requests {
				requests[i] = &engine.Request{Coalesce: coalesce, Timeout: 10 * time.Second}
			}
			for _, result := range eng.Stream(t.Context(), slices.Values(requests), engine.FanOut{RetryLater: 5}) {
				require.NoError(t, result.Err, "it goes again when the limit opens")
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, limits)
		_, err := eng.Do(t.Context(), &engine.Request{})
		require.NoError(t, err)
		patient := asks(t.Context(), eng, &engine.Request{Coalesce: true})
		synctest.Wait()
		hasty := <-asks(t.Context(), eng, &engine.Request{Coalesce: true, Timeout: time.Second})
		require.Zero(t, hasty.after, "though it has waited for long already")
		require.ErrorIs(t, hasty.err, throttle.ErrDeadline)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		left := <-asks(ctx, eng, &engine.Request{Coalesce: true})
		require.ErrorIs(t, left.err, context.Canceled)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(left.err), "who leaves says what is known")
		got := <-patient
		require.NoError(t, got.err)
		require.Equal(t, time.Minute, got.after.Round(time.Second))
	})
	synctest.Test(t, func(t *testing.T) { // which would be charged to no limit
		config := limits
		config.PreProcessors = []engine.PreProcessor{engine.PreProcessorFunc(func(_ context.Context, r *engine.Request) error {
			if r.Query["free"] == true {
				r.LimitID = engine.Unlimited
			}
			return nil
		})}
		eng := newServer(t, slow("")).newEngine(t, config)
		_, err := eng.Do(t.Context(), &engine.Request{})
		require.NoError(t, err)
		for _, free := range []bool{true, false} {
			req := engine.Request{Coalesce: true, Timeout: 10 * time.Second, Query: engine.Values{"free": free}}
			first, second := asks(t.Context(), eng, &req), asks(t.Context(), eng, &req)
			for _, end := range []ending{<-first, <-second} {
				if free {
					require.NoError(t, end.err)
					continue
				}
				require.Equal(t, engine.NotSent, engine.OutcomeOf(end.err))
				require.Equal(t, 10*time.Second, end.after, "what it is charged with is not known before")
			}
		}
	})
}

func TestWhoeverSharesIsRefusedAtOnceAlsoAfterTheRequestHasStoodByForSomethingElse(t *testing.T) {
	unreachable := func(s *server) func(context.Context, string, string) (net.Conn, error) {
		var dials atomic.Int64
		return func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "server.test:80" && dials.Add(1) == 1 {
				return nil, errors.New("no route")
			}
			return s.dial(ctx, network, address)
		}
	}
	for name, c := range map[string]struct {
		ask    engine.Request
		config func(*engine.Config, *server)
	}{
		"the first time": {engine.Request{Auth: true}, func(conf *engine.Config, _ *server) {
			conf.Auth = auth.Binance("key", "secret")
			conf.Time = engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
				time.Sleep(2 * time.Second)
				return engine.TimeReading{Server: time.Now(), Sent: time.Now(), Received: time.Now()}, nil
			})
		}},
		"a failed dial": {engine.Request{}, func(conf *engine.Config, s *server) {
			conf.Dial.DialContext, conf.Dial.Backoff = unreachable(s), 4*time.Second
			conf.Retry.Base, conf.Retry.Cap = 4*time.Second, 8*time.Second
		}},
		"an answer to be repeated": {engine.Request{Weight: 2, Path: "/busy"}, func(conf *engine.Config, _ *server) {
			conf.Limits[0].Quota, conf.Retry.Statuses = 3, []int{503}
			conf.Retry.Base, conf.Retry.Cap = 4*time.Second, 8*time.Second
		}},
	} {
		for _, coalesce := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", coalesce: ", coalesce), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/busy" {
							w.WriteHeader(http.StatusServiceUnavailable)
						}
					})
					conf := engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour}}, DefaultLimitID: "l"}
					c.config(&conf, s)
					eng := s.newEngine(t, conf)
					req := c.ask
					req.Coalesce, req.Timeout = coalesce, 30*time.Second
					first := asks(t.Context(), eng, &req)
					time.Sleep(time.Millisecond)
					_, err := eng.Do(t.Context(), &engine.Request{URL: "http://other.test/"})
					require.NoError(t, err, "which takes the permit that is left")
					got := <-first
					require.Less(t, got.after, 9*time.Second, "it is refused when it comes to queue, and not when its time is up")
					if req.Path == "/busy" {
						require.NoError(t, got.err, "the answer that was to be repeated is the answer")
						require.Equal(t, http.StatusServiceUnavailable, got.response.StatusCode)
						return
					}
					require.ErrorIs(t, got.err, throttle.ErrDeadline)
					var failure *engine.Error
					require.ErrorAs(t, got.err, &failure)
					require.Equal(t, engine.Throttled, failure.Stage)
					require.Equal(t, "l", failure.Limit)
					require.Equal(t, engine.NotSent, engine.OutcomeOf(got.err))
					require.InDelta(t, time.Hour, time.Until(failure.RetryAt), float64(10*time.Second))
				})
			})
		}
	}
}

func TestWhoeverSharesARequestThatHasItsPermitIsNotRefusedForTheLimitItFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "l", Quota: 2, Per: time.Minute}}, DefaultLimitID: "l", Connections: engine.Connections{Max: 1},
		})
		for range 2 {
			_, err := eng.Do(t.Context(), &engine.Request{Path: plain(0)})
			require.NoError(t, err)
			time.Sleep(30 * time.Second)
		}
		shared := engine.Request{Path: plain(1), Coalesce: true}
		time.Sleep(-time.Second + time.Millisecond)
		long := asks(t.Context(), eng, &engine.Request{Path: "/1/5000", LimitID: engine.Unlimited})
		synctest.Wait()
		patient := asks(t.Context(), eng, &shared)
		time.Sleep(3 * time.Second)
		hasty := shared
		hasty.Timeout = 10 * time.Second // the limit opens later: the one has left it, and waits for the connection
		for _, got := range []ending{<-asks(t.Context(), eng, &hasty), <-patient, <-long} {
			require.NoError(t, got.err)
			require.LessOrEqual(t, got.after, 5*time.Second+time.Millisecond)
		}
	})
}

func TestAMoreUrgentRequestDoesNotWaitAtTheRankOfALessUrgentOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Minute}}, DefaultLimitID: "l"})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/first"})
		require.NoError(t, err)
		patient := asks(t.Context(), eng, &engine.Request{Coalesce: true, Priority: engine.Background})
		synctest.Wait()
		other := asks(t.Context(), eng, &engine.Request{Path: "/other"})
		synctest.Wait()
		urgent := asks(t.Context(), eng, &engine.Request{Coalesce: true, Priority: engine.Urgent})
		synctest.Wait()
		joins := asks(t.Context(), eng, &engine.Request{Coalesce: true, Priority: engine.High})
		for c, minutes := range map[<-chan ending]time.Duration{urgent: 1, joins: 1, other: 2, patient: 3} {
			got := <-c
			require.NoError(t, got.err)
			require.Equal(t, minutes*time.Minute, got.after.Round(time.Minute))
		}
		require.Len(t, s.seen(), 4)
	})
}

func TestWhatEndsTheOneReachesAllWhoWait(t *testing.T) {
	ways := map[string]struct {
		processor engine.PreProcessorFunc
		is        func(*testing.T, error)
	}{
		"a panic": {func(context.Context, *engine.Request) error { panic("x") }, func(t *testing.T, err error) {
			var panicked *engine.PanicError
			require.ErrorAs(t, err, &panicked)
		}},
		"the end of the goroutine": {func(context.Context, *engine.Request) error { runtime.Goexit(); return nil }, func(t *testing.T, err error) {
			var panicked *engine.PanicError
			require.ErrorAs(t, err, &panicked)
		}},
		"an error": {func(context.Context, *engine.Request) error { return io.ErrNoProgress }, func(t *testing.T, err error) {
			require.ErrorIs(t, err, io.ErrNoProgress)
		}},
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(ctx context.Context, r *engine.Request) error {
					time.Sleep(time.Second)
					return way.processor(ctx, r)
				})}})
				var all []<-chan ending
				for range 5 {
					all = append(all, asks(t.Context(), eng, &engine.Request{Coalesce: true}))
				}
				for _, c := range all {
					got := <-c
					way.is(t, got.err)
					require.Nil(t, got.response)
					require.Equal(t, time.Second, got.after)
				}
				require.Empty(t, s.seen())
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestHaltsReachWhoeverSharesAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slow(""))
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Minute}}, DefaultLimitID: "l"})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/first"})
		require.NoError(t, err)
		high := asks(t.Context(), eng, &engine.Request{Coalesce: true, Priority: engine.High})
		synctest.Wait()
		normal, low := asks(t.Context(), eng, &engine.Request{Coalesce: true}), asks(t.Context(), eng, &engine.Request{Coalesce: true, Priority: engine.Background})
		synctest.Wait()
		some, err := eng.Halt(engine.Filter{PriorityBelow: engine.Normal + 1})
		require.NoError(t, err)
		require.ErrorIs(t, (<-normal).err, engine.ErrHalted, "its own priority is halted, though the one goes on")
		require.ErrorIs(t, (<-low).err, engine.ErrHalted)
		require.EqualValues(t, 2, some.Refused())
		_, err = eng.Do(t.Context(), &engine.Request{Coalesce: true})
		require.ErrorIs(t, err, engine.ErrHalted)
		again := asks(t.Context(), eng, &engine.Request{Coalesce: true, Priority: engine.High})
		synctest.Wait()
		whole, err := eng.Halt(engine.Filter{})
		require.NoError(t, err)
		require.ErrorIs(t, (<-high).err, engine.ErrHalted)
		require.ErrorIs(t, (<-again).err, engine.ErrHalted)
		require.True(t, whole.Lift() && some.Lift())
		require.Len(t, s.seen(), 1)

		time.Sleep(2 * time.Minute)
		leaving := asks(t.Context(), eng, &engine.Request{Coalesce: true})
		synctest.Wait()
		joined := asks(t.Context(), eng, &engine.Request{Coalesce: true, Priority: engine.Background})
		synctest.Wait()
		_, err = eng.Halt(engine.Filter{})
		require.NoError(t, err)
		require.NoError(t, (<-leaving).err, "what has begun to leave goes on")
		require.NoError(t, (<-joined).err)
		wantNothingHeld(t, eng)
	})
}

func TestTheEndOfTheEngineReachesWhoeverSharesAnAnswer(t *testing.T) {
	for name, stop := range map[string]func(*engine.Engine) error{
		"Close":    (*engine.Engine).Close,
		"Shutdown": func(e *engine.Engine) error { return e.Shutdown(context.Background()) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, slow(""))
			eng := s.newEngine(t, engine.Config{})
			var all []<-chan ending
			for range 5 {
				all = append(all, asks(t.Context(), eng, &engine.Request{Coalesce: true}))
			}
			synctest.Wait()
			stopped := make(chan error, 1)
			go func() { stopped <- stop(eng) }()
			synctest.Wait()
			_, err := eng.Do(t.Context(), &engine.Request{Coalesce: true})
			require.ErrorIs(t, err, engine.ErrClosed, "nobody joins any more")
			require.NoError(t, <-stopped)
			for _, c := range all {
				require.Len(t, c, 1, "every caller has his answer by then: %s", name)
				if got := <-c; name == "Close" {
					require.ErrorIs(t, got.err, engine.ErrClosed)
				} else {
					require.NoError(t, got.err)
				}
			}
		})
	}
}

func TestProcessorsRunOnceForAllWithTheValuesOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var before, behind []any
		s := newServer(t, slow(""))
		eng := s.newEngine(t, engine.Config{
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(ctx context.Context, r *engine.Request) error {
				before = append(before, ctx.Value(key{}))
				require.Equal(t, []string{"1", "2"}, r.Query["list"])
				return ctx.Err()
			})},
			PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(ctx context.Context, _ *engine.Request, r *engine.Response) error {
				behind = append(behind, ctx.Value(key{}))
				r.Body = append(r.Body, '!')
				return nil
			})},
		})
		list := []int{1, 2}
		one := asks(context.WithValue(t.Context(), key{}, "first"), eng, &engine.Request{Coalesce: true, Query: engine.Values{"list": list}})
		synctest.Wait()
		list[0] = 7 // the one that is sent is a copy
		other := asks(context.WithValue(t.Context(), key{}, "second"), eng, &engine.Request{Coalesce: true, Query: engine.Values{"list": []int64{1, 2}}})
		require.Equal(t, "1!", (<-one).response.Text())
		require.Equal(t, "1!", (<-other).response.Text())
		require.Equal(t, []any{"first"}, before)
		require.Equal(t, []any{"first"}, behind)
	})
}

func TestAStreamOfAProcessorsIsNotShared(t *testing.T) {
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(_ context.Context, _ *engine.Request, r *engine.Response) error {
		r.Stream = io.NopCloser(strings.NewReader("x"))
		return nil
	})}})
	_, err := eng.Do(t.Context(), &engine.Request{Coalesce: true})
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	wantNothingHeld(t, eng)

	eng = s.newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(_ context.Context, r *engine.Request) error {
		r.Stream = true
		return nil
	})}})
	_, err = eng.Do(t.Context(), &engine.Request{Coalesce: true})
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	wantNothingHeld(t, eng)
}

// A processor that asks what it is asked for itself would wait for itself.
func TestARequestOfAProcessorsDoesNotWaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		var eng *engine.Engine
		depth := 0
		eng = s.newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(ctx context.Context, r *engine.Request) error {
			if depth++; depth > 4 {
				return nil
			}
			path := "/a"
			if strings.HasSuffix(r.URL, "/a") {
				path = "/b"
			}
			_, err := eng.Do(ctx, &engine.Request{Path: path, Coalesce: true})
			return err
		})}})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/a", Coalesce: true})
		require.NoError(t, err)
		require.Len(t, s.seen(), 5)
		wantNothingHeld(t, eng)
	})
}

func TestCloseFromInsideASharedRequestIsRefused(t *testing.T) {
	s := newServer(t, nil)
	idle := s.newEngine(t, engine.Config{})
	var eng *engine.Engine
	eng = s.newEngine(t, engine.Config{PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
		require.ErrorIs(t, eng.Close(), engine.ErrInsideRequest)
		require.NoError(t, idle.Close(), "another engine, which nobody waits for")
		return nil
	})}})
	_, err := eng.Do(t.Context(), &engine.Request{Coalesce: true})
	require.NoError(t, err)
}

func TestTheRequestsOfAnHTTPClientAreEachSentByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slow(""))
		eng := s.newEngine(t, engine.Config{})
		client := &http.Client{Transport: eng.RoundTripper(func(_ *http.Request, asked *engine.Request) { asked.Coalesce = true })}
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() {
				response, err := client.Get("http://server.test/")
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
			})
		}
		callers.Wait()
		require.Len(t, s.seen(), 2)
	})
}

func TestFetchSharesWhatDoShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slow(""))
		eng := s.newEngine(t, engine.Config{})
		var callers sync.WaitGroup
		for range 5 {
			callers.Go(func() {
				got, err := engine.Fetch[int](t.Context(), eng, &engine.Request{Coalesce: true})
				require.NoError(t, err)
				require.Equal(t, 1, got)
			})
		}
		callers.Wait()
		require.Len(t, s.seen(), 1)
	})
}

// Many come and go at random; whoever stays has an answer, and nothing is left.
func TestManyWhoComeAndGoLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(time.Duration(rand.IntN(50)) * time.Millisecond):
			case <-r.Context().Done():
			}
			io.WriteString(w, r.URL.Path+strings.Repeat("x", 20_000))
		})
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{Max: 8}})
		var callers sync.WaitGroup
		var answered, left atomic.Int64
		for range 40 {
			callers.Go(func() {
				for range 20 {
					path := fmt.Sprintf("/%d", rand.IntN(3))
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(60))*time.Millisecond)
					response, err := eng.Do(ctx, &engine.Request{Path: path, Coalesce: true, Priority: engine.Priority(rand.IntN(2))})
					if err == nil {
						require.Equal(t, path, response.Text()[:2])
						require.Len(t, response.Body, 20_002)
						response.Release()
						answered.Add(1)
					} else {
						require.ErrorIs(t, err, context.DeadlineExceeded)
						left.Add(1)
					}
					cancel()
				}
			})
		}
		callers.Wait()
		require.Positive(t, answered.Load())
		require.Positive(t, left.Load())
		require.Less(t, len(s.seen()), 800)
		synctest.Wait()
		wantNothingHeld(t, eng)
		require.Zero(t, eng.Stats().Coalesced.InFlight)
		require.Zero(t, eng.Stats().Coalesced.Waiting)
	})
}
