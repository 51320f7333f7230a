package throttle

import (
	"cmp"
	"time"
)

// Scope names what pauses together: the limits of one name (Limit.Scope) as far
// as they are spent at one origin, because a refusal by one server says nothing
// of another. Origin is any text that tells servers apart; "" is one like all
// others. See WholeOrigin and AnyOrigin.
//
// Where all limits of a name are told apart by account, or by egress, so is the scope:
// what one account is refused for stops no other. A limit among them that is not keeps
// them together, for what was refused may have been that one. A whole origin is told
// apart by egress if any limit is, for a server that bans an address does so whatever is
// asked. See Limit.By, and Ledger.ScopeOf.
type Scope struct {
	Origin, Name string
	// Account and Egress, where the scope is told apart by them, are whose part of it is
	// meant. Empty means all of them, those still to come included; see DefaultAccount
	// and DefaultEgress.
	Account, Egress string
}

const (
	// DefaultAccount as the Account of a Scope or Filter means requests that name none. An
	// account of that very name would share their pauses.
	DefaultAccount = "-"
	// DefaultEgress as the Egress of a Scope or Filter means requests that name none. An
	// egress of that very name would share their pauses.
	DefaultEgress = "-"
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
	since     time.Duration // when the last pause began
	byHand    bool          // whoever runs the engine said how long it is, and no answer
	flying    int
	allowance int // in flight after a pause; 0 means no bound
	fresh     int
	grown     time.Duration // when allowance rose last, or the first of fresh left
	unused    bool          // nobody has left since time has raised it
	refusals  int           // in a row, each of a request that left after the pause for the one before
	watched   bool          // it is among pauses.troubled
	paths     int           // that obey it
	obeyed    []*scope      // by the path that was made last; others have the same list
	line      *line         // of the lanes that sleep here; nil if none does
}

const (
	fullSpeed    = 64               // the allowance from which on a scope counts as recovered
	slowestRound = 2 * time.Second  // that an answer may take without holding others up
	slowStart    = time.Minute      // after a pause, at most
	remembered   = 10 * time.Minute // after a pause, refusals without an answer in between
)

// sector is what a Scope is at its origin.
type sector struct{ name, account, egress string }

func (s *Scope) sector() sector { return sector{s.Name, s.Account, s.Egress} }

// sector returns the part of a scope that parts belong to, if it is told apart so.
func (by By) sector(name string, of *Parts) sector {
	at := sector{name: name}
	if by&ByAccount != 0 {
		at.account = cmp.Or(of.Account, DefaultAccount)
	}
	if by&ByEgress != 0 {
		at.egress = cmp.Or(of.Egress, DefaultEgress)
	}
	return at
}

// sectors calls do for each Scope of a name that parts belong to, where the scope is told
// apart so: from all of it to their own part.
func (by By) sectors(name string, of *Parts, do func(sector)) {
	for part := range by + 1 {
		if part&^by == 0 {
			do(part.sector(name, of))
		}
	}
}

// covers reports whether all of t is part of s.
func (s sector) covers(t sector) bool {
	return s.name == t.name && (s.account == "" || s.account == t.account) && (s.egress == "" || s.egress == t.egress)
}

// concerns reports whether parts of which those are known that by names may belong to s.
func (s sector) concerns(by By, of *Parts) bool {
	own := byScope.sector(s.name, of)
	return (s.account == "" || by&ByAccount == 0 || s.account == own.account) &&
		(s.egress == "" || by&ByEgress == 0 || s.egress == own.egress)
}

// isPart reports whether s is one account's or egress's.
func (s *scope) isPart() bool { return s.Account != "" || s.Egress != "" }

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

// allowed is the allowance as time alone has brought it to be by now. It does not matter
// who asked for it before, nor how often.
func (s *scope) allowed(now time.Duration) int {
	if s.allowance == 0 || now < s.until {
		return s.allowance
	}
	allowed := s.allowance
	if s.fresh >= allowed && now >= s.grown+slowestRound {
		allowed *= 2
	}
	if allowed >= fullSpeed || now >= s.until+slowStart {
		return 0
	}
	return allowed
}

// grow raises the allowance to that.
func (s *scope) grow(now time.Duration) {
	switch allowed := s.allowed(now); allowed {
	case s.allowance:
	case 0:
		s.recovered()
	default:
		// The next round begins when the first of those leaves that this lets leave, however
		// late that is.
		s.allowance, s.grown, s.unused = allowed, now, true
	}
}

// leave puts one request in flight.
func (s *scope) leave(now time.Duration) {
	if s.allowance == 0 || now < s.until { // one of a lost ledger may leave in a pause
		return
	}
	if s.fresh == 0 || s.unused {
		s.grown, s.unused = now, false
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
	if s.grow(now); s.allowance == 0 { // first, while it is still in flight
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
