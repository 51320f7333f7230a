package counters

import (
	"fmt"
	"time"
)

// who is what a server tells requests apart by.
type who struct{ account, symbol string }

// rule is a kind of counter, of which everyone has one whom it tells apart.
type rule struct {
	name  string
	apart func(who) string
	make  func() counter
	goal  float64 // the part of it that has to be used; 0: it is not what binds
	way   string  // how it counts, for the table
}

func byNothing(who) string   { return "" }
func byAccount(w who) string { return w.account }
func byBoth(w who) string    { return w.account + " " + w.symbol }

// server counts what arrives.
type server struct {
	clock  serverClock
	rules  []rule
	counts map[string]map[string]*count // by the names of rules, then by whom
}

// count is a counter and what came to it.
type count struct {
	counter
	counted int64
	refused int
}

// serverClock is Unix time as the server has it: so far ahead of the desk's at its
// beginning, and slower by 20 ppm.
type serverClock struct{ ahead time.Duration }

func (c serverClock) read(at time.Duration) time.Duration { return c.ahead + at - at/50_000 }

func newServer(clock serverClock, rules []rule) *server {
	s := &server{clock: clock, rules: rules, counts: map[string]map[string]*count{}}
	for _, r := range rules {
		s.counts[r.name] = map[string]*count{}
	}
	return s
}

// of returns the count of a rule for somebody.
func (s *server) of(name string, w who) *count {
	for _, r := range s.rules {
		if r.name != name {
			continue
		}
		c := s.counts[name][r.apart(w)]
		if c == nil {
			c = &count{counter: r.make()}
			s.counts[name][r.apart(w)] = c
		}
		return c
	}
	panic(fmt.Sprintf("no rule %q", name)) // scenarios are made in this package
}

// arrive counts a request by all rules, or by none: then it names the one that refused.
// What costs nothing is not looked at.
func (s *server) arrive(at time.Duration, w who, costs map[string]int64) (refusedBy string) {
	for _, r := range s.rules {
		if costs[r.name] > 0 && !s.of(r.name, w).room(at, costs[r.name]) {
			s.of(r.name, w).refused++
			return r.name
		}
	}
	for name, cost := range costs {
		if cost > 0 {
			c := s.of(name, w)
			c.charge(at, cost)
			c.counted += cost
		}
	}
	return ""
}
