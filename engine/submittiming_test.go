package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// slowTime is a source of time that takes its time.
type slowTime struct{ takes time.Duration }

func (l slowTime) ServerTime(ctx context.Context, _ *engine.Engine) (engine.TimeReading, error) {
	sent := time.Now()
	select {
	case <-time.After(l.takes):
	case <-ctx.Done():
		return engine.TimeReading{}, ctx.Err()
	}
	return engine.TimeReading{Server: time.Now(), Sent: sent, Received: time.Now()}, nil
}

// timedSituations are those of parkedSituations, and some whose time goes elsewhere.
func timedSituations() map[string]timedSituation {
	all := map[string]timedSituation{}
	for name, one := range parkedSituations {
		all[name] = timedSituation(one)
	}
	late := func() engine.Config {
		return engine.Config{
			Auth: noSignature{}, Limits: oneASecond.Limits, DefaultLimitID: "one",
			Time: slowTime{2500 * time.Millisecond},
		}
	}
	all["the first look at the time is late"] = timedSituation{config: late(), request: engine.Request{Path: "/", Auth: true}}
	all["the first look at the time is late, and a limit"] = timedSituation{config: late(), busy: 3, request: engine.Request{Path: "/", Auth: true}}
	all["cancelled at the first look"] = timedSituation{
		config: late(), request: engine.Request{Path: "/", Auth: true}, after: time.Second, want: errOwnCause,
		then: func(_ *testing.T, _ *engine.Engine, cancel context.CancelCauseFunc) { cancel(errOwnCause) },
	}
	all["late at the first look"] = timedSituation{
		config: late(), request: engine.Request{Path: "/", Auth: true, Timeout: time.Second}, want: context.DeadlineExceeded,
	}
	all["halted at the first look"] = timedSituation{
		config: late(), request: engine.Request{Path: "/", Auth: true}, after: time.Second, want: engine.ErrHalted, then: haltAll,
	}
	all["a pre-processor takes time"] = timedSituation{
		config: engine.Config{
			Limits: oneASecond.Limits, DefaultLimitID: "one",
			PreProcessors: []engine.PreProcessor{processor(func(r *engine.Request) error {
				if strings.HasSuffix(r.URL, "/own") {
					time.Sleep(300 * time.Millisecond)
				}
				return nil
			})},
		}, busy: 2, request: engine.Request{Path: "/own"},
	}
	all["a credit later, then a limit"] = timedSituation{
		config: engine.Config{Admission: engine.Admission{MaxInFlight: 1}, Limits: oneASecond.Limits, DefaultLimitID: "one"},
		server: dawdles, busy: 1, request: engine.Request{Path: "/"},
	}
	return all
}

type timedSituation struct {
	config  engine.Config
	server  http.HandlerFunc
	busy    int
	request engine.Request
	after   time.Duration
	then    func(t *testing.T, eng *engine.Engine, cancel context.CancelCauseFunc)
	want    error
}

func TestObserversAndTimingTellTheSameOfSubmitAsOfDo(t *testing.T) {
	for name, one := range timedSituations() {
		for _, observed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, observed %v", name, observed), func(t *testing.T) {
				told := map[string][]string{}
				for way, send := range allWays {
					if !goes(way, &one.config, &one.request) || observed && way == "Do among many" {
						continue
					}
					synctest.Test(t, func(t *testing.T) {
						s := newServer(t, one.server)
						config := one.config
						var mu sync.Mutex
						note := func(format string, args ...any) {
							mu.Lock()
							defer mu.Unlock()
							told[way] = append(told[way], fmt.Sprintf(format, args...))
						}
						type mine struct{}
						if observed {
							config.Observers = []engine.Observer{{
								Begin: func(ctx context.Context, r *engine.Request) context.Context {
									if ctx.Value(mine{}) != nil {
										note("begin %s", r.Path)
									}
									return ctx
								},
								Wait: func(ctx context.Context, w engine.Waited) {
									if ctx.Value(mine{}) != nil {
										note("wait %q %s %s %v", w.LimitID, w.Queued, w.Leased, w.Err != nil)
									}
								},
								Attempt: func(ctx context.Context, a engine.Attempted) {
									if ctx.Value(mine{}) != nil {
										note("attempt %d %d %s %v %v", a.Number, a.StatusCode, a.Took, a.Again, a.Err != nil)
									}
								},
								End: func(ctx context.Context, e engine.Ended) {
									if ctx.Value(mine{}) != nil {
										note("end %q %q %+v %v", e.LimitID, e.Origin, e.Timing, e.Err != nil)
									}
								},
							}}
						}
						eng := s.newEngine(t, config)
						var busy sync.WaitGroup
						for range one.busy {
							busy.Go(func() { _, _ = send(eng, t.Context(), &engine.Request{Path: "/busy"}) })
							synctest.Wait()
						}
						ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), mine{}, true))
						defer cancel(nil)
						request := one.request
						if _, again := request.Body.(*strings.Reader); again {
							request.Body = strings.NewReader("streamed")
						} else if _, once := request.Body.(io.Reader); once {
							request.Body = io.MultiReader(strings.NewReader("once"))
						}
						var all sync.WaitGroup
						all.Go(func() {
							response, err := send(eng, ctx, &request)
							if err == nil {
								note("answer %+v", response.Timing)
								if response.Stream != nil {
									response.Stream.Close()
								}
							}
						})
						if one.after > 0 {
							time.Sleep(one.after)
							one.then(t, eng, cancel)
						}
						all.Wait()
						busy.Wait()
						eng.Close()
						totals := eng.Stats().Totals
						require.Equal(t, totals.Begun, totals.Done+totals.Refused+totals.Rejected+totals.NotSent+totals.Unknown)
						note("totals %d %d %d %d", totals.Begun, totals.Done, totals.NotSent, totals.Unknown)
					})
				}
				for way, all := range told {
					require.Equal(t, told["Do"], all, way)
				}
			})
		}
	}
}
