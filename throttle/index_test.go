package throttle

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAnIndexFindsWhatAMapFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4))
		spread := rapid.SampledFrom([]uint64{0, 0xff, 0xff << 56, 0xf << 30, ^uint64(0)}).Draw(t, "bits in which hashes differ")
		most := rapid.SampledFrom([]int{3, 50, 1000, 5000}).Draw(t, "most at once")
		var x index[int]
		byHash, all := map[uint64][]*int{}, []uint64{}
		for range 3 * most {
			if len(all) > 0 && (len(all) == most || rng.IntN(3) == 0) {
				i := rng.IntN(len(all))
				hash := all[i]
				one := byHash[hash][0]
				all = slices.Delete(all, i, i+1)
				byHash[hash] = byHash[hash][1:]
				x.remove(hash, one)
			} else {
				hash, one := rng.Uint64()&spread, new(int)
				x.put(hash, one)
				all, byHash[hash] = append(all, hash), append(byHash[hash], one)
			}
			if rng.IntN(most) == 0 {
				requireSame(t, &x, byHash, len(all))
			}
		}
		requireSame(t, &x, byHash, len(all))
		for hash, ones := range byHash {
			for _, one := range ones {
				x.remove(hash, one)
			}
		}
		require.Zero(t, x, "what is empty keeps no memory")
	})
}

// requireSame checks that all that is in a map is found, and nothing else.
func requireSame(t *rapid.T, x *index[int], want map[uint64][]*int, n int) {
	require.Equal(t, n, x.n)
	for hash, ones := range want {
		var found []*int
		at := uint64(0)
		for one := x.next(hash, &at); one != nil; one = x.next(hash, &at) {
			found = append(found, one)
		}
		require.ElementsMatch(t, ones, found)
	}
	seen := map[*int]bool{}
	x.each(func(one *int) {
		require.False(t, seen[one], "each is met once")
		seen[one] = true
	})
	require.Len(t, seen, n)
}

// What is moved at once is bounded, however many there are.
func TestAnIndexMovesFewAtOnce(t *testing.T) {
	var x index[int]
	rng := newRand(1)
	for range 100_000 {
		x.put(rng.Uint64(), new(int))
	}
	slots := 0
	for k := 0; k < len(x.shards); k += x.alike(x.shards[k]) {
		require.LessOrEqual(t, len(x.shards[k].slots), mostSlots)
		slots += len(x.shards[k].slots)
	}
	require.LessOrEqual(t, slots, 3*x.n, "and not much of it is empty")
	require.LessOrEqual(t, len(x.shards), x.n/32)
}

func TestSomeOfAnIndexAreMetFromAnywhereOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 5))
		var x index[int]
		in, slots := map[*int]bool{}, 0
		for range rapid.IntRange(0, 2000).Draw(t, "how many there are") {
			one := new(int)
			in[one] = true
			x.put(rng.Uint64(), one)
		}
		for k := 0; k < len(x.shards); k += x.alike(x.shards[k]) {
			slots += len(x.shards[k].slots)
		}
		n, met, calls := rapid.IntRange(0, 10_000).Draw(t, "how many are asked for"), map[*int]bool{}, 0
		x.some(rng.Uint64(), n, func(one *int) { met[one] = true; calls++ })
		require.LessOrEqual(t, calls, n)
		for one := range met {
			require.True(t, in[one])
		}
		if n >= 2*slots { // a shard may be looked at first and last
			require.Len(t, met, len(in))
		}
	})
}

// anyOf returns one that is in an index.
func anyOf[T any](x *index[T]) (found *T) {
	x.each(func(one *T) { found = one })
	return found
}
