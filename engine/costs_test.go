package engine_test

import (
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// usedBy returns what an engine has used of its limits, by their ids.
func usedBy(eng *engine.Engine) map[string]int64 {
	used := map[string]int64{}
	for _, l := range eng.Stats().Limits.Limits {
		used[l.ID] += l.Used
	}
	return used
}

func TestARequestCostsWhatItAsksFor(t *testing.T) {
	limits := []throttle.Limit{
		{ID: "ip", Quota: 10_000, Per: time.Minute},
		{ID: "orders", Quota: 10_000, Per: time.Minute},
		{ID: "depth", Linked: []throttle.Link{{ID: "ip", Tariff: throttle.Tariff{
			{Param: "limit", UpTo: 100, Weight: 5}, {Param: "limit", UpTo: 500, Weight: 25}, {Param: "limit", Weight: 250}, {Weight: 5},
		}}}},
		{ID: "batch", Linked: []throttle.Link{
			{ID: "ip", Weight: 5}, {ID: "orders", Tariff: throttle.Tariff{{Param: "batchOrders", Count: true, Each: 1}}},
		}},
	}
	three := []map[string]any{{"a": 1}, {"a": 2}, {"a": 3}}
	for name, c := range map[string]struct {
		request    *engine.Request
		ip, orders int64
	}{
		"nothing said":             {&engine.Request{LimitID: "depth"}, 5, 0},
		"a parameter of the query": {&engine.Request{LimitID: "depth", Query: engine.Values{"limit": 500}}, 25, 0},
		"one in the path":          {&engine.Request{LimitID: "depth", Path: "/?limit=1000"}, 250, 0},
		"a semicolon in the path":  {&engine.Request{LimitID: "batch", Path: `/?batchOrders=[{"a":"1;2"},{},{},{}]`}, 5, 4},
		"a percent sign in a form": {&engine.Request{LimitID: "batch", Method: http.MethodPost,
			Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: "a=1&%62atchOrders=5%,6%zz,+7;8"}, 5, 3},
		"a form": {&engine.Request{LimitID: "batch", Method: http.MethodPost,
			Body: engine.Form{"batchOrders": engine.AsJSON{Value: three}}}, 5, 3},
		"url.Values": {&engine.Request{LimitID: "batch", Method: http.MethodPost,
			Body: url.Values{"batchOrders": {"a", "b"}}}, 5, 2},
		"a JSON object": {&engine.Request{LimitID: "batch", Method: http.MethodPost,
			Body: engine.Values{"batchOrders": three}}, 5, 3},
		"bytes that say what they are": {&engine.Request{LimitID: "batch", Method: http.MethodPost,
			Header: http.Header{"content-type": {"application/json; charset=utf-8"}}, Body: []byte(`{"batchOrders":[1,2,3,4]}`)}, 5, 4},
		"weights of its own": {&engine.Request{LimitID: "batch", Weights: map[string]int64{"ip": 0, "orders": 7}}, 0, 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(http.ResponseWriter, *http.Request) {})
				eng := s.newEngine(t, engine.Config{Limits: limits})
				_, err := eng.Do(t.Context(), c.request)
				require.NoError(t, err)
				require.Equal(t, map[string]int64{"ip": c.ip, "orders": c.orders}, usedBy(eng))
			})
		})
	}
}

func TestACostFunctionWinsOverTariffsAndARequestsWeightsOverIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) {})
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{
				{ID: "a", Quota: 100, Per: time.Minute, Tariff: throttle.Tariff{{Weight: 50}}},
				{ID: "b", Quota: 100, Per: time.Minute},
				{ID: "both", Linked: []throttle.Link{{ID: "a"}, {ID: "b"}}},
			},
			Costs: map[string]func(*engine.Request) int64{
				"a": func(r *engine.Request) int64 { return int64(len(r.Key)) },
				"b": func(*engine.Request) int64 { return 2 },
			},
		})
		_, err := eng.Do(t.Context(), &engine.Request{LimitID: "both", Key: "seven!!"})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"a": 7, "b": 2}, usedBy(eng))
		_, err = eng.Do(t.Context(), &engine.Request{LimitID: "both", Key: "seven!!", Weights: map[string]int64{"b": 0}})
		require.NoError(t, err)
		require.Equal(t, map[string]int64{"a": 14, "b": 2}, usedBy(eng))
	})
}

func TestACostThatCannotBeToldEndsItsRequestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) {})
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{
				{ID: "a", Quota: 100, Per: time.Minute},
				{ID: "b", Quota: 100, Per: time.Minute, Tariff: throttle.Tariff{{Param: "n", Each: 1}}},
			},
			Costs: map[string]func(*engine.Request) int64{"a": func(r *engine.Request) int64 {
				if r.Key == "panic" {
					panic("no cost")
				}
				return -1
			}},
		})
		_, err := eng.Do(t.Context(), &engine.Request{LimitID: "a"})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.ErrorContains(t, err, `the cost of limit "a" is -1`)
		_, err = eng.Do(t.Context(), &engine.Request{LimitID: "a", Key: "panic"})
		require.ErrorAs(t, err, new(*engine.PanicError))
		_, err = eng.Do(t.Context(), &engine.Request{LimitID: "b", Query: engine.Values{"n": "many"}})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.ErrorContains(t, err, `limit "b": parameter "n"`)
		_, err = eng.Do(t.Context(), &engine.Request{LimitID: engine.Unlimited, Weights: map[string]int64{"a": 1}})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		_, err = eng.Do(t.Context(), &engine.Request{LimitID: "b", Query: engine.Values{"n": 101}})
		require.ErrorIs(t, err, throttle.ErrWeight)
		require.Empty(t, s.seen(), "nothing was sent")
		require.Equal(t, map[string]int64{"a": 0, "b": 0}, usedBy(eng))

		_, err = eng.Do(t.Context(), &engine.Request{LimitID: "b", Query: engine.Values{"n": 100}})
		require.NoError(t, err)
	})
}

func TestTariffsFollowTheTableOfLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(http.ResponseWriter, *http.Request) {})
		table := func(each int64) []throttle.Limit {
			return []throttle.Limit{{ID: "a", Quota: 100, Per: time.Minute, Tariff: throttle.Tariff{{Param: "n", Each: each}}}}
		}
		given := table(1)
		eng := s.newEngine(t, engine.Config{Limits: given})
		given[0].Tariff[0].Each = 50 // it is the engine's no longer
		ask := func() {
			_, err := eng.Do(t.Context(), &engine.Request{LimitID: "a", Query: engine.Values{"n": 2}})
			require.NoError(t, err)
		}
		ask()
		require.Equal(t, map[string]int64{"a": 2}, usedBy(eng))
		require.NoError(t, eng.ReplaceLimits(table(10)))
		ask()
		require.Equal(t, map[string]int64{"a": 22}, usedBy(eng))
	})
}

func TestCostsOfLimitsThatAreNotThereAreMistakes(t *testing.T) {
	one := func(*engine.Request) int64 { return 1 }
	_, err := engine.New(engine.Config{
		Limits: []throttle.Limit{{ID: "a", Quota: 1, Per: time.Second}, {ID: "r", Linked: []throttle.Link{{ID: "a"}}}},
		Costs:  map[string]func(*engine.Request) int64{"a": nil, "r": one, "x": one},
	})
	for _, want := range []string{`Costs["a"] is nil`, `Costs["r"]: is a route`, `Costs["x"]: the limit is not among Limits`} {
		require.ErrorContains(t, err, want)
	}
}
