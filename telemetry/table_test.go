package telemetry

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/engine"
)

// crowded is a key that many others have the hint of.
type crowded uint8

func (c crowded) hint() uint64 { return uint64(c % 3) }

// The oracle is a map: the first so many keys stay, and others are turned away.
func TestATableIsAMapThatIsFullAtSomeTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, 40).Draw(t, "most")
		tested, oracle := newTable[crowded, int](most), map[crowded]int{}
		for i, key := range rapid.SliceOf(rapid.Map(rapid.Uint8Range(0, 60), func(n uint8) crowded { return crowded(n) })).Draw(t, "keys") {
			want, known := oracle[key]
			got, found := tested.find(key)
			require.Equal(t, known, found)
			require.Equal(t, want, got)
			got, kept := tested.add(key, func() int { return i })
			if !known && len(oracle) < most {
				oracle[key] = i
			}
			want, known = oracle[key]
			require.Equal(t, known, kept)
			require.Equal(t, want, got)
		}
	})
}

func TestATableIsAddedToByManyAtOnce(t *testing.T) {
	const most, keys = 20, 60
	tested := newTable[crowded, crowded](most)
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			for key := range crowded(keys) {
				if value, kept := tested.add(key, func() crowded { return key }); kept && value != key {
					t.Errorf("%d leads to %d", key, value)
				}
			}
		})
	}
	adding.Wait()
	require.Equal(t, most, tested.kept.Load().n)
}

func TestEqualKeysHaveEqualHints(t *testing.T) {
	at := engine.Origin{Scheme: "https", Addr: "venue.test:443"}
	one := exchange{origin: at, method: "GET", answer: answer{200, 1, 1}}
	same := exchange{origin: engine.Origin{Scheme: "https", Addr: string([]byte(at.Addr))}, method: "GET", answer: answer{200, 1, 1}}
	require.Equal(t, one.hint(), same.hint())
	require.Equal(t, request{limit: "a", failure: "b"}.hint(), request{limit: string([]byte("a")), failure: "b"}.hint())
	hints := map[uint64]bool{}
	for status := range 600 {
		one.status = status
		hints[one.hint()%1024] = true
	}
	require.Greater(t, len(hints), 500, "statuses are spread")
}
