package load

import (
	"sync"
	"time"

	"github.com/sluice-engine/sluice/bench/schedule"
)

// desk is where arrivals that are due wait for workers. It keeps no arrival, but two numbers:
// those from taken up to released wait, and each has its instant from a schedule of the
// desk's own. So a run that is behind by a million costs no more memory than one that is on
// time, and no arrival loses its intended instant.
//
// Invariant: taken ≤ released. Every arrival below taken was given to exactly one worker, in
// order. coming counts workers that were woken or started and are not yet back at the desk;
// as long as arrivals wait, each has a worker that comes, or the bound is reached, or all
// are at work.
type desk struct {
	mu       sync.Mutex
	due      schedule.Schedule // of those that are taken
	released uint64
	taken    uint64
	idle     []*worker // the last to become idle is the first to work: its stack is warm
	workers  int
	coming   int
	bound    int // of workers; 0 means none
	start    func()

	ended bool // nothing more is released
	cut   bool // nothing more is taken
}

func newDesk(due schedule.Schedule, bound int, start func()) *desk {
	return &desk{due: due, bound: bound, start: start}
}

// release says that all arrivals below n are due.
func (d *desk) release(n uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released = n
	for uint64(d.coming) < d.released-d.taken && d.summon() {
	}
}

// summon has one more worker come, unless there can be none.
func (d *desk) summon() bool {
	if last := len(d.idle) - 1; last >= 0 {
		w := d.idle[last]
		d.idle = d.idle[:last]
		d.coming++
		w.wake <- struct{}{} // it has room for one, and an idle worker has none
		return true
	}
	if d.bound > 0 && d.workers >= d.bound {
		return false
	}
	d.workers++
	d.coming++
	d.start()
	return true
}

// take gives a worker the next arrival, and waits until there is one; false is the end.
// arriving says that the worker was summoned.
func (d *desk) take(w *worker, arriving bool) (n uint64, due time.Duration, ok bool) {
	for {
		d.mu.Lock()
		if arriving {
			d.coming--
		}
		if !d.cut && d.taken < d.released {
			n = d.taken
			d.taken++
			due, _ = d.due.At(n)
			d.mu.Unlock()
			return n, due, true
		}
		if d.ended || d.cut {
			d.workers--
			d.mu.Unlock()
			return 0, 0, false
		}
		d.idle = append(d.idle, w)
		d.mu.Unlock()
		<-w.wake
		arriving = true
	}
}

// end says that nothing more is released, and sends idle workers home.
func (d *desk) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended = true
	d.dismiss()
}

// stop ends the taking as well, and returns the numbers of those that nobody took: from
// first up to, and without, last.
func (d *desk) stop() (first, last uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ended, d.cut = true, true
	d.dismiss()
	return d.taken, d.released
}

func (d *desk) dismiss() {
	for _, w := range d.idle {
		d.coming++
		w.wake <- struct{}{}
	}
	d.idle = nil
}

// backlog is how many arrivals are due and not taken.
func (d *desk) backlog() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int(d.released - d.taken)
}
