package referee

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"
)

// network tells whoever it concerns what happens, in the order of time. One
// goroutine runs it, under the world's lock.
type network struct {
	due  agenda
	seq  uint64
	kick chan struct{} // something is due before what was waited for
	quit chan struct{}
	done chan struct{}
}

// event is what happens at an instant. Of two at the same instant the one that was
// planned first does.
type event struct {
	at  time.Duration
	seq uint64
	do  func(at time.Duration)
}

type agenda []event

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, j int) { a[i], a[j] = a[j], a[i] }
func (a *agenda) Push(x any)   { *a = append(*a, x.(event)) }

func (a agenda) Less(i, j int) bool {
	return a[i].at < a[j].at || a[i].at == a[j].at && a[i].seq < a[j].seq
}

func (a *agenda) Pop() any {
	last := len(*a) - 1
	e := (*a)[last]
	(*a)[last] = event{}
	*a = (*a)[:last]
	return e
}

// at plans what happens at an instant. It requires that the world's lock is held.
func (w *world) at(at time.Duration, do func(at time.Duration)) {
	n := &w.network
	n.seq++
	heap.Push(&n.due, event{at, n.seq, do})
	if n.due[0].seq == n.seq {
		select {
		case n.kick <- struct{}{}:
		default:
		}
	}
}

// run does what is due until the world ends.
func (w *world) run() {
	n := &w.network
	defer close(n.done)
	alarm := time.NewTimer(time.Hour)
	defer alarm.Stop()
	for {
		alarm.Reset(w.doDue())
		select {
		case <-alarm.C:
		case <-n.kick:
		case <-n.quit:
			return
		}
	}
}

// doDue does what is due now, and returns how long it is until the next.
func (w *world) doDue() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := &w.network
	for now := w.now(); len(n.due) > 0; {
		if wait := n.due[0].at - now; wait > 0 {
			return wait
		}
		e := heap.Pop(&n.due).(event)
		e.do(e.at)
	}
	return time.Hour
}

// now is the client's time since the world began.
func (w *world) now() time.Duration { return time.Since(w.start) }

// lag draws how long what is sent now takes. It requires that the world's lock is
// held.
func (w *world) lag() time.Duration { return w.scene.lag(w.rng) }

// leastLag is what no way takes less than.
const leastLag = time.Millisecond

// between draws from [least, most).
func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)))
}

// jittery takes 1 to 80 ms.
func jittery(rng *rand.Rand) time.Duration { return between(rng, leastLag, 80*time.Millisecond) }

// stalling is jittery, and takes seconds once in a while.
func stalling(rng *rand.Rand) time.Duration {
	if rng.IntN(300) == 0 {
		return between(rng, time.Second, 6*time.Second)
	}
	return jittery(rng)
}

// brisk is 1 to 20 ms.
func brisk(rng *rand.Rand) time.Duration { return between(rng, leastLag, 20*time.Millisecond) }

var errNoRoute = errors.New("no route to host")

// dial is a Dial.DialContext.
func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	name, _, _ := net.SplitHostPort(addr)
	w.mu.Lock()
	h := w.hosts[name]
	wait, dead := w.lag(), h.dead(w.rng)
	w.mu.Unlock()
	if dead == hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if dead == refuses {
		return nil, errNoRoute
	}
	return w.connect(h), nil
}

// connect opens a connection to a host.
func (w *world) connect(h *host) net.Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dialled++
	w.open++
	l := &link{world: w, host: h, name: uint64(w.dialled), wake: make(chan struct{}, 1)}
	if w.scene.blind {
		return l
	}
	return seeing{l}
}
