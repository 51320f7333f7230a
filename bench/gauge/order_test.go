package gauge

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestARoundIsMirroredAndItsNumberRotatesIt(t *testing.T) {
	require.Equal(t, []int{0, 1, 2, 2, 1, 0}, Mirrored(0, 3))
	require.Equal(t, []int{1, 2, 0, 0, 2, 1}, Mirrored(1, 3))
	require.Equal(t, []int{2, 0, 1, 1, 0, 2}, Mirrored(2, 3))
	require.Equal(t, []int{0, 0}, Mirrored(5, 1))
}

func TestEveryHalfOfARoundHasEveryClientOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "clients")
		round := rapid.IntRange(0, 1000).Draw(t, "round")
		clients := Mirrored(round, n)
		require.Len(t, clients, 2*n)
		for _, half := range [][]int{clients[:n], clients[n:]} {
			half = slices.Sorted(slices.Values(half))
			require.Len(t, slices.Compact(half), n)
		}
	})
}

func TestWithinARoundASteadyDriftHarmsEveryClientAlike(t *testing.T) {
	for round := range 3 {
		total := make([]int, 3)
		for position, client := range Mirrored(round, 3) {
			total[client] += position
		}
		require.Equal(t, []int{5, 5, 5}, total)
	}
}

func TestThreeRoundsPutEveryClientInEveryPositionOnce(t *testing.T) {
	var seen [3][6]int
	for round := range 3 {
		for position, client := range Mirrored(round, 3) {
			seen[client][position]++
		}
	}
	for client := range seen {
		require.Equal(t, [6]int{1, 1, 1, 1, 1, 1}, seen[client])
	}
}
