package engine

import "github.com/sluice-engine/sluice/throttle"

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

// AnnounceQuota says what the server's quota is, where that is read elsewhere than in
// the answers: the tier of an account, or what a budget has grown to. It is about one
// meter of the limit: that of the parts which the limit is told apart by; others are
// ignored. What comes of it is as the limit's Adopt says: a lower quota than the
// declared one counts at once, a higher one with throttle.AdoptBoth alone, and in a
// later call the declared one ends it. Share and margin apply to it, what is on the
// wire stays counted, and a queued request that no longer fits ends with
// throttle.ErrWeight. An answer that announces a quota (feedback.Usage.Quota) has the
// same effect, and replaces it. ReplaceLimits keeps what was announced for a limit that
// declares the same quota in the same window. For a key that is not in use any more it is
// kept until 4,096 others of the limit that have a quota of their own are not either. It is
// safe for concurrent use.
//
// The error is a *throttle.LimitError, and nothing has changed: throttle.ErrQuota for a
// number that cannot be right, such as 0, or more than a hundred times the declared
// quota; throttle.ErrNothingAdopt, ErrUnknownLimit, ErrNoKey, ErrUnknownKey or
// ErrLongName.
func (e *Engine) AnnounceQuota(id string, parts throttle.Parts, quota int64) error {
	if err := e.made(); err != nil {
		return err
	}
	return e.system.AnnounceQuota(id, parts, quota)
}
