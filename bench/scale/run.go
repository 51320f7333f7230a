package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// What is usual, and what a first look makes do with.
const (
	DefaultRounds = 10
	QuickRounds   = 2
	DefaultWithin = 10 * time.Second
	DefaultLimit  = 60 * time.Second
	QuickLimit    = 15 * time.Second
)

// Config says what to measure. The zero value lacks only Processes.
type Config struct {
	Processes
	// Curves are those to measure; none means Curves().
	Curves []Curve
	// Points, if there are any, are measured in place of the usual ones.
	Points []int
	// Rounds is how often a point and its base have two slices each; zero means
	// DefaultRounds.
	Rounds int
	// Within bounds the time of a point: once it has passed, no further round of it
	// begins. One is run at least, and two where slices take long by themselves. Zero
	// means no bound.
	Within time.Duration
	// Limit is when a point is given up that has not ended: what it has to wait for on
	// the clock is added to it. Zero means DefaultLimit.
	Limit time.Duration
	// Quick measures small points, in short slices.
	Quick bool
	// Seed makes the bootstrap repeatable.
	Seed uint64
	// Progress, if not nil, is called before every point and every round of it,
	// outside the slices.
	Progress func(Progress)

	start func(context.Context, *Curve, Job) (worker, error) // nil means Processes
}

// Progress is how far a run is.
type Progress struct {
	Curve, X      string
	Point, Of     int // counted from 1
	Round, Rounds int // finished, of the point
	Elapsed, Left time.Duration
}

// Result is what a run found.
type Result struct {
	Rounds  int           `json:"rounds"`
	Seed    uint64        `json:"seed"`
	Elapsed time.Duration `json:"elapsed_ns"`
	Quick   bool          `json:"quick,omitempty"`
	Curves  []Line        `json:"curves"`
}

// Line is a curve with its points, by X.
type Line struct {
	Curve  Curve   `json:"-"`
	Name   string  `json:"name"`
	Title  string  `json:"title"`
	Grows  string  `json:"grows"`
	Unit   string  `json:"unit"`
	Base   string  `json:"base"`
	Memory bool    `json:"memory,omitempty"` // costs are bytes
	Points []Point `json:"points"`
}

// Verdicts counts the bars: how many there are, and how many were met.
func (r *Result) Verdicts() (all, met int) {
	for _, line := range r.Curves {
		for _, p := range line.Points {
			for _, v := range p.Verdicts {
				all++
				if v.Met {
					met++
				}
			}
		}
	}
	return all, met
}

// Failures counts the points that were not measured to their end.
func (r *Result) Failures() (n int) {
	for _, line := range r.Curves {
		for _, p := range line.Points {
			if p.Failure != "" {
				n++
			}
		}
	}
	return n
}

func (c Config) withDefaults() (Config, error) {
	if len(c.Curves) == 0 {
		c.Curves = Curves()
	}
	if c.Rounds == 0 {
		c.Rounds = DefaultRounds
	}
	if c.Limit == 0 {
		c.Limit = DefaultLimit
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.start == nil {
		c.start = c.Processes.start
		if len(c.Server) == 0 || len(c.Worker) == 0 {
			return c, errors.New("no command for the processes of a point")
		}
	}
	if c.Rounds < 0 || c.Within < 0 || c.Limit < 0 {
		return c, fmt.Errorf("%d rounds within %v, at most %v: want none below zero", c.Rounds, c.Within, c.Limit)
	}
	return c, nil
}

// points are the Xs to measure.
func (c Config) points(curve *Curve) []int {
	switch {
	case len(c.Points) > 0:
		return c.Points
	case c.Quick:
		return curve.Quick
	}
	return curve.Points
}

// Run measures all curves. A point that fails says so in the result; the error is for
// a run that was interrupted.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{Config: cfg, began: time.Now()}
	r.plan()
	result := &Result{Rounds: cfg.Rounds, Seed: cfg.Seed, Quick: cfg.Quick}
	for i := range cfg.Curves {
		line := r.line(ctx, &cfg.Curves[i])
		if ctx.Err() != nil { // what the points say of it is only its consequence
			return nil, fmt.Errorf("measurement interrupted: %w", context.Cause(ctx))
		}
		result.Curves = append(result.Curves, line)
	}
	result.Elapsed = time.Since(r.began)
	return result, nil
}

