package load

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/slo"
)

// Prepare checks the configuration, and fills in what the header lacks: all that is known
// before the first request. Run does it, too; whoever writes a file of results does it
// before, since the file begins with the header. The error names every mistake, an objective of
// an operation that the plan does not have among them.
//
// A header without Started has the run begin at once; with it, Run waits for that instant.
func (c *Config) Prepare(now time.Time) error {
	j, err := newJourney(c.Plan)
	if err == nil {
		err = slo.CheckOperations(c.Objectives, j.names)
	}
	if err := errors.Join(c.check(), err); err != nil {
		return fmt.Errorf("load: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	h := &c.Header
	h.Format = results.Format
	if h.ID == "" {
		var id [8]byte
		rand.Read(id[:])
		h.ID = hex.EncodeToString(id[:])
	}
	if h.Started.IsZero() {
		h.Started = now
	}
	if h.Targets == nil {
		h.Targets = j.names
	}
	if h.Environment.Go == "" {
		h.Environment = results.ReadEnvironment()
	}
	h.Objectives = nil
	for _, objective := range c.Objectives {
		h.Objectives = append(h.Objectives, objective.String())
	}
	if c.Schedule != nil {
		c.describeOpen(h)
	} else {
		c.describeClosed(h)
	}
	return nil
}

// The models, as results.Header.Model has them.
const (
	modelOpen   = "open"
	modelClosed = "closed"
)

func (c *Config) describeOpen(h *results.Header) {
	h.Model = modelOpen
	h.Schedule = *c.Schedule
	h.Schedule.Recorded = nil
	h.WarmUp = c.Schedule.WarmUp
	h.Length = c.Schedule.Length()
	h.Planned = 0
	if !c.Schedule.Poisson || expected(c.Schedule) < countable {
		h.Planned = c.Schedule.Count()
	}
}

// countable is how many random arrivals there may be for them to be counted before the run, which
// draws all of them: half a second's work. Of more it is not known how many they will be.
const countable = 50_000_000

// expected is about how many arrivals stages make.
func expected(spec *schedule.Spec) float64 {
	var at time.Duration
	n := 0.0
	for _, stage := range spec.Stages {
		n += spec.RateAt(at+stage.For/2) * stage.For.Seconds()
		at += stage.For
	}
	return n
}

func (c *Config) describeClosed(h *results.Header) {
	h.Model = modelClosed
	h.Planned, h.Length, h.WarmUp = c.Closed.Requests, c.Closed.For, c.Closed.WarmUp
	h.Callers, h.Think = c.Closed.Callers, c.Closed.Think
}

// MostRate is the most requests a second of a process in an open run: several times what one can
// issue. Of more it would do nothing but count those that it is late with.
const MostRate = 10_000_000

func (c *Config) check() error {
	var wrong []error
	no := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	switch {
	case (c.Schedule == nil) == (c.Closed == nil):
		no("a run needs a Schedule or a Closed, one of them")
	case c.Schedule != nil:
		if _, err := c.Schedule.Schedule(); err != nil {
			wrong = append(wrong, err)
		}
		for i, stage := range c.Schedule.Stages {
			if most := max(stage.From.PerSecond(), stage.To.PerSecond()); most > MostRate*float64(max(c.Workers, 1)) {
				no("stage %d: %.0f requests a second: a process issues %d at most", i+1, most, MostRate)
			}
		}
	default:
		wrong = append(wrong, c.Closed.check())
	}
	if c.Client == nil {
		no("a run needs a Client")
	}
	if c.MaxInFlight < 0 || c.Timeout < 0 || c.Drain < 0 || c.Abort < 0 {
		no("MaxInFlight, Timeout, Drain and Abort must not be below zero")
	}
	if c.Worker < 0 || c.Workers < 0 || c.Worker >= max(c.Workers, 1) {
		no("Worker %d is none of %d", c.Worker, c.Workers)
	}
	return errors.Join(wrong...)
}

func (c *Closed) check() error {
	switch {
	case c.Callers < 1:
		return fmt.Errorf("a closed run of %d Callers: at least 1 is needed", c.Callers)
	case c.Callers > MostCallers:
		return fmt.Errorf("a closed run of %d Callers: at most %d can be", c.Callers, MostCallers)
	case c.For < 0 || c.WarmUp < 0 || c.Think < 0:
		return errors.New("a closed run's For, WarmUp and Think must not be below zero")
	case c.Requests == 0 && c.For == 0:
		return errors.New("a closed run needs Requests or For, or it has no end")
	case c.For > 0 && c.WarmUp >= c.For:
		return fmt.Errorf("WarmUp %v leaves nothing of %v to be measured", c.WarmUp, c.For)
	}
	return nil
}
