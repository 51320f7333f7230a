package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// DefaultRounds is enough for an interval of about 5 % either way on a busy
// machine of two cores, in about a minute. QuickRounds take a few seconds.
const (
	DefaultRounds = 75
	QuickRounds   = 6
)

// Config says what to compare. The zero value lacks only Server.
type Config struct {
	// Server is the command line of a process that calls Serve on its standard
	// streams.
	Server []string
	// Clients are the names of the clients to run; none means all. A case that
	// has none of them is left out.
	Clients []string
	// Cases are the loads; none means Cases().
	Cases []Case
	// Rounds is how often every client runs two slices of every case. Zero means
	// DefaultRounds. Multiples of three are balanced in full.
	Rounds int
	// Within bounds the time of the comparison: once it has passed, no further
	// round begins. At least one is run. Zero means no bound.
	Within time.Duration
	// Seed makes the bootstrap repeatable.
	Seed uint64
	// Brief has the cases that come after the rounds make a tenth of their requests, or as
	// many as they need, and only once.
	Brief bool
	// Progress, if not nil, is called before every round, outside the slices,
	// with the number of rounds that are done.
	Progress func(done, rounds int)
	// Begun, if not nil, is called with the name of each case that comes after the rounds.
	Begun func(name string)
}

func (c Config) withDefaults() Config {
	if len(c.Cases) == 0 {
		c.Cases = Cases()
	}
	chosen := len(c.Clients) > 0
	if !chosen {
		c.Clients = ClientNames()
	}
	c.Cases = c.wantedCases(chosen)
	if c.Rounds == 0 {
		c.Rounds = DefaultRounds
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
	if c.Begun == nil {
		c.Begun = func(string) {}
	}
	return c
}

// wantedCases are those that have any of the clients. Guests who were chosen by name come to
// every round.
func (c Config) wantedCases(chosen bool) []Case {
	var wanted []Case
	for _, load := range c.Cases {
		if load = load.among(c.Clients); len(load.Clients) == 0 {
			continue
		}
		if chosen {
			load.GuestsEvery = 0
		}
		if c.Brief {
			load = load.brief()
		}
		wanted = append(wanted, load)
	}
	return wanted
}

func (c Config) validate() error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf(format, args...))
	}
	if len(c.Server) == 0 {
		mistake("no command for the server process")
	}
	for i, name := range c.Clients {
		if !slices.Contains(ClientNames(), name) {
			mistake("client %q is unknown; there are %s", name, strings.Join(ClientNames(), ", "))
		}
		if slices.Contains(c.Clients[:i], name) {
			mistake("client %q is named twice", name)
		}
	}
	for _, load := range c.Cases {
		if load.Callers < 1 && !load.FanOut || load.Requests < 1 {
			mistake("case %q: %d callers and %d requests, want at least 1 of each", load.Name, load.Callers, load.Requests)
		}
		if load.Few > 0 && load.Requests < 2*load.Callers {
			mistake("case %q: %d requests, want at least two for each of the %d callers", load.Name, load.Requests, load.Callers)
		}
	}
	if len(c.Cases) == 0 {
		mistake("no case has any of the clients %s", strings.Join(c.Clients, ", "))
	}
	if c.Rounds < 0 {
		mistake("%d rounds, want at least 1", c.Rounds)
	}
	if c.Within < 0 {
		mistake("a time bound of %v, want none below zero", c.Within)
	}
	return errors.Join(mistakes...)
}

// Result is what a comparison found.
type Result struct {
	Rows    []Row
	Rounds  int // finished; fewer than asked for if Within ended it
	Cases   []Case
	Seed    uint64
	Elapsed time.Duration
}

// Run starts the server, compares the clients and stops the server. It ends
// early, with an error, when ctx does or when any request is not answered as it
// should be.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	server, err := startServer(ctx, cfg.Server)
	if err != nil {
		return nil, err
	}
	defer server.stop()

	result, err := compare(ctx, cfg, server.sites)
	if ctx.Err() != nil { // what the clients say of it is only its consequence
		return nil, fmt.Errorf("comparison interrupted: %w", context.Cause(ctx))
	}
	return result, err
}

func compare(ctx context.Context, cfg Config, sites map[Protocol]site) (*Result, error) {
	began := time.Now()
	inRounds, after := split(cfg.Cases)
	rows, rounds, err := compareInRounds(ctx, cfg, inRounds, sites)
	if err != nil {
		return nil, err
	}
	for _, load := range after {
		cfg.Begun(load.Name)
		more, err := compareAfter(ctx, cfg, load, sites)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", load.Name, err)
		}
		rows = append(rows, more...)
	}
	return &Result{Rows: rows, Rounds: rounds, Cases: cfg.Cases, Seed: cfg.Seed, Elapsed: time.Since(began)}, nil
}

func compareAfter(ctx context.Context, cfg Config, load Case, sites map[Protocol]site) ([]Row, error) {
	if load.Few == 0 {
		return measureApart(ctx, load, sites, cfg)
	}
	row, err := gather(ctx, load, sites[load.Protocol], cfg)
	return []Row{row}, err
}

func compareInRounds(ctx context.Context, cfg Config, cases []Case, sites map[Protocol]site) ([]Row, int, error) {
	if len(cases) == 0 {
		return nil, 0, nil
	}
	set := newClientSet(sites, mostCallers(cases))
	defer set.close()
	trials, err := newTrials(ctx, cases, set)
	if err != nil {
		return nil, 0, err
	}
	defer trials.stop()
	if err := trials.warmUp(); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	rounds := 0
	for ; rounds < cfg.Rounds && !late(began, cfg.Within, rounds); rounds++ {
		cfg.Progress(rounds, cfg.Rounds)
		if err := trials.round(rounds); err != nil {
			return nil, 0, err
		}
	}
	return trials.rows(cfg.Seed), rounds, nil
}

func mostCallers(cases []Case) int {
	most := 0
	for _, load := range cases {
		most = max(most, load.Callers)
	}
	return most
}

func late(began time.Time, within time.Duration, rounds int) bool {
	return within > 0 && rounds > 0 && time.Since(began) > within
}
