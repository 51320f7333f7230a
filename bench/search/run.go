package search

import (
	"context"
	"time"
)

// Trials makes trials one after another.
type Trials struct {
	Config
	// Try makes one trial at a rate; it need not fill in Rate and Phase. When ctx ends it
	// ends early, with an error.
	Try func(ctx context.Context, rate float64) (Trial, error)
	// Pause is how long the server is left alone between two trials, after the first was
	// drained; 0 means not at all.
	Pause time.Duration
	// Began and Ended, if not nil, are called before and after every trial.
	Began func(rate float64, phase Phase, number int)
	Ended func(t Trial, confirmed, of int)
}

// Report is what a search found.
type Report struct {
	Answer
	Trials     []Trial  `json:"trials"`
	Objectives []string `json:"objectives"`
	Width      float64  `json:"width"`
	From       float64  `json:"from"`
	To         float64  `json:"to"`
	// Interrupted says that it was ended before its time.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Run searches. When ctx ends, the report has what was known by then; the error is one that a
// trial could not be made, or of the configuration.
func (t Trials) Run(ctx context.Context) (*Report, error) {
	s, err := New(t.Config)
	if err != nil {
		return nil, err
	}
	report := &Report{Width: s.cfg.Width, From: s.cfg.From, To: s.cfg.To}
	for {
		rate, phase, more := s.Next()
		if !more {
			break
		}
		if len(report.Trials) > 0 {
			wait(ctx, t.Pause)
		}
		if report.Interrupted = ctx.Err() != nil; report.Interrupted {
			break
		}
		if t.Began != nil {
			t.Began(rate, phase, len(report.Trials)+1)
		}
		trial, err := t.Try(ctx, rate)
		if report.Interrupted = ctx.Err() != nil; report.Interrupted {
			break // half a trial says nothing
		}
		if err != nil {
			return nil, err
		}
		trial.Rate, trial.Phase = rate, phase
		report.Trials = append(report.Trials, trial)
		s.Tell(trial.Outcome)
		if t.Ended != nil {
			t.Ended(trial, s.Confirmed(), s.cfg.Confirmations)
		}
	}
	report.Answer = s.Answer()
	return report, nil
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
