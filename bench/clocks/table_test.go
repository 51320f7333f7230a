package clocks

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func quickTable(t *testing.T, c TableConfig) *Table {
	t.Helper()
	c.Runs, c.Starts = 1, 50
	table, err := RunTable(t.Context(), c)
	require.NoError(t, err)
	return table
}

// wholeTable has every cell once.
var wholeTable = sync.OnceValues(func() (*Table, error) {
	return RunTable(context.Background(), TableConfig{Runs: 1, Starts: 50})
})

// cellsOf is the part of the whole table that is in these scenarios.
func cellsOf(t *testing.T, scenarios ...string) *Table {
	t.Helper()
	whole, err := wholeTable()
	require.NoError(t, err)
	part := *whole
	part.Rows = slices.DeleteFunc(slices.Clone(whole.Rows), func(r Row) bool { return !slices.Contains(scenarios, r.Scenario) })
	part.Starts = slices.Clone(whole.Starts)
	return &part
}

func TestTheTableHasBothEstimatorsInEveryCell(t *testing.T) {
	table := cellsOf(t, Scenarios()...)
	require.Len(t, table.Rows, 2*len(networks)*len(resolutions)*len(situations))
	seen := map[string]bool{}
	for _, r := range table.Rows {
		key := r.cell() + r.Estimator
		require.False(t, seen[key], key)
		seen[key] = true
		require.Positive(t, r.Checks, key)
		require.Positive(t, r.MeanError, key)
		require.LessOrEqual(t, r.MeanError, r.MaxError, key)
		require.LessOrEqual(t, r.P99Error, r.MaxError, key)
	}
	for _, v := range table.Verdicts()[:6] { // the others compare with the reference
		require.True(t, v.Kept, v)
	}
}

func TestTheReferenceIsWorseInEverySymmetricCellOfAnUnslewedClock(t *testing.T) {
	unslewed := slices.DeleteFunc(Scenarios(), func(name string) bool { return name == slewing })
	table := cellsOf(t, unslewed...)
	require.Zero(t, Broken(table.Verdicts()), table.Verdicts())
}

func TestThePublishedTableMakesAMillionChecks(t *testing.T) {
	c := TableConfig{}.withDefaults()
	checks := 0
	for _, cell := range c.cells() {
		if cell.situation.within && cell.estimator == Sluice {
			checks += c.Runs * cell.checks()
		}
	}
	require.GreaterOrEqual(t, checks, 1_000_000)
}

func TestASeedDecidesTheTable(t *testing.T) {
	c := TableConfig{Seed: 3, Scenarios: []string{starting}}
	one, two := quickTable(t, c), quickTable(t, c)
	require.Equal(t, one.Rows, two.Rows)
	require.Equal(t, one.Starts, two.Starts)
	c.Seed = 4
	require.NotEqual(t, one.Rows, quickTable(t, c).Rows)
}

func TestAWallClockStepCostsNothing(t *testing.T) {
	table := cellsOf(t, drifting, wallStep)
	steady := table.of(Sluice, drifting)
	for i, r := range table.of(Sluice, wallStep) {
		r.Scenario = drifting
		require.Equal(t, steady[i], r)
	}
}

func TestExchangeStepsStandApart(t *testing.T) {
	table := cellsOf(t, exchangeStep)
	failures := 0
	for _, r := range table.of(Sluice, exchangeStep) {
		failures += r.BoundFailures
		if r.Resolution == "1ms" {
			require.Equal(t, r.BoundFailures, r.UnseenFailures, "after a sample has shown the step, the bound holds")
		}
	}
	require.Positive(t, failures)
	for _, r := range table.of(Reference, "") {
		require.Zero(t, r.BoundFailures, "the reference claims no bound")
	}
}

func TestEachVerdictCanCondemn(t *testing.T) {
	table := cellsOf(t, drifting)
	require.Zero(t, Broken(table.Verdicts()), table.Verdicts())
	for i := range table.Rows {
		if r := &table.Rows[i]; r.Estimator == Sluice {
			r.BoundFailures++
			r.MeanError, r.P99Error, r.P99HalfWidth = 2000, 2000, 2000
		}
	}
	for i := range table.Starts {
		table.Starts[i].Max = 2000
	}
	verdicts := table.Verdicts()
	require.Equal(t, len(verdicts), Broken(verdicts), verdicts)
	require.Contains(t, verdicts[len(verdicts)-1].Measured, "0 of 6, not in constant, drift 20 ppm, 1ms (2000.00 against")
}

func TestWhatWasNotMeasuredIsNotKept(t *testing.T) {
	verdicts := new(Table).Verdicts()
	require.Equal(t, len(verdicts), Broken(verdicts), verdicts)
}

func TestMistakesInATableAreReported(t *testing.T) {
	_, err := RunTable(t.Context(), TableConfig{Scenarios: []string{"noon"}})
	require.ErrorContains(t, err, `"noon"`)
	_, err = RunTable(t.Context(), TableConfig{Runs: -1})
	require.ErrorContains(t, err, "negative")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = RunTable(ended, TableConfig{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestRowsAreWrittenUnderTheirPublishedNames(t *testing.T) {
	table := cellsOf(t, starting)
	var text, file bytes.Buffer
	require.NoError(t, table.WriteText(&text))
	require.Contains(t, text.String(), "heavy tail")
	require.NoError(t, WriteJSON(&file, table.Rows))
	var rows []map[string]any
	require.NoError(t, json.Unmarshal(file.Bytes(), &rows))
	require.Len(t, rows, len(table.Rows))
	for _, name := range []string{"network", "resolution", "scenario", "estimator", "mean_error_ms", "p99_error_ms", "max_error_ms", "bound_failures"} {
		require.Contains(t, rows[0], name)
	}
}
