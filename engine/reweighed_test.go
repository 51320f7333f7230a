package engine_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// scales is a server that adds up what requests ask for by their parameter w.
type scales struct {
	mu   sync.Mutex
	came []weighed
}

type weighed struct {
	at     time.Time
	weight int64
}

func (s *scales) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	weight, _ := strconv.ParseInt(r.URL.Query().Get("w"), 10, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.came = append(s.came, weighed{time.Now(), weight})
}

// heaviestSecond is the most that came in any second.
func (s *scales) heaviestSecond() (most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.SortFunc(s.came, func(a, b weighed) int { return a.at.Compare(b.at) })
	for i, first := range s.came {
		sum := int64(0)
		for _, c := range s.came[i:] {
			if c.at.Sub(first.at) < time.Second {
				sum += c.weight
			}
		}
		most = max(most, sum)
	}
	return most
}

const fivefold = 5 // what each request asks for

func fivefoldRequest() *engine.Request {
	return &engine.Request{Path: "/", Query: engine.Values{"w": fivefold}, LimitID: "route", Auth: true}
}

// weightTable links a route to a limit of ten a second, and to one that is never full.
func weightTable(tariff throttle.Tariff, links ...string) []throttle.Limit {
	route := throttle.Limit{ID: "route"}
	for _, id := range links {
		route.Linked = append(route.Linked, throttle.Link{ID: id})
	}
	return []throttle.Limit{
		{ID: "weight", Quota: 10, Per: time.Second, Tariff: tariff, Scope: "ip"},
		{ID: "calls", Quota: 1000, Per: time.Second, Scope: "ip"}, route,
	}
}

var (
	byWhatIsAsked = throttle.Tariff{{Param: "w", Each: 1}, {Weight: 1}}
	oneEach       = throttle.Tariff{{Param: "w", Weight: 1}}
)

// askedFor is a cost function.
func askedFor(r *engine.Request) int64 { return int64(r.Query["w"].(int)) }

func TestWhatWaitsIsChargedWhatItCostsByANewTable(t *testing.T) {
	for name, test := range map[string]struct {
		before, after []throttle.Limit
		costs         map[string]func(*engine.Request) int64
	}{
		"by a tariff that rises":        {weightTable(oneEach, "weight"), weightTable(byWhatIsAsked, "weight"), nil},
		"by a tariff that is new":       {weightTable(nil, "weight"), weightTable(byWhatIsAsked, "weight"), nil},
		"by a link to a limit with one": {weightTable(byWhatIsAsked, "calls"), weightTable(byWhatIsAsked, "calls", "weight"), nil},
		"by a cost function":            {weightTable(nil, "calls"), weightTable(nil, "calls", "weight"), map[string]func(*engine.Request) int64{"weight": askedFor}},
	} {
		for way, send := range map[string]func(*engine.Engine) error{
			"Do": func(eng *engine.Engine) error { _, err := eng.Do(context.Background(), fivefoldRequest()); return err },
			"Submit": func(eng *engine.Engine) error {
				_, err := eng.Submit(context.Background(), fivefoldRequest()).Result()
				return err
			},
		} {
			t.Run(name+", "+way, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var counts scales
					s := newServer(t, counts.ServeHTTP)
					eng := s.newEngine(t, engine.Config{Limits: test.before, Costs: test.costs, Auth: auth.Bearer{Token: "t"}})
					require.NoError(t, eng.Pause(throttle.Scope{Name: "ip"}, time.Minute))
					var all sync.WaitGroup
					for range 12 {
						all.Go(func() {
							if err := send(eng); err != nil {
								t.Error(err)
							}
						})
					}
					synctest.Wait()
					require.NoError(t, eng.ReplaceLimits(test.after))
					eng.Resume(throttle.Scope{Name: "ip"})
					all.Wait()
					require.EqualValues(t, 10, counts.heaviestSecond())
				})
			})
		}
	}
}

// Weights are found on the request's goroutine, which may stand still anywhere before the queue, and
// behind it before the bytes leave.
func TestATableThatIsReplacedInTheMiddleIsTheOneThatCounts(t *testing.T) {
	for _, place := range []string{"while it is weighed", "while it is signed"} {
		t.Run(place, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				may := make(chan struct{})
				config := engine.Config{Limits: weightTable(oneEach, "weight"), Auth: auth.Func(func(*messages.Call, auth.Clock) error { <-may; return nil })}
				if place == "while it is weighed" {
					config = engine.Config{
						Limits: weightTable(byWhatIsAsked, "calls"), Auth: auth.Bearer{Token: "t"},
						Costs: map[string]func(*engine.Request) int64{"calls": func(*engine.Request) int64 { <-may; return 1 }},
					}
				}
				var counts scales
				s := newServer(t, counts.ServeHTTP)
				eng := s.newEngine(t, config)
				var all sync.WaitGroup
				for range 6 {
					all.Go(func() {
						if _, err := eng.Do(context.Background(), fivefoldRequest()); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				require.NoError(t, eng.ReplaceLimits(weightTable(byWhatIsAsked, "calls", "weight")))
				close(may)
				all.Wait()
				require.EqualValues(t, 10, counts.heaviestSecond())
			})
		})
	}
}

func TestATableWithTheSameTariffsKeepsTheQueueAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		var order []string
		s := newServer(t, func(_ http.ResponseWriter, r *http.Request) { order = append(order, r.URL.Path) })
		eng := s.newEngine(t, engine.Config{
			Limits: weightTable(byWhatIsAsked, "weight"), Connections: engine.Connections{Max: 1},
			Costs: map[string]func(*engine.Request) int64{"weight": func(*engine.Request) int64 { asked++; return 10 }},
		})
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				req := fivefoldRequest()
				req.Path, req.Auth = "/"+strconv.Itoa(i), false
				_, err := eng.Do(context.Background(), req)
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		table := weightTable(byWhatIsAsked, "weight")
		table[1].Quota = 7
		require.NoError(t, eng.ReplaceLimits(table))
		all.Wait()
		require.Equal(t, []string{"/0", "/1", "/2", "/3", "/4"}, order)
		require.Equal(t, 5, asked, "nobody weighs anew")
	})
}
