package peers

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestARoundIsMirroredAndItsNumberRotatesIt(t *testing.T) {
	require.Equal(t, []int{0, 1, 2, 2, 1, 0}, order(0, 3))
	require.Equal(t, []int{1, 2, 0, 0, 2, 1}, order(1, 3))
	require.Equal(t, []int{2, 0, 1, 1, 0, 2}, order(2, 3))
	require.Equal(t, []int{0, 0}, order(5, 1))
}

func TestEveryHalfOfARoundHasEveryClientOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "clients")
		round := rapid.IntRange(0, 1000).Draw(t, "round")
		clients := order(round, n)
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
		for position, client := range order(round, 3) {
			total[client] += position
		}
		require.Equal(t, []int{5, 5, 5}, total)
	}
}

func TestThreeRoundsPutEveryClientInEveryPositionOnce(t *testing.T) {
	var seen [3][6]int
	for round := range 3 {
		for position, client := range order(round, 3) {
			seen[client][position]++
		}
	}
	for client := range seen {
		require.Equal(t, [6]int{1, 1, 1, 1, 1, 1}, seen[client])
	}
}

func TestACaseTakesPartInEveryRoundUnlessItIsSeldom(t *testing.T) {
	due := func(load Case) (rounds []int) {
		for round := range 11 {
			if load.due(round) {
				rounds = append(rounds, round)
			}
		}
		return rounds
	}
	require.Len(t, due(Case{}), 11)
	require.Equal(t, []int{0, 5, 10}, due(Case{Every: 5}))
}

func TestCasesAreFoundByName(t *testing.T) {
	cases, err := CasesNamed("get-1", "get-64")
	require.NoError(t, err)
	require.Equal(t, []string{"get-64", "get-1"}, namesOf(cases), "in their own order")
	_, err = CasesNamed("get-1", "nonsense", "other")
	require.ErrorContains(t, err, `"nonsense"`)
	require.ErrorContains(t, err, `"other"`)
}

func TestACaseKeepsOnlyTheClientsItHas(t *testing.T) {
	plain, own := Case{}, Case{Clients: []string{RoundTripper, NetHTTP}}
	require.Equal(t, []string{Engine, NetHTTP, FastHTTP}, plain.among(ClientNames()).Clients)
	require.Equal(t, []string{NetHTTP, Engine}, plain.among([]string{NetHTTP, Engine}).Clients)
	require.Equal(t, []string{NetHTTP}, own.among([]string{NetHTTP, Engine}).Clients)
	require.Empty(t, own.among([]string{Engine}).Clients)
}
