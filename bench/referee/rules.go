package referee

import (
	"fmt"
	"time"
)

// kind is the way the server counts. They are the referee's own words, and their
// meaning is in judge.go.
type kind uint8

const (
	sliding kind = iota
	fixed
	fromFirst
	leaky
	ticking // leaky, falling in steps
	concurrent
	lifetime
	kinds
)

var kindNames = [kinds]string{"sliding", "fixed", "fixed-from-first", "leaky", "ticking", "concurrency", "lifetime"}

func (k kind) String() string { return kindNames[k] }

// rule is one limit as the server counts it.
type rule struct {
	id     string
	kind   kind
	quota  int64
	per    time.Duration
	burst  int64         // capacity of a leaky one
	tick   time.Duration // steps of a ticking one
	offset time.Duration // of fixed windows
	keyed  bool
	scope  string
}

// String says what the rule is, as a line of a report.
func (r rule) String() string {
	switch r.kind {
	case leaky:
		return fmt.Sprintf("%s: %d per %v, burst %d", r.kind, r.quota, r.per, r.burst)
	case ticking:
		return fmt.Sprintf("%s: %d per %v in steps of %v, burst %d", r.kind, r.quota, r.per, r.tick, r.burst)
	case concurrent:
		return fmt.Sprintf("%s: %d open", r.kind, r.quota)
	case lifetime:
		return fmt.Sprintf("%s: %d ever", r.kind, r.quota)
	}
	return fmt.Sprintf("%s: %d per %v", r.kind, r.quota, r.per)
}

// remembers is how long an arrival counts for.
func (r rule) remembers() time.Duration {
	if r.kind == leaky || r.kind == ticking {
		return time.Duration(float64(r.per) * float64(r.burst) / float64(r.quota))
	}
	return r.per
}

// version is a rule from an instant on. What arrived before `knows`, by the server's
// clock, is none of its business: the rule before had forgotten it.
type version struct {
	rule
	from   time.Duration // in the world's time
	since  time.Duration // by the server's clock
	knows  time.Duration
	before *version // whose count goes on; nil if another kind of count begins
}

// counted is a rule through the life of a world. The last version is in force.
type counted struct {
	versions []*version
	arrivals map[int][]*arrival // by key; guarded by the world's lock
}

func (c *counted) now() rule { return c.versions[len(c.versions)-1].rule }

// becomes puts another version of the rule in force. A counter goes on from where it
// is, and so does the window of a first request if its length stays. Whatever else
// begins anew, begins with what the rule before still remembered.
func (c *counted) becomes(r rule, from, server time.Duration) {
	was := c.versions[len(c.versions)-1]
	v := &version{rule: r, from: from, since: server, knows: max(was.knows, server-was.remembers())}
	counters := was.burst > 0 && r.burst > 0
	if counters || was.kind == fromFirst && r.kind == fromFirst && was.per == r.per {
		v.knows, v.before = was.knows, was
	}
	c.versions = append(c.versions, v)
}

// toll is what a route charges.
type toll struct {
	rule   int // its place among the world's
	weight int64
}

// route is what a request names.
type route struct {
	id    string
	tolls []toll
	// free says that a request of this route names no limit: it obeys every pause.
	free bool
}

// scopes are those that a refusal of the route pauses.
func (w *world) scopes(r *route) (names []string) {
	if r.free {
		return []string{wholeOrigin}
	}
	for _, t := range r.tolls {
		if s := w.rules[t.rule].now().scope; !contains(names, s) {
			names = append(names, s)
		}
	}
	return names
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
