package engine_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// unsigned are accounts that have quotas of their own, and sign nothing.
var unsigned = map[string]auth.Authenticator{"main": nil, "sub": nil}

var orderLimits = []throttle.Limit{
	{ID: "address", Quota: 100, Per: time.Minute},
	{ID: "orders", Quota: 1, Per: time.Minute, By: throttle.ByAccount | throttle.ByKey},
	{ID: "order", Linked: []throttle.Link{{ID: "address"}, {ID: "orders"}}},
}

func usedOf(eng *engine.Engine, id string, of engine.Parts) int64 {
	for _, l := range eng.Stats().Limits.Limits {
		if l.ID == id && (engine.Parts{Account: l.Account, Key: l.Key, Egress: l.Egress}) == of {
			return l.Used
		}
	}
	return 0
}

func TestARequestIsChargedToTheMetersOfItsAccountAndKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Accounts: unsigned, Limits: orderLimits})
		began := time.Now()
		for _, account := range []string{"main", "sub", ""} {
			for _, key := range []string{"BTC", "ETH"} {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "order", Account: account, Key: key})
				require.NoError(t, err)
				require.EqualValues(t, 1, usedOf(eng, "orders", engine.Parts{Account: account, Key: key}))
			}
		}
		require.Less(t, time.Since(began), time.Second, "none waits for another's quota")
		require.EqualValues(t, 6, usedOf(eng, "address", engine.Parts{}))
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "order", Account: "sub", Key: "ETH"})
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(began), time.Minute)
	})
}

func TestALimitIsAdjustedForOneAccountAndKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Accounts: unsigned, Limits: orderLimits})
		require.NoError(t, eng.AdjustLimit("orders", engine.Parts{Account: "main", Key: "BTC"}, 1))
		require.EqualValues(t, 1, usedOf(eng, "orders", engine.Parts{Account: "main", Key: "BTC"}))
		require.ErrorIs(t, eng.AdjustLimit("orders", engine.Parts{Account: "main"}, 1), engine.ErrNoKey)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "order", Account: "sub", Key: "BTC"})
		require.NoError(t, err)
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "order", Account: "main", Key: "BTC", Timeout: time.Second})
		require.ErrorContains(t, err, `of one key of "orders"`)
		require.NotContains(t, err.Error(), "BTC")
		require.NotContains(t, err.Error(), "main")
	})
}

func TestARequestHasAWeightOfItsOwnForEveryLimitOnItsRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Accounts: unsigned, Limits: orderLimits})
		full := &engine.Request{Path: "/", LimitID: "order", Key: "BTC", Weights: map[string]int64{"address": 7}}
		free := &engine.Request{Path: "/", LimitID: "order", Key: "BTC", Weights: map[string]int64{"address": 3, "orders": 0}}
		began := time.Now()
		for _, r := range []*engine.Request{full, free, free} { // one slot after another lives again
			_, err := eng.Do(t.Context(), r)
			require.NoError(t, err)
		}
		require.Less(t, time.Since(began), time.Second, "what costs nothing there does not wait for a full limit")
		require.EqualValues(t, 13, usedOf(eng, "address", engine.Parts{}))
		require.EqualValues(t, 1, usedOf(eng, "orders", engine.Parts{Key: "BTC"}))
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "address"})
		require.NoError(t, err)
		require.EqualValues(t, 14, usedOf(eng, "address", engine.Parts{}), "weights of a life before are gone")
	})
}

// The map is read before Do has anything done, so that who sends one request from many
// goroutines, and changes the next one's, races with nobody.
func TestWeightsAreReadOnTheCallersOwnGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "a", Quota: 1000, Per: time.Second}}})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				weights := map[string]int64{}
				for i := range 10 {
					weights["a"] = int64(i)
					_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "a", Weights: weights})
					require.NoError(t, err)
				}
			})
		}
		all.Wait()
		require.LessOrEqual(t, usedOf(eng, "a", engine.Parts{}), int64(20*45))
	})
}

func TestAReaderIsToldWhoseRequestWasAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		var read []feedback.Answer
		eng := s.newEngine(t, engine.Config{Accounts: unsigned, Limits: orderLimits, Feedback: func(a feedback.Answer) feedback.Feedback {
			read = append(read, a)
			return feedback.Feedback{Usage: []feedback.Usage{{Limit: "orders", Used: 1}}}
		}})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: "address", Account: "main", Key: "BTC"})
		require.NoError(t, err)
		require.Len(t, read, 1)
		require.Equal(t, [3]string{"main", "BTC", ""}, [3]string{read[0].Account, read[0].Key, read[0].Egress})
		require.EqualValues(t, 1, usedOf(eng, "orders", engine.Parts{Account: "main", Key: "BTC"}))

		_, err = eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: engine.Unlimited, Account: "sub", Key: "BTC"})
		require.NoError(t, err)
		require.EqualValues(t, 1, usedOf(eng, "orders", engine.Parts{Account: "sub", Key: "BTC"}), "without a permit too")
	})
}

func TestARefusalOfOneAccountLetsTheOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := true
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/main" && refuse {
				refuse = false
				w.Header().Set("Retry-After", "30")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		eng := s.newEngine(t, engine.Config{Accounts: unsigned, Limits: []throttle.Limit{{ID: "orders", Quota: 100, Per: time.Minute, By: throttle.ByAccount, Scope: "account"}}, DefaultLimitID: "orders"})
		began := time.Now()
		for _, account := range []string{"main", "sub", ""} {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/" + account, Account: account})
			require.NoError(t, err)
		}
		require.Less(t, time.Since(began), time.Second)
		var paused []engine.ScopeStats
		for _, sc := range eng.Stats().Limits.Scopes {
			if !sc.PausedUntil.IsZero() {
				paused = append(paused, sc)
			}
		}
		require.Len(t, paused, 1)
		require.Equal(t, "main", paused[0].Account)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/main", Account: "main"})
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(began), 30*time.Second)

		require.NoError(t, eng.Pause(throttle.Scope{Name: "account", Account: throttle.DefaultAccount}, time.Minute))
		require.ErrorIs(t, eng.Pause(throttle.Scope{Name: "account", Egress: "eth1"}, time.Minute), throttle.ErrScopeTogether)
		at := time.Now()
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(at), time.Minute)
	})
}
