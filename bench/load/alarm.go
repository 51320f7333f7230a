package load

import (
	"context"
	"time"
)

// Alarm sleeps as the waker of an open run does, for who wants to know how exactly that is. It
// is not safe for concurrent use.
type Alarm struct {
	began   time.Time
	sleeper *sleeper
}

// NewAlarm returns an alarm; whoever takes it closes it.
func NewAlarm() *Alarm {
	a := &Alarm{began: time.Now()}
	a.sleeper = newSleeper(func() time.Duration { return time.Since(a.began) })
	return a
}

// Sleep returns after d, or when ctx ends.
func (a *Alarm) Sleep(ctx context.Context, d time.Duration) {
	a.sleeper.until(ctx, time.Since(a.began)+d)
}

// Close gives back what it holds of the system.
func (a *Alarm) Close() { a.sleeper.close() }
