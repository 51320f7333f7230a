package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestWaitingTellsWhoWaitsForALimitUntilWhenAndBehindWhom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			Accounts: map[string]auth.Authenticator{"main": nil},
			Limits:   []throttle.Limit{{ID: "orders", Quota: 1, Per: 10 * time.Second, By: throttle.ByAccount}},
		})
		require.Empty(t, eng.Waiting(10))
		order := engine.Request{Method: "POST", Path: "/order?secret=1", LimitID: "orders", Account: "main", Key: "sesame"}
		sent := time.Now()
		require.NoError(t, <-begin(eng, order))
		first := begin(eng, order)
		synctest.Wait()
		urgent := order
		urgent.Priority, urgent.Path = engine.Urgent, "/cancel"
		second := begin(eng, urgent)
		synctest.Wait()
		time.Sleep(time.Second)

		waiting := eng.Waiting(10)
		require.Len(t, waiting, 2)
		require.Equal(t, engine.Waiter{
			Subject: "POST /cancel", LimitID: "orders", Account: "main", Origin: "http://server.test:80", Priority: engine.Urgent,
			Since: waiting[0].Since, For: engine.ForPermit, HeldBy: engine.HeldBy{Limit: "orders", Account: "main", Until: waiting[0].HeldBy.Until},
		}, waiting[0])
		require.WithinDuration(t, sent, waiting[0].Since, 10*time.Millisecond)
		require.WithinDuration(t, sent.Add(10*time.Second), waiting[0].HeldBy.Until, 50*time.Millisecond)
		require.Equal(t, "POST /order", waiting[1].Subject, "without its query")
		require.Equal(t, 1, waiting[1].Ahead)
		require.Equal(t, "POST /cancel", waiting[1].Behind)
		require.Len(t, eng.Waiting(1), 1)
		require.Empty(t, eng.Waiting(0))

		for _, w := range waiting {
			raw, err := json.Marshal(w)
			require.NoError(t, err)
			require.Contains(t, string(raw), `"for":"permit"`)
			for _, text := range []string{w.String(), fmt.Sprintf("%+v", w), string(raw), w.LogValue().String()} {
				require.NotContains(t, text, "secret")
				require.NotContains(t, text, "sesame")
			}
		}
		require.Contains(t, waiting[1].String(), `POST /order of "main", priority 0, waits since`)
		require.Contains(t, waiting[1].String(), "behind 1")

		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, time.Hour))
		waiting = eng.Waiting(10)
		require.True(t, waiting[0].HeldBy.Paused)
		require.WithinDuration(t, time.Now().Add(time.Hour), waiting[0].HeldBy.Until, 10*time.Millisecond)
		require.NoError(t, eng.Resume(throttle.Scope{Name: throttle.WholeOrigin}))
		require.NoError(t, <-second)
		require.NoError(t, <-first)
		require.Empty(t, eng.Waiting(10))
		require.NoError(t, eng.Close())
		require.Empty(t, eng.Waiting(10), "of an engine that has ended")
		require.Empty(t, new(engine.Engine).Waiting(10))
	})
}

func TestWaitingTellsWhoWaitsForAConnectionForACreditAndForAPermitAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		release := sync.OnceFunc(func() { close(free) })
		t.Cleanup(release)
		s := newServer(t, func(http.ResponseWriter, *http.Request) { <-free })
		eng := s.newEngine(t, engine.Config{
			Limits:      []throttle.Limit{{ID: "l", Quota: 10, Per: time.Second}, {ID: "none", Window: throttle.Lifetime, Quota: 1}},
			Connections: engine.Connections{Max: 1}, Admission: engine.Admission{MaxInFlight: 3},
		})
		var all []<-chan error
		come := func(path, limit string, priority engine.Priority) {
			all = append(all, begin(eng, engine.Request{Path: path, LimitID: limit, Priority: priority}))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		come("/first", "l", 0)
		come("/second?k=v", "l", 0)
		come("/third", engine.Unlimited, engine.High)
		come("/fourth", "l", 0)
		submitted := eng.Submit(t.Context(), &engine.Request{Path: "/fifth?k=v", LimitID: engine.Unlimited, Priority: engine.Urgent})
		time.Sleep(time.Second)
		permit, err := eng.TryAcquire(engine.Charge{LimitID: "l", Weight: 8})
		require.NoError(t, err)
		acquired := make(chan error)
		go func() {
			p, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "l", Weight: 10})
			if err == nil {
				p.Done(engine.Done)
			}
			acquired <- err
		}()
		synctest.Wait()

		waiting := eng.Waiting(10)
		var told []string
		for _, w := range waiting {
			told = append(told, fmt.Sprintf("%s %q %v %d %q", w.Subject, w.LimitID, w.For, w.Ahead, w.Behind))
		}
		require.Equal(t, []string{
			`permit "l" permit 0 ""`,
			`GET /third "" connection 0 ""`, `GET /second "l" connection 1 "GET /third"`,
			`GET /fifth "" credit 0 ""`, `GET /fourth "l" credit 1 "GET /fifth"`,
		}, told)
		require.WithinDuration(t, time.Now().Add(-4*time.Second), waiting[2].Since, 50*time.Millisecond, "the second waits for a connection since it has its permit")
		require.WithinDuration(t, time.Now().Add(-time.Second), waiting[3].Since, 50*time.Millisecond)
		require.Len(t, eng.Waiting(1), 3, "one of each kind")
		for _, w := range waiting {
			require.NotContains(t, w.String(), "k=v")
		}
		release()
		permit.Done(engine.Done)
		for _, one := range all {
			require.NoError(t, <-one)
		}
		_, err = submitted.Result()
		require.NoError(t, err)
		require.NoError(t, <-acquired)
	})
}

func TestAGlanceIsThePictureOfStatsWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{{ID: "l", Quota: 10, Per: time.Hour, By: throttle.ByKey}},
			Memory: engine.MemoryFile(filepath.Join(t.TempDir(), "memory")),
		})
		for i := range 30 {
			host := fmt.Sprintf("http://host-%d.test", i%3)
			_, err := eng.Do(t.Context(), &engine.Request{URL: host, LimitID: "l", Key: fmt.Sprint(i)})
			require.NoError(t, err)
		}
		whole, glance := eng.Stats(), eng.Glance(100)
		whole.At, whole.Limits.At, glance.At, glance.Limits.At = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		require.ElementsMatch(t, whole.Pools, glance.Pools)
		whole.Pools, glance.Pools = nil, nil
		require.Equal(t, whole, glance)
		require.True(t, whole.Memory.Kept)
		require.False(t, whole.Memory.Failed)
		require.NotZero(t, whole.Memory.Written)

		glance = eng.Glance(2)
		require.Len(t, glance.Limits.Limits, 2)
		require.Equal(t, 28, glance.Limits.LeftOut)
		require.Len(t, glance.Pools, 2)
		require.Equal(t, 1, glance.PoolsLeftOut)
		require.Len(t, eng.Glance(-5).Limits.Limits, 1)
		raw, err := json.Marshal(glance)
		require.NoError(t, err)
		require.True(t, strings.Contains(string(raw), `"left_out":28`))
		require.Zero(t, new(engine.Engine).Glance(5))
	})
}
