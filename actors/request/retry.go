package request

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// Retry says how often and how soon a failed attempt is repeated, and what is a
// failure. Only attempts are repeated that did no harm: provably unsent or
// unprocessed, or idempotent.
type Retry struct {
	Max       int           // repetitions, not attempts
	Base, Cap time.Duration // the pause is drawn from [0, min(Cap, Base·2ⁿ)): full jitter
	Share     float64       // repetitions allowed per first attempt
	Rate      float64       // and per second besides

	PerAttempt time.Duration // how long one exchange may take, a stream's to its head; zero means for ever
	Statuses   []int         // answered with which an idempotent request is repeated; nil means none
}

// retryBudget bounds repetitions across all requests, so that a failing server
// sees little more than the load it would have seen without them. Tokens are
// earned by first attempts and by time.
type retryBudget struct {
	policy Retry
	firsts atomic.Int64 // first attempts, in batches

	mu      sync.Mutex
	tokens  float64
	at      time.Time // the last time tokens were earned
	counted int64     // the first attempts that have earned theirs
}

func newRetryBudget(policy Retry) *retryBudget {
	return &retryBudget{policy: policy, tokens: policy.Rate, at: time.Now()}
}

// countBatch is how many requests of a slot are counted at once: a counter that
// every request touched would travel between the processors.
const countBatch = 16

// count notes a first attempt.
func (b *retryBudget) count(r *slot) {
	if r.lives++; r.lives%countBatch == 0 {
		b.firsts.Add(countBatch)
	}
}

// after decides what follows a failed attempt: a pause and another, or not.
func (b *retryBudget) after(failures int, sent messages.Sent, repeatable bool, err error) (pause time.Duration, again bool) {
	switch {
	case sent == messages.SentYes && !(repeatable && cutOff(err)), // answered, if badly
		sent == messages.SentMaybe && !repeatable && !errors.Is(err, messages.ErrUnprocessed),
		final(err):
		return 0, false
	}
	return b.pause(failures)
}

// pause takes another repetition from the budget, and draws the pause before it.
func (b *retryBudget) pause(failures int) (pause time.Duration, again bool) {
	if failures > b.policy.Max || !b.spend(time.Now()) {
		return 0, false
	}
	return time.Duration(rand.Int64N(int64(b.ceiling(failures)) + 1)), true
}

// mostSpared is how often a request is repeated at most without a token: with the
// default Base and Cap over a handful of seconds, which is longer than any server
// takes that is being started anew.
const mostSpared = 8

// spares reports whether a failed exchange is repeated without a token: the server
// has done nothing for it, for it was written to nobody, or the server says so. The
// budget is there so that a failing server sees little more than the load it would
// have seen without repetitions; a goodbye to a connection refuses all that are under
// way on it at once, and costs the server nothing. What is refused again and again has
// an end all the same, and a pause that grows.
func (r *slot) spares(sent messages.Sent, err error) bool {
	if r.stage != messages.Exchanging || r.needs.Plan.Retry.Max <= 0 || r.spared >= mostSpared || final(err) {
		return false
	}
	if errors.Is(err, messages.ErrUnprocessed) {
		return true
	}
	// What is neither closed nor used up had something to say unasked, and may go on so.
	dead := errors.Is(err, messages.ErrPeerClosed) || errors.Is(err, wire.ErrSpent)
	return sent == messages.SentNo && dead && errors.Is(err, messages.ErrStale)
}

// growing draws the pause before the n-th repetition without a token from the upper
// half of what it may be: a draw near zero each time would have no pause grow.
func (b *retryBudget) growing(n int) time.Duration {
	half := b.ceiling(n) / 2
	return half + time.Duration(rand.Int64N(int64(half)+1))
}

// ceiling bounds the pause after so many failures.
func (b *retryBudget) ceiling(failures int) time.Duration {
	return unit.Doubled(b.policy.Base, failures-1, b.policy.Cap)
}

// cutOff reports whether an answer whose head had come ended early because of the
// connection, or of its slowness: another may come whole. What is malformed or too
// large would only come again.
func cutOff(err error) bool {
	var network *net.OpError
	return errors.Is(err, messages.ErrTruncated) || errors.Is(err, messages.ErrPeerClosed) ||
		errors.Is(err, messages.ErrAttemptTimeout) || errors.As(err, &network)
}

// final reports whether an error would only come again.
func final(err error) bool {
	var panicked *messages.PanicError
	if errors.As(err, &panicked) || messages.Permanent(err) {
		return true
	}
	for _, target := range []error{
		context.Canceled, context.DeadlineExceeded, messages.ErrInvalidRequest,
		messages.ErrClosed, messages.ErrTooManyWaiters, messages.ErrActorFailed,
		messages.ErrMalformedResponse, messages.ErrHeaderTooLarge,
		throttle.ErrUnknownLimit, throttle.ErrWeight, throttle.ErrRouteWeight,
		throttle.ErrQueueFull, throttle.ErrDeadline, throttle.ErrSpent, throttle.ErrNoKey, throttle.ErrUnknownKey,
		throttle.ErrLongName, throttle.ErrHalted,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// spend takes one token if there is one.
func (b *retryBudget) spend(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	firsts := b.firsts.Load()
	earned := now.Sub(b.at).Seconds()*b.policy.Rate + float64(firsts-b.counted)*b.policy.Share
	b.at, b.counted = now, firsts
	b.tokens = min(b.tokens+earned, 10*b.policy.Rate+1)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
