package limits

import (
	"slices"
	"time"
)

// sendLog remembers what was sent in the last period.
type sendLog struct {
	per     time.Duration
	entries []sending
	sum     int64
}

type sending struct {
	at     time.Duration
	weight int64
}

func (l *sendLog) expire(now time.Duration) {
	n := 0
	for n < len(l.entries) && now-l.entries[n].at >= l.per {
		l.sum -= l.entries[n].weight
		n++
	}
	l.entries = l.entries[n:]
}

func (l *sendLog) add(now time.Duration, w int64) {
	l.entries = append(l.entries, sending{now, w})
	l.sum += w
}

// never is later than any run lasts.
const never = time.Duration(1 << 62)

// when is the first instant at which w more stays within quota.
func (l *sendLog) when(now time.Duration, w, quota int64) time.Duration {
	if w > quota {
		return never
	}
	l.expire(now)
	excess := l.sum + w - quota
	for _, e := range l.entries {
		if excess <= 0 {
			break
		}
		if excess -= e.weight; excess <= 0 {
			return e.at + l.per
		}
	}
	return now
}

// logs are one sendLog per rule.
type logs struct {
	w    *world
	logs []sendLog
}

func newLogs(w *world) logs {
	l := logs{w: w}
	for _, r := range w.rules {
		l.logs = append(l.logs, sendLog{per: r.per})
	}
	return l
}

// capacity of the quota of rule i, with a margin left unused.
func (l *logs) capacity(i int, margin float64) int64 {
	return int64(float64(l.w.rules[i].quota) * (1 - margin))
}

func (l *logs) when(r *request, margin float64) time.Duration {
	at := l.w.now
	for _, c := range r.charges {
		at = max(at, l.logs[c.rule].when(l.w.now, c.weight, l.capacity(c.rule, margin)))
	}
	return at
}

func (l *logs) send(r *request) {
	for _, c := range r.charges {
		l.logs[c.rule].add(l.w.now, c.weight)
	}
	l.w.send(r)
}

// plainLog sends first come, first served, as soon as the log of sendings has
// room for the first in the queue.
type plainLog struct {
	unaware
	logs
	queue []*request
	armed bool // a timer will call serve
}

func newPlainLog(w *world) *plainLog { return &plainLog{logs: newLogs(w)} }

func (p *plainLog) submit(r *request) {
	i := len(p.queue) // urgent ones go first; a plain log with a queue can do that much
	for i > 0 && p.queue[i-1].flow.priority < r.flow.priority {
		i--
	}
	p.queue = slices.Insert(p.queue, i, r)
	p.serve()
}

func (p *plainLog) serve() {
	for len(p.queue) > 0 {
		r := p.queue[0]
		if at := p.when(r, 0); at > p.w.now {
			p.arm(at)
			return
		}
		p.queue = p.queue[1:]
		p.send(r)
	}
}

// arm needs no second timer: what is first in the queue may change, but never
// so that it could go earlier.
func (p *plainLog) arm(at time.Duration) {
	if p.armed {
		return
	}
	p.armed = true
	p.w.at(at, func() {
		p.armed = false
		p.serve()
	})
}

// reference lets every waiter look for room by itself, 100 ms after it looked
// last. It keeps 5 % of each limit free.
type reference struct {
	unaware
	logs
}

const (
	referenceRetry  = 100 * time.Millisecond
	referenceMargin = 0.05
)

func newReference(w *world) *reference { return &reference{logs: newLogs(w)} }

// submit leaves out the looks that cannot find room: the logs never have it
// earlier than they say, for nothing is ever taken out of them.
func (f *reference) submit(r *request) {
	at := f.when(r, referenceMargin)
	if at == f.w.now {
		f.send(r)
		return
	}
	if at > f.w.horizon {
		return
	}
	look := f.w.now
	for look < at {
		look += referenceRetry + f.w.upTo(time.Millisecond)
	}
	f.w.at(look, func() { f.submit(r) })
}
