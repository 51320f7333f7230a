package throttle

import "time"

// alarms are the lines that time alone may have let somebody pass, a heap by the
// instant at which they are to be looked at.
type alarms []alarm

type alarm struct {
	at   time.Duration
	line *line
}

// set has a line looked at then; never means not at all.
func (h *alarms) set(ln *line, at time.Duration) {
	switch {
	case at == never:
		h.clear(ln)
	case ln.slot == 0:
		*h = append(*h, alarm{at, ln})
		ln.at, ln.slot = at, len(*h)
		h.up(len(*h) - 1)
	case at != ln.at:
		ln.at = at
		i := ln.slot - 1
		(*h)[i].at = at
		h.fix(i)
	}
}

// advance has a line looked at no later than that.
func (h *alarms) advance(ln *line, at time.Duration) {
	if ln.slot == 0 || at < ln.at {
		h.set(ln, at)
	}
}

// clear forgets the alarm of a line.
func (h *alarms) clear(ln *line) {
	if ln.slot == 0 {
		return
	}
	s, i := *h, ln.slot-1
	last := len(s) - 1
	s[i] = s[last]
	s[last] = alarm{}
	*h = s[:last]
	ln.slot = 0
	if i < last {
		h.fix(i)
	}
}

// next returns when the first line is to be looked at, or never.
func (h alarms) next() time.Duration {
	if len(h) == 0 {
		return never
	}
	return h[0].at
}

func (h alarms) fix(i int) {
	h.down(i)
	h.up(i)
}

func (h alarms) up(i int) {
	a := h[i]
	for i > 0 {
		parent := (i - 1) / arity
		if h[parent].at <= a.at {
			break
		}
		h.put(i, h[parent])
		i = parent
	}
	h.put(i, a)
}

func (h alarms) down(i int) {
	a := h[i]
	for {
		best := h.earliestChild(i)
		if best < 0 || h[best].at >= a.at {
			break
		}
		h.put(i, h[best])
		i = best
	}
	h.put(i, a)
}

func (h alarms) put(i int, a alarm) {
	h[i] = a
	a.line.slot = i + 1
}

func (h alarms) earliestChild(i int) int {
	first := arity*i + 1
	if first >= len(h) {
		return -1
	}
	best := first
	for c := first + 1; c < min(first+arity, len(h)); c++ {
		if h[c].at < h[best].at {
			best = c
		}
	}
	return best
}
