package throttle

import (
	"math"
	"time"
)

// kept returns how much of the quota a request of the given priority must
// leave to more urgent ones.
func (r *rule) kept(priority Priority) int64 { return r.reserved(priority).Weight }

// pace is what a meter knows of urgent traffic, and when bulk work may go on.
type pace struct {
	sum   float64       // urgent weight granted, decaying with memory
	since time.Duration // first urgent grant
	seen  time.Duration // instant of sum
	next  time.Duration // earliest next bulk grant
}

// memory is the time constant of the urgent rate.
func (t *terms) memory() time.Duration {
	return min(max(4*t.hold, 10*time.Second), 10*time.Minute)
}

func (p *pace) record(now time.Duration, w int64, memory time.Duration) {
	before := p.decayed(now, memory)
	if before == 0 {
		p.since = now
	}
	p.sum = before + float64(w)
	p.seen = now
}

func (p *pace) decayed(now, memory time.Duration) float64 {
	if p == nil || p.sum == 0 {
		return 0
	}
	left := p.sum * math.Exp(-float64(now-p.seen)/float64(memory))
	if left < nobody {
		return 0
	}
	return left
}

// rate returns the urgent weight per nanosecond, corrected for a memory that
// is not yet full.
func (p *pace) rate(now, memory time.Duration) float64 {
	sum := p.decayed(now, memory)
	if sum == 0 {
		return 0
	}
	// A memory that has only just begun would make a flood of the first request.
	full := 1 - math.Exp(-float64(max(now-p.since, memory/20))/float64(memory))
	return sum / (float64(memory) * full)
}

// nobody is the urgent weight, of all that is remembered, that counts as none.
const nobody = 0.01

// forgotten returns when nothing is remembered any more, if no more comes.
func (p *pace) forgotten(memory time.Duration) time.Duration {
	if p == nil || p.sum < nobody {
		return 0
	}
	return p.seen + time.Duration(math.Ceil(float64(memory)*math.Log(p.sum/nobody))) + 1
}

// idle reports whether nothing is remembered.
func (p *pace) idle(now, memory time.Duration) bool {
	return p == nil || p.next <= now && p.decayed(now, memory) == 0
}

func (l *Ledger) paced(p *Permit) bool {
	return l.options.Pacing != nil && p.Priority <= l.options.Pacing.Bulk
}

// tally notes a grant of w on m: urgent ones make the rate, bulk ones move the
// next bulk grant away.
func (l *Ledger) tally(now time.Duration, m *meter, p *Permit, w int64) {
	memory := m.terms.memory()
	if m.pace == nil {
		m.pace = new(pace)
	}
	if !l.paced(p) {
		m.pace.record(now, w, memory)
		return
	}
	urgent := m.pace.rate(now, memory)
	if u, ok := m.outlook(now, urgent, l.options.Pacing.Z); ok {
		m.pace.next = now + time.Duration(float64(w)*u.gap(m.window.room(now)))
		if u.ends != 0 {
			m.pace.next = min(m.pace.next, u.ends) // with a new window everything is new
		}
	}
}

// outlook is what pacing expects of one window.
type outlook struct {
	urgent float64 // weight per nanosecond
	z      float64
	spread float64       // nanoseconds per weight at full rate; 0 if computed from what is left
	ends   time.Duration // end of an aligned window; 0 if there is none
	left   float64       // nanoseconds to be provided for
	half   float64       // half the quota, the most that is kept
}

// outlook returns ok only where bulk work is to be paced.
func (m *meter) outlook(now time.Duration, urgent, z float64) (o outlook, ok bool) {
	t := m.terms
	o = outlook{urgent: urgent, z: z, half: float64(t.quota) / 2}
	switch w := m.window.(type) {
	case *concurrency, *lifetime:
		return o, false
	case *leaky:
		o.spread = float64(t.drain) / float64(t.rate)
		o.left = o.spread * float64(t.quota)
	case *fixed:
		if !w.advance(now) {
			o.slide(t) // while the clock is not known well enough it is a sliding one
			break
		}
		o.ends = w.begins(w.first + 1)
		o.left = float64(max(0, o.ends-now))
	default:
		o.slide(t)
	}
	return o, o.matters(t)
}

func (o *outlook) slide(t *terms) {
	o.left = float64(t.hold)
	o.spread = o.left / float64(t.quota)
}

// keep returns what bulk work leaves free: what urgent requests may want
// beyond their mean, and in an aligned window, where nothing comes back before
// its end, their mean too.
func (o *outlook) keep() float64 {
	mean := o.urgent * o.left
	keep := o.z * math.Sqrt(mean)
	if o.ends != 0 {
		keep += mean
	}
	return min(math.Ceil(keep), o.half)
}

// gap returns the nanoseconds to wait for each weight of bulk work granted: as
// long as spreads it over the window, beside the urgent work that is expected.
func (o *outlook) gap(room int64) float64 {
	if o.spread > 0 {
		return o.spread
	}
	free := float64(room) - o.urgent*o.left
	if free < 1 {
		return 0 // what is kept says when the next may go
	}
	return o.left / free
}

// at is what is expected at an instant to come of the same window, if no urgent work comes until
// then.
func (o outlook) at(then, now time.Duration, urgent float64) outlook {
	o.urgent = urgent
	if o.ends != 0 {
		o.left = max(0, o.left-float64(then-now))
	}
	return o
}

// matters reports whether bulk work is paced at all.
func (o *outlook) matters(t *terms) bool {
	// A hundredth of a weight is nobody. Near the end of a window hardly anything
	// is expected in the rest of it, but the next one counts too.
	return o.urgent*o.left > nobody || o.urgent*float64(t.hold) > nobody
}

// paceOpening returns the first instant at which bulk work may take w from m,
// of which need, w included, must be free beside what is kept, if nothing happens until then.
//
// As time passes less and less is kept, room comes back, the spread is over, and in the end pacing does
// not matter. Each of these only grows, and so does their sum: the instant can be searched for by halves.
func (l *Ledger) paceOpening(now time.Duration, m *meter, need, w int64) time.Duration {
	memory := m.terms.memory()
	o, ok := m.outlook(now, m.pace.rate(now, memory), l.options.Pacing.Z)
	keep := int64(o.keep())
	if !ok || w > m.terms.quota-keep || // with so much kept it could never go
		m.pace.next <= now && m.window.room(now) >= need+keep {
		return now
	}
	may := func(then time.Duration) bool {
		later := o.at(then, now, m.pace.rate(then, memory))
		if !later.matters(m.terms) {
			return m.window.when(now, need, m.window.inFlight()) <= then
		}
		return m.pace.next <= then && m.window.when(now, need+int64(later.keep()), m.window.inFlight()) <= then
	}
	last := m.pace.forgotten(memory)
	if o.ends != 0 {
		last = min(last, o.ends) // with a new window everything is new
	}
	if last <= now || !may(last) {
		return max(now+1, last, m.window.when(now, need, m.window.inFlight()))
	}
	early := now
	for last-early > max(time.Microsecond, (early-now)>>10) {
		if then := early + (last-early)/2; may(then) {
			last = then
		} else {
			early = then
		}
	}
	return last
}
