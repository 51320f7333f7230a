package engine_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// refusedAsk sends a request, with a limit's id that is not this one's to say.
type refusedAsk func(context.Context, engine.Request) error

// refusals are what ends a request before a limit is asked about it.
func refusals() map[string]func(*testing.T, *engine.Engine, refusedAsk) {
	return map[string]func(*testing.T, *engine.Engine, refusedAsk){
		"canceled": func(t *testing.T, _ *engine.Engine, ask refusedAsk) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			require.ErrorIs(t, ask(ctx, engine.Request{}), context.Canceled)
		},
		"late": func(t *testing.T, _ *engine.Engine, ask refusedAsk) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
			defer cancel()
			time.Sleep(time.Second)
			require.ErrorIs(t, ask(ctx, engine.Request{}), context.DeadlineExceeded)
		},
		"halted": func(t *testing.T, eng *engine.Engine, ask refusedAsk) {
			_, err := eng.Halt(engine.Filter{})
			require.NoError(t, err)
			require.ErrorIs(t, ask(t.Context(), engine.Request{}), engine.ErrHalted)
		},
		"after the end": func(t *testing.T, eng *engine.Engine, ask refusedAsk) {
			require.NoError(t, eng.Close())
			require.ErrorIs(t, ask(t.Context(), engine.Request{}), engine.ErrClosed)
		},
		"invalid": func(t *testing.T, _ *engine.Engine, ask refusedAsk) {
			require.ErrorIs(t, ask(t.Context(), engine.Request{Method: "G ET"}), engine.ErrInvalidRequest)
		},
		"of no account": func(t *testing.T, _ *engine.Engine, ask refusedAsk) {
			require.ErrorIs(t, ask(t.Context(), engine.Request{Account: "nobody"}), engine.ErrUnknownAccount)
		},
		"by no egress": func(t *testing.T, _ *engine.Engine, ask refusedAsk) {
			require.ErrorIs(t, ask(t.Context(), engine.Request{Egress: "nowhere"}), engine.ErrUnknownEgress)
		},
	}
}

// waysToBeRefused are the ways in which a request is asked for.
var waysToBeRefused = map[string]func(context.Context, *engine.Engine, engine.Request) error{
	"Do": func(ctx context.Context, eng *engine.Engine, req engine.Request) error {
		_, err := eng.Do(ctx, &req)
		return err
	},
	"Do, shared": func(ctx context.Context, eng *engine.Engine, req engine.Request) error {
		req.Coalesce = true
		_, err := eng.Do(ctx, &req)
		return err
	},
	"Submit": func(ctx context.Context, eng *engine.Engine, req engine.Request) error {
		_, err := eng.Submit(ctx, &req).Result()
		return err
	},
	"Stream": func(ctx context.Context, eng *engine.Engine, req engine.Request) error {
		for _, result := range eng.Stream(ctx, slices.Values([]*engine.Request{&req}), engine.FanOut{}) {
			return result.Err
		}
		return errors.New("nothing came")
	},
}

func TestObserversAreToldOfLimitsOfTheTableAlone(t *testing.T) {
	for why, refused := range refusals() {
		for how, ask := range waysToBeRefused {
			t.Run(why+", "+how, func(t *testing.T) {
				for given, told := range map[string]string{"calls": "calls", "": "calls", "made-up": "", engine.Unlimited: ""} {
					synctest.Test(t, func(t *testing.T) {
						var d diary
						eng := newServer(t, nil).newEngine(t, engine.Config{
							Limits: onceAMinute, DefaultLimitID: "calls", Observers: []engine.Observer{d.observer("a")},
						})
						refused(t, eng, func(ctx context.Context, req engine.Request) error {
							req.LimitID = given
							return ask(ctx, eng, req)
						})
						synctest.Wait()
						require.True(t, len(d.ended) == 1 || how == "Stream") // whose loop need not have taken it
						for _, ended := range d.ended {
							require.Equal(t, told, ended.LimitID, "asked for %q", given)
						}
					})
				}
			})
		}
	}
}

func TestALimitThatNobodyHasIsToldByNoWait(t *testing.T) {
	for how, ask := range waysToBeRefused {
		synctest.Test(t, func(t *testing.T) {
			var d diary
			eng := newServer(t, nil).newEngine(t, engine.Config{Limits: onceAMinute, Observers: []engine.Observer{d.observer("a")}})
			require.ErrorIs(t, ask(t.Context(), eng, engine.Request{LimitID: "made-up"}), engine.ErrUnknownLimit, how)
			require.NoError(t, ask(t.Context(), eng, engine.Request{LimitID: "calls"}), how)
			synctest.Wait()
			of := map[string]int{}
			for _, w := range d.waits {
				of[w.LimitID]++
			}
			require.Equal(t, []string{"", "calls"}, slices.Sorted(maps.Keys(of)), how)
			require.Equal(t, "", d.ended[0].LimitID, how)
			require.Equal(t, "calls", d.ended[1].LimitID, how)
		})
	}
}

func TestWhatARequestWasChargedToIsToldThoughTheTableHasItNoLonger(t *testing.T) {
	for how, ask := range waysToBeRefused {
		synctest.Test(t, func(t *testing.T) {
			var d diary
			var eng *engine.Engine
			replaces := engine.Observer{Attempt: func(context.Context, engine.Attempted) {
				require.NoError(t, eng.ReplaceLimits([]throttle.Limit{{ID: "others", Quota: 1, Per: time.Minute}}))
			}}
			eng = newServer(t, nil).newEngine(t, engine.Config{Limits: onceAMinute, Observers: []engine.Observer{replaces, d.observer("a")}})
			require.NoError(t, ask(t.Context(), eng, engine.Request{LimitID: "calls"}), how)
			synctest.Wait()
			require.Equal(t, "calls", d.waits[0].LimitID, how)
			require.Equal(t, "calls", d.ended[0].LimitID, how)
		})
	}
}
