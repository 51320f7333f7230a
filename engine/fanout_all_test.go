package engine_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

func TestAllReturnsResultsInTheOrderOfTheSliceAndFailuresByIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		path := func(i int) string {
			status := 200
			if i%10 == 7 {
				status = 400 + i
			}
			return fmt.Sprintf("/%d/%d/%d", i, 100-i, status)
		}
		requests := slices.Collect(asking(50, path, nil))
		results, err := eng.All(t.Context(), requests, engine.FanOut{})
		require.NoError(t, err, "any status is a response")
		for i, result := range results {
			require.EqualValues(t, i, result.Index)
			require.Same(t, requests[i], result.Request)
			require.Equal(t, strconv.Itoa(i), result.Response.Text())
		}

		results, err = eng.All(t.Context(), requests, engine.FanOut{FailStatuses: true, Window: 3})
		failures, ok := errors.AsType[*engine.Failures](err)
		require.True(t, ok)
		require.NoError(t, failures.Run)
		require.EqualValues(t, 50, failures.Of)
		require.Len(t, failures.Each, 5)
		for n, failure := range failures.Each {
			require.EqualValues(t, n*10+7, failure.Index)
			status, ok := errors.AsType[*engine.StatusError](failure)
			require.True(t, ok)
			require.Equal(t, 400+n*10+7, status.StatusCode)
			require.Equal(t, failure.Err, results[failure.Index].Err)
		}
		require.ErrorContains(t, err, "5 of 50 requests failed, first request 7: ")
		require.Equal(t, engine.Rejected, engine.OutcomeOf(failures.Each[0]))

		_, err = eng.All(t.Context(), requests, engine.FanOut{FailStatuses: true, StopAtFirst: true, Window: 20})
		failure, ok := err.(*engine.Failure)
		require.True(t, ok, "%v", err)
		require.NotErrorIs(t, failure, engine.ErrStopped)

		results, err = eng.All(missingContext, requests, engine.FanOut{})
		require.ErrorIs(t, err, engine.ErrInvalidRun)
		require.Len(t, results, 50)
		require.ErrorIs(t, results[49].Err, engine.ErrInvalidRun)
		require.Same(t, requests[49], results[49].Request)
		results, err = eng.All(t.Context(), nil, engine.FanOut{})
		require.NoError(t, err)
		require.Empty(t, results)
		streamed, err := eng.All(t.Context(), []*engine.Request{{Path: "/1", Stream: true}}, engine.FanOut{})
		require.NoError(t, err)
		require.Equal(t, "1", streamed[0].Response.Text())
		wantNothingHeld(t, eng)
	})
}

// asJSON answers {"n":<n>}, and what is no JSON or no success if it is asked to.
func asJSON(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch n := strings.TrimPrefix(r.URL.Path, "/"); n {
	case "3":
		io.WriteString(w, `{"n":`)
	case "5":
		w.WriteHeader(404)
		io.WriteString(w, `{"n":-1}`)
	default:
		fmt.Fprintf(w, `{"n":%s}`, n)
	}
}

type ofN struct{ N int }

func TestFetchAllDecodesByTheRulesOfFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asJSON).newEngine(t, engine.Config{})
		requests := slices.Collect(asking(8, plain, nil))
		got, err := engine.FetchAll[ofN](t.Context(), eng, requests, engine.FanOut{})
		require.Len(t, got, 8)
		for i, one := range got {
			if i == 3 || i == 5 {
				require.Zero(t, one)
			} else {
				require.Equal(t, i, one.N)
			}
		}
		failures, ok := errors.AsType[*engine.Failures](err)
		require.True(t, ok)
		require.Len(t, failures.Each, 2)
		require.EqualValues(t, 3, failures.Each[0].Index)
		var undecoded *engine.DecodeError
		require.ErrorAs(t, failures.Each[0], &undecoded)
		var status *engine.StatusError
		require.ErrorAs(t, failures.Each[1], &status)
		require.Equal(t, `{"n":-1}`, string(status.Body))
		require.ErrorAs(t, err, &undecoded)
		require.ErrorAs(t, err, &status)

		requests[5].ReturnErrors = true
		got, err = engine.FetchAll[ofN](t.Context(), eng, requests[4:], engine.FanOut{})
		require.NoError(t, err)
		require.Equal(t, -1, got[1].N)

		// What cannot be decoded stops a run as well.
		_, err = engine.FetchAll[ofN](t.Context(), eng, requests, engine.FanOut{StopAtFirst: true, Window: 1})
		failure, ok := err.(*engine.Failure)
		require.True(t, ok)
		require.EqualValues(t, 3, failure.Index)
		texts, err := engine.FetchAll[string](t.Context(), eng, []*engine.Request{{Path: "/3", Stream: true}, nil}, engine.FanOut{})
		require.Equal(t, []string{`{"n":`, ""}, texts)
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		whole, err := engine.FetchAll[*engine.Response](t.Context(), eng, requests[:1], engine.FanOut{})
		require.NoError(t, err)
		require.Equal(t, `{"n":0}`, whole[0].Text())
		_, err = engine.FetchAll[string](t.Context(), nil, requests, engine.FanOut{})
		require.ErrorIs(t, err, engine.ErrNoEngine)
	})
}

func TestMapAsksOncePerKeyAndTellsWhichFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, asJSON)
		eng := s.newEngine(t, engine.Config{})
		request := func(key string) *engine.Request { return &engine.Request{Path: "/" + key} }
		keys := slices.Values([]string{"1", "2", "3", "2", "1", "5", "6"})
		got, err := engine.Map[string, ofN](t.Context(), eng, keys, request, engine.FanOut{})
		require.Equal(t, map[string]ofN{"1": {1}, "2": {2}, "6": {6}}, got)
		require.Len(t, s.seen(), 5)
		failures, ok := errors.AsType[*engine.Failures](err)
		require.True(t, ok)
		var failed []any
		for _, failure := range failures.Each {
			failed = append(failed, failure.Key)
		}
		require.Equal(t, []any{"3", "5"}, failed)

		require.PanicsWithValue(t, "of the request", func() {
			_, _ = engine.Map[string, ofN](t.Context(), eng, keys, func(string) *engine.Request { panic("of the request") }, engine.FanOut{})
		})
		_, err = engine.Map[string, ofN](t.Context(), eng, nil, request, engine.FanOut{})
		require.ErrorIs(t, err, engine.ErrInvalidRun)
		_, err = engine.Map[string, ofN](t.Context(), eng, iter.Seq[string](keys), nil, engine.FanOut{})
		require.ErrorIs(t, err, engine.ErrInvalidRun)
		wantNothingHeld(t, eng)
	})
}

func TestARaceIsWonByTheFirstSuccessAndTheLosersAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, asAsked).newEngine(t, engine.Config{})
		ctx := t.Context()
		start := time.Now()
		response, index, err := eng.Race(ctx, &engine.Request{Path: "/0/500"}, &engine.Request{Path: "/1/5/503"}, &engine.Request{Path: "/2/20"}, nil)
		require.NoError(t, err)
		require.Equal(t, 2, index)
		require.Equal(t, "2", response.Text())
		require.Equal(t, 20*time.Millisecond, time.Since(start))
		wantNothingHeld(t, eng)

		_, index, err = eng.Race(ctx, &engine.Request{Path: "/0/50/503"}, &engine.Request{Path: "/1/5/404"}, nil)
		require.Equal(t, -1, index)
		failures, ok := errors.AsType[*engine.Failures](err)
		require.True(t, ok)
		require.Len(t, failures.Each, 3)
		var status *engine.StatusError
		require.ErrorAs(t, failures.Each[0], &status)
		require.Equal(t, 503, status.StatusCode)
		require.ErrorIs(t, failures.Each[2], engine.ErrInvalidRequest)

		// Streams: the winner's goes on, and those of others are closed.
		stream := func(path string) *engine.Request { return &engine.Request{Path: path, Stream: true} }
		response, index, err = eng.Race(ctx, stream("/0/10"), stream("/1/10"), stream("/2/10"), stream("/3/5/500"))
		require.NoError(t, err)
		body, err := io.ReadAll(response.Stream)
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(index), string(body))
		synctest.Wait()
		wantNothingHeld(t, eng)

		late, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
		_, _, err = eng.Race(late, &engine.Request{Path: "/0/500"}, &engine.Request{Path: "/1/500"})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		for _, raced := range []func() error{
			func() error { _, _, err := eng.Race(ctx); return err },
			func() error { _, _, err := eng.Race(missingContext, &engine.Request{}); return err },
			func() error { _, _, err := eng.Hedge(ctx, -1, &engine.Request{}); return err },
		} {
			require.ErrorIs(t, raced(), engine.ErrInvalidRequest)
		}
		_, _, err = (*engine.Engine)(nil).Race(ctx, &engine.Request{})
		require.ErrorIs(t, err, engine.ErrNoEngine)
	})
}

