package throttle

import (
	"math"
	"sort"
	"time"
)

// others is what somebody else spends from a fixed window, as far as the numbers
// tell that answers carry. It is an estimate, and rules no refusal out.
//
// What a number can tell. The server read it at some instant between the grant
// and the answer of the request that brought it, and it counts what had arrived by
// then: of ours at least what was answered before that instant and belongs to the
// window, and at most all that was granted. So others had spent at least the number
// less all of ours, and at most the number less what was surely counted. The lower
// bounds all hold for good. Of the upper ones the one is kept that still says most:
// in the middle of a burst of ours a number says hardly anything, and after it none
// may come for long; then it is better to go on from an older one. What they are
// expected to have spent goes on at λ, and is moved no further than those two bounds
// of each number demand.
//
// What it cannot tell is what they have spent since. They are taken to want λ a
// nanosecond at random (a Poisson stream); λ is the average of past windows. A
// request of ours is taken to arrive within two usual flights. It goes if, beside
// the upper bound, there is room for all they may send from then to that arrival,
// but for three chances in 10^4 (tail). And so that they are not refused either, it
// leaves what they are expected to send up to the end of the window, and courtesy·√
// of that. So that there are numbers when they matter most, a little is kept for
// asking, and let go more often the nearer the end is.
//
// A number without the instant at which it was read is taken to be no older than
// readWithin.
type others struct {
	rate   float64       // λ, weight per nanosecond; zero means that nobody is expected
	asking float64       // weight kept for asking, for each time that what is left is halved, about
	flight time.Duration // of ours, on average

	heard bool          // there was a number about the present window
	least int64         // they have spent in the present window, by all numbers
	most  int64         // they had spent by the upper bound that is kept ...
	read  time.Duration // ... which is of this instant of ours at the earliest
	mean  float64       // they are expected to have spent ...
	at    time.Duration // ... by this instant
	ours  []settled     // what surely counts in the present window, by when it was answered
}

// settled is what of ours was answered by an instant, in sum.
type settled struct {
	at  time.Duration
	sum int64
}

const (
	othersWeight = 0.25 // of the newest window in the average
	courtesy     = 3
	tail         = 8.1 // -ln of the chance
	readWithin   = 500 * time.Millisecond
	askingFrom   = 100 * time.Millisecond // before the end
	usualFlight  = 250 * time.Millisecond // before any was seen
	mostSettled  = 1 << 13
)

func newOthers(t *terms) others {
	return others{
		rate:   t.others * float64(t.quota) / float64(t.per),
		asking: min(10, float64(t.quota)/100), flight: usualFlight,
	}
}

// flew takes a flight of ours into the average.
func (o *others) flew(d time.Duration) { o.flight += (d - o.flight) / 8 }

// answered notes w of ours, which counts in the present window and no other.
func (o *others) answered(now time.Duration, w int64) {
	last := len(o.ours) - 1
	sum := w
	if last >= 0 {
		sum = plus(sum, o.ours[last].sum)
		if o.ours[last].at == now {
			o.ours[last].sum = sum
			return
		}
	}
	if len(o.ours) >= mostSettled { // nobody asks for what is so long past
		o.ours = o.ours[:copy(o.ours, o.ours[mostSettled/2:])]
	}
	o.ours = append(o.ours, settled{now, sum})
}

// by returns what of ours was answered by an instant.
func (o *others) by(at time.Duration) int64 {
	i := sort.Search(len(o.ours), func(i int) bool { return o.ours[i].at > at })
	if i == 0 {
		return 0
	}
	return o.ours[i-1].sum
}

// note takes a number into account that was read at `read` at the earliest, when
// all of ours was as much.
func (o *others) note(now time.Duration, used, ours int64, read time.Duration) {
	least, most := max(0, used-ours), max(0, used-o.by(read))
	o.least, o.heard = max(o.least, least), true
	if most+o.surely(now-read) <= o.most+o.surely(now-o.read) {
		o.most, o.read = most, read
	}
	if read >= o.at {
		o.mean, o.at = min(max(o.expected(read), float64(least)), float64(most)), read
	}
}

// expected is what they are expected to have spent by an instant.
func (o *others) expected(at time.Duration) float64 {
	return max(float64(o.least), o.mean+o.rate*float64(at-o.at))
}

// turn goes over to a window that began on our clock at `begun` at the earliest. The one before it,
// of which the numbers were, had ended by `ended`: that is long ago if nobody asked since.
func (o *others) turn(per, ended, begun time.Duration) {
	if o.heard && o.rate > 0 {
		o.rate += othersWeight * (o.expected(max(ended, o.at))/float64(per) - o.rate)
		o.rate = max(o.rate, 1/float64(per)) // somebody who paused is not gone
	}
	o.heard, o.least, o.most, o.read, o.mean, o.at = false, 0, 0, begun, 0, begun
	o.ours = o.ours[:0]
}

// margin is what to leave to them of the window that ends at `end`, what they have
// spent of it included.
func (o *others) margin(now, end time.Duration) int64 {
	if o.rate == 0 {
		return 0
	}
	return max(int64(o.wanted(now, end)), max(o.least, o.most)+o.surely(now-o.read))
}

// inAny is margin where windows cannot be told apart, and no number is about one of them. It does
// not change as time passes, and may be as much as the quota: hence no more of it is left to them
// than is taken, and whatever is asked for fits in once nothing of ours is in the log.
func (o *others) inAny(per time.Duration) int64 {
	if o.rate == 0 {
		return 0
	}
	mean := o.rate * float64(per)
	wanted := mean + courtesy*math.Sqrt(mean) + o.asking*math.Log1p(float64(per)/float64(askingFrom))
	return int64(min(math.Ceil(wanted), maxWeight))
}

// wanted is what they are expected to have spent by the end, the courtesy, and
// what is kept for asking.
func (o *others) wanted(now, end time.Duration) float64 {
	left := float64(max(0, end-now))
	wanted := o.expected(max(end, o.at)) + courtesy*math.Sqrt(o.rate*left) + o.asking*math.Log1p(left/float64(askingFrom))
	return min(math.Ceil(wanted), maxWeight)
}

// surely is what they may send in such a time and until what is granted at its end arrives, but
// for the chance. For a Poisson number N of mean μ, P(N >= μ+x) <= exp(-x²/(2μ+2x/3)), by
// Bernstein's inequality, and as long as m is small Chernoff's e^-μ·(eμ/m)^m for P(N >= m) is
// much sharper. Either will do.
func (o *others) surely(since time.Duration) int64 {
	mean := o.rate * float64(max(0, since)+2*o.flight)
	x := tail/3 + math.Sqrt(tail*tail/9+2*mean*tail)
	most := int64(min(math.Ceil(mean+x), maxWeight))
	for m := int64(math.Ceil(mean)) + 1; m <= min(most, 63); m++ {
		if mean+float64(m)*(math.Log(float64(m)/mean)-1) >= tail {
			return m - 1
		}
	}
	return most
}

// falls returns when margin has fallen to free, or end if it does not before.
func (o *others) falls(now, end time.Duration, free int64) time.Duration {
	if float64(free) < o.wanted(end, end) {
		return end
	}
	early, at := now, end
	for at-early > time.Millisecond {
		if mid := early + (at-early)/2; o.wanted(mid, end) > float64(free) {
			early = mid
		} else {
			at = mid
		}
	}
	if max(o.least, o.most)+o.surely(at-o.read) > free { // which only grows, until there is another number
		return end
	}
	return at
}
