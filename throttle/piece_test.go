package throttle

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// cacheLine is how much a processor fetches at once.
const cacheLine = 64

func TestWhatADecisionTouchesOfAPathFillsTwoCacheLines(t *testing.T) {
	require.EqualValues(t, 2*cacheLine, unsafe.Offsetof(path{}.lanes))
	require.LessOrEqual(t, unsafe.Sizeof(path{})+unsafe.Sizeof(sliding{}), uintptr(6*cacheLine), "with its meter and the usual window")
}

func TestAPathItsMeterAndTheWindowOfThatAreOnePieceOfMemory(t *testing.T) {
	for kind := Sliding; kind <= Lifetime; kind++ {
		for _, links := range []int{0, 1} {
			t.Run(fmt.Sprintf("%v with %d links", kind, links), func(t *testing.T) {
				own := Limit{ID: "own", Quota: 9, Window: kind, By: ByAccount | ByKey}
				if kind != Concurrency && kind != Lifetime {
					own.Per = sec
				}
				limits := []Limit{own}
				if links > 0 {
					limits[0].Linked = []Link{{ID: "pool", Weight: 1}}
					limits = append(limits, Limit{ID: "pool", Quota: 90, Per: sec})
				}
				l := exact(t, Options{}, limits...)
				p := &Permit{Limit: "own", Account: "a", Key: "k"}
				require.NoError(t, l.Acquire(0, p))
				require.Same(t, &p.path.rarest, p.path.charges[0].meter)
				require.Len(t, p.path.charges, 1+links)
				for i := range links {
					require.NotSame(t, &p.path.rarest, p.path.charges[1+i].meter)
				}
				require.EqualValues(t, 1, limitOf(l, 0, "own").InFlight)
			})
		}
	}
}

func TestAMeterThatOthersLedToFirstIsNotMadeAgain(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1, Per: sec, By: ByAccount}, Limit{ID: "r", Linked: []Link{{ID: "a"}}})
	first := &Permit{Limit: "a", Account: "x"}
	require.NoError(t, l.Acquire(0, first))
	require.Equal(t, Granted, first.State())
	second := &Permit{Limit: "r", Account: "x"}
	require.NoError(t, l.Acquire(0, second))
	require.Equal(t, Queued, second.State())
	require.Same(t, first.path.charges[0].meter, second.path.charges[0].meter)
}

// A meter is in one piece with the path that it was made with, and keeps it; but not what
// that path leads to.
func TestAMeterThatStaysKeepsNoneOfAnOldTable(t *testing.T) {
	limit := Limit{ID: "a", Quota: 9, Per: 10 * sec, By: ByAccount | ByKey}
	all := everybody()[:20_000]
	spent := heapInUse()
	l := exact(t, Options{}, limit)
	stays := &Permit{Limit: "a", Account: "who", Key: "stays"}
	require.NoError(t, l.Acquire(0, stays))
	for _, of := range all {
		p := &Permit{Limit: "a", Account: of.Account, Key: of.Key}
		require.NoError(t, l.Acquire(0, p))
		l.Settle(0, p, Outcome{})
	}
	require.NoError(t, l.Replace(0, []Limit{limit}))
	silence(l, 30*sec)
	require.Equal(t, 1, l.table.rules["a"].meters.n)
	require.LessOrEqual(t, float64(heapInUse())-float64(spent), float64(3<<20), "all of it would be 9 MB; an index keeps its room until it is empty")
	runtime.KeepAlive(all)
	runtime.KeepAlive(l)
	runtime.KeepAlive(stays)
}
