package throttle

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/internal/unit"
)

// What is wrong with a limit by itself is found here; what its links come to in table.go.

func (b *builder) complain(l *Limit, format string, args ...any) {
	b.errs = append(b.errs, &LimitError{ID: l.ID, Err: fmt.Errorf(format, args...)})
}

// isRoute reports whether a limit is a name for its links.
func (l *Limit) isRoute() bool { return l.Quota == 0 && len(l.Linked) > 0 }

// checkRoute complains about all that says something of a quota, for it would say
// nothing: a route that is given the weight of its request would be charged that of
// its link.
func (b *builder) checkRoute(l *Limit) {
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"per", l.Per != 0}, {"window", l.Window != Sliding}, {"weight", l.Weight != 0}, {"tariff", len(l.Tariff) > 0},
		{"by", l.By != 0}, {"keyed", l.Keyed}, {"keys", len(l.Keys) > 0}, {"reserve", len(l.Reserve) > 0},
		{"burst", l.Burst != 0}, {"tick", l.Tick != 0},
		{"offset", l.Offset != 0}, {"location", l.Location != nil}, {"months", l.Months != 0},
		{"rtt floor", l.RTTFloor != 0}, {"max delay", l.MaxDelay != 0}, {"close delay", l.CloseDelay != 0},
		{"shared", l.Shared != 0}, {"share", l.Share != 0}, {"safety margin", l.SafetyMargin != 0}, {"fallback", l.Fallback != ""}, {"adopt", l.Adopt != AdoptLower}, {"scope", l.Scope != ""},
	} {
		if field.set {
			b.complain(l, "is a route, for it has links and no quota, and so %s means nothing: give it to what it is linked to, or give it a quota", field.name)
		}
	}
}

func (b *builder) checkQuota(l *Limit) {
	bounded := func(name string, v int64) {
		if v < 0 || v > maxWeight {
			b.complain(l, "%s %d is not in [0, %d]", name, v, int64(maxWeight))
		}
	}
	bounded("quota", l.Quota)
	bounded("weight", l.Weight)
	bounded("burst", l.Burst)
	if l.Quota == 0 {
		b.complain(l, "quota 0 admits nothing")
	}
	if l.Scope == WholeOrigin {
		b.complain(l, "scope %q means a whole origin", l.Scope)
	}
	if l.By&^byAll != 0 {
		b.complain(l, "by %#x names more than account, key and egress", uint8(l.By))
	}
	if l.Adopt >= adoptKinds {
		b.complain(l, "adopt %d is unknown", l.Adopt)
	}
	if l.Window >= windowKinds {
		b.complain(l, "window %d is unknown", l.Window)
	}
	if l.Window != Leaky && (l.Burst != 0 || l.Tick != 0) {
		b.complain(l, "burst and tick are for leaky windows only")
	}
	if l.Window != Fixed && (l.Offset != 0 || l.Months != 0 || l.Location != nil) {
		b.complain(l, "offset, months and location are for fixed windows only")
	}
	// The negation of what is right, so that NaN is wrong too.
	if !(l.Shared >= 0 && l.Shared < 1) || l.Shared > 0 && l.Window != Fixed {
		b.complain(l, "shared %v is not in [0, 1), or the window is not fixed", l.Shared)
	}
}

func (b *builder) checkReserve(l *Limit) {
	for i, r := range l.Reserve {
		if r.Weight < 0 || r.Weight > maxWeight {
			b.complain(l, "reserve %d is not in [0, %d]", r.Weight, int64(maxWeight))
		}
		if slices.ContainsFunc(l.Reserve[:i], func(q Reserve) bool { return q.Priority == r.Priority }) {
			b.complain(l, "priority %d has more than one reserve", r.Priority)
		}
	}
}

func (b *builder) checkTimes(l *Limit) {
	bounded := func(name string, v time.Duration) {
		if v < 0 || v > maxPer {
			b.complain(l, "%s %v is not in [0, %v]", name, v, maxPer)
		}
	}
	bounded("per", l.Per)
	bounded("tick", l.Tick)
	bounded("offset", max(l.Offset, -l.Offset))
	bounded("rtt floor", l.RTTFloor)
	bounded("max delay", l.MaxDelay)
	bounded("close delay", l.CloseDelay)
	timed := l.Window.timed()
	if timed && l.Per == 0 && l.Months == 0 {
		b.complain(l, "per is 0")
	}
	if !timed && l.Per != 0 {
		b.complain(l, "per %v means nothing for a %v window, which no time gives room: leave it out", l.Per, l.Window)
	}
	b.checkUnit(l, "per", l.Per, time.Millisecond)
	b.checkUnit(l, "tick", l.Tick, time.Microsecond) // of a large quota that drains one by one it is short
	if l.Months != 0 && (l.Per != 0 || l.Months < 0 || l.Months > mostMonths) {
		b.complain(l, "months %d is not in [0, %d], or there is a per beside it", l.Months, mostMonths)
	}
	if l.Location != nil && l.Months == 0 && (l.Per < day || l.Per%day != 0) {
		b.complain(l, "per %v is no number of whole days, which alone have a location", l.Per)
	}
	if timed && l.RTTFloor > 0 && l.RTTFloor >= max(l.Per, time.Duration(l.Months)*28*day) {
		b.complain(l, "rtt floor %v is not below per %v", l.RTTFloor, l.Per)
	}
}

// checkUnit complains about a number that was meant with a unit. No server counts in spans
// below least.
func (b *builder) checkUnit(l *Limit, name string, v, least time.Duration) {
	if err := unit.Missing(v, least); err != nil {
		b.complain(l, "%s %v", name, err)
	}
}

// checkRoom checks what share, margin, tick and reserves leave of the quota.
func (b *builder) checkRoom(r *rule) {
	for _, mistake := range r.whyNoRoom(r.terms) {
		b.complain(&r.Limit, "%w", mistake)
	}
	if most := r.Tariff.heaviest(); r.terms.quota > 0 && most > r.terms.quota {
		b.complain(&r.Limit, "tariff: a fee of %d never fits into %d", most, r.terms.quota)
	}
}
