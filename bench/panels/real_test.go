package panels

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

// A run as package load makes it, live and afterwards: both pages tell the same of it.
func TestARealRunIsShownAsItWasMeasured(t *testing.T) {
	var n atomic.Uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	client, err := load.Open(load.ClientConfig{Client: load.Engine, Connections: 8})
	require.NoError(t, err)
	t.Cleanup(client.Close)
	spec := schedule.Spec{WarmUp: time.Second, Stages: []schedule.Stage{
		{From: schedule.Rate{Requests: 100, Per: time.Second}, To: schedule.Rate{Requests: 100, Per: time.Second}, For: time.Second},
		{From: schedule.Rate{Requests: 100, Per: time.Second}, To: schedule.Rate{Requests: 300, Per: time.Second}, For: 1500 * time.Millisecond},
	}}
	header := results.Header{Name: "real"}
	live := NewLive(header)
	run, err := load.Run(t.Context(), load.Config{
		Header: header, Schedule: &spec, Plan: targets.OneTarget("GET", server.URL+"/price", nil, nil), Client: client,
		Each: func(i results.Interval) { require.NoError(t, live.Add(i)) }, Watch: live.Watch,
	})
	require.NoError(t, err)
	m := materialOf("r1", run, mostPoints)
	require.Equal(t, uint64(300), m.all().Count)
	require.Equal(t, uint64(100), m.warm.Count)
	require.NotZero(t, m.all().Failed())

	going, err := live.look()
	require.NoError(t, err)
	ended, err := newDocument([]*results.Run{run})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(ended.charts), 8, "percentiles, latency, rates and what is open, stages, errors, load, limits, harness")
	require.Len(t, going.charts, len(ended.charts))
	for i, c := range ended.charts {
		want, err := json.Marshal(c)
		require.NoError(t, err)
		got, err := json.Marshal(going.charts[i])
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), c.ID)
	}
	require.NoError(t, live.End(run))
	require.Equal(t, textOf(t, run), ask(t, live, "GET", "/", "localhost").Body.String())

	address, _ := writtenTo(t, run)
	b := open(t, address)
	b.look(t, wide)
	b.visit(t, address)
	require.Empty(t, value[[]string](t, b, blank))
	require.Contains(t, value[string](t, b, `document.querySelector("#r1-rates-says").textContent`), "400 were due, 400 were sent, 400 ended")
	require.Contains(t, value[string](t, b, `document.querySelector("#r1-errors-says").textContent`), "The most frequent error was status 404")
	b.WantQuiet(t, address)
}
