package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// Neither while the first connections are dialled, nor when several come back in the same moment.
func TestNothingLessUrgentOfARunGoesBeforeTheMoreUrgentThatWereReadBefore(t *testing.T) {
	for _, most := range []int{1, 2, 3, 8} {
		for less := 1; less <= 8; less *= 2 {
			t.Run(fmt.Sprint(most, " connections, ", less, " less urgent"), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					testOrderOfUrgency(t, most, less)
				})
			})
		}
	}
}

func testOrderOfUrgency(t *testing.T, most, less int) {
	type arrival struct {
		at       time.Time
		priority int
	}
	var mu sync.Mutex
	var arrivals []arrival
	s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		priority, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		mu.Lock()
		arrivals = append(arrivals, arrival{time.Now(), priority})
		mu.Unlock()
		time.Sleep(time.Second)
	})
	eng := s.newEngine(t, engine.Config{
		Connections: engine.Connections{Max: most},
		Dial: engine.Dial{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			time.Sleep(100 * time.Millisecond)
			return s.dial(ctx, network, address)
		}},
	})
	var requests []*engine.Request
	for i := range less + less + 40 {
		priority := []engine.Priority{engine.Background, engine.Normal, engine.Urgent}[min(i/less, 2)]
		requests = append(requests, &engine.Request{Path: fmt.Sprintf("/%d", priority), Priority: priority})
	}
	results, counts := eng.StreamAndCrews(t.Context(), these(requests...), engine.FanOut{})
	peak := 0
	for _, result := range results {
		require.NoError(t, result.Err)
		_, out, _ := counts()
		peak = max(peak, out)
	}
	require.LessOrEqual(t, peak, 5*most, "of the least as many as there are connections, and of the others as many again to take the next")
	require.Len(t, arrivals, len(requests))
	for i, one := range arrivals {
		for _, later := range arrivals[i:] {
			require.False(t, later.priority > one.priority && later.at.After(one.at), "%d after %d", later.priority, one.priority)
		}
	}
	wantNothingHeld(t, eng)
}

// Each has a priority of its own, and all but the first, which is deaf to its end, wait for their turn.
func TestARunForgetsThePrioritiesOfThoseThatEndedBeforeTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		eng := newServer(t, asAsked).newEngine(t, engine.Config{
			Connections: engine.Connections{Max: 1},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(context.Context, *engine.Request) error {
				<-release
				return nil
			})},
		})
		input := func(yield func(*engine.Request) bool) {
			for i := range 1000 {
				if !yield(&engine.Request{Path: "/0", Priority: engine.Priority(-i)}) {
					return
				}
			}
		}
		results, ranks := eng.StreamAndRanks(t.Context(), input, engine.FanOut{Each: time.Second, Window: 64})
		n := 0
		for _, result := range results {
			require.ErrorIs(t, result.Err, context.DeadlineExceeded)
			require.LessOrEqual(t, ranks(), 64+8)
			if n++; n == 999 {
				close(release)
			}
		}
		require.Equal(t, 1000, n)
	})
}
