package page

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
)

func TestTheDemoKeepsLimitsOfEveryKindThatItTakes(t *testing.T) {
	for name, limits := range map[string][]exchange.Limit{
		"none": {}, "the usual ones": nil,
		"by address": {{Kind: exchange.Weight, Quota: 60, Per: time.Second, Policy: exchange.TokenBucket, Burst: 60}, {Kind: exchange.Raw, Quota: 40, Per: time.Second, Policy: exchange.FromFirst}},
		"by account": {
			{Kind: exchange.Orders, Quota: 3, Per: time.Second, Policy: exchange.Sliding, PerSymbol: true}, {Kind: exchange.Orders, Quota: 8, Per: time.Second, Policy: exchange.Decaying, Burst: 8},
			{Kind: exchange.AccountWeight, Quota: 100, Per: time.Second, Policy: exchange.Sliding}, {Kind: exchange.Actions, Quota: 20, Per: time.Second},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ex, err := exchange.New(exchange.Config{Limits: limits, Skew: time.Second})
			require.NoError(t, err)
			defer ex.Close()
			url, err := ex.Start("127.0.0.1:0")
			require.NoError(t, err)
			demo, err := Start(Config{Exchange: url, Limits: limits, Callers: 40})
			require.NoError(t, err)
			time.Sleep(2500 * time.Millisecond) // the exchange counts in real time
			var state struct{ Requests struct{ Ended, Failed int } }
			for began := time.Now(); state.Requests.Ended <= 30; time.Sleep(50 * time.Millisecond) {
				require.Less(t, time.Since(began), time.Minute, "for more than 30 requests to end: %d have", state.Requests.Ended)
				answer, err := http.Get(demo.URL + "state.json")
				require.NoError(t, err)
				require.NoError(t, json.NewDecoder(answer.Body).Decode(&state))
				require.NoError(t, answer.Body.Close())
			}
			http.DefaultClient.CloseIdleConnections()
			require.NoError(t, demo.Close())
			require.Zero(t, state.Requests.Failed)
			require.Zero(t, ex.Report().Violations(), "%v", ex.Report())
		})
	}
	for _, text := range []string{"matching=10/1s", "connections=10/1s", "actions=10/1s,budget"} {
		limit, err := exchange.ParseLimit(text)
		require.NoError(t, err)
		_, err = Start(Config{Exchange: "http://127.0.0.1:1", Limits: []exchange.Limit{limit}})
		require.ErrorContains(t, err, "cannot keep the limit")
	}
	_, err := Start(Config{Exchange: "http://127.0.0.1:1", Addr: "256.0.0.1:0"})
	require.Error(t, err)
}
