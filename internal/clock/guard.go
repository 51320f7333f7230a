package clock

import (
	"cmp"
	"time"
)

// How far a server's clock may be from the local one, and what it takes to be
// believed. Two answers that agree can be two lies, but the longer the distance,
// the more a lie could spoil: a nonce that ran ahead stays spent for ever.
const (
	// DefaultTrust is the difference that is believed at once: what machines
	// without a time service drift apart in months.
	DefaultTrust = 5 * time.Minute
	// datedTrust is the difference up to which answers may contradict their own
	// Date header, which a proxy may have written.
	datedTrust = 24 * time.Hour
	// greatestTrust is the difference that no number of answers makes believable.
	// A local clock as wrong as that lets no certificate pass: those last 398 days.
	greatestTrust = 400 * 24 * time.Hour

	doubtSpacing = 500 * time.Millisecond // between the samples that confirm
	patience     = 3                      // samples that contradict before it is an error
)

// confirmation is how many samples must agree, over how long.
type confirmation struct {
	samples int
	span    time.Duration
}

var (
	withDate    = confirmation{4, 2 * time.Second} // another source says the same
	withoutDate = confirmation{8, 4 * time.Second}
)

// Verdict is what a Guard says of a sample.
type Verdict uint8

// What becomes of a sample.
const (
	Believed Verdict = iota // the Estimator may have it
	Doubted                 // it may be right: more samples will tell
	Refused                 // it is wrong, or nobody can know
)

// Guard decides which samples an Estimator is given: one answer must not be the
// clock. Offsets are taken against the local wall clock, which is believed to be
// nearly right until the server's answers have confirmed that it is not.
//
//	               near the wall clock, or as confirmed, or what is known goes on
//	   ┌─────────────────────────────────────────────────────────────────┐
//	   ▼                                                                 │
//	believing ── far ──▶ doubting ── enough that agree, over some time ──┘
//	                        │
//	                        └── contradictions ──▶ refusing, until either
//
// What can be far without a lie: the local wall clock is wrong from the start,
// or one of the two was stepped. A machine that was suspended is no such case:
// its wall clock went on, and the new offset to the monotonic clock is near it.
//
// A lie within the trust is believed, and so the claim can be wrong by that much
// and no more, if it was not confirmed: the references, the wall clock and the
// confirmed distance from it, do not move with what is believed.
type Guard struct {
	trust time.Duration
	skew  time.Duration // server minus wall clock, as it was last confirmed; zero at first

	agreeing int    // samples of the present candidate
	first    Sample // of them
	undated  bool   // one of them had no Date to agree with
	strikes  int    // contradictions since a sample was last believed
}

// NewGuard returns a guard that believes at once what is within trust of the
// local wall clock; zero means DefaultTrust.
func NewGuard(trust time.Duration) *Guard { return &Guard{trust: cmp.Or(trust, DefaultTrust)} }

// Judge says what is to become of a sample; known is what it would be given to.
// If it is refused, why says what speaks against it.
func (g *Guard) Judge(s Sample, known *Estimator) (v Verdict, why string) {
	skew := s.Server - s.Local
	switch {
	case s.Local == 0: // nothing to compare with
	case skew.Abs() <= g.trust:
		g.skew = 0
	case (skew - g.skew).Abs() <= g.trust: // as confirmed
	case known.goesOn(s): // the local wall clock was stepped
	default:
		return g.doubt(s, skew)
	}
	g.agreeing, g.strikes = 0, 0
	return Believed, ""
}

// doubt takes a sample for the beginning of a candidate, or for one more of it.
func (g *Guard) doubt(s Sample, skew time.Duration) (v Verdict, why string) {
	dated, agrees := s.dated()
	switch {
	case skew.Abs() > greatestTrust:
		g.agreeing = 0
		return g.strike("no number of answers confirms so great a difference")
	case skew.Abs() > datedTrust && dated && !agrees:
		g.agreeing = 0
		return g.strike("the Date header of the same answer says something else")
	case g.agreeing > 0 && !s.follows(g.first):
		g.begin(s, agrees)
		return g.strike("its answers contradict one another")
	case g.agreeing == 0:
		g.begin(s, agrees)
		return Doubted, ""
	}
	g.agreeing++
	g.undated = g.undated || !agrees
	need := withDate
	if g.undated {
		need = withoutDate
	}
	if g.agreeing < need.samples || s.Received-g.first.Received < need.span {
		return Doubted, ""
	}
	g.skew, g.agreeing, g.strikes = skew, 0, 0
	return Believed, ""
}

func (g *Guard) begin(s Sample, agrees bool) { g.first, g.agreeing, g.undated = s, 1, !agrees }

// strike counts a contradiction. A single one may be the last of a lie.
func (g *Guard) strike(why string) (Verdict, string) {
	g.strikes++
	if g.strikes < patience {
		return Doubted, ""
	}
	return Refused, why
}

// goesOn reports whether s contradicts nothing that is known.
func (e *Estimator) goesOn(s Sample) bool {
	return e.Ready() && e.claim.current.gap(s) <= 2*e.claim.spread
}

// follows reports whether one clock can have given both samples. Servers behind
// one name may differ a little.
func (s Sample) follows(first Sample) bool {
	e := newEnvelope(first, followRate)
	return e.gap(s) <= int64(maxSpread)
}

const followRate = 600e-6

// dateSlack is by how much a Date header may differ from the time in the same
// answer, beyond what the round trip explains: it is cut off to the second, and
// some servers write it anew once a second only.
const dateSlack = 2 * time.Second

// dated reports whether the answer had a Date header beside its time, and
// whether that says the same.
func (s Sample) dated() (dated, agrees bool) {
	if s.Date == 0 {
		return false, false
	}
	return true, (s.Server - s.Date).Abs() <= s.dateSlack()
}

func (s Sample) dateSlack() time.Duration { return dateSlack + s.Resolution + s.roundTrip() }

// Old is by how much the time in the answer is older than its Date header can
// explain: it comes from a cache. Zero means that it is not.
func (s Sample) Old() time.Duration {
	if old := s.Date - s.Server; s.Date != 0 && old > s.dateSlack() {
		return old
	}
	return 0
}
