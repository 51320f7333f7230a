package exchange

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Never is how long to wait for a weight that no empty counter would admit.
const Never = time.Duration(math.MaxInt64)

// Counter counts weight by arrival against one quota. It reads no clock: now
// is a duration since any fixed instant, and must not go backwards (a counter
// of policy Fixed tolerates it: another window is an empty window). Weights
// are not negative. A Counter is not safe for concurrent use.
type Counter interface {
	// Admit charges weight if there is room. Otherwise it charges nothing and
	// says after how long the same weight would be admitted, were nothing else
	// charged meanwhile; Never if it is above the quota.
	Admit(now time.Duration, weight int64) (ok bool, retryAfter time.Duration)
	// Wait is Admit without the charge: zero means there is room.
	Wait(now time.Duration, weight int64) time.Duration
	// Charge counts weight whether there is room or not.
	Charge(now time.Duration, weight int64)
	// Used returns the weight that counts at now, rounded up.
	Used(now time.Duration) int64
}

// Policy is how a limit counts.
type Policy uint8

const (
	// Fixed counts in windows [k·Per, (k+1)·Per) of the exchange's own clock,
	// as Binance does: "a 1 MINUTE interval starts every minute".
	Fixed Policy = iota
	// Sliding admits while the weight that arrived in (now-Per, now] stays
	// within Quota.
	Sliding
	// TokenBucket holds Burst tokens and refills Quota per Per, continuously
	// (Coinbase, Deribit).
	TokenBucket
	// Decaying is a counter that may not pass Burst and falls by one at every
	// multiple of Per/Quota (Kraken).
	Decaying
	// FromFirst counts in windows of length Per that begin with the first
	// arrival after the last one ended (KuCoin).
	FromFirst
	// Budget admits Quota once and for all, and what is earned on top of it: one for
	// each unit of the quote asset that an account trades. Once that is spent, one
	// request is let in every Per, whatever its weight (Hyperliquid).
	Budget
)

var policyNames = [...]string{"fixed", "sliding", "bucket", "decaying", "first", "budget"}

// String returns "fixed", "sliding", "bucket", "decaying", "first" or "budget".
func (p Policy) String() string {
	if int(p) >= len(policyNames) {
		return fmt.Sprintf("policy(%d)", uint8(p))
	}
	return policyNames[p]
}

// ParsePolicy reads what String writes.
func ParsePolicy(text string) (Policy, error) {
	for p, name := range policyNames {
		if name == text {
			return Policy(p), nil
		}
	}
	return 0, fmt.Errorf("unknown policy %q: want one of %s", text, strings.Join(policyNames[:], ", "))
}

// MarshalText implements encoding.TextMarshaler.
func (p Policy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Policy) UnmarshalText(text []byte) (err error) {
	*p, err = ParsePolicy(string(text))
	return err
}

// NewCounter returns an empty counter for a limit, or everything that is wrong
// with the limit.
func NewCounter(l Limit) (Counter, error) {
	if err := errors.Join(l.mistakes()...); err != nil {
		return nil, err
	}
	switch l.Policy {
	case Sliding:
		return &slidingLog{quota: l.Quota, per: l.Per}, nil
	case TokenBucket:
		return newTokenBucket(l), nil
	case Decaying:
		return newDecaying(l), nil
	case FromFirst:
		return &fromFirst{quota: l.Quota, per: l.Per}, nil
	case Budget:
		return &budget{left: l.Quota, per: l.Per}, nil
	default:
		return &fixedWindow{quota: l.Quota, per: l.Per}, nil
	}
}

func admit(c Counter, now time.Duration, weight int64) (bool, time.Duration) {
	if wait := c.Wait(now, weight); wait > 0 {
		return false, wait
	}
	c.Charge(now, weight)
	return true, 0
}
