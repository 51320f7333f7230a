// Package clocksim judges the clock estimator in virtual time: it runs an
// Estimator against a simulated network, server and pair of clocks, and
// compares every claim with the truth. It is exact, seeded and fast (a million
// checks in seconds).
package clocksim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/internal/clock"
)

// Scenario is one simulated run. Network, Checks and Every or Config.Interval
// decide what is simulated; the rest may be zero.
type Scenario struct {
	Name    string
	Network Network
	// Config is the estimator's.
	Config clock.Config
	// Guess makes another estimate, to be judged in place of the estimator's and
	// inside its bound. Nil means that the estimator's own is judged.
	Guess func() Guess
	// Resolution cuts the server's time off; default 1 ms.
	Resolution time.Duration
	// Every takes a sample at this distance after the first burst. Zero lets the
	// estimator decide.
	Every time.Duration
	// Checks is how many random instants are judged; default 10,000.
	Checks int
	// ChecksPerSample is how many fall between two samples; default 2.
	ChecksPerSample int
	// Warmup leaves out the checks before that time.
	Warmup time.Duration

	Drift      float64       // rate of the local clock against the server's; default 20e-6
	Slew       Slew          // of the local clock
	Steps      []Step        // of the server's clock
	WallSteps  []Step        // of the local wall clock, by whole seconds
	Spread     time.Duration // each answer comes from a server off by up to this
	Processing time.Duration // the server waits up to this after reading its clock; default 1 ms
	Seed       uint64
}

// Guess is an estimate of the offset, server Unix time minus local monotonic
// time, that bounds nothing.
type Guess interface {
	Add(clock.Sample)
	Offset() time.Duration // after one sample at least
}

// Result is what a run showed. Errors and widths are of the claims in force at
// the instants checked.
type Result struct {
	Scenario       string        `json:"scenario"`
	Checks         int           `json:"checks"`
	Outside        int           `json:"outside"` // the truth lay outside the claimed bound
	Unseen         int           `json:"unseen"`  // of these, after a step of the server's clock and before the next sample
	Samples        int           `json:"samples"`
	Steps          int           `json:"steps"` // Add reported a step
	MeanError      time.Duration `json:"mean_error_ns"`
	P99Error       time.Duration `json:"p99_error_ns"`
	MaxError       time.Duration `json:"max_error_ns"`
	MeanHalfWidth  time.Duration `json:"mean_half_width_ns"`
	P99HalfWidth   time.Duration `json:"p99_half_width_ns"`
	FirstHalfWidth time.Duration `json:"first_half_width_ns"` // after the first burst
	Simulated      time.Duration `json:"simulated_ns"`
}

