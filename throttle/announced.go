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
	mostTiers = 64 // of which the terms are kept of one rule, whether or not they are in use
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
// What is in flight and what was answered stays counted. Queued permits that can no
// longer fit are answered Refused by Next, and others are refused with ErrWeight. If
// the quota is lower the table has a new number, see Table. Replace keeps what was
// announced for a limit that declares the same quota in the same window; otherwise the
// declaration is the newer word.
//
// The error is a *LimitError, and nothing has changed: with ErrQuota for a number below
// one, one that is a hundred times the declared quota or a hundredth of it and more
// (a Lifetime budget may be told any larger number), or one that leaves less than the
// limit's reserves or its own weight need; with ErrNothingAdopt, ErrUnknownLimit, or
// that of a key.
func (l *Ledger) Announce(now time.Duration, id string, parts Parts, quota int64) (was, is int64, err error) {
	now = l.at(now)
	r := l.table.rule(id)
	if r == nil {
		return 0, 0, &LimitError{ID: id, Err: ErrUnknownLimit}
	}
	if err := r.checkKey(parts.Key); err != nil {
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
	r.note(at, quota)
	if is == was {
		return was, is, nil
	}
	l.adopted = true
	before := l.termsFor(r, was)
	if m := l.meterAt(r, at); m != nil {
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
	if r == nil || len(r.announced) == 0 {
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
	case quota < r.Quota/mostApart, r.Window != Lifetime && quota/mostApart > r.Quota:
		return fmt.Errorf("%w: %d is too far from the declared %d", ErrQuota, quota, r.Quota)
	}
	return nil
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

// note remembers an announcement, unless the declared quota is what counts.
func (r *rule) note(at Parts, quota int64) {
	if r.adopts(quota) == r.Quota {
		delete(r.announced, at)
		return
	}
	if r.announced == nil {
		r.announced = make(map[Parts]int64)
	}
	r.announced[at] = quota
}

// inEffect returns the quota that counts for some parts, before share and margin.
func (r *rule) inEffect(at Parts) int64 {
	if quota, told := r.announced[at]; told {
		return r.adopts(quota)
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

// termsFor returns the terms of a rule for a quota. Meters of the same quota share them.
func (l *Ledger) termsFor(r *rule, quota int64) *terms {
	if quota == r.Quota {
		return r.terms
	}
	if t := r.tiers[quota]; t != nil {
		return t
	}
	if len(r.tiers) >= mostTiers {
		r.dropTiers()
	}
	if r.tiers == nil {
		r.tiers = make(map[int64]*terms)
	}
	limit := r.withQuota(quota)
	t := limit.terms(l.options, l.clock)
	r.tiers[quota] = &t
	return &t
}

// dropTiers forgets terms that no announcement calls for.
func (r *rule) dropTiers() {
	used := make(map[int64]bool, len(r.announced))
	for _, quota := range r.announced {
		used[r.adopts(quota)] = true
	}
	for quota := range r.tiers {
		if !used[quota] {
			delete(r.tiers, quota)
		}
	}
}

// termsOf returns the terms that count for some parts.
func (l *Ledger) termsOf(r *rule, at Parts) *terms {
	if len(r.announced) == 0 {
		return r.terms
	}
	return l.termsFor(r, r.inEffect(at))
}

// roomiest is the most that any meter of r has room for.
func (r *rule) roomiest() int64 {
	if len(r.tiers) == 0 {
		return r.terms.quota
	}
	return r.roomiestTier()
}

// roomiestTier is roomiest where the server has announced a quota. It is apart because an
// iteration over a map takes room on the stack, which nobody else who weighs is to have.
//
//go:noinline
func (r *rule) roomiestTier() int64 {
	most := r.terms.quota
	for _, t := range r.tiers {
		most = max(most, t.quota)
	}
	return most
}

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
	if len(old.announced) == 0 || r.Quota != old.Quota || r.Per != old.Per || r.Months != old.Months ||
		r.Window != old.Window || r.Burst != old.Burst || r.By != old.By {
		return
	}
	for at, quota := range old.announced {
		if r.believes(quota) == nil && r.leavesRoom(l.termsFor(r, r.adopts(quota))) == nil {
			r.note(at, quota)
			l.adopted = true
		}
	}
}
