package throttle

import (
	"math"
	"time"
)

// kept returns how much of the quota a request of the given priority must
// leave to more urgent ones.
func (r *rule) kept(priority Priority) int64 {
	var w int64
	for _, reserve := range r.Reserve {
		if priority < reserve.Priority {
			w += reserve.Weight
		}
	}
	return w
}

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
	// A hundredth of a weight is nobody. Near the end of a window hardly anything
	// is expected in the rest of it, but the next one counts too.
	return o, urgent*o.left > 0.01 || urgent*float64(t.hold) > 0.01
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

// paceOpening returns the first instant at which bulk work may take w from m,
// of which need, w included, must be free beside what is kept.
func (l *Ledger) paceOpening(now time.Duration, m *meter, need, w int64) time.Duration {
	urgent := m.pace.rate(now, m.terms.memory())
	o, ok := m.outlook(now, urgent, l.options.Pacing.Z)
	if !ok {
		return now
	}
	keep := int64(o.keep())
	if w > m.terms.quota-keep {
		return now // it could never go with so much kept
	}
	at := now
	if m.pace != nil {
		at = max(now, m.pace.next)
	}
	if m.window.room(now) >= need+keep {
		return at
	}
	later := m.window.when(now, need+keep, m.window.inFlight())
	if o.ends != 0 {
		later = min(later, o.ends-time.Duration(o.affordable(float64(m.window.room(now)-need))))
	}
	later = min(later, m.fades(now, o.keep(), need))
	return max(at, later, now+1) // both may be early, but now would mean that there is room
}

// fadeSteps is how often what is kept for urgent work is looked at within its memory,
// while it alone keeps bulk work back.
const fadeSteps = 128

// fades returns when so little may be expected of urgent work, if no more comes, that
// what is kept for it leaves room for need. It is hardly ever late, for what is kept
// falls no faster than the rate of urgent work is forgotten.
func (m *meter) fades(now time.Duration, keep float64, need int64) time.Duration {
	memory := m.terms.memory()
	step := memory / fadeSteps
	spare := m.window.room(now) - need
	if spare < 0 {
		return max(now+step, m.window.when(now, need, m.window.inFlight()))
	}
	if spare > 0 {
		step = max(step, time.Duration(float64(memory)*math.Log(keep/float64(spare))))
	}
	return now + step
}

// affordable returns the time left at which no more than spare is kept: the
// positive solution of u·t + z·sqrt(u·t) = spare.
func (o *outlook) affordable(spare float64) float64 {
	root := (math.Sqrt(o.z*o.z+4*max(0, spare)) - o.z) / 2
	return root * root / o.urgent
}
