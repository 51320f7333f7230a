package actors

import (
	"cmp"
	"context"
	"time"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// What the engine asks the throttler and the pools, and waits to be answered.

// ReplaceLimits swaps the table of limits; what is in flight stays counted.
func (s *System) ReplaceLimits(limits []throttle.Limit) error {
	answer, err := ask[protocol.LimitsReplaced](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.ReplaceLimits{Limits: limits, Tariffs: s.tariffsOf(limits), Owner: owner}
	})
	return cmp.Or(err, answer.Err)
}

// AdjustLimit adds delta to what a limit counts as used.
func (s *System) AdjustLimit(id string, of throttle.Parts, delta int64) error {
	answer, err := ask[protocol.LimitAdjusted](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.AdjustLimit{ID: id, Of: of, Delta: delta, Owner: owner}
	})
	return cmp.Or(err, answer.Err)
}

// SetShare changes share and safety margin of one limit.
func (s *System) SetShare(id string, share, margin float64) error {
	answer, err := ask[protocol.ShareSet](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.SetShare{ID: id, Share: share, Margin: margin, Owner: owner}
	})
	return cmp.Or(err, answer.Err)
}

// AnnounceQuota says what the server's quota is for one meter of a limit.
func (s *System) AnnounceQuota(id string, parts throttle.Parts, quota int64) error {
	answer, err := ask[protocol.QuotaAnnounced](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.AnnounceQuota{ID: id, Parts: parts, Quota: quota, Owner: owner}
	})
	return cmp.Or(err, answer.Err)
}

// Pause lets nothing leave for a time that a scope holds, queued requests
// included.
func (s *System) Pause(scope throttle.Scope, d time.Duration) error {
	answer, err := ask[protocol.ScopeSet](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.PauseScope{Scope: scope, For: d, Owner: owner}
	})
	return cmp.Or(err, answer.Err)
}

// Resume ends a pause, and the slow start after it.
func (s *System) Resume(scope throttle.Scope) error {
	answer, err := ask[protocol.ScopeSet](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.ResumeScope{Scope: scope, Owner: owner}
	})
	return cmp.Or(err, answer.Err)
}

// Limits returns a picture of the ledger; an empty one once everything ended.
func (s *System) Limits() throttle.Snapshot {
	all, _ := s.GlanceAtLimits(0)
	return all
}

// GlanceAtLimits is Limits with at most so many limits and scopes; zero is all of them. It reports
// false once everything ended.
func (s *System) GlanceAtLimits(most int) (throttle.Snapshot, bool) {
	answer, err := ask[protocol.LimitsDescribed](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.DescribeLimits{Most: most, Owner: owner}
	})
	return answer.Snapshot, err == nil
}

// Pools returns a picture of every pool; of none once the system closes.
func (s *System) Pools() []protocol.PoolStats {
	all, _ := s.GlanceAtPools(0)
	return all
}

// GlanceAtPools is Pools with at most so many, and how many were left out; zero is all of them.
func (s *System) GlanceAtPools(most int) (all []protocol.PoolStats, left int) {
	for door := range s.exits.doors() {
		if most > 0 && len(all) == most {
			left++
			continue
		}
		if !door.Enter() {
			continue
		}
		if stats, open := s.describePool(context.Background(), door); open {
			all = append(all, stats)
		}
	}
	return all, left
}

// WaitAtPools returns how many requests wait for a connection, at all pools. It asks none.
func (s *System) WaitAtPools() int { return int(s.places.Waiting.Load()) }

// WaitingForPermits returns the first n that wait at the throttler.
func (s *System) WaitingForPermits(n int) []protocol.Waiter {
	answer, _ := ask[protocol.WaitingListed](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.ListWaiting{N: n, Owner: owner}
	})
	return answer.Waiters
}

// mostAsked is how many pools WaitingForConnections asks.
const mostAsked = 256

// WaitingForConnections returns the first n that wait before pools, pool by pool. Of many
// pools it asks some.
func (s *System) WaitingForConnections(n int) (all []protocol.Waiter) {
	asked := 0
	for door := range s.exits.doors() {
		if asked++; asked > mostAsked || len(all) >= n {
			break
		}
		if !door.Enter() {
			continue
		}
		answer, err := ask[protocol.WaitingListed](context.Background(), door, s.closing, func(owner protocol.Recipient) any {
			return protocol.ListWaiting{N: n - len(all), Owner: owner}
		})
		door.Leave()
		if err == nil {
			for i := range answer.Waiters {
				if answer.Waiters[i].Behind >= 0 {
					answer.Waiters[i].Behind += len(all)
				}
			}
			all = append(all, answer.Waiters...)
		}
	}
	return all
}

// ask tells an actor a question that it answers with a T. The actor may end
// without an answer once end is closed: then, and before it is asked at all, the
// error is ErrClosed.
func ask[T any](ctx context.Context, actor protocol.Recipient, end <-chan struct{}, question func(owner protocol.Recipient) any) (answer T, err error) {
	select {
	case <-end:
		return answer, messages.ErrClosed
	default:
	}
	reply := mailbox.NewReply()
	actor.Tell(question(reply))
	select {
	case message := <-reply:
		return message.(T), nil
	case <-end:
		return answer, messages.ErrClosed
	case <-ctx.Done():
		return answer, messages.ContextError(ctx)
	}
}
