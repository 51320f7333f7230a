package engine_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

const slowHook = 5 * time.Millisecond

// slowEnds is an observer whose End takes its time over what failed.
func slowEnds(ended *atomic.Int64) []engine.Observer {
	return []engine.Observer{{End: func(_ context.Context, e engine.Ended) {
		if e.Err != nil {
			time.Sleep(slowHook)
			ended.Add(1)
		}
	}}}
}

// theRest are the requests that end together: a thousand, told 256 at once.
const (
	theRest  = 1000
	inRounds = (theRest/256 + 1) * slowHook
)

func TestASlowHookDelaysNoOthersEndByMuch(t *testing.T) {
	hourly := engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour}}, DefaultLimitID: "l"}
	noCredit := engine.Config{Admission: engine.Admission{MaxInFlight: 1, MaxWaiting: 2 * theRest}}
	cancels := func(_ *engine.Engine, cancel context.CancelFunc) { cancel() }
	halts := func(eng *engine.Engine, _ context.CancelFunc) {
		_, err := eng.Halt(engine.Filter{})
		require.NoError(t, err)
	}
	closes := func(eng *engine.Engine, _ context.CancelFunc) { require.NoError(t, eng.Close()) }
	for name, its := range map[string]struct {
		config engine.Config
		run    func(*engine.Engine, context.Context, []*engine.Request) []error
		end    func(*engine.Engine, context.CancelFunc)
	}{
		"submitted, cancelled":                {hourly, submitAll, cancels},
		"submitted, halted":                   {hourly, submitAll, halts},
		"submitted, closed":                   {hourly, submitAll, closes},
		"submitted without a credit":          {noCredit, submitAll, cancels},
		"a run that waits for limits":         {hourly, streamAll(engine.FanOut{}), cancels},
		"a run that waits for connections":    {oneConnection, streamAll(engine.FanOut{}), cancels},
		"a run whose Each is over":            {oneConnection, streamAll(engine.FanOut{Each: 10 * time.Second}), nil},
		"a run that is halted":                {oneConnection, streamAll(engine.FanOut{}), halts},
		"a run within its time, Each besides": {oneConnection, streamAll(engine.FanOut{Within: 10 * time.Second, Each: time.Hour}), nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			var ended atomic.Int64
			config := its.config
			config.Observers = slowEnds(&ended)
			eng := newServer(t, slowly(10*time.Second+slowHook)).newEngine(t, config)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			begun := time.Now()
			if its.end != nil {
				time.AfterFunc(10*time.Second, func() { its.end(eng, cancel) })
			}
			failed := 0
			for _, err := range its.run(eng, ctx, pathsOf(theRest, engine.Request{})) {
				if err != nil {
					failed++
				}
			}
			require.LessOrEqual(t, time.Since(begun)-10*time.Second, inRounds, name)
			require.GreaterOrEqual(t, failed, theRest-1, "%s: but for one that was on its way", name)
			require.EqualValues(t, failed, ended.Load(), name)
		})
	}
}

// A hook that does not return holds up its own request, and those of 256 of them all others that have
// waited without a goroutine: there are no more goroutines than these.
func TestHooksOfVeryManyThatEndTogetherAreSoManyGoroutinesAtMost(t *testing.T) {
	for name, its := range map[string]struct {
		config engine.Config
		run    func(*engine.Engine, context.Context, []*engine.Request) []error
	}{
		"submitted": {engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour}}, DefaultLimitID: "l"}, submitAll},
		"in a run":  {oneConnection, streamAll(engine.FanOut{})},
	} {
		synctest.Test(t, func(t *testing.T) {
			var within, reached atomic.Int64
			goOn := make(chan struct{})
			config := its.config
			config.Observers = []engine.Observer{{End: func(_ context.Context, e engine.Ended) {
				if e.Err != nil {
					within.Add(1)
					<-goOn
				}
			}}}
			eng := newServer(t, slowly(time.Hour)).newEngine(t, config)
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Second, func() {
				cancel()
				time.Sleep(time.Second)
				reached.Store(within.Load())
				close(goOn)
			})
			require.Len(t, its.run(eng, ctx, pathsOf(theRest, engine.Request{})), theRest, name)
			require.EqualValues(t, theRest, within.Load(), name)
			require.GreaterOrEqual(t, reached.Load(), int64(256), name)
			require.LessOrEqual(t, reached.Load(), int64(256+runtime.GOMAXPROCS(0)+1), "%s: and that which was on its way", name)
		})
	}
}
