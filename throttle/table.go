package throttle

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table is a set of limits with every link resolved. It does not change; only
// the meters and paths that hang on it do.
type table struct {
	rules  map[string]*rule
	routes map[string]*route
	scopes map[string]By // the names of all that limits are in, and WholeOrigin; and what tells each apart
	ids    *ids          // of all limits
	last   *route        // that was asked for last; may be nil
	told   *rule         // that was looked up last; may be nil
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

// rule returns the limit of an id that has a quota of its own, or nil. What an answer tells
// is mostly of the limit that the answer before it told of.
func (t *table) rule(id string) *rule {
	if r := t.told; r != nil && r.ID == id {
		return r
	}
	r := t.rules[id]
	if r != nil {
		t.told = r
	}
	return r
}

// unknown is the error for an id that the table does not have.
func (t *table) unknown(id string) error {
	return &LimitError{ID: id, Err: ErrUnknownLimit, ids: t.ids}
}

// declared returns what the table says of a limit: its quota, and how much of it can be
// used at one instant, which is the burst of a Leaky one. A route has neither. known
// is false for an id that the table does not have. It is a look-up, however many
// limits there are.
func (l *Ledger) declared(id string) (quota, burst int64, known bool) {
	if r := l.table.rule(id); r != nil {
		return r.Quota, cmp.Or(r.Burst, r.Quota), true
	}
	return 0, 0, l.table.routes[id] != nil && id != NoLimit
}

// WindowOf returns the kind of window of a limit, and its Per, which is zero by the calendar;
// known is false for an id that the table does not have as a limit with a quota. It is a
// look-up, however many limits there are.
func (l *Ledger) WindowOf(id string) (kind Window, per time.Duration, known bool) {
	if r := l.table.rules[id]; r != nil {
		return r.Window, r.Per, true
	}
	return 0, 0, false
}

// rule is a limit with a quota of its own.
type rule struct {
	Limit
	terms  *terms
	place  int // of the limit among those that its table was made of
	meters index[meter]
	alone  *route          // that leads to its meters and nowhere else; nil before the first use
	known  map[string]bool // Keys, if they are many
	flight time.Duration   // from grant to answer, on average

	announced announcements

	fallback   *rule  // that takes over when it is spent; nil for none
	heaviest   int64  // that any route is charged for it
	heaviestOf string // one that is charged so much

	unseen bool // what a window was not charged with may have been forgotten with its key

	formers *formers // nil unless a past has meters of it that were told apart by something else
}

// route is what a request naming a limit is charged.
type route struct {
	id       string
	place    int // of the limit among those that its table was made of
	tolls    []toll
	own      int   // the toll of the named limit itself, -1 for none
	by       By    // what tells its paths apart
	rarest   int   // the toll whose meters are told apart by most, -1 if none are
	paused   By    // of that, what the scopes are told apart by that it obeys
	apart    bool  // the meters of some toll are told apart
	nowhere  bool  // its paths are of no origin; see rule.byItself
	budget   bool  // some toll is on a lifetime budget
	reserves bool  // some toll keeps room for urgent requests
	last     *path // the one that was asked for last; may be nil
	paths    index[path]

	falls   bool     // some toll is on a budget with a fallback
	detours []*route // around each toll; nil before the first
	from    *route   // that this is a detour of; nil if it is none
	spent   []string // the budgets that a detour goes around
	stand   string   // what is charged in place of the limit that is named, if that is a budget it goes around
}

type toll struct {
	rule   *rule
	weight int64
}

// compile checks limits and resolves their links. The error lists every
// mistake, and nothing that only follows from another: each is looked for among what the
// others leave known. Its cost is that of the limits and of the tolls they come to: an id is
// looked up once for the limit itself, and once for each link to it. The zones are those
// that are known.
func compile(limits []Limit, o Options, c *serverClock, known *zones) (*table, error) {
	t := &table{
		rules: make(map[string]*rule, len(limits)), routes: make(map[string]*route, len(limits)+1), scopes: map[string]By{},
		ids: idsOf(limits),
	}
	b := builder{table: t, declared: make([]declared, len(limits)), options: o, clock: c, zones: known}
	b.quotas.most, b.ways.most = len(limits), len(limits)
	for i := range limits {
		b.declared[i].Limit = &limits[i]
		b.declare(i)
	}
	for i := range limits {
		if !b.declared[i].alone {
			b.checkLinks(i)
			b.checkFallback(i)
		}
	}
	for i := range limits {
		if !b.declared[i].alone {
			b.checkFallbackCycle(i)
		}
	}
	for i := range limits {
		b.add(i, nil)
	}
	unlimited := b.unlimited()
	b.apart, t.routes[NoLimit] = unlimited.by, unlimited
	for i := range limits {
		b.resolve(i)
	}
	if len(b.errs) > 0 {
		return nil, errors.Join(b.errs...)
	}
	return t, nil
}

// builder makes a table. What it knows of a limit is at the limit's place.
type builder struct {
	*table
	declared []declared
	links    []int  // the places that the links of all limits lead to, in their order; noPlace for none
	sums     uint32 // begun so far
	over     int    // limits that the sum that was begun last has no room for
	quotas   chunks[quota]
	ways     chunks[route]
	tolls    []toll // room for those of limits to come
	joined   *rule  // the one that joined its scope last; nil before the first
	apart    By     // what any scope is told apart by
	options  Options
	clock    *serverClock
	zones    *zones
	errs     []error
}

// quota is a rule with what it is derived from, in one piece.
type quota struct {
	rule  rule
	terms terms
}

// chunks makes many objects of a kind a few at a time, so that they cost few
// allocations, and so that one that is kept for longer keeps few others.
type chunks[T any] struct {
	most int // that will be asked for
	made int
	left []T
}

const chunkOf = 32

func (c *chunks[T]) next() *T {
	if len(c.left) == 0 {
		c.left = make([]T, min(chunkOf, c.most-c.made))
		c.made += len(c.left)
	}
	one := &c.left[0]
	c.left = c.left[1:]
	return one
}

// noPlace is the place of a limit that is not there.
const noPlace = -1

// declared is a limit on its way into a table.
type declared struct {
	*Limit
	route    *route    // nil for a limit without a name of its own, which nobody can be led to
	rule     *rule     // nil for a route, and for a limit with a mistake
	links    []int     // places that its Linked lead to
	fallback *declared // nil for none
	inARow   int       // fallbacks, one behind the other, once it ends

	// The tolls of route are its own, if it has a quota, and what its links come to.
	open  bool // they are being added up: who comes by here has found a cycle
	added bool // they are known
	alone bool // it has no links, no fallback and no mistake, and its route was laid at once
	vague bool // they are not all that it will be charged: its links lead in a circle, or to too many limits
	ends  bool // its fallbacks do not go in a circle

	// sum is the last one that the limit was met in, and at its place there.
	sum uint32
	at  int
}

// declare checks a limit by itself and makes a rule of it.
func (b *builder) declare(place int) {
	before := len(b.errs)
	b.enter(place)
	l := b.declared[place].Limit // which has a short name by now
	if l.isRoute() {
		b.checkRoute(l)
		return
	}
	b.checkQuota(l)
	b.checkReserve(l)
	b.checkTimes(l)
	b.checkKeys(l)
	for _, mistake := range l.checkShare() {
		b.complain(l, "%w", mistake)
	}
	l.Tariff.check(func(format string, args ...any) { b.complain(l, "tariff: "+format, args...) })
	if len(b.errs) > before {
		return
	}
	own := b.rule(l)
	own.place = place
	b.declared[place].rule, b.rules[l.ID] = own, own
	b.join(own)
	b.checkRoom(own)
	if len(l.Linked) == 0 && l.Fallback == "" && own.Weight <= own.terms.quota && len(b.errs) == before {
		b.layAlone(place)
	}
}

// enter gives a limit a route by its name, if it has one of its own.
func (b *builder) enter(place int) {
	d := &b.declared[place]
	l := d.Limit
	if l.hasLongName() {
		short := *l
		short.ID = l.ID[:min(len(l.ID), 40)]
		d.Limit = &short // nothing is to be told of it with the whole of its name
		b.complain(&short, "has an id, a scope or a key of more than %d bytes", MostName)
	}
	switch {
	case l.ID == "":
		b.complain(l, "has no id")
	case l.ID == NoLimit:
		b.complain(l, "is reserved for requests without a limit")
	case b.routes[l.ID] != nil:
		b.complain(d.Limit, "is declared more than once")
	default:
		r := b.ways.next()
		r.id, r.place, r.own = l.ID, place, -1
		d.route, b.routes[l.ID] = r, r
	}
}

// layAlone finishes a limit that is charged by itself, as most are in a large table: what
// is read of it now is in no cache any more once the others have been declared.
func (b *builder) layAlone(place int) {
	d := &b.declared[place]
	d.route.tolls = append(b.room(1), toll{d.rule, d.rule.Weight})
	d.added, d.alone = true, true
	d.lay()
}

// lay says what a route is whose tolls are known.
func (d *declared) lay() {
	if d.rule != nil {
		d.route.own = 0
	}
	d.route.look()
	for _, c := range d.route.tolls {
		c.rule.bears(c.weight, d.ID)
	}
}

// join takes a limit into its scope, which is told apart by what all of its limits are
// told apart by; and the whole of an origin by egress if any limit is.
func (b *builder) join(r *rule) {
	if last := b.joined; last != nil && last.Scope == r.Scope && last.By == r.By {
		return // it has said all that there is to say
	}
	b.joined = r
	by, met := b.scopes[r.Scope]
	if !met {
		by = byScope
	}
	b.scopes[r.Scope] = by & r.By
	b.scopes[WholeOrigin] |= ByEgress & r.By
}

// unlimited is the route of requests without a limit, which obey every scope.
func (b *builder) unlimited() *route {
	r := &route{id: NoLimit, own: -1, rarest: -1}
	for _, by := range b.scopes {
		r.by |= by
	}
	r.paused = r.by
	return r
}

// rule makes one of a limit without a mistake.
func (b *builder) rule(l *Limit) *rule {
	q := b.quotas.next()
	q.terms = l.terms(b.options, b.clock, l.windows(b.zones))
	r := &q.rule
	r.Limit, r.terms = *l, &q.terms
	r.By = l.apart()
	r.Keyed = r.By&ByKey != 0
	r.Weight = cmp.Or(l.Weight, 1)
	r.Linked = nil // what the links come to is in the routes
	r.Reserve, r.Keys = slices.Clone(l.Reserve), slices.Clone(l.Keys)
	if len(r.Keys) > fewKeys {
		r.known = make(map[string]bool, len(r.Keys))
		for _, key := range r.Keys {
			r.known[key] = true
		}
	}
	return r
}

// fewKeys is how many are gone through faster than looked up.
const fewKeys = 8

// windows are how long those of a limit last at most, and where those of a Fixed one begin.
type windows struct {
	per  time.Duration
	grid grid // nil if it is no Fixed one
}

func (l *Limit) windows(zs *zones) (w windows) {
	w.per = l.Per
	if l.Window == Fixed {
		w.grid, w.per = l.grid(zs)
	}
	return w
}

// windows are those of the terms, which another quota or share leaves as they are.
func (t *terms) windows() windows { return windows{t.per, t.grid} }

// terms derives what the arithmetic needs.
func (l *Limit) terms(o Options, c *serverClock, w windows) terms {
	factor := l.factor(o)
	t := terms{
		quota: portion(l.Quota, factor), per: w.per, hold: c.spanAtLeast(w.per), short: c.spanAtMost(w.per),
		rttFloor: l.RTTFloor, grid: w.grid, clock: c, shared: factor < 1, others: l.Shared,
		maxDelay: cmp.Or(l.MaxDelay, defaultMaxDelay), closeDelay: cmp.Or(l.CloseDelay, defaultCloseDelay),
	}
	if l.Window == Leaky {
		t.top = cmp.Or(l.Burst, l.Quota)
		t.quota = portion(t.top, factor)
		t.rate = l.Quota
		// A nanosecond on top of what the float cut off: draining slowly is safe.
		t.drain = time.Duration(float64(c.spanAtLeast(l.Per))/factor) + 1
		if l.Tick > 0 {
			t.step = max(1, mulDivUp(l.Quota, l.Tick, max(l.Per, 1)))
			t.quota -= t.step
		}
		if factor == 1 {
			t.drain = c.spanAtLeast(l.Per) // exact
		}
	}
	return t
}

// checkLinks notes where the links of a limit lead to.
func (b *builder) checkLinks(place int) {
	l := b.declared[place].Limit
	first := len(b.links)
	b.sums++
	for i := range l.Linked {
		k, to := &l.Linked[i], noPlace
		if r := b.routes[k.ID]; r == nil {
			b.complain(l, "is linked to unknown limit %q", k.ID)
		} else if b.declared[r.place].sum == b.sums {
			b.complain(l, "is linked to %q more than once", k.ID)
		} else {
			to = r.place
			b.declared[to].sum = b.sums
			b.checkLink(l, k, &b.declared[to])
		}
		if k.Weight < 0 || k.Weight > maxWeight {
			b.complain(l, "link to %q: weight %d is not in [0, %d]", k.ID, k.Weight, int64(maxWeight))
		}
		k.Tariff.check(func(format string, args ...any) {
			b.complain(l, "link to "+strconv.Quote(k.ID)+": tariff: "+format, args...)
		})
		b.links = append(b.links, to)
	}
	b.declared[place].links = b.links[first:len(b.links):len(b.links)]
}

// checkLink complains about a link that cannot lead where it does.
func (b *builder) checkLink(l *Limit, k *Link, to *declared) {
	if to.isRoute() && k.Weight != 0 {
		b.complain(l, "link to %q: a route without a quota takes no weight", k.ID)
	}
	if to.isRoute() && len(k.Tariff) > 0 {
		b.complain(l, "link to %q: a route without a quota takes no tariff", k.ID)
	}
	if to.rule == nil {
		return
	}
	if most, room := k.Tariff.heaviest(), to.rule.terms.quota; room > 0 && most > room {
		b.complain(l, "link to %q: tariff: a fee of %d never fits into %d", k.ID, most, room)
	}
}

// add sums up what a request that names a limit is charged, all the way down its
// links. Each limit is worked out once; one met again while it is being worked out
// is a cycle.
//
// Invariant: where something is wrong with the links, the sum is no more than what they come
// to however that is mended. So of a limit whose links come to no sum only the link itself
// counts, and what is too much already is a mistake of its own.
func (b *builder) add(place int, way []string) {
	d := &b.declared[place]
	if d.added || d.route == nil {
		return
	}
	if d.open {
		from := slices.Index(way, d.ID)
		b.complain(d.Limit, "is linked to itself: %s", circle(way[from:]))
		return
	}
	d.open = true
	if len(d.links) > 0 {
		way = append(way, d.ID) // limits on other ways overwrite it, but only when this one is done
	}
	for _, to := range d.links { // before the sum is begun, for they are sums themselves
		if to != noPlace {
			b.add(to, way)
		}
	}
	b.sums++
	b.over = 0
	tolls := b.room(min(len(d.links)+1, MostCharged))
	if d.rule != nil {
		tolls = b.addToll(tolls, toll{d.rule, d.rule.Weight})
	}
	for i, to := range d.links {
		if to != noPlace {
			tolls = b.addLink(tolls, d, &d.Linked[i], &b.declared[to])
		}
	}
	if b.over > 0 {
		b.complain(d.Limit, "charges %d limits, with all that it is linked to, and %d is the most", len(tolls)+b.over, MostCharged)
		d.vague = true
	}
	d.route.tolls, d.open, d.added = tolls, false, true
}

// addLink adds what a link of d comes to.
func (b *builder) addLink(tolls []toll, d *declared, k *Link, linked *declared) []toll {
	if linked.rule != nil && linked != d {
		weight := linked.rule.Weight
		if k.Weight > 0 && k.Weight <= maxWeight { // any other was complained about
			weight = k.Weight
		}
		tolls = b.addToll(tolls, toll{linked.rule, weight})
	}
	if linked.open || linked.vague {
		d.vague = true
		return tolls
	}
	below := linked.route.tolls
	if linked.rule != nil {
		below = below[1:] // the first is its own, which the link may weigh otherwise
	}
	for _, t := range below {
		tolls = b.addToll(tolls, t)
	}
	return tolls
}

// circle writes down a way that leads to its own beginning. Of a long one its beginning and its
// end are enough to find it.
func circle(way []string) string {
	const mostEach = 8
	closed := append(slices.Clip(way), way[0])
	if n := len(closed); n > 2*mostEach {
		between := fmt.Sprintf("(%d more)", n-2*mostEach)
		closed = slices.Concat(closed[:mostEach], []string{between}, closed[n-mostEach:])
	}
	return strings.Join(closed, " → ")
}

// room returns an empty list that n tolls fit into. Most lists are short, and many of
// them share one piece of memory.
func (b *builder) room(n int) []toll {
	if len(b.tolls) < n {
		b.tolls = make([]toll, max(n, min(4*chunkOf, 2*len(b.declared))))
	}
	tolls := b.tolls[:0:n]
	b.tolls = b.tolls[n:]
	return tolls
}

// addToll adds a toll to the sum that was begun last. One of more than MostCharged limits
// is counted, and kept no further.
func (b *builder) addToll(tolls []toll, t toll) []toll {
	d := &b.declared[t.rule.place]
	switch {
	case d.sum == b.sums && d.at < len(tolls):
		tolls[d.at].weight = min(tolls[d.at].weight+t.weight, maxWeight)
		return tolls
	case d.sum == b.sums:
		return tolls
	}
	d.sum, d.at = b.sums, len(tolls)
	if len(tolls) == MostCharged {
		b.over++
		return tolls
	}
	return append(tolls, t)
}

// resolve says what the route of a limit comes to, beside the others.
func (b *builder) resolve(place int) {
	d := &b.declared[place]
	if d.route == nil {
		return
	}
	if b.apart != 0 {
		b.obey(d.route)
	}
	if d.alone {
		return
	}
	d.lay()
	for _, c := range d.route.tolls {
		if room := c.rule.terms.quota; c.rule.neverFits(c.weight) {
			b.complain(d.Limit, "charges %d to %q, which never fits into %d", c.weight, c.rule.ID, room)
		}
	}
	b.checkDetours(d.Limit, d.route)
}

// neverFits reports whether a weight is more than a limit ever has, though a request of the
// limit itself may go: of one that may not a complaint was made already.
func (r *rule) neverFits(weight int64) bool {
	room := r.terms.quota
	return room > 0 && weight > room && weight != r.Weight
}

// obey says what the scopes of a route are told apart by.
func (b *builder) obey(r *route) {
	r.paused = b.scopes[WholeOrigin]
	r.by |= r.paused
	for _, c := range r.tolls {
		for rule := c.rule; rule != nil; rule = rule.fallback { // its detours obey the scopes of those too
			r.paused |= b.scopes[rule.Scope]
		}
	}
}

// look says of what kinds the tolls of a route are.
func (r *route) look() {
	r.rarest = -1
	for i, c := range r.tolls {
		if by := c.rule.By; by != 0 && (r.rarest < 0 || bits.OnesCount8(uint8(by)) > bits.OnesCount8(uint8(r.tolls[r.rarest].rule.By))) {
			r.rarest = i
		}
		r.by |= c.rule.By
		r.apart = r.apart || c.rule.By != 0
		r.budget = r.budget || c.rule.Window == Lifetime
		r.reserves = r.reserves || len(c.rule.Reserve) > 0
		r.falls = r.falls || c.rule.fallback != nil
	}
}
