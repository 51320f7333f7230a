package crew

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/schedule"
	"github.com/sluice-engine/sluice/bench/targets"
)

// Job is a run as it is sent to every worker of it; which share of it is a worker's is said
// apart. It is data, and goes over the network as JSON.
type Job struct {
	Header results.Header `json:"header"`
	// Exactly one of Schedule and Closed is given. Both are of the whole run.
	Schedule    *schedule.Spec `json:"schedule,omitempty"`
	Closed      *load.Closed   `json:"closed,omitempty"`
	Plan        targets.Plan   `json:"plan"`
	MaxInFlight int            `json:"maxInFlight,omitempty"` // of all machines together; 0 means no bound
	Timeout     time.Duration  `json:"timeout,omitempty"`
	Drain       time.Duration  `json:"drain,omitempty"`
	// Client is what the worker makes its client of; this package does not look into it.
	Client json.RawMessage `json:"client,omitempty"`
}

// Validate says what no worker could make anything of.
func (j Job) Validate() error {
	switch {
	case (j.Schedule == nil) == (j.Closed == nil):
		return errors.New("a run has either a schedule or callers")
	case j.Schedule != nil:
		return j.Schedule.Check()
	case j.Closed.Callers < 1:
		return errors.New("a closed run has at least one caller")
	}
	return nil
}

// chained reports whether an arrival may make several requests.
func (j Job) chained() bool {
	return slices.ContainsFunc(j.Plan.Chains, func(c targets.Chain) bool { return len(c.Steps) > 1 })
}

// Share is worker Worker's of Workers, counted from 0.
type Share struct{ Worker, Workers int }

// Of returns this share of n things that are told apart by nothing: the shares of all workers
// add up to n, and differ by at most one.
func (s Share) Of(n uint64) uint64 {
	return (n + uint64(s.Workers-1-s.Worker)) / uint64(s.Workers)
}

// closed returns this share of a closed run, which has nobody to make requests if there are
// fewer callers than workers.
func (s Share) closed(c load.Closed) (load.Closed, error) {
	c.Callers = int(s.Of(uint64(c.Callers)))
	if c.Callers == 0 {
		return c, fmt.Errorf("fewer callers than the %d workers", s.Workers)
	}
	if c.Requests > 0 {
		if c.Requests = s.Of(c.Requests); c.Requests == 0 {
			return c, fmt.Errorf("fewer requests than the %d workers", s.Workers)
		}
	}
	return c, nil
}

// Task is a share of a job, understood and ready to begin.
type Task struct {
	// Run makes the share, with the schedule's instant 0 at start, which is to come. It tells
	// sink what it measures, and returns how it ended, also if ctx ended it early.
	Run func(ctx context.Context, start time.Time, sink Sink) (results.End, error)
	// Close frees everything, and ends requests that are still outstanding. It is called
	// once, also while Run still runs if that does not end with its ctx. Nil means nothing
	// is to be done.
	Close func()
}

// Sink takes what a Task measures. Its methods may be called from any goroutine, and do not
// wait for the network. What an interval points to is lent: it is not looked at afterwards.
type Sink interface {
	Interval(results.Interval)
	Snapshot(results.Snapshot)
}

// Prepare makes a Task of a job's share. Its error is told to the coordinator.
type Prepare func(job Job, share Share) (Task, error)
