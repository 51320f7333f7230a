package load

import (
	"context"
	"time"
)

// sleeper sleeps until instants. Go's timers are a millisecond coarse while the process is
// idle, since the network poller waits in whole milliseconds; where the system has a better
// one, the last part of a sleep is left to it.
type sleeper struct {
	now  func() time.Duration
	fine fineTimer // nil where there is none
}

// fineTimer wakes within some ten microseconds.
type fineTimer interface {
	sleep(d time.Duration) bool // false if it could not
	close()
}

// coarse is more than Go's timers are late by on an idle machine.
const coarse = 2 * time.Millisecond

func newSleeper(now func() time.Duration) *sleeper {
	s := &sleeper{now: now}
	if !simulated() {
		s.fine = newFineTimer()
	}
	return s
}

// until returns at the instant, or when ctx ends.
func (s *sleeper) until(ctx context.Context, at time.Duration) {
	wait := at - s.now()
	if wait <= 0 || ctx.Err() != nil {
		return
	}
	if s.fine == nil {
		pause(ctx, wait)
		return
	}
	if wait > 2*coarse {
		pause(ctx, wait-coarse)
		if wait = at - s.now(); wait <= 0 || ctx.Err() != nil {
			return
		}
	}
	if !s.fine.sleep(wait) {
		pause(ctx, wait)
	}
}

func (s *sleeper) close() {
	if s.fine != nil {
		s.fine.close()
	}
}

// pause sleeps by Go's timers.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
