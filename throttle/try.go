package throttle

import "time"

// TryAcquire is Acquire for whoever does not wait: after nil p is Granted, and it is
// never Queued. If it cannot leave now, because a limit has no room, because something
// is paused, or because one who waits goes first, the error is a *LimitError with
// ErrNoRoom, which says what stands in the way and from when on asking again is
// worthwhile. Any other error is that of Acquire. Nobody who waits is sent away for it.
func (l *Ledger) TryAcquire(now time.Duration, p *Permit) error {
	now = l.at(now)
	if err := l.admit(now, p, false); err != nil {
		return err
	}
	if l.grantAtOnce(now, p) {
		return nil
	}
	return l.refusal(now, p, ErrNoRoom)
}
