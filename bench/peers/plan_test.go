package peers

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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

func TestGuestsComeSeldomUnlessNobodyElseDoes(t *testing.T) {
	load := Case{Guests: guests, GuestsEvery: 5, Cannot: map[string]string{FastHTTP: "why"}}
	all := load.among(ClientNames())
	require.Equal(t, guests, all.Guests)
	require.Equal(t, []string{Engine, NetHTTP, FastHTTP}, all.Clients, "who can is not among those who cannot")
	require.Empty(t, all.Cannot)
	alone := load.among([]string{Req, Resty})
	require.Equal(t, []string{Req, Resty}, alone.Clients)
	require.Empty(t, alone.Guests)
	load.Clients = []string{Engine}
	require.Equal(t, map[string]string{FastHTTP: "why"}, load.among(ClientNames()).Cannot)
	var rounds []int
	for round := range 11 {
		if load.guestsAt(round) {
			rounds = append(rounds, round)
		}
	}
	require.Equal(t, []int{0, 5, 10}, rounds)
}

func TestAFirstLookMakesFewerRequestsAndNeverTooFew(t *testing.T) {
	for _, load := range Cases() {
		brief := load.brief()
		require.LessOrEqual(t, brief.Requests, load.Requests)
		require.NoError(t, Config{Server: []string{"x"}, Clients: []string{Engine}, Cases: []Case{brief}}.validate())
		if load.FanOut {
			require.Equal(t, load.Requests/10, brief.Requests)
		}
	}
}
