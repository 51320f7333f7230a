package actors

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/messages"
)

func TestDoorsAreWhatWasPublishedLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, want := newDoors(), map[messages.Origin]*pool.Door{}
		for range 200 {
			origin := messages.Origin{
				Scheme: rapid.SampledFrom([]string{"http", "https"}).Draw(t, "scheme"),
				Addr:   fmt.Sprintf("host%d.test:443", rapid.IntRange(0, 20).Draw(t, "host")),
			}
			if rapid.Bool().Draw(t, "opens") {
				want[origin] = pool.NewDoor()
				d.publish(origin, want[origin])
			} else {
				delete(want, origin)
				d.publish(origin, nil)
			}
			require.True(t, want[origin] == d.of(origin))
		}
		left := map[*pool.Door]bool{}
		for door := range d.all() {
			left[door] = true
		}
		require.Len(t, left, len(want))
		for origin, door := range want {
			require.True(t, left[door] && d.of(origin) == door)
		}
	})
}

// A stream of ever new hosts must not cost the square of their number.
func TestAnOriginMoreCostsALittleOfWhatThereAre(t *testing.T) {
	d := newDoors()
	door := pool.NewDoor()
	open := func(from, to int) (bytes uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := from; i < to; i++ {
			d.publish(messages.Origin{Scheme: "https", Addr: fmt.Sprintf("host%d.test:443", i)}, door)
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / uint64(to-from)
	}
	open(0, 10_000)
	require.Less(t, open(10_000, 11_000), uint64(20<<10), "bytes, where a copy of all of them has half a million")
}
