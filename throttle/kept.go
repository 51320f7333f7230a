package throttle

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Kept is what a limit keeps from a request for more urgent ones, by Limit.Reserve and by
// Options.Pacing. The zero value is nothing.
type Kept struct {
	// Weight is how much must stay free beside what the request takes.
	Weight int64 `json:"weight"`
	// For is the least urgent priority that has any of it to take; with several reserves, those
	// above have more of it.
	For Priority `json:"for"`
	// Paced says that pacing keeps it, what a Reserve does included. With a Weight of zero there
	// is room enough, and pacing has bulk work wait for its turn.
	Paced bool `json:"paced,omitempty"`
}

// String is "10 kept for priority high and above", with the number of a priority without a name;
// "paced for urgent requests" if there is room enough; and empty if nothing is kept.
func (k Kept) String() string {
	switch {
	case k.Weight > 0:
		return fmt.Sprintf("%d kept for priority %s and above", k.Weight, cmp.Or(k.For.Name(), fmt.Sprint(int(k.For))))
	case k.Paced:
		return "paced for urgent requests"
	}
	return ""
}

// reserved is what the reserves of a rule keep from a priority.
func (r *rule) reserved(from Priority) (k Kept) {
	for _, reserve := range r.Reserve {
		if from < reserve.Priority {
			if k.Weight == 0 || reserve.Priority < k.For {
				k.For = reserve.Priority
			}
			k.Weight += reserve.Weight
		}
	}
	return k
}

// reserves are those of a rule, the most urgent first.
func (r *rule) reserves() (all []Kept) {
	for _, reserve := range r.Reserve {
		all = append(all, Kept{Weight: reserve.Weight, For: reserve.Priority})
	}
	slices.SortFunc(all, func(a, b Kept) int { return cmp.Compare(b.For, a.For) })
	return all
}

// keeps says what m keeps from p, which wants w of it, if there is no room for both. What pacing
// keeps and what is reserved are not added up: see opening.
func (l *Ledger) keeps(now time.Duration, m *meter, p *Permit, w int64) Kept {
	k, room := m.rule.reserved(p.Priority), m.window.room(now)
	if room < w+k.Weight {
		return k
	}
	if !l.paced(p) || l.paceOpening(now, m, w, w) <= now {
		return Kept{}
	}
	o, _ := m.outlook(now, m.pace.rate(now, m.terms.memory()), l.options.Pacing.Z)
	keep := int64(o.keep())
	if room >= w+keep {
		return Kept{Paced: true}
	}
	from := l.options.Pacing.Bulk + 1 // some priority is above Bulk, or nothing would be kept
	if k.Weight > 0 {
		from = min(from, k.For)
	}
	return Kept{Weight: keep, For: from, Paced: true}
}