// run is a measurement under way.
type run struct {
	Config
	began      time.Time
	points, at int           // how many there are, and which one is measured, from 1
	all, done  time.Duration // what the points were expected to take, and what those that have ended were
}

// plan counts what there is to do.
func (r *run) plan() {
	for i := range r.Curves {
		for _, x := range r.Config.points(&r.Curves[i]) {
			r.points++
			r.all += r.expected(&r.Curves[i], x)
		}
	}
}

// expected is what a point takes, very roughly.
func (r *run) expected(c *Curve, x int) time.Duration {
	slice := sliceTime
	if r.Quick {
		slice = quickSliceTime
	}
	slice = max(2*slice, c.slice(x, r.Quick)) // as much again for what precedes it
	round := 2 * time.Duration(len(c.roles())) * slice
	took := time.Duration(r.Rounds) * round
	if r.Within > 0 {
		took = min(took, max(r.Within, time.Duration(c.leastRounds())*round))
	}
	return took + round
}

// line measures one curve. Where the base is the same for all points, it stands
// before them with the slices that it had for any.
func (r *run) line(ctx context.Context, c *Curve) Line {
	line := Line{Curve: *c, Name: c.Name, Title: c.Title, Grows: c.Grows, Unit: c.Unit, Base: c.Against, Memory: c.memory}
	var base []Sample
	var points []Point
	for _, x := range r.Config.points(c) {
		r.at++
		all, failure := r.measure(ctx, c, x)
		r.done += r.expected(c, x)
		if ctx.Err() != nil {
			return line
		}
		p := c.point(x, all, r.Seed)
		if failure != nil {
			p.Failure = failure.Error()
		}
		points = append(points, p)
		base = append(base, all[1]...)
	}
	if c.Base > 0 {
		points = append([]Point{c.basePoint(base)}, points...)
	}
	for i := range points {
		points[i].Verdicts = c.judge(&points[i])
	}
	line.Points = points
	return line
}

// measure has all slices of a point run. What was measured before a failure is kept.
func (r *run) measure(ctx context.Context, c *Curve, x int) (samples, error) {
	roles := c.roles()
	all := make(samples, len(roles))
	limit := r.Limit + time.Duration(2*len(roles)*r.Rounds)*c.slice(x, r.Quick)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("did not end within %v", limit.Round(time.Second/10)))
	defer cancel()
	began := time.Now()
	r.tell(c, x, 0)
	workers := make([]worker, len(roles))
	for i, role := range roles {
		w, err := r.worker(ctx, c, c.job(role, x, r.Quick))
		if err != nil {
			return all, failed(ctx, role, "while it was made ready", err)
		}
		defer w.end()
		workers[i] = w
	}
	for round := 0; round < r.Rounds && !r.late(c, began, round); round++ {
		if round > 0 {
			r.tell(c, x, round)
		}
		for _, i := range gauge.Mirrored(round, len(roles)) {
			sample, err := workers[i].slice(ctx)
			if err != nil {
				return all, failed(ctx, roles[i], fmt.Sprintf("in round %d of %d", round+1, r.Rounds), err)
			}
			all[i] = append(all[i], sample)
		}
	}
	return all, nil
}

func (r *run) worker(ctx context.Context, c *Curve, job Job) (worker, error) {
	start := func(ctx context.Context) (worker, error) { return r.start(ctx, c, job) }
	if c.fresh {
		return freshWorker{start}, nil
	}
	return start(ctx)
}

// failed says which process of a point failed, when, and of what. A process that was
// killed for taking too long says only that it was.
func failed(ctx context.Context, role Role, when string, err error) error {
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("%w: the %s, %s", err, role, when)
}

func (r *run) late(c *Curve, began time.Time, rounds int) bool {
	return r.Within > 0 && rounds >= c.leastRounds() && time.Since(began) > r.Within
}

// tell says how far the run is. What is left is what was expected, as much longer or
// shorter as the rest was.
func (r *run) tell(c *Curve, x, round int) {
	elapsed := time.Since(r.began)
	done := r.done + time.Duration(float64(r.expected(c, x))*float64(round)/float64(r.Rounds))
	left := r.all - done
	if r.done > 0 {
		left = time.Duration(float64(left) * float64(elapsed) / float64(done))
	}
	r.Progress(Progress{Curve: c.Name, X: c.X(x), Point: r.at, Of: r.points, Round: round, Rounds: r.Rounds, Elapsed: elapsed, Left: left})
}
