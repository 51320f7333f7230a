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
	promise
	since    time.Duration // when old was left
	hasOld   bool
	agreeing int  // samples that agreed with current since then
	differ   bool // samples have proved that servers differ

	narrowest int64 // width of the tightest sample
	sense     spreadSense
}

// promise is the claim as it stands: what a Snapshot takes along.
type promise struct {
	current  envelope
	old      envelope // what was believed before the last contradiction
	doubtful bool     // old is claimed too
	spread   int64
}

// lower and upper are the promise: the true offset at t lies between them.
func (p *promise) lower(t int64) int64 {
	lo := p.current.lower(t)
	if p.doubtful {
		lo = min(lo, p.old.lower(t))
	}
	return lo - 2*p.spread
}

func (p *promise) upper(t int64) int64 {
	hi := p.current.upper(t)
	if p.doubtful {
		hi = max(hi, p.old.upper(t))
	}
	return hi + 2*p.spread
}

type verdict uint8

const (
	agrees   verdict = iota
	stepped          // current holds nothing but the sample
	disagree         // servers differ; spread has grown
)

func newClaim(s Sample, rate float64, spread int64) claim {
	c := claim{narrowest: s.width()}
	c.promise = promise{current: newEnvelope(s, rate), spread: spread}
	c.sense.add(s)
	return c
}

func (c *claim) add(s Sample) verdict {
	c.narrowest = min(c.narrowest, s.width())
	c.sense.add(s)
	gap := c.current.gap(s) - 2*c.spread
	switch {
	case gap <= 0:
		c.current.add(s)
		c.agreeing++
		c.doubtful = c.doubtful && c.agreeing < confirmations
	case gap <= int64(maxSpread) && (c.differ || c.returnsToOld(s)):
		c.join(s)
	default:
		c.step(s, gap)
		return stepped
	}
	if c.learnSpread(int64(s.Received)) {
		return disagree
	}
	return agrees
}

func (c *claim) step(s Sample, gap int64) {
	c.old, c.hasOld, c.since = c.current, gap <= int64(maxSpread), s.Received
	c.current, c.agreeing = newEnvelope(s, c.current.rate), 0
	c.doubtful = c.hasOld
}

func (c *claim) returnsToOld(s Sample) bool {
	return c.hasOld && s.Received-c.since < rememberOld && c.old.gap(s) <= 2*c.spread
}

// join takes in a sample of a server that is known to differ. The envelope may
// turn inside out by that, by at most twice the spread.
func (c *claim) join(s Sample) {
	if !c.differ && c.hasOld {
		c.current.merge(c.old)
	}
	c.current.add(s)
	c.differ, c.hasOld, c.doubtful = true, false, false
}

// learnSpread raises the spread to half of what two servers are apart. Once
// they are known to differ, an envelope turned inside out by g proves that they
// differ by g at least, and at most by what the samples' own width can hide.
func (c *claim) learnSpread(now int64) (grew bool) {
	width := c.current.upper(now) - c.current.lower(now)
	apart := c.sense.excess(width)
	if c.differ {
		apart = max(apart, 2*c.narrowest-width)
	}
	if apart > 2*int64(maxSpread) || (apart+1)/2 <= c.spread {
		return false
	}
	c.spread = (apart + 1) / 2
	return true
}

// slack is by how much the tracker's statements are widened: by the spread of
// the servers, or on a quiet path to a single one, by less than nothing. The
// middle stays where it is, and a change of rate shows the sooner.
func (c *claim) slack() int64 {
	if c.spread > 0 {
		return c.spread
	}
	return -c.sense.steadiness()
}
