package throttle

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// send decides what becomes of a granted request.
func (w *world) send(r *request) {
	out, back := w.delay(), w.delay()
	if w.rng.Float64() >= w.loss {
		w.after(out, func() { w.arrive(r, back, true) })
		return
	}
	timeout := w.span(sec)
	longest := w.longestDelay(r)
	switch w.rng.IntN(5) {
	case 0:
		w.after(timeout, func() { w.settle(r, Outcome{Fate: NeverSent}) })
	case 1: // lost on the way out
		w.after(timeout, func() { w.lose(r) })
	case 2: // the answer is lost
		w.after(min(out, timeout), func() { w.arrive(r, 0, false) })
		w.after(timeout, func() { w.lose(r) })
	case 3: // arrives after it was given up
		late := w.span(longest)
		w.after(timeout, func() { w.lose(r) })
		w.enter(timeout+late, arrivals, func() { w.arrive(r, 0, false) })
	case 4: // the peer closes, and a proxy in front of the server goes on
		late := w.span(w.longestAfterClose(r))
		w.after(timeout, func() { w.giveUp(r, Closed) })
		if w.rng.IntN(3) > 0 {
			w.enter(timeout+late, arrivals, func() { w.arrive(r, 0, false) })
		}
	}
}

// longestAfterClose is the most that every limit of r believes a proxy to go on.
func (w *world) longestAfterClose(r *request) time.Duration {
	longest := defaultCloseDelay
	for at := range w.charges(r) {
		longest = min(longest, cmp.Or(w.limit(at.id).CloseDelay, defaultCloseDelay))
	}
	return longest
}

func (w *world) delay() time.Duration { return w.minRTT/2 + w.span(80*ms) }

// longestDelay is the most that every limit of r believes in.
func (w *world) longestDelay(r *request) time.Duration {
	longest := time.Minute
	for at := range w.charges(r) {
		longest = min(longest, cmp.Or(w.limit(at.id).MaxDelay, defaultMaxDelay))
	}
	return longest
}

func (w *world) arrive(r *request, back time.Duration, answers bool) {
	at := w.serverTime(w.now)
	for where, weight := range w.charges(r) {
		w.oracle(where)
		if s := w.servers[where]; s != nil && !s.arrive(at, weight) {
			w.fail("the server refuses request %d for %v", r.number, where)
		}
		if w.limit(where.id).Window == Concurrency {
			w.serving[where] += weight
			if w.serving[where] > w.limit(where.id).Quota {
				w.fail("the server is asked too much at once for %v", where)
			}
		}
	}
	if answers {
		stamp := at
		w.after(back/2, func() { w.served(r) })
		w.after(back, func() { w.settle(r, w.dated(stamp)) })
	} else {
		w.served(r)
	}
}

func (w *world) served(r *request) {
	for where, weight := range w.charges(r) {
		w.serving[where] -= weight
	}
}

func (w *world) dated(stamp time.Duration) Outcome {
	if !w.dates || w.rng.IntN(2) == 0 {
		return Outcome{}
	}
	resolution := []time.Duration{0, ms, sec}[w.rng.IntN(3)]
	if resolution > 0 {
		stamp = stamp / resolution * resolution
	}
	return Outcome{ServerTime: stamp, Resolution: resolution}
}

func (w *world) settle(r *request, o Outcome) {
	w.log("settled %d: %d", r.number, o.Fate)
	w.l.Settle(w.now, &r.Permit, o)
	w.unsend(r)
	if o.Fate == NeverSent {
		w.forgive(r)
		return
	}
	w.welcome(r)
	for at, u := range r.uses {
		w.answeredUse(at, u, w.now)
	}
}

// answeredUse keeps the log in the order of the answers.
func (w *world) answeredUse(at place, u *usage, when time.Duration) {
	if u.answered != never {
		return
	}
	u.answered = when
	log := w.oracle(at).log
	i := slices.Index(log, u)
	copy(log[i:], log[i+1:])
	log[len(log)-1] = u
}

// lose gives r up. Each limit lets go of it after its own MaxDelay.
func (w *world) lose(r *request) { w.giveUp(r, Lost) }

func (w *world) giveUp(r *request, f Fate) {
	w.l.Settle(w.now, &r.Permit, Outcome{Fate: f})
	w.unsend(r)
	w.log("lost %d: %d", r.number, f)
	for at, u := range r.uses {
		end := cmp.Or(w.limit(at.id).MaxDelay, defaultMaxDelay)
		if f == Closed {
			end = cmp.Or(w.limit(at.id).CloseDelay, defaultCloseDelay)
		}
		w.enter(end, holdEnds, func() { w.answeredUse(at, u, w.now) })
	}
}

func (w *world) setClock() {
	ahead := w.serverTime(w.now) - w.now
	early, late := w.span(w.clockErr), w.span(w.clockErr)
	w.l.SetClock(w.now, ahead-early, ahead+late)
}

func (w *world) resyncClock() {
	w.setClock()
	if w.left > 0 {
		w.after(w.span(3*sec), w.resyncClock)
	}
}

func (w *world) pause() {
	names := []string{WholeOrigin, w.limits[0].Scope, w.limits[2].Scope}
	s := Scope{Origin: AnyOrigin, Name: names[w.rng.IntN(len(names))]}
	if n := w.rng.IntN(w.origins + 2); n <= w.origins {
		s.Origin = fmt.Sprint(n)
	}
	if by := w.apart(s.Name); by&ByAccount != 0 && w.rng.IntN(2) == 0 {
		s.Account = []string{DefaultAccount, "main", "sub"}[w.rng.IntN(3)]
	}
	if by := w.apart(s.Name); by&ByEgress != 0 && w.rng.IntN(2) == 0 {
		s.Egress = []string{DefaultEgress, "eth1"}[w.rng.IntN(2)]
	}
	until := w.now + w.span(3*sec)
	w.log("paused %v until %v", s, until)
	if err := w.l.Pause(w.now, s, until); err != nil {
		w.fail("%v", err)
	}
	if until > max(w.paused[s], w.now) {
		w.paused[s] = until
		for g := range w.welcomed {
			if g.Scope == s {
				delete(w.welcomed, g)
			}
		}
	}
	if w.left > 0 {
		w.after(w.span(10*sec), w.pause)
	}
}

func (w *world) replaceLimits() {
	if err := w.l.Replace(w.now, w.limits); err != nil {
		w.fail("%v", err)
	}
	if w.left > 0 {
		w.after(w.span(4*sec), w.replaceLimits)
	}
}
