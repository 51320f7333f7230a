package clocks

import (
	"time"

	"github.com/sluice-engine/sluice/bench/clocksim"
)

// network is a simulated path; p99 is what the estimate's 99th percentile may
// be in steady state at a resolution of 1 ms, or zero.
type network struct {
	clocksim.Network
	symmetric bool // out and home are alike: the truth can be seen
	minTrip   time.Duration
	p99       float64 // ms
}

const (
	constant   = "constant"
	asymmetric = "asymmetric"
	jitter     = "jitter"
	heavyTail  = "heavy tail"
)

var networks = []network{
	{named(constant, clocksim.Constant(5*time.Millisecond, 5*time.Millisecond)), true, 10 * time.Millisecond, 0.5},
	{named(asymmetric, clocksim.Asymmetric), false, 15 * time.Millisecond, 0},
	{named(jitter, clocksim.Jitter), true, 10 * time.Millisecond, 2},
	{named(heavyTail, clocksim.HeavyTail), true, 6 * time.Millisecond, 1.1},
}

func named(name string, n clocksim.Network) clocksim.Network {
	n.Name = name
	return n
}

var resolutions = []time.Duration{time.Millisecond, time.Second}

// The local clock's rate against the server's, in turn.
const drift = 20e-6

// What a run of the simulated hour goes through. Steady state begins when
// startUp is over.
const (
	startUp = 5 * time.Minute
	hour    = time.Hour
)

// situation is what happens to the clocks during a run.
type situation struct {
	name   string
	within bool          // what the bound promises to survive
	from   time.Duration // checks before are left out
	until  time.Duration
	every  time.Duration // between samples; 0 leaves it to the estimator
	happen func(s *clocksim.Scenario, sign float64)
}

const (
	starting     = "start-up"
	drifting     = "drift 20 ppm"
	slewing      = "slew 500 ppm"
	wallStep     = "wall step 5 s"
	ownCadence   = "own cadence"
	exchangeStep = "exchange step 500 ms"
	smallStep    = "exchange step 50 ms"
)

var situations = []situation{
	{starting, true, 0, startUp, time.Second, nothing},
	{drifting, true, startUp, hour, time.Second, nothing},
	{slewing, true, startUp, hour, time.Second, slew},
	{wallStep, true, startUp, hour, time.Second, stepWall},
	{ownCadence, true, startUp, hour, 0, nothing},
	{exchangeStep, false, startUp, hour, time.Second, stepExchange(500 * time.Millisecond)},
	{smallStep, false, startUp, hour, time.Second, stepExchange(50 * time.Millisecond)},
}

func nothing(*clocksim.Scenario, float64) {}

func slew(s *clocksim.Scenario, sign float64) {
	s.Slew = clocksim.Slew{From: 20 * time.Minute, For: 400 * time.Second, Rate: sign * 500e-6}
}

func stepWall(s *clocksim.Scenario, sign float64) {
	by := time.Duration(sign) * 5 * time.Second
	s.WallSteps = []clocksim.Step{{At: 20 * time.Minute, By: by}, {At: 40 * time.Minute, By: -by}}
}

func stepExchange(by time.Duration) func(*clocksim.Scenario, float64) {
	return func(s *clocksim.Scenario, sign float64) {
		s.Steps = []clocksim.Step{{At: 30 * time.Minute, By: time.Duration(sign) * by}}
	}
}

// cell is one line of the table: a situation on a network.
type cell struct {
	network    network
	resolution time.Duration
	situation  situation
	estimator  string // Sluice or Reference
}

// checksPerSample fall at random moments between two samples.
const checksPerSample = 4

// run simulates the cell several times, the signs of drift, slew and step
// taking turns.
func (c cell) run(seed uint64, runs int) clocksim.Result {
	var all []clocksim.Scenario
	for i := range runs {
		all = append(all, c.scenario(seed, i))
	}
	return clocksim.RunAll(all...)
}

func (c cell) scenario(seed uint64, i int) clocksim.Scenario {
	rate, sign := drift, 1.0
	if i%2 == 1 {
		rate = -drift
	}
	if i/2%2 == 1 {
		sign = -1
	}
	s := clocksim.Scenario{
		Name: c.situation.name, Network: c.network.Network, Resolution: c.resolution,
		Every: c.situation.every, Warmup: c.situation.from,
		Checks: c.checks(), ChecksPerSample: checksPerSample,
		Drift: rate, Seed: seed<<16 + uint64(i),
	}
	if c.estimator == Reference {
		s.Guess = newReference
	}
	c.situation.happen(&s, sign)
	return s
}

// checks is how many fall into one run. A round trip passes besides the second
// between two samples, so that a run lasts a little longer than its situation.
func (c cell) checks() int {
	every := c.situation.every
	if every == 0 {
		every = 10 * time.Second
	}
	return checksPerSample * int((c.situation.until-c.situation.from)/every)
}