// String returns the result in one line.
func (r Result) String() string {
	return fmt.Sprintf("%s: error mean %v p99 %v max %v; half-width mean %v p99 %v, after burst %v; outside %d of %d; %d samples, %d steps",
		r.Scenario, round(r.MeanError), round(r.P99Error), round(r.MaxError), round(r.MeanHalfWidth),
		round(r.P99HalfWidth), round(r.FirstHalfWidth), r.Outside, r.Checks, r.Samples, r.Steps)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// Run simulates s until all its checks are made.
func Run(s Scenario) Result { return RunAll(s) }

// RunAll simulates the scenarios, one at least, and returns what they showed
// together, under the name of the first. FirstHalfWidth is the widest.
func RunAll(scenarios ...Scenario) Result {
	var all *run
	for _, s := range scenarios {
		sim := newRun(s.withDefaults())
		for len(sim.errors) < sim.Checks {
			sim.sample()
			sim.judge()
		}
		all = all.join(sim)
	}
	return all.result()
}

// Burst simulates only the first n samples and returns the half-width of the
// bound right after the last.
func Burst(s Scenario, n int) time.Duration {
	sim := newRun(s.withDefaults())
	for range n {
		sim.sample()
	}
	lo, hi := sim.estimator.Bounds(sim.world.Local(sim.now))
	return (hi - lo) / 2
}

func (s Scenario) withDefaults() Scenario {
	s.Resolution = cmp.Or(s.Resolution, time.Millisecond)
	s.Checks = cmp.Or(s.Checks, 10_000)
	s.ChecksPerSample = cmp.Or(s.ChecksPerSample, 2)
	s.Drift = cmp.Or(s.Drift, 20e-6)
	s.Processing = cmp.Or(s.Processing, time.Millisecond)
	s.Config.Burst = cmp.Or(s.Config.Burst, 8)
	if s.Config.Epoch.IsZero() {
		s.Config.Epoch = time.Now()
	}
	s.Name = cmp.Or(s.Name, s.Network.Name)
	return s
}

type run struct {
	Scenario
	world     World
	random    *rand.Rand
	estimator *clock.Estimator
	guess     Guess // nil: the estimator's own estimate is judged
	snapshot  *clock.Snapshot
	now       time.Duration // true time
	arrived   time.Duration // when the newest sample was taken
	samples   int
	steps     int
	outside   int
	unseen    int
	first     time.Duration
	errors    []time.Duration
	widths    []time.Duration
}

func newRun(s Scenario) *run {
	random := rand.New(rand.NewPCG(s.Seed, 0x5eed))
	r := &run{
		Scenario:  s,
		random:    random,
		estimator: clock.NewEstimator(s.Config),
		world: World{
			Drift: s.Drift, Slew: s.Slew, Steps: s.Steps, WallSteps: s.WallSteps,
			UnixStart: 1_700_000_000*time.Second + time.Duration(random.Int64N(int64(time.Second))),
		},
	}
	if s.Guess != nil {
		r.guess = s.Guess()
	}
	return r
}

// sample waits for the next sample's instant, takes it and publishes.
func (r *run) sample() {
	leave := r.world.When(r.estimator.NextSample(r.local(r.now)))
	if r.Every > 0 && r.samples >= r.Config.Burst {
		leave = r.now
	}
	out, home := r.Network.Delays(r.random)
	sent := max(leave, r.now)
	r.arrived = sent + out
	r.now = r.arrived + r.upTo(r.Processing) + home
	stamp := r.world.Server(r.arrived) + r.eitherWay(r.Spread)
	sample := clock.Sample{
		Sent:       r.local(sent),
		Received:   r.local(r.now),
		Server:     stamp - stamp%r.Resolution,
		Resolution: r.Resolution,
	}
	if r.estimator.Add(sample) {
		r.steps++
	}
	if r.guess != nil {
		r.guess.Add(sample)
	}
	r.samples++
	r.publish()
}

// local is what a client makes of time.Now.
func (r *run) local(t time.Duration) time.Duration {
	return r.estimator.Since(r.world.Instant(r.Config.Epoch, t))
}

func (r *run) publish() {
	now := r.local(r.now)
	r.snapshot = r.estimator.Snapshot(now)
	if r.samples == r.Config.Burst {
		lo, hi := r.estimator.Bounds(now)
		r.first = (hi - lo) / 2
	}
}

// judge makes checks at random instants until the next sample is due, each
// against a server picked anew.
func (r *run) judge() {
	until := r.now + r.Every
	if r.Every == 0 {
		until = max(r.world.When(r.estimator.NextSample(r.local(r.now))), r.now)
	}
	if r.samples < r.Config.Burst && r.Every > 0 {
		until = r.now
	}
	for range r.ChecksPerSample {
		r.check(r.now + r.upTo(until-r.now))
	}
	if r.Every > 0 {
		r.now = until
	}
}

func (r *run) check(t time.Duration) {
	if t < r.Warmup || len(r.errors) == r.Checks {
		return
	}
	local := r.world.Instant(r.Config.Epoch, t)
	truth := time.Unix(0, int64(r.world.Server(t)+r.eitherWay(r.Spread)))
	est, bound := r.snapshot.At(local)
	lo, hi := r.snapshot.Range(local)
	if r.guess != nil {
		est = time.Unix(0, int64(r.estimator.Since(local)+r.guess.Offset()))
		bound = max(hi.Sub(est), est.Sub(lo))
	}
	if truth.Before(lo) || truth.After(hi) || est.Sub(truth).Abs() > bound {
		r.outside++
		if moved(r.Steps, t) != moved(r.Steps, r.arrived) {
			r.unseen++
		}
	}
	r.errors = append(r.errors, est.Sub(truth).Abs())
	r.widths = append(r.widths, hi.Sub(lo)/2)
}

func (r *run) upTo(d time.Duration) time.Duration {
	return time.Duration(r.random.Float64() * float64(d))
}

func (r *run) eitherWay(d time.Duration) time.Duration {
	if d == 0 {
		return 0
	}
	return r.upTo(2*d) - d
}

// join adds what o showed to r, which may be nil.
func (r *run) join(o *run) *run {
	if r == nil {
		return o
	}
	r.samples, r.steps = r.samples+o.samples, r.steps+o.steps
	r.outside, r.unseen = r.outside+o.outside, r.unseen+o.unseen
	r.first, r.now = max(r.first, o.first), r.now+o.now
	r.errors = append(r.errors, o.errors...)
	r.widths = append(r.widths, o.widths...)
	return r
}

func (r *run) result() Result {
	slices.Sort(r.errors)
	slices.Sort(r.widths)
	return Result{
		Scenario: r.Name, Checks: len(r.errors), Outside: r.outside, Unseen: r.unseen, Samples: r.samples, Steps: r.steps,
		MeanError: mean(r.errors), P99Error: quantile(r.errors, 0.99), MaxError: r.errors[len(r.errors)-1],
		MeanHalfWidth: mean(r.widths), P99HalfWidth: quantile(r.widths, 0.99),
		FirstHalfWidth: r.first, Simulated: r.now,
	}
}

func mean(d []time.Duration) time.Duration {
	var sum float64
	for _, v := range d {
		sum += float64(v)
	}
	return time.Duration(sum / float64(len(d)))
}

// quantile returns the smallest value that at least the share q of the sorted
// values do not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(int(q*float64(len(sorted))+0.5)-1, 0)]
}
