package protocol

import (
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// ReplaceLimits swaps the whole table of limits; LimitsReplaced answers.
type ReplaceLimits struct {
	Limits  []throttle.Limit
	Tariffs *throttle.Tariffs // of Limits; nil without any
	Owner   Recipient
}

// LimitsReplaced answers ReplaceLimits. With an error nothing has changed.
type LimitsReplaced struct{ Err error }

// AdjustLimit adds Delta to what a limit counts as used, as a stream or a
// header may report; LimitAdjusted answers.
type AdjustLimit struct {
	ID    string
	Of    throttle.Parts // which instance, if there are several
	Delta int64
	Owner Recipient
}

// LimitAdjusted answers AdjustLimit. The error is that of an unknown limit.
type LimitAdjusted struct{ Err error }

// SetShare changes share and safety margin of one limit; ShareSet answers.
type SetShare struct {
	ID            string
	Share, Margin float64 // as in throttle.Limit
	Owner         Recipient
}

// ShareSet answers SetShare. With an error nothing has changed.
type ShareSet struct{ Err error }

// AnnounceQuota says what the server's quota is for one meter of a limit;
// QuotaAnnounced answers.
type AnnounceQuota struct {
	ID    string
	Parts throttle.Parts
	Quota int64
	Owner Recipient
}

// QuotaAnnounced answers AnnounceQuota. With an error nothing has changed.
type QuotaAnnounced struct{ Err error }

// PauseScope lets nothing leave for a time that a scope holds; ScopeSet answers.
type PauseScope struct {
	Scope throttle.Scope
	For   time.Duration
	Owner Recipient
}

// ResumeScope ends a pause, and the slow start after it; ScopeSet answers.
type ResumeScope struct {
	Scope throttle.Scope
	Owner Recipient
}

// ScopeSet answers PauseScope and ResumeScope. The error is that of an unknown
// scope.
type ScopeSet struct{ Err error }

// HaltQueue has what a halt may select taken out of the queue; HaltTaken answers.
type HaltQueue struct {
	Halt  *throttle.Halt
	Owner Recipient
}

// HaltTaken answers HaltQueue: nothing of it can be granted any more.
type HaltTaken struct{}

// DrainHalted has some of those answered that halts have taken out of the queue;
// HaltedDrained answers.
type DrainHalted struct{ Owner Recipient }

// HaltedDrained answers DrainHalted, with how many are left.
type HaltedDrained struct{ Left int }

// HaltStands tells a request, on whatever part of its journey it waits, to look whether
// it is halted. It may come late, and then changes nothing.
type HaltStands struct{}

// ForeseePermit asks what would become of a permit; PermitForeseen answers. Nothing
// changes by it.
type ForeseePermit struct {
	Permit throttle.Permit
	Owner  Recipient
}

// PermitForeseen answers ForeseePermit. The error is what it would be refused with.
type PermitForeseen struct {
	Forecast throttle.Forecast
	Err      error
}

// DescribeLimits asks for a picture of the ledger; LimitsDescribed answers.
type DescribeLimits struct {
	Most  int // limits and scopes, as throttle.Ledger.Glance takes it; zero is all of them
	Owner Recipient
}

// LimitsDescribed answers DescribeLimits.
type LimitsDescribed struct{ Snapshot throttle.Snapshot }

// ListWaiting asks a throttler or a pool for the first N that wait there; WaitingListed
// answers.
type ListWaiting struct {
	N     int
	Owner Recipient
}

// WaitingListed answers ListWaiting: in the order in which they go.
type WaitingListed struct{ Waiters []Waiter }

// Waiter is one that waits for a permit or for a connection.
type Waiter struct {
	Method, Path   string // as they are sent; empty for a permit without a request
	Limit, Account string
	Origin         string // as a URL
	Priority       messages.Priority
	Since          time.Duration
	Hold           throttle.Hold // for a permit
	// Ahead and Behind are those of throttle.Waiter; before a pool, of all who wait there.
	Ahead, Behind int
}

// HeedAnswer passes on what an answer said to a request that had no permit, so that there
// is no SettlePermit to carry it, or what its head said, whose body is yet to come.
type HeedAnswer struct {
	Origin, Limit string
	Of            throttle.Parts   // of the request
	Left          time.Duration    // when the request was sent, on the ledger's clock
	Charged       throttle.Charged // by its permit, if it has one
	Signals       feedback.Feedback
	Heard         chan<- struct{} // closed once what it pauses is posted; nil if nobody waits for that
}

// CloseThrottler refuses everything queued and everything to come. Permits are
// still settled.
type CloseThrottler struct{}
