package limits

import "time"

// server counts every arrival against all rules it is charged to, on its own
// clock, and admits it if all of them have room.
type server struct {
	clock serverClock
	rules []rule
	gates []map[string]*gate // by rule, then by key
	low   []bool             // rules that are lowered now
}

// gate is one rule's counting for one key. Both counters see every charge, so
// that the rule can be lowered and raised at any instant.
type gate struct{ full, lowered counter }

// charge is a weight taken from one rule, named by its place among them.
type charge struct {
	rule   int
	weight int64
}

func newServer(clock serverClock, rules []rule) *server {
	s := &server{clock: clock, rules: rules, gates: make([]map[string]*gate, len(rules)), low: make([]bool, len(rules))}
	for i := range rules {
		s.gates[i] = map[string]*gate{}
	}
	return s
}

func (s *server) gate(i int, key string) *gate {
	if !s.rules[i].keyed {
		key = ""
	}
	g := s.gates[i][key]
	if g == nil {
		g = &gate{full: s.rules[i].counter()}
		if lowered := s.rules[i].lowered; lowered > 0 {
			g.lowered = s.rules[i].withCapacity(lowered).counter()
		}
		s.gates[i][key] = g
	}
	return g
}

func (s *server) counter(i int, key string) counter {
	g := s.gate(i, key)
	if s.low[i] {
		return g.lowered
	}
	return g.full
}

// arrive charges all or nothing; at is a time on the server's clock. It
// returns the rule that refuses, or -1.
func (s *server) arrive(at time.Duration, key string, charges []charge) (refusedBy int) {
	for _, c := range charges {
		if !s.counter(c.rule, key).room(at, c.weight) {
			return c.rule
		}
	}
	for _, c := range charges {
		if c.weight == 0 {
			continue // what costs nothing opens no window
		}
		g := s.gate(c.rule, key)
		g.full.charge(at, c.weight)
		if g.lowered != nil {
			g.lowered.charge(at, c.weight)
		}
	}
	return -1
}

// served ends what arrive began, where rules count what is being served.
func (s *server) served(key string, charges []charge) {
	for _, c := range charges {
		g := s.gate(c.rule, key)
		g.full.served(c.weight)
		if g.lowered != nil {
			g.lowered.served(c.weight)
		}
	}
}

func (s *server) used(i int, key string, at time.Duration) int64 {
	return s.counter(i, key).used(at)
}

// serverClock is Unix time as the server has it.
type serverClock struct {
	offset time.Duration // its reading at our instant 0
	ppb    int64         // how much faster than ours it runs, in 1e-9
}

// read returns the server's time at our instant t.
func (c serverClock) read(t time.Duration) time.Duration {
	const billion = 1_000_000_000
	drift := t/billion*time.Duration(c.ppb) + floorDiv(t%billion*time.Duration(c.ppb), billion)
	return c.offset + t + drift
}

func floorDiv(a, b time.Duration) time.Duration {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
