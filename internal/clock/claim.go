package clock

import "time"

// maxSpread is the largest contradiction that is believed to come from servers
// that disagree; anything above is a step.
const maxSpread = 250 * time.Millisecond

const (
	confirmations = 8                // samples after which a step is no longer doubted
	rememberOld   = 10 * time.Minute // how long a return to the old time is recognised
)

// claim is what is promised about the offset, and how it survives evidence that
// contradicts it. The first sample that contradicts is either a step of the
// server's clock or another server behind the same name. Until that is settled
// both are claimed:
//
//	         contradiction              confirmations
//	settled ──────────────▶ doubtful ──────────────────▶ settled (it was a step)
//	                           │
//	                           └── back to the old time ──▶ settled, spread learned
//
// The spread is how far a server may be from the middle of them all: every
// statement is one server's, so it is widened by spread, and a promise about
// whichever server answers next by spread again.
type claim struct {
	current   envelope
	old       envelope      // what was believed before the last contradiction
	since     time.Duration // when that was
	hasOld    bool
	agreeing  int // samples that agreed with current since then
	spread    int64
	differ    bool // samples have proved that servers differ
	tightened bool // the last sample made current tighter
}

type verdict uint8

const (
	agrees   verdict = iota
	stepped          // current holds nothing but the sample
	disagree         // servers differ; spread has grown
)

func (c *claim) add(s Sample) verdict {
	gap := c.current.gap(s) - 2*c.spread
	if gap <= 0 {
		c.tightened = c.current.add(s)
		c.agreeing++
		return agrees
	}
	c.tightened = true
	if c.differ && gap <= int64(maxSpread) || c.returnsToOld(s) {
		c.learnSpread(s)
		return disagree
	}
	c.old, c.hasOld, c.since = c.current, gap <= int64(maxSpread), s.Received
	c.current, c.agreeing = newEnvelope(s, c.current.rate), 0
	return stepped
}

func (c *claim) returnsToOld(s Sample) bool {
	return c.hasOld && s.Received-c.since < rememberOld && c.old.gap(s) <= 2*c.spread
}

// learnSpread sets the spread to half of what two servers can be apart: from the
// lowest offset one can have to the highest of the other.
func (c *claim) learnSpread(s Sample) {
	t := int64(s.Received)
	other := newEnvelope(s, c.current.rate)
	if c.hasOld && !c.differ {
		other.merge(c.old)
	}
	lo := min(c.current.lower(t), other.lower(t))
	hi := max(c.current.upper(t), other.upper(t))
	c.spread = max(c.spread, (hi-lo+1)/2)
	c.current.merge(other)
	c.differ, c.hasOld = true, false
}

func (c *claim) doubtful() bool { return c.hasOld && c.agreeing < confirmations }

// lower and upper are the promise: the true offset at t lies between them.
func (c *claim) lower(t int64) int64 {
	lo := c.current.lower(t)
	if c.doubtful() {
		lo = min(lo, c.old.lower(t))
	}
	return lo - 2*c.spread
}

func (c *claim) upper(t int64) int64 {
	hi := c.current.upper(t)
	if c.doubtful() {
		hi = max(hi, c.old.upper(t))
	}
	return hi + 2*c.spread
}
