package referee

import (
	"fmt"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// Config says what is played.
type Config struct {
	Seed     uint64
	Arrivals int    // in all worlds together, about
	Scenario string // one alone; all if empty
	Out      io.Writer
}

// Report is what came of it.
type Report struct {
	Worlds, Calls, Arrivals int
	Violations              int
	Took                    time.Duration // of real time
	Lasted                  time.Duration // of the worlds' time
}

// Names returns those of all scenarios.
func Names() (names []string) {
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// Play plays every scenario with every kind of window, again and again until
// enough has arrived. It must not be called inside of a bubble. A scenario that there
// is not ends the test.
func Play(t *testing.T, c Config) Report {
	began := time.Now()
	var chosen []*scenario
	worlds := 0
	for i := range scenarios {
		if s := &scenarios[i]; c.Scenario == s.name || c.Scenario == "" && s.known == "" {
			chosen = append(chosen, s)
			worlds += len(s.played())
		}
	}
	if len(chosen) == 0 {
		t.Fatalf("no scenario %q: there are %q", c.Scenario, Names())
	}
	var r Report
	target := min(max(c.Arrivals*9/(8*worlds), 400), 10_000) // some worlds see less
	for round := uint64(0); round == 0 || r.Arrivals < c.Arrivals*9/10; round++ {
		for _, s := range chosen {
			r.add(playScenario(t, s, c.Seed+round, target/max(1, s.share), c.Out))
		}
	}
	r.Took = time.Since(began)
	fmt.Fprintf(c.Out, "%d arrivals of %d calls in %d worlds, %.0f arrivals/s of real time, %d violations\n",
		r.Arrivals, r.Calls, r.Worlds, float64(r.Arrivals)/r.Took.Seconds(), r.Violations)
	return r
}

func (r *Report) add(o Report) {
	r.Worlds += o.Worlds
	r.Calls += o.Calls
	r.Arrivals += o.Arrivals
	r.Violations += o.Violations
	r.Lasted += o.Lasted
}

// playScenario plays a scenario with each of its kinds of windows.
func playScenario(t *testing.T, s *scenario, seed uint64, target int, out io.Writer) (sum Report) {
	if s.known != "" {
		fmt.Fprintf(out, "%s: it is known that %s\n", s.name, s.known)
	}
	began := time.Now()
	used := ""
	for _, about := range s.played() {
		w := playWorld(t, s, about, seed, target, nil)
		one := w.report(out)
		sum.add(one)
		switch {
		case w.brief:
			used += fmt.Sprintf(", %v too short to judge use of the quota", about)
		case s.measured && w.used > 0:
			used += fmt.Sprintf(", %v %.2f %%", about, 100*w.used)
		}
	}
	fmt.Fprintf(out, "%-12s seed %d: %6d arrivals of %6d calls in %d worlds, %v in %4.1f s, %d violations%s\n",
		s.name, seed, sum.Arrivals, sum.Calls, sum.Worlds, sum.Lasted.Round(time.Second), time.Since(began).Seconds(), sum.Violations, used)
	return sum
}

// sinceTheBubble is how long after the beginning of a bubble, which is in 2000, a
// world begins: what is known as a Unix time begins in 2001.
const sinceTheBubble = 10 * 365 * 24 * time.Hour

// playWorld plays one world in a bubble of its own. It may be changed before.
func playWorld(t *testing.T, s *scenario, about kind, seed uint64, target int, change func(*world)) *world {
	var played *world
	defer watch(s, about, seed)()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(sinceTheBubble)
		w := newWorld(s, about, seed, target)
		if change != nil {
			change(w)
		}
		w.play(t)
		played = w
	})
	return played
}

// mostReal is how long a world may take of real time: one that takes longer hangs, or
// spins in one instant.
const mostReal = 60 * time.Second

// watch ends the process if a world hangs; what it returns ends the watch.
func watch(s *scenario, about kind, seed uint64) (end func()) {
	alarm := time.AfterFunc(mostReal, func() {
		fmt.Fprintf(os.Stderr, "VIOLATION in %s, %v, seed %d: the world hangs\n%s\n", s.name, about, seed, dump(true))
		os.Exit(1)
	})
	return func() { alarm.Stop() }
}

// report prints what is wrong with a world.
func (w *world) report(out io.Writer) Report {
	r := Report{Worlds: 1, Calls: len(w.calls) - 1, Arrivals: w.arrived, Lasted: w.lasted}
	for _, what := range w.whats() {
		f := w.faults[what]
		r.Violations += f.count
		fmt.Fprintf(out, "VIOLATION in %s, %v, seed %d: %s, %d times\n", w.scene.name, w.about, w.seed, what, f.count)
		for _, text := range f.first {
			fmt.Fprintf(out, "    %s\n", text)
		}
	}
	return r
}
