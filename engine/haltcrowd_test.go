package engine_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// BenchmarkHaltOfACrowd halts many that wait for permits, and says how long it takes
// until none of them is queued, until Halt returns, until an urgent request that was sent
// right after has its answer, and until the last of the crowd has its own: the best of
// all rounds, for a machine may be busy.
func BenchmarkHaltOfACrowd(b *testing.B) {
	const waiting = 100_000
	for name, filter := range map[string]engine.Filter{
		"priority": {PriorityBelow: engine.Urgent}, "method": {Method: http.MethodPost},
	} {
		b.Run(fmt.Sprintf("by %s", name), func(b *testing.B) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "{}") }))
			defer server.Close()
			best := map[string]time.Duration{}
			note := func(what string, took time.Duration) {
				if least, met := best[what]; !met || took < least {
					best[what] = took
				}
			}
			for b.Loop() {
				b.StopTimer()
				eng, err := engine.New(engine.Config{
					BaseURL: server.URL, Admission: engine.Admission{MaxInFlight: 2 * waiting},
					Throttle: throttle.Options{MaxQueued: 2 * waiting},
					Limits:   []throttle.Limit{{ID: "full", Quota: 1, Per: time.Hour}, {ID: "free", Quota: 1_000_000, Per: time.Hour}},
				})
				require.NoError(b, err)
				cancel := engine.Request{Method: http.MethodDelete, Path: "/", LimitID: "free", Priority: engine.Urgent}
				_, err = eng.Do(context.Background(), &engine.Request{Path: "/", LimitID: "full"})
				require.NoError(b, err)
				_, err = eng.Do(context.Background(), &cancel)
				require.NoError(b, err)
				var answered sync.WaitGroup
				for range waiting {
					answered.Go(func() {
						_, _ = eng.Do(context.Background(), &engine.Request{Method: http.MethodPost, Path: "/", LimitID: "full"})
					})
				}
				for eng.Stats().Queued < waiting {
					time.Sleep(time.Millisecond)
				}
				looks, done := make(chan struct{}), make(chan time.Time, 1)
				go func() {
					close(looks)
					for eng.Stats().Queued > 0 {
					}
					done <- time.Now()
				}()
				<-looks
				b.StartTimer()
				began := time.Now()
				_, err = eng.Halt(filter)
				require.NoError(b, err)
				note("ms/returned", time.Since(began))
				_, err = eng.Do(context.Background(), &cancel)
				require.NoError(b, err)
				note("ms/urgent", time.Since(began))
				answered.Wait()
				note("ms/all", time.Since(began))
				b.StopTimer()
				note("ms/out", (<-done).Sub(began))
				require.NoError(b, eng.Close())
				b.StartTimer()
			}
			for unit, least := range best {
				b.ReportMetric(float64(least.Microseconds())/1000, unit)
			}
		})
	}
}