func TestAHedgeSendsAnotherOnlyWhenTheFirstIsLateOrHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, asAsked)
		eng := s.newEngine(t, engine.Config{})
		quick, slow, bad := &engine.Request{Path: "/1/10"}, &engine.Request{Path: "/2/500"}, &engine.Request{Path: "/3/20/500"}
		hedge := func(requests ...*engine.Request) (index, sent int, took time.Duration) {
			before, start := len(s.seen()), time.Now()
			_, index, err := eng.Hedge(t.Context(), 100*time.Millisecond, requests...)
			require.NoError(t, err)
			return index, len(s.seen()) - before, time.Since(start)
		}
		index, sent, took := hedge(quick, quick)
		require.Equal(t, []int{0, 1}, []int{index, sent}, "in time")
		require.Equal(t, 10*time.Millisecond, took)
		index, sent, took = hedge(slow, quick, quick)
		require.Equal(t, []int{1, 2}, []int{index, sent}, "late")
		require.Equal(t, 110*time.Millisecond, took)
		index, sent, took = hedge(bad, quick)
		require.Equal(t, []int{1, 2}, []int{index, sent}, "failed")
		require.Equal(t, 30*time.Millisecond, took)
		index, sent, took = hedge(bad, slow, slow, quick)
		require.Equal(t, []int{3, 4}, []int{index, sent})
		require.Equal(t, 230*time.Millisecond, took)
		wantNothingHeld(t, eng)
	})
}

func TestWhatLosesARaceInALimitsQueueHasCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, asAsked)
		eng := s.newEngine(t, engine.Config{Limits: limitsOf(1, time.Minute), DefaultLimitID: "calls"})
		_, _, err := eng.Race(t.Context(), &engine.Request{Path: "/1/10"}, &engine.Request{Path: "/2/10"}, &engine.Request{Path: "/3/10"})
		require.NoError(t, err)
		require.Len(t, s.seen(), 1)
		require.EqualValues(t, 1, eng.Stats().Limits.Limits[0].Used)
		wantNothingHeld(t, eng)
	})
}

func TestALoserThatDoesNotEndIsWaitedForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		stuck, stucks := make(chan struct{}), new(atomic.Int64)
		eng := newServer(t, asAsked).newEngine(t, engine.Config{
			Logger: logTo(&log),
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(_ context.Context, req *engine.Request) error {
				if strings.Contains(req.URL, "stuck") {
					stucks.Add(1)
					<-stuck
				}
				return nil
			})},
		})
		start := time.Now()
		_, index, err := eng.Race(t.Context(), &engine.Request{Path: "/stuck"}, &engine.Request{Path: "/1/10"})
		require.NoError(t, err)
		require.Equal(t, 1, index)
		require.GreaterOrEqual(t, time.Since(start), 10*time.Second)
		for range eng.Stream(t.Context(), slices.Values([]*engine.Request{{Path: "/1/10"}, {Path: "/stuck"}}), engine.FanOut{}) {
			break
		}
		require.Less(t, time.Since(start), 21*time.Second)
		close(stuck)
		synctest.Wait()
		require.EqualValues(t, 2, stucks.Load())
		require.Contains(t, log.String(), "a race has been won")
		require.Contains(t, log.String(), "some of its requests have not")
		wantNothingHeld(t, eng)
	})
}

