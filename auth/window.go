package auth

import (
	"math"
	"time"

	"github.com/sluice-engine/sluice/internal/quotient"
	"github.com/sluice-engine/sluice/internal/unit"
)

// longest is as long as any duration of a scheme, a clock or a call is taken to be: the
// server's time is a time still with two of them added, until 2062.
const longest = unit.Longest

// Window is a server's rule about timestamps: when a request arrives at server
// time t, a timestamp ts is accepted if
//
//	ts < t + Future   and   t - ts <= Past
//
// The zero Window is no rule.
type Window struct{ Past, Future time.Duration }

// DefaultDelay is how long a request may be under way before its timestamp gets
// too old, if the server's window is wide enough.
const DefaultDelay = time.Second

// Timestamp chooses the timestamp to sign, in units since the Unix epoch, when
// the server's clock shows est, and at least lo and at most hi. Every timestamp
// in
//
//	[hi + delay - Past, lo + Future)
//
// is accepted whatever the delay, up to the given one. The one nearest to est is
// chosen. If there is none, because the bounds are too wide or Past is too
// short, the latest is chosen that is certainly not too new: it tolerates the
// longest delay, and proven is false.
func (w Window) Timestamp(est, lo, hi time.Time, delay, unit time.Duration) (ts int64, proven bool) {
	return w.choose(est.UnixNano(), lo.UnixNano(), hi.UnixNano(), int64(delay), int64(unit))
}

// choose counts in whole units, because the server may: what it compares is its
// own clock cut off to the unit.
func (w Window) choose(est, lo, hi, delay, unit int64) (ts int64, proven bool) {
	ts = quotient.Floor(est, unit)
	if w == (Window{}) {
		return ts, true
	}
	w = w.bounded()
	first := quotient.Ceil(hi+min(delay, int64(longest)), unit) - int64(w.Past)/unit
	// The rule says ts < t + Future, so that the last is one below.
	last := quotient.Floor(lo, unit) + quotient.Ceil(int64(w.Future), unit) - 1
	// last has the final say: a timestamp that is too new is refused for certain,
	// one that is too old only if the way is slow.
	return min(max(ts, first), last), first <= last
}

// bounded is the rule with what is over-long in it taken for the longest, as by a server that
// takes any old timestamp.
func (w Window) bounded() Window {
	return Window{Past: min(w.Past, longest), Future: min(w.Future, longest)}
}

// endsBy reports whether a timestamp is too old for the rule after expiry, which is in ns.
func (w Window) endsBy(expiry, ts, unit int64) bool {
	return ts*unit <= expiry-int64(w.bounded().Past)
}

// shortened is a timestamp, no later than ts, and the window in ms that ends with it at expiry.
// A window of zero would be none, so that the timestamp leaves a millisecond for it.
func shortened(expiry, ts, unit int64) (earlier, window int64) {
	ms := int64(time.Millisecond)
	ts = min(ts, quotient.Floor(expiry-ms, unit))
	return ts, (expiry - ts*unit) / ms
}

// wholeMillis is a window as it is sent: whole milliseconds, and not none, which would
// leave it to the server. Zero sends none.
func wholeMillis(window time.Duration) time.Duration {
	if window <= 0 {
		return 0
	}
	return max(min(window, longest).Truncate(time.Millisecond), time.Millisecond)
}

// expiry returns the last instant, in ns, at which the server may accept, so
// that it does not accept after the deadline: the earliest its clock can show
// then, cut off to the unit.
func (r reading) expiry(unit int64) (ns int64, ok bool) {
	if r.deadline == math.MaxInt64 {
		return 0, false
	}
	return quotient.Floor(r.deadline, unit) * unit, true
}
