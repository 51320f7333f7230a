package limits

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSluiceIsNeverRefusedInTheGrid(t *testing.T) {
	rows, err := Grid(t.Context(), Config{Seed: 1, Quick: true})
	require.NoError(t, err)
	require.Len(t, rows, 4*4*5)
	refused := map[Client]int{}
	for _, r := range rows {
		refused[r.Client] += r.Refused
		require.Greater(t, r.Utilisation, 0.7, r)
		require.LessOrEqual(t, r.Utilisation, 1.0, r)
		if r.Client == Sluice {
			requireGoal(t, r)
		}
	}
	require.Zero(t, refused[Sluice])
	for _, c := range Clients()[1:] {
		require.Positive(t, refused[c], c)
	}
	require.Zero(t, Violations(rows, nil))
}

func requireGoal(t *testing.T, r Row) {
	t.Helper()
	least := map[Counting]float64{Sliding: 0.93, Fixed: 0.9999, Token: 0.999, Decaying: 0.999}[r.Server]
	if r.Server == Sliding && r.Network == Uniform {
		least = 0.96
	}
	if r.Network == Stall && r.Server != Fixed {
		least -= 0.01 // one stall more or less in so short a run
	}
	require.GreaterOrEqual(t, r.Utilisation, least, r)
}

func TestAClientThatIgnoresLimitsIsRefused(t *testing.T) {
	for _, server := range Servers() {
		got := play(gridSetup(server, Uniform, 20), reckless, 1)
		require.Greater(t, got.refused, got.sent/2, server)
		require.Greater(t, got.utilisation(), 0.9, server)
	}
}

func TestARunIsDecidedByItsSeed(t *testing.T) {
	for _, c := range Clients() {
		first := play(gridSetup(Sliding, Lognormal, 50), c, 7)
		require.Equal(t, first, play(gridSetup(Sliding, Lognormal, 50), c, 7), c)
		require.NotEqual(t, first, play(gridSetup(Sliding, Lognormal, 50), c, 8), c)
	}
}

func TestRowsAreWrittenWithTheFieldsPromised(t *testing.T) {
	var out strings.Builder
	require.NoError(t, WriteJSON(&out, []Row{{Server: Token, Network: Stall, Client: XTimeRate, Utilisation: 0.5, Refused: 3, UrgentWaitP99MS: 1.5}}))
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out.String()), &rows))
	require.Equal(t, []map[string]any{{
		"server": "token", "network": "stall", "client": "xtimerate", "utilisation": 0.5, "refused": 3.0, "urgent_wait_p99_ms": 1.5,
	}}, rows)
	out.Reset()
	require.NoError(t, WriteJSON[Row](&out, nil))
	require.Equal(t, "[]\n", out.String())
}

func TestACellThatWasNotPlayedIsNoMeasurement(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rows, err := Grid(ctx, Config{Seed: 1, Quick: true})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, rows, 4*4*5)
	require.Less(t, len(Played(rows)), len(rows))
	var out strings.Builder
	require.NoError(t, WriteGrid(&out, rows, Config{Seed: 1, Quick: true}))
	require.Contains(t, out.String(), "not played")
	require.NotContains(t, out.String(), "0.000")
	outcomes, err := Scenarios(ctx, Config{Seed: 1, Quick: true}, nil)
	require.ErrorIs(t, err, context.Canceled)
	for _, o := range outcomes {
		require.NotEmpty(t, o.Scenario)
	}
}

func TestTheGridEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Grid(ctx, Config{Seed: 1, Quick: true})
	require.ErrorIs(t, err, context.Canceled)
}

func TestOnlyRefusalsThatAreRuledOutCountAsViolations(t *testing.T) {
	require.Equal(t, 3, Violations(
		[]Row{{Client: Sluice, Refused: 1}, {Client: Uber, Refused: 9}},
		[]Outcome{{Scenario: "lost-answers", Client: Sluice, Refused: 2}, {Scenario: sharedKey, Client: Sluice, Refused: 9}},
	))
}
