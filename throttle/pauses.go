package throttle

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// pauses is what is paused, and what comes back slowly, at every origin.
//
// It is plain data apart from what points at it: a ledger that is torn leaves
// it whole, and its successor takes it over.
type pauses struct {
	origins  map[string]*origin
	names    map[string]bool          // every scope name there ever was
	apart    map[string]By            // what those of the present table are told apart by
	anywhere map[sector]time.Duration // until when they are paused at origins still to come
	troubled []*scope                 // exactly those that are not calm, as far as was looked
	cursor   int                      // where settle goes on in troubled
	since    time.Duration            // when the first of troubled was met
	version  uint64
	met      uint64  // origins so far
	nowhere  *origin // home of the paths that lead to none: without scopes, and never among origins
}

// origin is one server, with the scopes that are in use at it.
type origin struct {
	all    *pauses
	name   string
	number uint64 // no other has
	whole  *scope
	scopes map[sector]*scope // whole among them
	plain  []*scope          // of those the ones that are no account's or egress's part; they are few
	paths  int               // that lead to it
	spared time.Duration     // until then something is paused at every origin, which was resumed at this one
}

func newPauses() *pauses {
	ps := &pauses{
		origins: map[string]*origin{}, names: map[string]bool{WholeOrigin: true}, anywhere: map[sector]time.Duration{},
	}
	ps.nowhere = &origin{all: ps}
	return ps
}

// name has the scopes of a table known from now on.
func (ps *pauses) name(t *table) {
	for name := range t.scopes {
		ps.names[name] = true
	}
	ps.apart = t.scopes
}

// origin returns the origin of a name, made on first use.
func (ps *pauses) origin(now time.Duration, name string) *origin {
	o := ps.origins[name]
	if o == nil {
		ps.met++
		o = &origin{all: ps, name: name, number: ps.met, scopes: map[sector]*scope{}}
		ps.origins[name] = o
		o.whole = o.scope(now, sector{name: WholeOrigin})
		for scope, until := range ps.anywhere {
			if until > now {
				o.scope(now, scope)
			}
		}
	}
	return o
}

// scope returns what a sector is here, made on first use. It is paused if that is so at
// any origin.
func (o *origin) scope(now time.Duration, at sector) *scope {
	s := o.scopes[at]
	if s == nil {
		s = &scope{Scope: Scope{o.name, at.name, at.account, at.egress}, home: o, until: -never} // before any instant there is
		o.scopes[at] = s
		if !s.isPart() {
			o.plain = append(o.plain, s)
		}
		if until := o.all.anywhere[at]; until > now {
			s.pause(now, until)
			s.byHand = true // no answer speaks of all origins
		}
	}
	return s
}

// pause has of two pauses the longer count.
func (s *scope) pause(now, until time.Duration) {
	if until <= now || until <= s.until {
		return
	}
	ps := s.home.all
	if !(now < s.until) {
		s.since = now
	}
	s.byHand = false
	s.until, s.allowance, s.fresh, s.unused = until, 1, 0, false
	ps.watch(now, s)
	ps.version++
}

// watch has s looked after until it is calm.
func (ps *pauses) watch(now time.Duration, s *scope) {
	if !s.watched {
		if ps.calm() {
			ps.since = now
		}
		s.watched = true
		ps.troubled = append(ps.troubled, s)
	}
}

// settle forgets the trouble of up to n scopes that are calm by now, and their
// origins if nobody uses them.
func (ps *pauses) settle(now time.Duration, n int) {
	for range min(n, len(ps.troubled)) {
		last := len(ps.troubled) - 1
		ps.cursor = min(ps.cursor, last)
		s := ps.troubled[ps.cursor]
		if !s.calm(now) {
			ps.cursor = (ps.cursor + 1) % len(ps.troubled)
			continue
		}
		s.watched = false
		ps.troubled[ps.cursor] = ps.troubled[last]
		ps.troubled[last] = nil
		ps.troubled = ps.troubled[:last]
		ps.forgetPart(now, s)
		ps.forget(now, s.home)
	}
}

// forget drops an origin that nobody uses and where nothing is paused.
func (ps *pauses) forget(now time.Duration, o *origin) {
	if o == ps.nowhere || o.paths > 0 || now < o.spared { // made anew, it would be paused again
		return
	}
	for _, s := range o.scopes {
		if s.flying > 0 || !s.calm(now) {
			return
		}
	}
	delete(ps.origins, o.name)
}

