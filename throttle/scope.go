package throttle

import "time"

// Scope names what pauses together: the limits of one name (Limit.Scope) as far
// as they are spent at one origin, because a refusal by one server says nothing
// of another. Origin is any text that tells servers apart; "" is one like all
// others. See WholeOrigin and AnyOrigin.
type Scope struct{ Origin, Name string }

const (
	// WholeOrigin as a Scope.Name is everything that goes to an origin, with or
	// without a limit.
	WholeOrigin = "*"
	// AnyOrigin as a Scope.Origin is every origin, those still to come included.
	AnyOrigin = "*"
	// NoLimit as a Permit.Limit charges nothing, and obeys every pause of its
	// origin.
	NoLimit = "-"
)

// scope is a Scope in use.
//
// After a pause it starts slowly: one request in flight, and one more for each
// answer, so twice as many every round trip. Where answers take longer than
// slowestRound that counts as a round trip; so a request that never ends holds
// nobody up. It is back to normal once the allowance is large, or slowStart has
// passed.
//
// Only flights that left after the pause count. Invariant, while allowance is
// above zero: fresh is the number of flights granted at or after until. A pause
// sets until beyond every grant so far and fresh to zero; both change together
// from there on, for as long as allowance stays above zero.
type scope struct {
	Scope
	home      *origin
	until     time.Duration // paused before that
	flying    int
	allowance int // in flight after a pause; 0 means no bound
	fresh     int
	grown     time.Duration // when allowance rose last, or the first of fresh left
	refusals  int           // in a row, each of a request that left after the pause for the one before
	watched   bool          // it is among pauses.troubled
	line      *line         // of the lanes that sleep here; nil if none does
}

const (
	fullSpeed    = 64               // the allowance from which on a scope counts as recovered
	slowestRound = 2 * time.Second  // that an answer may take without holding others up
	slowStart    = time.Minute      // after a pause, at most
	remembered   = 10 * time.Minute // after a pause, refusals without an answer in between
)

// opens returns now if a request may leave, or when it may if nothing else
// happens before.
func (s *scope) opens(now time.Duration) time.Duration {
	if now < s.until {
		return s.until
	}
	s.grow(now)
	if s.allowance > 0 && s.fresh >= s.allowance {
		return min(s.grown+slowestRound, s.until+slowStart)
	}
	return now
}

// grow raises the allowance by what time alone does.
func (s *scope) grow(now time.Duration) {
	if s.allowance == 0 || now < s.until {
		return
	}
	if s.fresh >= s.allowance && now >= s.grown+slowestRound {
		s.allowance, s.grown = 2*s.allowance, now
	}
	if s.allowance >= fullSpeed || now >= s.until+slowStart {
		s.recovered()
	}
}

// leave puts one request in flight.
func (s *scope) leave(now time.Duration) {
	if s.allowance == 0 || now < s.until { // one of a lost ledger may leave in a pause
		return
	}
	if s.fresh == 0 {
		s.grown = now
	}
	s.fresh++
}

// land takes a request out of flight that was granted at `granted`, and reports
// whether that may let others leave. What left before the pause ended proves
// nothing.
func (s *scope) land(now, granted time.Duration, good bool) bool {
	if granted < s.until {
		return false
	}
	if good {
		s.refusals = 0
	}
	if s.allowance == 0 {
		return false
	}
	s.fresh--
	if good {
		s.allowance, s.grown = s.allowance+1, now
	}
	if s.allowance >= fullSpeed {
		s.recovered()
	}
	return true
}

func (s *scope) recovered() {
	s.allowance = 0
	s.home.all.version++
}

// paused reports whether s is paused or recovering.
func (s *scope) paused(now time.Duration) bool { return now < s.until || s.allowance > 0 }

// calm reports whether s holds nobody up, and remembers nothing that matters.
func (s *scope) calm(now time.Duration) bool {
	s.grow(now)
	if s.refusals > 0 && now >= s.until && now-s.until >= remembered {
		s.refusals = 0
	}
	return !s.paused(now) && s.refusals == 0
}
