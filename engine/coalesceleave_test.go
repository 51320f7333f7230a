package engine_test

import (
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// Whoever leaves asks what the flight waits for, which may be over in the same moment, and its place
// be another request's: it is for the race detector.
func TestSharersMayLeaveInTheMomentInWhichTheirAnswerComes(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Millisecond) })
			eng := s.newEngine(t, engine.Config{DefaultLimitID: "calls", Limits: []throttle.Limit{{ID: "calls", Quota: 1000, Per: time.Hour}}})
			defer eng.Close()
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for range 5 {
						_, _ = eng.Do(t.Context(), &engine.Request{Path: "/", Coalesce: true, Timeout: time.Duration(9+i%3) * time.Millisecond})
					}
				})
			}
			all.Wait()
		})
	}
}