// forgetPart drops an account's or egress's part of a scope that nobody uses and that is
// not paused: of those there may be any number.
func (ps *pauses) forgetPart(now time.Duration, s *scope) {
	if !s.isPart() || s.paths > 0 || s.flying > 0 || now < s.home.spared || !s.calm(now) {
		return
	}
	if at := s.sector(); s.home.scopes[at] == s {
		delete(s.home.scopes, at)
	}
}

// left is told of a path that is not in use any more.
func (ps *pauses) left(now time.Duration, p *path) {
	p.gone = true
	p.home.paths--
	for _, s := range p.scopes {
		s.paths--
		ps.forgetPart(now, s)
	}
	ps.forget(now, p.home)
}

// each calls do for every scope in use that is meant by s, which is known. Those that are
// part of it obey it too, and are left as they are.
func (ps *pauses) each(now time.Duration, s Scope, do func(*scope)) {
	if s.Origin != AnyOrigin {
		do(ps.origin(now, s.Origin).scope(now, s.sector()))
		return
	}
	for _, o := range ps.origins {
		do(o.scope(now, s.sector()))
	}
}

// eachPart is each, and calls do for all that is part of s as well.
func (ps *pauses) eachPart(now time.Duration, s Scope, do func(*scope)) {
	all := s.sector()
	ps.each(now, s, func(one *scope) {
		for at, part := range one.home.scopes {
			if all.covers(at) { // itself too
				do(part)
			}
		}
	})
}

// obeyed calls do for every scope that a permit of p obeys, but for parts of them that are
// calm: of those a path without a limit would have to go through any number.
func (p *path) obeyed(do func(*scope)) {
	if p.route.id != NoLimit {
		for _, s := range p.scopes {
			do(s)
		}
		return
	}
	for _, s := range p.home.plain {
		do(s)
	}
	for _, s := range p.home.all.troubled {
		if s.home == p.home && s.isPart() && s.sector().concerns(p.route.by, &p.of) {
			do(s)
		}
	}
}

// calm reports whether no scope of any origin can hold anybody up, which is the
// rule, and then all that is below need not be looked at.
func (ps *pauses) calm() bool { return len(ps.troubled) == 0 }

// opens returns now if no scope holds a permit of p up, or when the last one
// lets it go if nothing else happens before.
func (p *path) opens(now time.Duration) time.Duration {
	at := now
	if !p.home.all.calm() {
		p.obeyed(func(s *scope) { at = max(at, s.opens(now)) })
	}
	return at
}

// until returns the end of the pause of a meter, if it is paused at every origin where
// its scope is in use; otherwise an instant that is past.
func (ps *pauses) until(m *meter) time.Duration {
	if ps.calm() && len(ps.anywhere) == 0 {
		return 0
	}
	name := m.rule.Scope
	at := never
	for _, o := range ps.origins {
		until, used := o.whole.until, false
		ps.apart[name].sectors(name, m.of, func(at sector) {
			if s := o.scopes[at]; s != nil {
				until, used = max(until, s.until), true
			}
		})
		if used {
			at = min(at, until)
		}
	}
	if at == never {
		at = 0
		ps.apart[name].sectors(name, m.of, func(s sector) { at = max(at, ps.anywhere[s]) })
	}
	return at
}

// recovering reports whether a permit of p takes part in a slow start.
func (p *path) recovering() (slow bool) {
	if !p.home.all.calm() {
		p.obeyed(func(s *scope) { slow = slow || s.allowance > 0 })
	}
	return slow
}

// pausedUntil returns the end of the longest pause that a permit of p obeys.
func (p *path) pausedUntil() time.Duration {
	at := -never
	if !p.home.all.calm() {
		p.obeyed(func(s *scope) { at = max(at, s.until) })
	}
	return at
}

// closedBy returns the scope that holds a permit of p up for longest, or nil.
func (p *path) closedBy(now time.Duration) (by *scope) {
	if p.home.all.calm() {
		return nil
	}
	at := now
	p.obeyed(func(s *scope) {
		if opens := s.opens(now); opens > at {
			at, by = opens, s
		}
	})
	return by
}

// land takes p, which was granted, out of flight at every scope it obeys. That may let others
// leave. That one was let through which a scope charged nothing says nothing of those that the
// scope has refused.
func (l *Ledger) land(now time.Duration, p *Permit, o *Outcome) {
	good := o.Fate == Answered && !o.Refused
	p.path.obeyed(func(s *scope) {
		if good && p.granted >= s.until && p.spentIn(s.Name, o.Costs) {
			s.refusals = 0
		}
		if s.land(now, p.granted, good) {
			l.queue.touchScope(s)
		}
	})
}