func TestWhatARunDidNotComeToIsAmongTheFailuresOfASlice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			asJSON(w, r)
		}).newEngine(t, engine.Config{Connections: engine.Connections{Max: 4}})
		requests := make([]*engine.Request, 5000)
		for i := range requests {
			requests[i] = &engine.Request{Path: "/" + strconv.Itoa(2*i+2)}
		}
		for name, ask := range map[string]func(context.Context) (came []bool, err error){
			"All": func(ctx context.Context) (came []bool, err error) {
				results, err := eng.All(ctx, requests, engine.FanOut{FailStatuses: true})
				for i := range results {
					came = append(came, results[i].Err == nil)
				}
				return came, err
			},
			"FetchAll": func(ctx context.Context) (came []bool, err error) {
				all, err := engine.FetchAll[ofN](ctx, eng, requests, engine.FanOut{})
				for _, one := range all {
					came = append(came, one != ofN{})
				}
				return came, err
			},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			came, err := ask(ctx)
			cancel()
			failures, ok := errors.AsType[*engine.Failures](err)
			require.True(t, ok, name)
			require.EqualValues(t, len(requests), failures.Of)
			var beyond int64
			for i, failure := range failures.Each {
				require.False(t, came[failure.Index])
				require.True(t, i == 0 || failures.Each[i-1].Index < failure.Index, "by index, and each once")
				if _, ofTheRun := errors.AsType[*engine.RunError](failure.Err); ofTheRun {
					beyond++
				}
			}
			succeeded := slices.DeleteFunc(slices.Clone(came), func(c bool) bool { return !c })
			require.Len(t, failures.Each, len(requests)-len(succeeded), name)
			require.NotEmpty(t, succeeded)
			require.Equal(t, failures.NotBegun, beyond)
			require.Positive(t, beyond)
			require.Contains(t, err.Error(), fmt.Sprintf("%d of 5000 requests failed, %d of them not begun, first request", len(failures.Each), beyond))

			over, stop := context.WithCancel(t.Context())
			stop()
			_, err = ask(over)
			require.IsType(t, &engine.RunError{}, err, "none was begun")
		}
	})
}

func TestAHedgeDoesNotShareTheAnswerThatItIsToBeAheadOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen atomic.Int64
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if seen.Add(1) == 1 {
				<-r.Context().Done()
			}
		}).newEngine(t, engine.Config{})
		req := &engine.Request{Path: "/a", Query: engine.Values{"n": 1}, Coalesce: true}
		began := time.Now()
		_, index, err := eng.Hedge(t.Context(), time.Second, req, req)
		require.NoError(t, err)
		require.Equal(t, 1, index)
		require.Equal(t, time.Second, time.Since(began))
		require.True(t, req.Coalesce, "the caller's own is not changed")
		synctest.Wait()
		wantNothingHeld(t, eng)

		other := asks(t.Context(), eng, &engine.Request{Path: "/b", Coalesce: true})
		_, _, err = eng.Race(t.Context(), &engine.Request{Path: "/b", Coalesce: true}, &engine.Request{Path: "/c", Coalesce: true})
		require.NoError(t, err)
		require.NoError(t, (<-other).err)
	})
}

func TestARaceWithAContextThatCannotBeAskedIsRefused(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	for name, err := range map[string]error{
		"Race":  third(eng.Race(unaskable{t.Context()}, &engine.Request{URL: "http://a.test/"})),
		"Hedge": third(eng.Hedge(unaskable{t.Context()}, time.Second, &engine.Request{URL: "http://a.test/"})),
	} {
		var panicked *engine.PanicError
		require.ErrorAs(t, err, &panicked, name)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err), name)
	}
}

func third(_ *engine.Response, _ int, err error) error { return err }
