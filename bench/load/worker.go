package load

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/bench/targets"
)

// worker makes requests, one at a time: those of arrivals in an open run, its own in a closed
// one. What it has is used again for the next, and allocates nothing.
type worker struct {
	run     *runner
	number  int
	wake    chan struct{} // room for one; the desk's
	seat    seat
	session targets.Session
	answer  Answer
	sample  sample
}

func (r *runner) newWorker() *worker {
	w := &worker{run: r, number: int(r.workers.Add(1)), wake: make(chan struct{}, 1)}
	w.seat.parent = r.requests
	r.seats.add(&w.seat)
	return w
}

func (w *worker) leave() {
	w.run.seats.remove(&w.seat)
	w.seat.leave()
}

// serve is a worker's life in an open run.
func (w *worker) serve(d *desk) {
	defer w.leave()
	n, due, ok := d.take(w, true)
	for ok {
		w.arrival(w.run.number(n), due, true)
		n, due, ok = d.take(w, false)
	}
}

// arrival makes the requests of arrival n, one after another. announced says that the first
// is counted as offered already. It returns when the last one ended.
func (w *worker) arrival(n uint64, due time.Duration, announced bool) (end time.Duration) {
	w.run.journey.plan.Begin(&w.session, n)
	m := &w.sample
	ready := due
	for end = due; ; announced = false {
		request, more, err := w.session.Next()
		if !more && err == nil {
			return end
		}
		*m = sample{due: due, ready: ready, announced: announced, sent: -1}
		m.handed = w.run.now()
		if err != nil {
			m.operation, m.end, m.kind = w.run.journey.operationOf(err), m.handed, kindTemplate
			w.run.messages.tell(m, err)
			w.run.shards.put(w.number, m)
			return m.end
		}
		m.operation = request.Operation
		if !w.request(request) {
			return m.end
		}
		if m.kind == "" {
			if err := learn(&w.session, request, &w.answer); err != nil {
				m.kind = kindTemplate // it lacked what later steps need: they are not made
				w.run.messages.tell(m, err)
			}
		}
		w.run.shards.put(w.number, m)
		if m.kind != "" {
			return m.end
		}
		end, ready, due = m.end, m.end, w.run.nextDue(m)
	}
}

// request makes one, and completes the sample; false if the run has counted it itself.
func (w *worker) request(request *targets.Request) bool {
	m, a := &w.sample, &w.answer
	*a = Answer{}
	m.out = int64(len(request.Body))
	ctx := w.seat.begin(m, w.run.timeout)
	w.run.inFlight.Add(1)
	w.run.client.Do(ctx, request, a)
	w.run.inFlight.Add(-1)
	overdue, cut, counted := w.seat.finish()
	if counted {
		return false
	}
	m.end = w.run.at(a.End)
	if !a.Sent.IsZero() {
		m.sent = w.run.at(a.Sent)
	}
	m.status, m.in, m.connected, m.stages, m.repeats = a.Status, a.In, a.Connected, a.Stages, a.Repeats
	switch {
	case cut && m.end >= w.run.cutAt(): // the drain has ended first
		m.giveUp(w.run.cutAt())
	case a.Err != nil:
		m.kind = a.Kind
		if m.kind == "" {
			m.kind = KindOf(a.Err)
		}
		if overdue {
			m.kind = kindTimeout
			a.Err = fmt.Errorf("its time of %v was up: %w", w.run.timeout, a.Err)
		}
		w.run.messages.tell(m, a.Err)
	case !succeeds(request.Step, a.Status):
		m.kind = statusKind(a.Status)
	}
	m.refused = a.refused || m.kind == kindSystem
	return true
}

// giveUp makes the sample that of a request which was outstanding when the drain ended.
func (m *sample) giveUp(cut time.Duration) {
	m.end, m.kind, m.fate = max(cut, m.due), kindUnfinished, unfinished
	if m.sent < 0 || m.sent > m.end {
		m.sent, m.fate = -1, neverSent
	}
	m.status = 0
}
