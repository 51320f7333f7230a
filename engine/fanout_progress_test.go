package engine_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func limitsOf(quota int64, per time.Duration) []throttle.Limit {
	return []throttle.Limit{{ID: "calls", Quota: quota, Per: per}}
}

func logTo(log *lockedBuffer) *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)) }

func TestProgressTellsHowFarARunIsAndWhenItWillEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{Limits: []throttle.Limit{
			{ID: "weight", Quota: 100, Per: 10 * time.Second},
			{ID: "heavy", Quota: 1000, Per: time.Second, Linked: []throttle.Link{{ID: "weight", Weight: 5}}},
			{ID: "light", Quota: 1000, Per: time.Second, Keyed: true, Linked: []throttle.Link{{ID: "weight"}}},
		}})
		input := func(yield func(*engine.Request) bool) {
			for i := range 200 { // they weigh 600 in all, and so take six turns
				req := &engine.Request{Path: plain(i), LimitID: []string{"light", "heavy"}[i%2], Key: "k"}
				if !yield(req) {
					return
				}
			}
		}
		start := time.Now()
		var told []engine.Progress
		var at []time.Duration
		inside := false
		how := engine.FanOut{Window: 20, Total: 200, ProgressEvery: 3 * time.Second, OnProgress: func(p engine.Progress) {
			require.False(t, inside, "never beside the body")
			told, at = append(told, p), append(at, time.Since(start))
		}}
		for _, result := range eng.Stream(t.Context(), input, how) {
			inside = true
			require.NoError(t, result.Err)
			inside = false
		}
		took := time.Since(start)
		require.GreaterOrEqual(t, took, 50*time.Second)
		for i, p := range told[:len(told)-1] {
			require.Equal(t, time.Duration(i+1)*3*time.Second, at[i])
			require.Equal(t, at[i], p.Elapsed)
			require.EqualValues(t, 200, p.Total)
			require.Equal(t, p.Submitted, p.Done+p.Waiting+p.InFlight+p.Retrying+p.Ready)
			require.Equal(t, p.Submitted-p.Done, p.Waiting, "the others are held by the limit")
			i := slices.IndexFunc(p.WaitingBy, func(w engine.RunWait) bool { return w.ID == "weight" })
			require.GreaterOrEqual(t, i, 0)
			require.Equal(t, p.Waiting, p.WaitingBy[i].N)
			require.True(t, p.WaitingBy[i].Next.After(start))
			require.InDelta(t, took.Seconds(), p.EstimatedEnd.Sub(start).Seconds(), 10.1, "within one turn, at %s", p.Elapsed)
		}
		last := told[len(told)-1]
		require.EqualValues(t, 200, last.Done)
		require.Zero(t, last.Waiting+last.InFlight+last.Failed)
		require.Equal(t, took, last.Elapsed)
	})
}

func TestProgressReadsAsALine(t *testing.T) {
	at := time.Date(2026, 1, 2, 12, 0, 3, 0, time.UTC)
	wait := func(id, key string) engine.RunWait { return engine.RunWait{ID: id, Key: key, N: 1} }
	for want, p := range map[string]engine.Progress{
		"0 done":                      {},
		"7 of 10 done, 3 in flight":   {Done: 7, Total: 10, InFlight: 3},
		"7 done, 2 of them failed":    {Done: 7, Failed: 2},
		"0 of 9 done, 9 waiting":      {Total: 9, Waiting: 9},
		"1 done, 4 ready":             {Done: 1, Ready: 4},
		"1 done, 2 to go again":       {Done: 1, Retrying: 2},
		"1 done, 5 waiting for depth": {Done: 1, Waiting: 5, WaitingBy: []engine.RunWait{wait("depth", "BTC"), wait("depth", "ETH")}},
		"0 of 9 done, 9 waiting for a, b, c and 2 others, ends about 12:00:03": {
			Total: 9, Waiting: 9, EstimatedEnd: at, WaitingBy: []engine.RunWait{wait("a", ""), wait("b", ""), wait("c", ""), wait("d", ""), wait("e", "")},
		},
	} {
		require.Equal(t, want, p.String())
	}
}

func TestProgressWithoutALimitGoesByTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{Connections: engine.Connections{Max: 10}})
		start := time.Now()
		var told []engine.Progress
		path := func(i int) string { return fmt.Sprintf("/%d/950/%d", i, 200+300*(i%2)) }
		_, err := eng.All(t.Context(), slices.Collect(asking(300, path, nil)), engine.FanOut{
			FailStatuses: true, Window: 50, OnProgress: func(p engine.Progress) { told = append(told, p) },
		})
		require.Error(t, err)
		took := time.Since(start)
		require.Len(t, told, int(took/time.Second)+1)
		for i, p := range told[2 : len(told)-1] {
			require.InDelta(t, took.Seconds(), p.EstimatedEnd.Sub(start).Seconds(), 5, "%d", i)
			require.LessOrEqual(t, p.InFlight, int64(50))
			require.Empty(t, p.WaitingBy)
			require.InDelta(t, float64(p.Done)/2, float64(p.Failed), 6) // those that end together come in any order
		}
		require.EqualValues(t, 40, told[1].Waiting, "for connections")
		require.EqualValues(t, 10, told[1].InFlight)
	})
}

