package engine

// SetShare changes the part of one limit's quota that this engine uses, and how much
// of that it leaves unused, at once and in place: throttle.Limit.Share and
// SafetyMargin, of which 0 means those of Config.Throttle, and throttle.NoMargin no
// margin. It lasts until it is called again, or until ReplaceLimits brings a table
// that says otherwise. It is safe for concurrent use, and costs far less than
// ReplaceLimits.
//
// What is on the wire, and what was answered, stays counted, so that a smaller share
// takes effect as that comes back; what waits for its connection asks again. Queued
// requests keep their places; one whose weight no longer fits ends with
// throttle.ErrWeight. Stats show the quota that follows from it.
//
// The error is a *throttle.LimitError, and nothing has changed: for an id that names
// no limit with a quota, a number out of range, or a share that leaves less than a
// reserve of the limit or a request of one of its routes needs.
func (e *Engine) SetShare(id string, share, margin float64) error {
	if err := e.made(); err != nil {
		return err
	}
	return e.system.SetShare(id, share, margin)
}
