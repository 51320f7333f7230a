package clocks

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/clocksim"
	"github.com/sluice-engine/sluice/bench/parallel"
)

// The estimators compared.
const (
	Sluice    = "sluice"
	Reference = "reference" // NetworkPype's and Hummingbot's: it claims no bound
)

// Row is one cell of the table. Errors are of the estimated server time at
// random instants, in milliseconds.
type Row struct {
	Network    string  `json:"network"`
	Resolution string  `json:"resolution"` // of the server's figure: "1ms", "1s"
	Scenario   string  `json:"scenario"`
	Estimator  string  `json:"estimator"`
	MeanError  float64 `json:"mean_error_ms"`
	P99Error   float64 `json:"p99_error_ms"`
	MaxError   float64 `json:"max_error_ms"`
	// BoundFailures counts the checks in which the truth lay outside the claimed
	// bound. The reference claims none, and cannot fail.
	BoundFailures int `json:"bound_failures"`
	// UnseenFailures are those of BoundFailures between a step of the exchange's
	// clock and the first sample after it, which no client can avoid.
	UnseenFailures int `json:"unseen_failures"`
	Checks         int `json:"checks"`
	Samples        int `json:"samples"`
	// Half the distance between the bounds, in milliseconds; zero for the
	// reference.
	MeanHalfWidth float64 `json:"mean_half_width_ms"`
	P99HalfWidth  float64 `json:"p99_half_width_ms"`
}

// TableConfig says how thorough a table is. The zero value is the published
// one.
type TableConfig struct {
	Seed uint64
	// Runs is how often every cell is simulated, with other delays; default 8.
	Runs int
	// Starts is how often a start is simulated; default 1,000.
	Starts int
	// Scenarios selects some, by name; nil means all.
	Scenarios []string
}

// Table is what RunTable found.
type Table struct {
	Config TableConfig
	Rows   []Row
	Starts []Start
	// Elapsed is real time, Simulated the virtual time of both estimators.
	Elapsed, Simulated time.Duration
}

const defaultRuns = 8

func (c TableConfig) withDefaults() TableConfig {
	if c.Runs == 0 {
		c.Runs = defaultRuns
	}
	if c.Starts == 0 {
		c.Starts = 1000
	}
	return c
}

// Scenarios lists the names of all scenarios, in the order of the table.
func Scenarios() (names []string) {
	for _, s := range situations {
		names = append(names, s.name)
	}
	return names
}

func (c TableConfig) check() error {
	if c.Runs < 0 || c.Starts < 0 {
		return fmt.Errorf("runs %d, starts %d: must not be negative", c.Runs, c.Starts)
	}
	for _, name := range c.Scenarios {
		if !slices.Contains(Scenarios(), name) {
			return fmt.Errorf("unknown scenario %q: there are %q", name, Scenarios())
		}
	}
	return nil
}

// RunTable simulates every cell with both estimators, on all processors.
func RunTable(ctx context.Context, c TableConfig) (*Table, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	began := time.Now()
	cells := c.cells()
	results := make([]clocksim.Result, len(cells))
	if err := parallel.For(ctx, len(cells), func(i int) { results[i] = cells[i].run(c.Seed, c.Runs) }); err != nil {
		return nil, err
	}
	t := &Table{Config: c}
	for i, r := range results {
		t.Rows = append(t.Rows, cells[i].row(r))
		t.Simulated += r.Simulated
	}
	var err error
	t.Starts, err = runStarts(ctx, c)
	t.Elapsed = time.Since(began)
	return t, err
}

func (c TableConfig) cells() (cells []cell) {
	for _, resolution := range resolutions {
		for _, s := range situations {
			if c.Scenarios != nil && !slices.Contains(c.Scenarios, s.name) {
				continue
			}
			for _, n := range networks {
				cells = append(cells, cell{n, resolution, s, Sluice}, cell{n, resolution, s, Reference})
			}
		}
	}
	return cells
}

func (c cell) row(r clocksim.Result) Row {
	row := Row{
		Network: c.network.Name, Resolution: c.resolution.String(), Scenario: c.situation.name, Estimator: c.estimator,
		MeanError: millis(r.MeanError), P99Error: millis(r.P99Error), MaxError: millis(r.MaxError),
		Checks: r.Checks, Samples: r.Samples,
	}
	if c.estimator == Sluice {
		row.BoundFailures, row.UnseenFailures = r.Outside, r.Unseen
		row.MeanHalfWidth, row.P99HalfWidth = millis(r.MeanHalfWidth), millis(r.P99HalfWidth)
	}
	return row
}