func TestProgressCountsWhatIsReadyAndWhatGoesAgainAndIsTheLoopsToPanicIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{Feedback: unmoved})
		path := func(i int) string {
			if i == 0 {
				return "/0/2500"
			}
			return plain(i)
		}
		var told []engine.Progress
		note := func(p engine.Progress) { told = append(told, p) }
		for range eng.Stream(t.Context(), asking(30, path, nil), engine.FanOut{InOrder: true, Window: 10, OnProgress: note}) {
		}
		require.Len(t, told, 3)
		require.Equal(t, engine.Progress{Submitted: 10, Ready: 9, InFlight: 1, Elapsed: time.Second}, told[0])
		require.EqualValues(t, 30, told[2].Total, "the input has ended")

		told = nil
		refused := func(i int) string { return fmt.Sprintf("/%d/10/429", i) }
		for range eng.Stream(t.Context(), asking(5, refused, nil), engine.FanOut{RetryLater: 5, OnProgress: note, FailStatuses: true}) {
		}
		require.Positive(t, told[0].Retrying)
		require.EqualValues(t, 5, told[0].Retrying+told[0].InFlight)
		require.EqualValues(t, 5, told[len(told)-1].Failed)

		require.PanicsWithValue(t, "of progress", func() {
			slow := func(i int) string { return fmt.Sprintf("/%d/5000", i) }
			for range eng.Stream(t.Context(), asking(5, slow, nil), engine.FanOut{OnProgress: func(engine.Progress) { panic("of progress") }}) {
			}
		})
		told = nil
		for range eng.Stream(t.Context(), asking(5, plain, nil), engine.FanOut{OnProgress: note}) {
			break
		}
		require.Len(t, told, 1, "at the end of a loop that is left, too")
		wantNothingHeld(t, eng)
	})
}

func TestProgressLooksAtNoRequestThatWasHandedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looked := new(atomic.Int64)
		eng := newServer(t, asAsked).newEngine(t, engine.Config{
			Limits: limitsOf(3, time.Second), DefaultLimitID: "calls",
			Costs: map[string]func(*engine.Request) int64{"calls": func(req *engine.Request) int64 {
				if req.Priority == engine.Urgent {
					looked.Add(1)
				}
				return 1
			}},
		})
		told := 0
		for req, result := range eng.Stream(t.Context(), asking(12, plain, nil), engine.FanOut{
			Window: 1, ProgressEvery: 100 * time.Millisecond, Total: 12, OnProgress: func(engine.Progress) { told++ },
		}) {
			require.NoError(t, result.Err)
			req.Priority = engine.Urgent // it is the loop's again, and may be changed
		}
		require.Greater(t, told, 20)
		require.Zero(t, looked.Load())
	})
}

func TestTheEstimatedEndCountsWhatAPerLeavesUnusedAndWhatIsShared(t *testing.T) {
	for name, c := range map[string]struct {
		asked engine.Request
		alike int // requests that ask the same
	}{
		"7 of 10":     {engine.Request{Weight: 7}, 1},
		"6 of 10":     {engine.Request{Weight: 6}, 1},
		"3 of 10":     {engine.Request{Weight: 3}, 1},
		"four share":  {engine.Request{Coalesce: true, Weight: 5}, 4},
		"none shares": {engine.Request{Coalesce: true, Weight: 5}, 1},
		"all of one":  {engine.Request{Weight: 10}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, nil).newEngine(t, engine.Config{Limits: limitsOf(10, time.Second), DefaultLimitID: "calls"})
			requests := pathsOf(200, c.asked)
			for i := range requests {
				requests[i].Path = plain(i / c.alike)
			}
			var ends []time.Time
			_, err := eng.All(t.Context(), requests, engine.FanOut{ProgressEvery: 5500 * time.Millisecond, OnProgress: func(p engine.Progress) {
				if !p.EstimatedEnd.IsZero() {
					ends = append(ends, p.EstimatedEnd)
				}
			}})
			require.NoError(t, err)
			require.NotEmpty(t, ends, name)
			for _, end := range ends {
				require.LessOrEqual(t, time.Since(end).Abs(), 2*time.Second, name)
			}
		})
	}
}

func TestTheEstimatedEndLeavesWhatIsKeptForMoreUrgentRequests(t *testing.T) {
	for _, window := range []throttle.Window{throttle.Sliding, throttle.Fixed, throttle.FixedFromFirst, throttle.Leaky} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, nil).newEngine(t, engine.Config{DefaultLimitID: "calls", Limits: []throttle.Limit{
				{ID: "calls", Quota: 10, Per: time.Second, Window: window, Reserve: []throttle.Reserve{{Priority: engine.Urgent, Weight: 6}}},
			}})
			wantEndsWithin(t, eng, pathsOf(200, engine.Request{}), engine.FanOut{Total: 200, ProgressEvery: 1500 * time.Millisecond}, 2*time.Second)
		})
	}
}

