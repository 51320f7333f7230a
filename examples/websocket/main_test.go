package main

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// place runs the program in fake time, with whatever is changed of its configuration.
func place(t *testing.T, change func(*engine.Config)) (report exchange.Report, took time.Duration, err error) {
	synctest.Test(t, func(t *testing.T) {
		delay, failed := exchange.ParseDelay("uniform:5ms-50ms")
		require.NoError(t, failed)
		ex, failed := exchange.New(exchange.Config{
			Delay: delay, ReturnDelay: delay, Ban: exchange.Ban{Grace: time.Second},
			Limits: []exchange.Limit{
				{Kind: exchange.Weight, Quota: 1200, Per: time.Minute},
				{Kind: exchange.Orders, Quota: 10, Per: 2 * time.Second, Policy: exchange.Sliding},
			},
		})
		require.NoError(t, failed)
		listener := memnet.Listen()
		go ex.Serve(listener)
		transport := &http.Transport{DialContext: listener.DialContext}
		defer func() {
			transport.CloseIdleConnections()
			require.NoError(t, ex.Close())
		}()
		config := configure(listener.URL())
		config.Dial.DialContext = listener.DialContext
		change(&config)
		start := time.Now()
		err = run(t.Context(), config, &http.Client{Transport: transport}, io.Discard)
		took, report = time.Since(start), ex.Report()
	})
	return report, took, err
}

func TestMessagesAndRequestsShareOneBudget(t *testing.T) {
	report, took, err := place(t, func(*engine.Config) {})
	require.NoError(t, err)
	require.Zero(t, report.Violations(), "%s", report)
	require.EqualValues(t, 2*orders, report.Orders)
	require.GreaterOrEqual(t, took, 10*time.Second, "ten in two seconds, both ways together")
	require.Less(t, took, 12*time.Second, "and little more")
}

func TestABudgetThatIsTwiceWhatItIsIsFoundOut(t *testing.T) {
	report, _, err := place(t, func(c *engine.Config) {
		for i := range c.Limits {
			if c.Limits[i].ID == "orders" {
				c.Limits[i] = throttle.Limit{ID: "orders", Quota: 20, Per: 2 * time.Second}
			}
		}
	})
	require.Error(t, err)
	require.Positive(t, report.Counts[exchange.OverLimit])
}
