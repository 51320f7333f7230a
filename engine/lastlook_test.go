package engine_test

import (
	"context"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// procrastinating is a context of the caller's own that has ended when its channel is closed, and takes
// its time when it is asked why.
type procrastinating struct {
	context.Context // for its values, deadline aside
	done            chan struct{}
	takes           time.Duration
	asked           atomic.Int32
	slow            int32 // so many who ask wait for that
}

func (p *procrastinating) Deadline() (time.Time, bool) { return time.Time{}, false }
func (p *procrastinating) Done() <-chan struct{}       { return p.done }
func (p *procrastinating) Value(any) any               { return nil }
func (p *procrastinating) Err() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	if p.asked.Add(1) <= p.slow {
		time.Sleep(p.takes)
	}
	return context.Canceled
}

// oneEach10ms has one request leave each 10 ms.
var oneEach10ms = []throttle.Limit{{ID: "l", Quota: 1, Per: 10 * time.Millisecond}}

// Whoever tells requests that their context has ended asks it why, and may be held up: no request leaves
// that has not been told yet.
func TestNothingLeavesUnderAContextThatHasEnded(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		for name, run := range map[string]func(*engine.Engine, context.Context, []*engine.Request) []error{
			"submitted":      submitAll,
			"stream":         streamAll(engine.FanOut{}),
			"stream, Each":   streamAll(engine.FanOut{Each: time.Hour}),
			"stream, Within": streamAll(engine.FanOut{Within: time.Hour}),
			"many callers":   doAll,
		} {
			for _, streamed := range []bool{false, true} {
				var arrived atomic.Int64
				_, eng := open(func(http.ResponseWriter, *http.Request) { arrived.Add(1) }, engine.Config{Limits: oneEach10ms, DefaultLimitID: "l"})
				ctx := &procrastinating{Context: t.Context(), done: make(chan struct{}), takes: 5 * time.Second, slow: 1}
				var before int64
				time.AfterFunc(105*time.Millisecond, func() {
					before = arrived.Load()
					close(ctx.done)
				})
				answered := int64(0)
				for _, err := range run(eng, ctx, pathsOf(600, engine.Request{Stream: streamed})) {
					if err == nil {
						answered++
						continue
					}
					require.ErrorIs(t, err, context.Canceled, name)
					require.Equal(t, engine.NotSent, engine.OutcomeOf(err), name)
				}
				require.Equal(t, before, arrived.Load(), "%s, streamed %v", name, streamed)
				require.Equal(t, before, answered, name)
				require.Positive(t, answered)
				time.Sleep(ctx.takes) // whoever was held up has gone
				synctest.Wait()
				wantNothingHeld(t, eng)
			}
		}
	})
}

// unhurried is a context of the caller's own that takes its time when it is asked why it has ended.
type unhurried struct{ context.Context }

func (u unhurried) Err() error {
	if u.Context.Err() != nil {
		time.Sleep(10 * time.Millisecond)
	}
	return u.Context.Err()
}

func TestWhatIsOnItsWayIsCutAtOnceHoweverLongItTakesToTellWhoWaits(t *testing.T) {
	inBothProtocols(t, func(t *testing.T, open func(http.HandlerFunc, engine.Config) (*server, *engine.Engine)) {
		const onTheirWay = 5
		var begun time.Time
		var cut, late atomic.Int64
		_, eng := open(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			cut.Add(1)
			if time.Since(begun) > 10*time.Second+20*time.Millisecond {
				late.Add(1)
			}
		}, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: onTheirWay, Per: time.Hour}}, DefaultLimitID: "l"})
		ctx, cancel := context.WithCancel(t.Context())
		begun = time.Now()
		time.AfterFunc(10*time.Second, cancel)
		for _, err := range submitAll(eng, unhurried{ctx}, pathsOf(200, engine.Request{})) {
			require.ErrorIs(t, err, context.Canceled)
		}
		time.Sleep(time.Second) // likewise
		synctest.Wait()
		require.EqualValues(t, onTheirWay, cut.Load())
		require.Zero(t, late.Load())
		wantNothingHeld(t, eng)
	})
}

func submitAll(eng *engine.Engine, ctx context.Context, all []*engine.Request) (errs []error) {
	var pending []*engine.Pending
	for _, one := range all {
		pending = append(pending, eng.Submit(ctx, one))
	}
	for _, one := range pending {
		response, err := one.Result()
		closeIfStreamed(response)
		errs = append(errs, err)
	}
	return errs
}

func streamAll(how engine.FanOut) func(*engine.Engine, context.Context, []*engine.Request) []error {
	return func(eng *engine.Engine, ctx context.Context, all []*engine.Request) (errs []error) {
		for _, result := range eng.Stream(ctx, slices.Values(all), how) {
			closeIfStreamed(result.Response)
			if result.Index >= 0 {
				errs = append(errs, result.Err)
			}
		}
		return errs
	}
}

func doAll(eng *engine.Engine, ctx context.Context, all []*engine.Request) (errs []error) {
	ended := make(chan error)
	for _, one := range all {
		go func() {
			response, err := eng.Do(ctx, one)
			closeIfStreamed(response)
			ended <- err
		}()
	}
	for range all {
		errs = append(errs, <-ended)
	}
	return errs
}

func closeIfStreamed(response *engine.Response) {
	if response != nil && response.Stream != nil {
		response.Stream.Close()
	}
}
