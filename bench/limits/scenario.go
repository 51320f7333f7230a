package limits

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/parallel"
	"github.com/sluice-engine/sluice/throttle"
)

// Outcome is what a client made of a scenario.
type Outcome struct {
	Scenario    string  `json:"scenario"`
	Client      Client  `json:"client"`
	Utilisation float64 `json:"utilisation"`
	Sent        int     `json:"sent"`
	Refused     int     `json:"refused"`
	// RefusedOthers counts what somebody else who spends from the same limit
	// was refused.
	RefusedOthers int     `json:"refused_others"`
	Waits         []Waits `json:"waits"`
	// Goal is what Sluice promises here; empty for other clients.
	Goal string `json:"goal,omitempty"`
	// Missed says which parts of the goal were missed, with the figures.
	Missed []string `json:"missed,omitempty"`
}

// scenario is a setup worth a table of its own.
type scenario struct {
	name    string
	tells   string
	setup   func(windows int) *setup
	windows int // of the first rule's period; an eighth of it is a quick run
	runs    int
	clients []Client
	goal    goal
}

// goal is what the Sluice client must reach; zero values demand nothing. No
// refusals is always demanded.
type goal struct {
	utilisation float64
	flow        string // whose waits are bounded
	mean, most  time.Duration
	p99         time.Duration
}

func (g goal) String() string {
	parts := []string{"0 refused"}
	if g.utilisation > 0 {
		parts = append(parts, fmt.Sprintf("at least %.4g %%", 100*g.utilisation))
	}
	for _, b := range g.bounds(Waits{}) {
		parts = append(parts, fmt.Sprintf("%s wait %s at most %v", g.flow, b.name, b.limit))
	}
	return strings.Join(parts, ", ")
}

type bound struct {
	name  string
	limit time.Duration
	value float64
}

func (g goal) bounds(w Waits) []bound {
	var bounds []bound
	for _, b := range []bound{{"mean", g.mean, w.MeanMS}, {"p99", g.p99, w.P99MS}, {"max", g.most, w.MaxMS}} {
		if b.limit > 0 {
			bounds = append(bounds, b)
		}
	}
	return bounds
}

// missed lists what an outcome lacks.
func (g goal) missed(o *Outcome) (missed []string) {
	if o.Refused+o.RefusedOthers > 0 {
		missed = append(missed, fmt.Sprintf("%d refused, %d of others", o.Refused, o.RefusedOthers))
	}
	if o.Utilisation < g.utilisation {
		missed = append(missed, fmt.Sprintf("utilisation %.4g %%", 100*o.Utilisation))
	}
	for _, w := range o.Waits {
		if w.Flow != g.flow {
			continue
		}
		for _, b := range g.bounds(w) {
			if b.value > milliseconds(b.limit) {
				missed = append(missed, fmt.Sprintf("%s wait %s %.1f ms", g.flow, b.name, b.value))
			}
		}
	}
	return missed
}

// ScenarioNames returns all names in the order of the tables.
func ScenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// Scenarios plays the named scenarios, or all. If ctx ends first it returns its
// cause as well, and what came of those that were played.
func Scenarios(ctx context.Context, cfg Config, names []string) ([]Outcome, error) {
	chosen, err := choose(names)
	if err != nil {
		return nil, err
	}
	type cell struct {
		scenario scenario
		client   Client
	}
	var cells []cell
	for _, s := range chosen {
		for _, c := range s.clients {
			if cfg.has(c) {
				cells = append(cells, cell{s, c})
			}
		}
	}
	outcomes := make([]Outcome, len(cells))
	err = parallel.For(ctx, len(cells), func(i int) {
		outcomes[i] = cells[i].scenario.play(cells[i].client, cfg)
	})
	return slices.DeleteFunc(outcomes, func(o Outcome) bool { return o.Scenario == "" }), err
}

func choose(names []string) ([]scenario, error) {
	if len(names) == 0 {
		return scenarios(), nil
	}
	var (
		chosen []scenario
		errs   []error
	)
	for _, name := range names {
		found := false
		for _, s := range scenarios() {
			if s.name == name {
				chosen, found = append(chosen, s), true
			}
		}
		if !found {
			errs = append(errs, fmt.Errorf("unknown scenario %q: want %s", name, strings.Join(ScenarioNames(), ", ")))
		}
	}
	return chosen, errors.Join(errs...)
}

func (c Config) has(client Client) bool {
	for _, have := range c.clients() {
		if have == client {
			return true
		}
	}
	return false
}

func (s scenario) play(c Client, cfg Config) Outcome {
	if cfg.Quick {
		s.windows, s.runs = max(4, s.windows/8), 1
	}
	setup := s.setup(s.windows)
	t := playAll(setup, c, s.runs, cfg.seed(s.name))
	o := Outcome{
		Scenario: s.name, Client: c, Utilisation: t.utilisation(), Sent: t.sent,
		Refused: t.refused, RefusedOthers: t.foreign,
	}
	for i, f := range setup.flows {
		if !f.foreign {
			o.Waits = append(o.Waits, summarise(f.name, t.waits[i]))
		}
	}
	if c == Sluice {
		o.Goal, o.Missed = s.goal.String(), s.goal.missed(&o)
	}
	return o
}

// Describe returns what a scenario is about, or "" if there is none of that
// name.
func Describe(name string) string {
	for _, s := range scenarios() {
		if s.name == name {
			return s.tells
		}
	}
	return ""
}

// bulk is work without end on rule 0.
func bulk(backlog int) flow {
	return flow{name: "bulk", charges: []charge{{0, 1}}, backlog: backlog}
}

// endless is a setup of one rule and as many requests as it takes.
func endless(r rule, n Network, windows int) *setup {
	r.id = "weight"
	return &setup{
		rules: []rule{r}, flows: []flow{bulk(int(r.quota) + 50)},
		network: n.network(), ppb: -20_000, clockError: 10 * time.Millisecond, stamp: time.Millisecond,
		warmUp: 3 * r.per, length: time.Duration(windows) * r.per,
	}
}

// pacedOptions are those of an engine with urgent and bulk work.
func pacedOptions() throttle.Options {
	return throttle.Options{Pacing: &throttle.Pacing{Bulk: 0}}
}

// CheckScenarios returns an error that lists every name no scenario has.
func CheckScenarios(names []string) error {
	_, err := choose(names)
	return err
}