// wakePaused has every lane looked at that holds something though it is paused.
func (l *Ledger) wakePaused(now time.Duration) {
	for _, ln := range l.queue.lanes {
		if ln.state == atLimit && ln.path.closedBy(now) != nil {
			l.queue.wake(ln)
			ln.roused = true
		}
	}
}

// Pause lets nothing of a scope leave before until, queued requests included:
// whatever is charged to a limit of that name and goes to that origin, and
// whatever goes there without a limit. With an Account or an Egress it is the part of
// the scope that is theirs alone; without, all of them. It never shortens a pause; one longer
// than Options.MaxPause is cut to that. Afterwards the scope starts with a
// single request in flight and doubles that with every round trip; flights that
// left before the pause ended do not count. The error is a *LimitError with
// ErrUnknownScope, for a name that no limit has, ErrScopeTogether, for a part of a
// scope that is not told apart so, or ErrLongName.
func (l *Ledger) Pause(now time.Duration, s Scope, until time.Duration) error {
	now = l.at(now)
	until = min(until, now+l.options.MaxPause) // before any sum is made with it
	if err := l.pause(now, s, until); err != nil {
		return err
	}
	if l.recorder != nil && until > now {
		l.recorder.Paused(now, s, until)
	}
	return nil
}

func (l *Ledger) pause(now time.Duration, s Scope, until time.Duration) error {
	ps := l.pauses
	if err := ps.check(s); err != nil {
		return err
	}
	until = min(until, now+l.options.MaxPause)
	if until <= now {
		return nil
	}
	if at := s.sector(); s.Origin == AnyOrigin && until > ps.anywhere[at] {
		ps.anywhere[at] = until
		ps.version++
	}
	ps.each(now, s, func(s *scope) {
		s.pause(now, until)
		l.queue.touchScope(s) // the pause may end before a slow start would have let anybody pass
	})
	l.wakePaused(now)
	return nil
}

// PauseByHand is Pause on behalf of whoever runs the engine, as snapshots say: the scopes
// whose pause it makes longer are paused by hand from then on, until an answer makes it
// longer still. It fails as Pause does.
func (l *Ledger) PauseByHand(now time.Duration, s Scope, until time.Duration) error {
	version := l.pauses.version
	if err := l.Pause(now, s, until); err != nil || l.pauses.version == version {
		return err
	}
	until = min(until, l.now+l.options.MaxPause)
	l.pauses.each(l.now, s, func(s *scope) { s.byHand = s.byHand || s.until == until })
	return nil
}

// Resume ends a pause, and the slow start after it, at once; without an Account or an Egress,
// of all that is part of the scope. What RefusedAlone holds of its limits it lets go. What
// pauses all of it goes on if a part is resumed. The error is one of ErrUnknownScope or
// ErrLongName.
func (l *Ledger) Resume(now time.Duration, s Scope) error {
	now = l.at(now)
	ps := l.pauses
	if !ps.names[s.Name] {
		return &LimitError{ID: s.Name, Err: ErrUnknownScope}
	}
	if err := s.checkNames(); err != nil {
		return err
	}
	if all := s.sector(); s.Origin == AnyOrigin {
		maps.DeleteFunc(ps.anywhere, func(at sector, _ time.Duration) bool { return all.covers(at) })
	}
	ps.eachPart(now, s, func(s *scope) {
		s.until, s.allowance, s.refusals = min(s.until, now), 0, 0
		s.home.spared = max(s.home.spared, ps.anywhere[s.sector()])
		l.queue.touchScope(s)
	})
	l.reopen(now, s)
	ps.version++
	ps.settle(now, len(ps.troubled))
	if l.recorder != nil {
		l.recorder.Resumed(now, s)
	}
	return nil
}

