package throttle

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Adopt says what becomes of a quota that the server announces; see Ledger.Announce.
type Adopt uint8

const (
	// AdoptLower takes over a quota that is lower than the declared one, at once; of a
	// higher one the declared counts.
	AdoptLower Adopt = iota
	// AdoptBoth takes over a higher one as well: for tiers that grow.
	AdoptBoth
	// AdoptNothing has the declared one count whatever the server says.
	AdoptNothing

	adoptKinds
)

var adoptNames = [adoptKinds]string{"lower", "both", "nothing"}

// String returns the name that limits files use, such as "lower".
func (a Adopt) String() string {
	if a >= adoptKinds {
		return "unknown adopt"
	}
	return adoptNames[a]
}

// Reasons why an announced quota changes nothing.
var (
	ErrQuota        = errors.New("announced quota is not believed")
	ErrNothingAdopt = errors.New("limit adopts no announced quota: its Adopt says so")
)

const (
	// mostApart is how many times the declared quota an announced one may be, or the
	// other way around. A Lifetime budget may grow to anything.
	mostApart = 100
)

// Announce takes note that the server's quota is another than the declared one, for one
// meter alone: that of the limit for the parts that its By names. It returns what counted
// before and what counts now, both before share and margin, which apply to it as to the
// declared one. Limit.Adopt says what is taken over. A later announcement replaces an
// earlier one, and that of the declared quota ends it.
//
// Of a Leaky limit it is Quota, what falls in Per. A Burst that the limit declares shrinks
// in proportion, and never grows.
//
// It counts as long as there is a meter for those parts, and after that has been forgotten
// until 4,096 others of the limit have been whose quota is not the declared one either: what
// comes back then finds the declared one, until the server says again what is true.
//
// What is in flight and what was answered stays counted. Queued permits that can no
// longer fit are answered Refused by Next, and others are refused with ErrWeight. If
// the quota is lower the table has a new number, see Table. Replace keeps what was
// announced for a limit that declares the same quota in the same window; otherwise the
// declaration is the newer word.
//
// The error is a *LimitError, and nothing has changed: with ErrQuota for a number below
// one, one that is more than a hundred times the declared quota or less than a hundredth of it
// (a Lifetime budget may be told any larger number), or one that leaves less than the
// limit's reserves or its own weight need; with ErrNothingAdopt, ErrUnknownLimit, or
// that of a key or a name.
func (l *Ledger) Announce(now time.Duration, id string, parts Parts, quota int64) (was, is int64, err error) {
	now = l.at(now)
	r := l.table.rule(id)
	if r == nil {
		return 0, 0, l.table.unknown(id)
	}
	if err := join(parts.checkNames(id), r.checkKey(parts.Key)); err != nil {
		return 0, 0, err
	}
	at := r.By.of(parts)
	was = r.inEffect(at)
	if err := r.believes(quota); err != nil {
		return was, was, &LimitError{ID: id, Err: err}
	}
	is = r.adopts(quota)
	t := l.termsFor(r, is)
	if err := r.leavesRoom(t); err != nil {
		return was, was, &LimitError{ID: id, Err: fmt.Errorf("%w: %d: %w", ErrQuota, quota, err)}
	}
	before, m := l.termsFor(r, was), l.meterAt(r, at)
	r.note(at, quota, t, m != nil)
	if is == was {
		return was, is, nil
	}
	l.adopted = true
	if m != nil {
		l.resize(now, m, t)
	}
	if t.stricterThan(before) {
		l.tables++
	}
	return was, is, nil
}

// QuotaOf returns what counts for a meter of a limit: its quota, as announced or else as
// declared, and how much of it can be used at one instant, which is the burst of a Leaky
// one; both before share and margin. A route has neither. known is false for an id that
// the table does not have.
func (l *Ledger) QuotaOf(id string, parts Parts) (quota, burst int64, known bool) {
	r := l.table.rule(id)
	if r == nil || len(r.announced.of) == 0 {
		return l.declared(id)
	}
	limit := r.withQuota(r.inEffect(r.By.of(parts)))
	return limit.Quota, cmp.Or(limit.Burst, limit.Quota), true
}

