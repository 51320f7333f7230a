package counters

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// Config says what is played.
type Config struct {
	Seed     uint64
	Length   time.Duration // of virtual time; 0 means 10 minutes
	Scenario string        // one alone; all if empty
}

// Row is what became of one kind of counter in a run.
type Row struct {
	Scenario    string  `json:"scenario"`
	About       string  `json:"about"`
	Counter     string  `json:"counter"`
	Way         string  `json:"way"` // how the server counts
	Meters      int     `json:"meters"`
	Counted     int64   `json:"counted"` // weight
	Refused     int     `json:"refused"` // requests
	Utilisation float64 `json:"utilisation"`
	Least       float64 `json:"least"`          // of the meters that were used least
	Goal        float64 `json:"goal,omitempty"` // what has to be used; 0: another counter is what binds
}

// Missed reports whether a row is not what it has to be.
func (r Row) Missed() bool { return r.Refused > 0 || r.Utilisation < r.Goal }

// Names returns those of all scenarios.
func Names() (names []string) {
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// Play plays the scenarios, one after another. If ctx ends it returns its
// cause, and the rows of the scenarios that were whole.
func Play(ctx context.Context, c Config) (rows []Row, err error) {
	if c.Length == 0 {
		c.Length = 10 * time.Minute
	}
	if c.Scenario != "" && !slices.Contains(Names(), c.Scenario) {
		return nil, fmt.Errorf("no scenario %q: there are %q", c.Scenario, Names())
	}
	for _, s := range scenarios() {
		if c.Scenario != "" && c.Scenario != s.name {
			continue
		}
		w, err := newWorld(&s, c.Seed, c.Length)
		if err != nil {
			return nil, err
		}
		s.trade(w)
		for at := time.Duration(0); at < c.Length; {
			if ctx.Err() != nil {
				return rows, context.Cause(ctx)
			}
			at = min(c.Length, at+10*time.Second)
			w.run(at)
		}
		rows = append(rows, w.rows(&s)...)
	}
	return rows, nil
}

// rows are what came of each rule.
func (w *world) rows(s *scenario) (rows []Row) {
	from, to := w.server.clock.read(0), w.server.clock.read(w.now)
	for _, r := range s.rules {
		row := Row{Scenario: s.name, About: s.about, Counter: r.name, Way: r.way, Goal: r.goal, Least: 1}
		trickle := row
		counts := w.server.counts[r.name]
		for _, of := range slices.Sorted(maps.Keys(counts)) {
			c := counts[of]
			row.add(c.counted-beyondOf(c), c.part(c.counted-beyondOf(c), from, to))
			row.Refused += c.refused
			if b, is := c.counter.(*budget); is {
				trickle.add(beyondOf(c), b.trickled(to))
			}
		}
		rows = append(rows, row.mean())
		if trickle.Meters > 0 {
			trickle.Counter, trickle.Way = r.name+", spent", "one every 10 s"
			rows = append(rows, trickle.mean())
		}
	}
	return rows
}

// beyondOf is what was counted beyond a budget.
func beyondOf(c *count) int64 {
	if b, is := c.counter.(*budget); is {
		return int64(len(b.beyond))
	}
	return 0
}

func (r *Row) add(counted int64, used float64) {
	r.Meters++
	r.Counted += counted
	r.Utilisation += used
	r.Least = min(r.Least, used)
}

func (r Row) mean() Row {
	r.Utilisation /= float64(max(1, r.Meters))
	return r
}

// Write writes a table for each scenario.
func Write(w io.Writer, rows []Row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, r := range rows {
		if i == 0 || rows[i-1].Scenario != r.Scenario {
			if err := table.Flush(); err != nil {
				return err
			}
			fmt.Fprintf(w, "\n%s: %s\n", r.Scenario, r.About)
			fmt.Fprintf(table, "  counter\tcounts\tmeters\tcounted\trefused\tused\tleast\tgoal\n")
		}
		fmt.Fprintf(table, "  %s\t%s\t%d\t%d\t%d\t%.2f %%\t%.2f %%\t%s\n",
			r.Counter, r.Way, r.Meters, r.Counted, r.Refused, 100*r.Utilisation, 100*r.Least, r.verdict())
	}
	return table.Flush()
}

func (r Row) verdict() string {
	switch {
	case r.Refused > 0:
		return "MISSED: refused"
	case r.Goal == 0:
		return "none: another one binds"
	case r.Missed():
		return fmt.Sprintf("MISSED: %.0f %%", 100*r.Goal)
	}
	return fmt.Sprintf("%.0f %%, met", 100*r.Goal)
}

// WriteJSON writes the rows as an array.
func WriteJSON(w io.Writer, rows []Row) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(rows)
}