// wantEndsWithin demands that each estimate of a run is right, give or take so much.
func wantEndsWithin(t *testing.T, eng *engine.Engine, requests []*engine.Request, how engine.FanOut, most time.Duration) {
	t.Helper()
	var ends []time.Time
	how.OnProgress = func(p engine.Progress) {
		if !p.EstimatedEnd.IsZero() {
			ends = append(ends, p.EstimatedEnd)
		}
	}
	for _, result := range eng.Stream(t.Context(), slices.Values(requests), how) {
		require.NoError(t, result.Err)
	}
	require.NotEmpty(t, ends)
	for i, end := range ends {
		require.LessOrEqual(t, time.Since(end).Abs(), most, "estimate %d", i)
	}
}

func TestTheEstimatedEndCountsEachOfManyKindsOfRequest(t *testing.T) {
	for _, window := range []int{100, 1000} { // with 100 there are six of ten of each kind to be read
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, nil).newEngine(t, engine.Config{DefaultLimitID: "one", Limits: []throttle.Limit{
				{ID: "calls", Quota: 5, Per: time.Second}, {ID: "one", Quota: 100, Per: time.Second, Keyed: true, Linked: []throttle.Link{{ID: "calls"}}},
			}})
			requests := pathsOf(160, engine.Request{})
			for i := range requests {
				requests[i].Key = fmt.Sprint("key ", i%100)
			}
			wantEndsWithin(t, eng, requests, engine.FanOut{Total: 160, Window: window}, 2*time.Second)
		})
	}
}

func TestTheEstimatedEndChargesNothingForWhatWaitsForItsTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{Limits: limitsOf(10, time.Second), DefaultLimitID: "calls"})
		path := func(i int) string {
			if i == 0 {
				return "/0/60000"
			}
			return plain(i)
		}
		ready := 0
		for range eng.Stream(t.Context(), asking(200, path, nil), engine.FanOut{InOrder: true, Total: 200, OnProgress: func(p engine.Progress) {
			if p.Ready == 199 {
				ready++
				require.Less(t, time.Until(p.EstimatedEnd), 2*time.Second, "after %s: all others have their answers", p.Elapsed)
			}
		}}) {
		}
		require.Greater(t, ready, 30)
	})
}

func TestCodeThatEndsItsGoroutineInALookAtTheProgressEndsNoLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		eng := newServer(t, asAsked).newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "api", Quota: 100, Per: time.Second}}, DefaultLimitID: "api",
			Costs: map[string]func(*engine.Request) int64{"api": func(*engine.Request) int64 {
				if calls.Add(1) == 3 { // both have been charged
					runtime.Goexit()
				}
				return 1
			}},
		})
		n := 0
		how := engine.FanOut{ProgressEvery: 10 * time.Millisecond, OnProgress: func(engine.Progress) {}}
		for _, result := range eng.Stream(t.Context(), asking(2, func(int) string { return "/0/100" }, nil), how) {
			require.NoError(t, result.Err)
			n++
		}
		require.Equal(t, 2, n)
		require.GreaterOrEqual(t, calls.Load(), int64(3))
	})
}

// Whichever of them are handed over before anybody looks, those that wait are there to be looked at.
func TestTheEstimatedEndKnowsAKindOfRequestAsLongAsOneOfItWaits(t *testing.T) {
	for name, handed := range map[string]func(i int) bool{
		"the first are let through": func(i int) bool { return i < 2 },
		"the last are let through":  func(i int) bool { return i >= 18 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				eng := newServer(t, asAsked).newEngine(t, engine.Config{
					Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: 10 * time.Second}}, DefaultLimitID: "one",
					PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(_ context.Context, req *engine.Request) error {
						if i, _ := strconv.Atoi(req.Header.Get("Index")); !handed(i) {
							time.Sleep(time.Millisecond)
						}
						return nil
					})},
				})
				input := func(yield func(*engine.Request) bool) {
					for i := range 20 {
						req := &engine.Request{Path: plain(i), Key: strconv.Itoa(i % 2), Header: http.Header{"Index": {strconv.Itoa(i)}}}
						if !yield(req) {
							return
						}
					}
				}
				start := time.Now()
				var told []engine.Progress
				how := engine.FanOut{Total: 20, Window: 20, OnProgress: func(p engine.Progress) { told = append(told, p) }}
				for _, result := range eng.Stream(t.Context(), input, how) {
					require.NoError(t, result.Err)
				}
				took := time.Since(start)
				for _, p := range told[:len(told)-1] {
					require.Len(t, p.WaitingBy, 1)
					require.Equal(t, p.Waiting, p.WaitingBy[0].N)
					require.InDelta(t, took.Seconds(), p.EstimatedEnd.Sub(start).Seconds(), 10.1, "within one turn, at %s", p.Elapsed)
				}
			})
		})
	}
}