// meterAt returns the meter of r for some parts, or nil if there is none yet.
func (l *Ledger) meterAt(r *rule, parts Parts) *meter {
	at := r.By.of(parts)
	return r.meter(l.hasher.of(&at), &at)
}

// meter returns the meter of parts that r looks at, or nil.
func (r *rule) meter(hash uint64, at *Parts) *meter {
	i := uint64(0)
	m := r.meters.next(hash, &i)
	for m != nil && m.of != at && *m.of != *at {
		m = r.meters.next(hash, &i)
	}
	return m
}

// believes returns why an announced quota cannot be right.
func (r *rule) believes(quota int64) error {
	switch {
	case r.Adopt == AdoptNothing:
		return ErrNothingAdopt
	case quota < 1 || quota > maxWeight:
		return fmt.Errorf("%w: %d is not in [1, %d]", ErrQuota, quota, int64(maxWeight))
	case apart(r.Quota, quota), r.Window != Lifetime && apart(quota, r.Quota):
		return fmt.Errorf("%w: %d is too far from the declared %d", ErrQuota, quota, r.Quota)
	}
	return nil
}

// apart reports whether a is more than mostApart times b, which is above zero.
func apart(a, b int64) bool {
	return a/mostApart > b || a/mostApart == b && a%mostApart > 0
}

// adopts returns what counts of an announced quota.
func (r *rule) adopts(quota int64) int64 {
	switch r.Adopt {
	case AdoptBoth:
		return quota
	case AdoptLower:
		return min(quota, r.Quota)
	}
	return r.Quota
}

// note remembers an announcement whose terms are t, unless the declared quota is what counts.
func (r *rule) note(at Parts, quota int64, t *terms, used bool) {
	if r.adopts(quota) == r.Quota {
		r.announced.remove(at)
		return
	}
	r.announced.put(at, r.adopts(quota), t, used)
}

// inEffect returns the quota that counts for some parts, before share and margin.
func (r *rule) inEffect(at Parts) int64 {
	if a := r.announced.of[at]; a != nil {
		return a.quota
	}
	return r.Quota
}

// withQuota returns the limit as it is with another quota.
func (r *rule) withQuota(quota int64) Limit {
	limit := r.Limit
	limit.Quota = quota
	if limit.Burst > 0 && quota < r.Quota {
		limit.Burst = max(1, mulDivDown(r.Burst, quota, r.Quota))
	}
	return limit
}

// termsFor returns the terms of a rule for a quota. Meters of the same quota share them, once
// it is noted.
func (l *Ledger) termsFor(r *rule, quota int64) *terms {
	if quota == r.Quota {
		return r.terms
	}
	if known := r.announced.tiers[quota]; known != nil {
		return known.terms
	}
	limit := r.withQuota(quota)
	t := limit.terms(l.options, l.clock, r.terms.windows())
	return &t
}

// termsOf returns the terms that count for some parts.
func (l *Ledger) termsOf(r *rule, at Parts) *terms {
	if len(r.announced.of) == 0 {
		return r.terms
	}
	return l.termsFor(r, r.inEffect(at))
}

// roomiest is no less than the most that any meter of r has room for.
func (r *rule) roomiest() int64 { return max(r.terms.quota, r.announced.roomiest) }

// fitsEver returns an error if some meter of p's path never has room for it, whatever
// the quota that its limit declares.
func (l *Ledger) fitsEver(p *Permit) error {
	if !l.adopted {
		return nil
	}
	for i, c := range p.path.charges {
		if err := c.meter.misfit(p.weight(i), p.Priority); err != nil {
			return err
		}
	}
	return nil
}

// inheritAnnounced takes over what was announced for a limit of the same id, if that
// declares the same.
func (l *Ledger) inheritAnnounced(r, old *rule) {
	if len(old.announced.of) == 0 || r.Quota != old.Quota || r.Per != old.Per || r.Months != old.Months ||
		r.Window != old.Window || r.Burst != old.Burst || r.By != old.By {
		return
	}
	old.announced.each(func(a *announcement) {
		t := l.termsFor(r, r.adopts(a.quota))
		if r.believes(a.quota) == nil && r.leavesRoom(t) == nil {
			r.note(a.at, a.quota, t, r.meter(l.hasher.of(&a.at), &a.at) != nil)
			l.adopted = true
		}
	})
}
