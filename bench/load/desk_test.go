package load

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestEveryArrivalIsTakenOnceInOrderWithItsInstant(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			bound := rapid.IntRange(0, 4).Draw(rt, "bound")
			steps := rapid.SliceOfN(rapid.IntRange(0, 20), 1, 10).Draw(rt, "releases")
			work := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 10).Draw(rt, "work")
			cut := rapid.Bool().Draw(rt, "cut")
			spec := constant(1000, time.Minute)
			taking, err := spec.Schedule()
			require.NoError(t, err)
			var mu sync.Mutex
			var taken []uint64
			var gone sync.WaitGroup
			busy, most := 0, 0
			var d *desk
			d = newDesk(taking, bound, func() {
				w := &worker{wake: make(chan struct{}, 1)}
				gone.Go(func() {
					for n, due, ok := d.take(w, true); ok; n, due, ok = d.take(w, false) {
						mu.Lock()
						require.Equal(t, time.Duration(n)*time.Millisecond, due)
						taken = append(taken, n)
						busy++
						most = max(most, busy)
						mu.Unlock()
						time.Sleep(time.Duration(work[int(n)%len(work)]) * time.Millisecond)
						mu.Lock()
						busy--
						mu.Unlock()
					}
				})
			})
			var released uint64
			for _, n := range steps {
				released += uint64(n)
				d.release(released)
				time.Sleep(time.Millisecond)
				synctest.Wait()
				// Work is conserved: who waits, waits because all that may work do.
				if waiting := d.backlog(); waiting > 0 {
					mu.Lock()
					require.True(t, bound > 0 && busy == bound, "%d wait, %d of %d work", waiting, busy, bound)
					mu.Unlock()
				}
			}
			first, last := released, released
			if cut {
				first, last = d.stop()
			} else {
				d.end()
			}
			gone.Wait()
			require.Equal(t, released, last)
			require.EqualValues(t, first, len(taken))
			seen := make(map[uint64]bool)
			for _, n := range taken {
				require.False(t, seen[n], "arrival %d twice", n)
				require.Less(t, n, first)
				seen[n] = true
			}
			if bound > 0 {
				require.LessOrEqual(t, most, bound)
			}
		})
	})
}
