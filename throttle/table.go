package throttle

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// table is a set of limits with every link resolved. It does not change; only
// the meters and paths that hang on it do.
type table struct {
	rules  map[string]*rule
	routes map[string]*route
	last   *route // that was asked for last; may be nil
}

// route returns the route of a limit, or nil.
func (t *table) route(id string) *route {
	if r := t.last; r != nil && r.id == id {
		return r
	}
	r := t.routes[id]
	if r != nil {
		t.last = r
	}
	return r
}

// rule is a limit with a quota of its own.
type rule struct {
	Limit
	terms  *terms
	meters map[string]*meter // by key; "" if not keyed
}

// route is what a request naming a limit is charged.
type route struct {
	id       string
	tolls    []toll
	own      int   // the toll of the named limit itself, -1 for none
	keyed    bool  // some toll is keyed
	budget   bool  // some toll is on a lifetime budget
	reserves bool  // some toll keeps room for urgent requests
	last     *path // the one that was asked for last; may be nil
	paths    map[way]*path
}

type toll struct {
	rule   *rule
	weight int64
}

// compile checks limits and resolves their links. The error lists every
// mistake.
func compile(limits []Limit, o Options, c *serverClock) (*table, error) {
	t := &table{rules: map[string]*rule{}, routes: map[string]*route{}}
	b := builder{table: t, byID: map[string]*Limit{}, tolls: map[string][]toll{}, options: o, clock: c}
	for i := range limits {
		b.declare(&limits[i])
	}
	for i := range limits {
		b.checkLinks(&limits[i])
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	for i := range limits {
		b.linked(&limits[i], nil)
	}
	if len(b.errs) > 0 { // what a cycle comes to is no sum
		return nil, errors.Join(b.errs...)
	}
	for i := range limits {
		b.resolve(&limits[i])
	}
	t.routes[NoLimit] = &route{id: NoLimit, own: -1, paths: map[way]*path{}}
	return t, errors.Join(b.errs...)
}

type builder struct {
	*table
	byID    map[string]*Limit
	tolls   map[string][]toll // what the links of a limit come to
	options Options
	clock   *serverClock
	errs    []error
}

func (b *builder) complain(l *Limit, format string, args ...any) {
	b.errs = append(b.errs, &LimitError{ID: l.ID, Err: fmt.Errorf(format, args...)})
}

// declare checks a limit by itself and makes a rule of it.
func (b *builder) declare(l *Limit) {
	if l.ID == "" {
		b.complain(l, "has no id")
		return
	}
	if l.ID == NoLimit {
		b.complain(l, "is reserved for requests without a limit")
		return
	}
	if b.byID[l.ID] != nil {
		b.complain(l, "is declared more than once")
		return
	}
	b.byID[l.ID] = l
	if l.Quota == 0 && len(l.Linked) > 0 {
		b.checkRoute(l)
		return
	}
	before := len(b.errs)
	b.checkQuota(l)
	b.checkTimes(l)
	b.checkKeys(l)
	if len(b.errs) > before {
		return
	}
	r := &rule{Limit: *l, terms: l.terms(b.options, b.clock), meters: map[string]*meter{}}
	r.Weight = cmp.Or(l.Weight, 1)
	r.Linked, r.Reserve, r.Keys = slices.Clone(l.Linked), slices.Clone(l.Reserve), slices.Clone(l.Keys)
	b.rules[l.ID] = r
	b.checkRoom(r)
}

// checkRoute complains about all that says something of a quota, for it would say
// nothing: a route that is given the weight of its request would be charged that of
// its link.
func (b *builder) checkRoute(l *Limit) {
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"per", l.Per != 0}, {"window", l.Window != Sliding}, {"weight", l.Weight != 0},
		{"keyed", l.Keyed}, {"keys", len(l.Keys) > 0}, {"reserve", len(l.Reserve) > 0},
		{"burst", l.Burst != 0}, {"tick", l.Tick != 0},
		{"offset", l.Offset != 0}, {"location", l.Location != nil}, {"months", l.Months != 0},
		{"rtt floor", l.RTTFloor != 0}, {"max delay", l.MaxDelay != 0}, {"close delay", l.CloseDelay != 0},
		{"shared", l.Shared != 0}, {"scope", l.Scope != ""},
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
	seen := map[Priority]bool{}
	for _, r := range l.Reserve {
		bounded("reserve", r.Weight)
		if seen[r.Priority] {
			b.complain(l, "priority %d has more than one reserve", r.Priority)
		}
		seen[r.Priority] = true
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
	timed := l.Window != Concurrency && l.Window != Lifetime
	if timed && l.Per == 0 && l.Months == 0 {
		b.complain(l, "per is 0")
	}
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

// checkRoom checks what share, margin, tick and reserves leave of the quota.
func (b *builder) checkRoom(r *rule) {
	var kept int64
	for _, reserve := range r.Reserve {
		kept += reserve.Weight
	}
	switch room := r.terms.quota; {
	case room < 1:
		b.complain(&r.Limit, "admits nothing: share, safety margin and tick leave %d", room)
	case r.Weight > room:
		b.complain(&r.Limit, "weight %d never fits into %d", r.Weight, room)
	case kept >= room:
		b.complain(&r.Limit, "reserves of %d leave nothing of %d", kept, room)
	}
}

// terms derives what the arithmetic needs.
func (l *Limit) terms(o Options, c *serverClock) *terms {
	grid, per := l.grid()
	t := &terms{
		quota: o.portion(l.Quota), per: per, hold: c.spanAtLeast(per), short: c.spanAtMost(per),
		rttFloor: l.RTTFloor, grid: grid, clock: c, shared: o.factor() < 1, others: l.Shared,
		maxDelay: cmp.Or(l.MaxDelay, defaultMaxDelay), closeDelay: cmp.Or(l.CloseDelay, defaultCloseDelay),
	}
	if l.Window == Leaky {
		t.top = cmp.Or(l.Burst, l.Quota)
		t.quota = o.portion(t.top)
		t.rate = l.Quota
		// A nanosecond on top of what the float cut off: draining slowly is safe.
		t.drain = time.Duration(float64(c.spanAtLeast(l.Per))/o.factor()) + 1
		if l.Tick > 0 {
			t.step = max(1, int64(mulDivUp(l.Tick, l.Quota, int64(max(l.Per, 1)))))
			t.quota -= t.step
		}
		if o.factor() == 1 {
			t.drain = c.spanAtLeast(l.Per) // exact
		}
	}
	return t
}

func (b *builder) checkLinks(l *Limit) {
	seen := map[string]bool{}
	for _, k := range l.Linked {
		switch to := b.byID[k.ID]; {
		case to == nil:
			b.complain(l, "is linked to unknown limit %q", k.ID)
		case seen[k.ID]:
			b.complain(l, "is linked to %q more than once", k.ID)
		case k.Weight < 0 || k.Weight > maxWeight:
			b.complain(l, "link to %q: weight %d is not in [0, %d]", k.ID, k.Weight, int64(maxWeight))
		case to.Quota == 0 && k.Weight != 0:
			b.complain(l, "link to %q: a route without a quota takes no weight", k.ID)
		}
		seen[k.ID] = true
	}
}

// linked returns what the links of l come to, all the way down. Each limit is
// worked out once; one met again while it is being worked out is a cycle.
func (b *builder) linked(l *Limit, way []string) []toll {
	if tolls, done := b.tolls[l.ID]; done {
		return tolls
	}
	if from := slices.Index(way, l.ID); from >= 0 {
		b.complain(l, "is linked to itself: %s", strings.Join(append(way[from:], l.ID), " → "))
		return nil
	}
	way = append(way, l.ID) // limits on other ways overwrite it, but only when this one is done
	var tolls []toll
	for _, k := range l.Linked {
		if to := b.rules[k.ID]; to != nil {
			tolls = addToll(tolls, toll{to, cmp.Or(k.Weight, to.Weight)})
		}
		for _, t := range b.linked(b.byID[k.ID], way) {
			tolls = addToll(tolls, t)
		}
	}
	b.tolls[l.ID] = tolls
	return tolls
}

func addToll(tolls []toll, t toll) []toll {
	for i := range tolls {
		if tolls[i].rule == t.rule {
			tolls[i].weight = min(tolls[i].weight+t.weight, maxWeight)
			return tolls
		}
	}
	return append(tolls, t)
}

func (b *builder) resolve(l *Limit) {
	r := &route{id: l.ID, own: -1, paths: map[way]*path{}}
	if own := b.rules[l.ID]; own != nil {
		r.own = 0
		r.tolls = append(r.tolls, toll{own, own.Weight})
	}
	for _, t := range b.linked(l, nil) {
		r.tolls = addToll(r.tolls, t)
	}
	for _, c := range r.tolls {
		r.keyed = r.keyed || c.rule.Keyed
		r.budget = r.budget || c.rule.Window == Lifetime
		r.reserves = r.reserves || len(c.rule.Reserve) > 0
		if room := c.rule.terms.quota; c.weight > room {
			b.complain(l, "charges %d to %q, which never fits into %d", c.weight, c.rule.ID, room)
		}
	}
	b.routes[l.ID] = r
}