// Refused takes note that a server refused a request that was granted at
// `granted`, and said how long to wait; 0 means that it did not say. The scope
// pauses for as long as was said, but not for less than Options.LeastPause. That
// least pause doubles, up to a minute, with every further refusal of a request
// that left after the pause for the one before; an answer to such a request that
// is no refusal takes it back to the start, if some limit of the scope charged the
// request anything, or the scope is the whole origin. Outcome.Refused tells Settle of a
// refusal. It returns when the pause ends. The error is that of Pause.
func (l *Ledger) Refused(now, granted time.Duration, s Scope, said time.Duration) (until time.Duration, err error) {
	now = l.at(now)
	ps := l.pauses
	if err := ps.check(s); err != nil {
		return 0, err
	}
	least := l.options.LeastPause
	ps.each(now, s, func(s *scope) {
		if s.refusals == 0 || granted >= s.until {
			s.refusals++
		}
		ps.watch(now, s)
		least = max(least, leastPause(l.options.LeastPause, s.refusals))
	})
	span := min(max(said, least), l.options.MaxPause)
	if err := l.Pause(now, s, now+span); err != nil {
		return 0, err
	}
	until = now + span
	ps.each(now, s, func(s *scope) { until = max(until, s.until) })
	return until, nil
}

// check returns what is wrong with a scope that is to pause.
func (ps *pauses) check(s Scope) error {
	switch {
	case !ps.names[s.Name]:
		return &LimitError{ID: s.Name, Err: ErrUnknownScope}
	case s.Account != "" && ps.apart[s.Name]&ByAccount == 0, s.Egress != "" && ps.apart[s.Name]&ByEgress == 0:
		return &LimitError{ID: s.Name, Err: ErrScopeTogether}
	}
	return s.checkNames()
}

// HasScope reports whether a limit has, or once had, a scope of that name, or the name is
// WholeOrigin.
func (l *Ledger) HasScope(name string) bool { return l.pauses.names[name] }

// ScopeOf returns what of a scope stops for a request of such parts: its own part, as far
// as the scope is told apart. It does not matter whether the scope is known.
func (l *Ledger) ScopeOf(origin, name string, of Parts) Scope {
	at := l.pauses.apart[name].sector(name, &of)
	return Scope{origin, at.name, at.account, at.egress}
}

// compare orders scopes by origin, name, account and egress.
func (s Scope) compare(t Scope) int {
	return cmp.Or(cmp.Compare(s.Origin, t.Origin), cmp.Compare(s.Name, t.Name), cmp.Compare(s.Account, t.Account), cmp.Compare(s.Egress, t.Egress))
}

// mostLeastPause is what the least pause grows up to.
const mostLeastPause = time.Minute

// leastPause is what the least pause has grown to with the last of so many refusals in a
// row, if it was so long for the first.
func leastPause(first time.Duration, refusals int) time.Duration {
	least := first
	for i := 1; i < refusals && least < mostLeastPause; i++ {
		least *= 2
	}
	return max(first, min(least, mostLeastPause))
}

// PausedScope is a scope that is paused, or starts slowly after a pause.
type PausedScope struct {
	Scope
	Until      time.Duration // end of the pause
	Recovering bool          // the pause is over
}

// PauseVersion changes whenever what Paused returns does, but for a pause that
// ends by itself: PausedScope.Until tells that.
func (l *Ledger) PauseVersion() uint64 { return l.pauses.version }

// Paused returns the scopes that are paused or recovering, by origin, name, account and egress.
// Those of AnyOrigin stand for origins that are not in use yet.
func (l *Ledger) Paused(now time.Duration) []PausedScope {
	now = l.at(now)
	ps := l.pauses
	ps.settle(now, len(ps.troubled))
	var list []PausedScope
	for at, until := range ps.anywhere {
		if until > now {
			list = append(list, PausedScope{Scope: Scope{AnyOrigin, at.name, at.account, at.egress}, Until: until})
		} else {
			delete(ps.anywhere, at)
		}
	}
	for _, s := range ps.troubled {
		if s.paused(now) {
			list = append(list, PausedScope{Scope: s.Scope, Until: s.until, Recovering: now >= s.until})
		}
	}
	slices.SortFunc(list, func(a, b PausedScope) int {
		return a.Scope.compare(b.Scope)
	})
	return list
}

// scopes returns the names of the scopes of all limits that a request naming
// limit is charged to, or nil if there is no such limit.
func (l *Ledger) scopes(limit string) []string {
	r := l.table.routes[limit]
	if r == nil {
		return nil
	}
	return r.scopes()
}

// ScopesOf returns the names of the scopes of all limits that a request naming limit is
// charged to, or nil if there is no such limit; for one that was charged a fallback those
// of what it was charged, and not of the budget that was spent.
func (l *Ledger) ScopesOf(limit string, c Charged) []string {
	if c.fell() {
		return c.path.route.scopes()
	}
	return l.scopes(limit)
}
