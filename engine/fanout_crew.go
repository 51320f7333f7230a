package engine

import (
	"strings"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/callsite"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// crews are the goroutines that carry the requests of a run, each one after another: whoever
// has ended a request begins the next, on the connection that it has just given back. There are
// as many of them for an origin as may have connections there, and the requests for which there
// is none wait here: behind those that wait in the origin's pool they would only cost more.
//
// A request that waits for a limit, or for its next attempt, stands by: it keeps its goroutine,
// and another begins the next one in its place. Of those there are mostStanding at most. From
// then on requests are submitted, and wait without a goroutine; there are no more of them on their
// way either.
//
// Invariant, while mu is free: a crew for which requests wait has as many on their way as it may
// have, and the next is begun when one of them ends or stands by; or the run is over.
type crews struct {
	run  *run
	most int // requests of a crew on their way, beside those that stand by

	mu       sync.Mutex
	of       map[lane]*crew // guarded by mu: all that have goroutines, and some others
	last     *crew          // guarded by mu: whom an item was given last; one of those, or nil
	todo     int64          // guarded by mu: items that wait
	standing int            // guarded by mu: goroutines whose request stands by
	over     bool           // guarded by mu: nothing waits here any more
	alarm    *time.Timer    // guarded by mu: for the first whose FanOut.Each is over; nil before one could be
	rings    time.Time      // guarded by mu: when it rings; zero if it does not
}

const (
	// mostStanding is how many goroutines of a run may wait with their requests, in 8 KB each.
	mostStanding = 256
	// mostIdle is for how many lanes crews are kept that have nothing to do.
	mostIdle = 64
)

// lane is what requests have in common that wait for the same connections, and of which none
// goes before another. Of an origin that is spelt in two ways there are two.
type lane struct {
	origin   string // what the URL begins with; empty for the engine's own origin
	egress   string
	priority Priority
}

// crew has the requests of one lane, in the order of the input.
type crew struct {
	*crews
	lane lane

	first, end *item // guarded by mu: of those that wait, one after the other by item.next; nil without any
	out        int   // guarded by mu: goroutines, and requests that were submitted
	standing   int   // guarded by mu: of those, how many stand by
}

func (c *crews) prepare(r *run) {
	c.run, c.most = r, r.eng.mostAtOnce
	c.of = make(map[lane]*crew, 1)
}

// takes reports whether a request is one for a crew. One that shares the answer of another does
// so wherever it waits, and is worth the more the more of them wait at once.
func takes(req *Request) bool { return req != nil && !shares(req) }

func laneOf(req *Request) lane {
	return lane{beforePath(req.URL), req.Egress, req.Priority}
}

// beforePath is what a URL has before its path.
func beforePath(url string) string {
	scheme := strings.Index(url, "://")
	if scheme < 0 {
		return "" // it is refused, unless it is empty
	}
	if end := strings.IndexAny(url[scheme+3:], "/?#"); end >= 0 {
		return url[:scheme+3+end]
	}
	return url
}

// put gives an item to its crew. It is not the caller's any more.
func (c *crews) put(it *item) {
	at := laneOf(it.sent)
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		it.turnAway(messages.ContextError(it.ctx))
		return
	}
	w := c.last
	if w == nil || w.lane != at {
		w = c.crewLocked(at)
	}
	w.pushLocked(it)
	c.ringLocked(it.until)
	starts := w.startsLocked()
	c.mu.Unlock()
	w.start(starts)
}

// crewLocked requires that mu is held.
func (c *crews) crewLocked(at lane) *crew {
	w := c.of[at]
	if w == nil {
		w = &crew{crews: c, lane: at}
		c.of[at] = w
	}
	c.last = w
	return w
}

// waiting is how many have not begun.
func (c *crews) waiting() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.todo
}

// pushLocked requires that mu is held.
func (w *crew) pushLocked(it *item) {
	it.crew, it.next = w, nil
	if w.first == nil {
		w.first = it
	} else {
		w.end.next = it
	}
	w.end = it
	w.todo++
}

// popLocked requires that mu is held, and that one waits.
func (w *crew) popLocked() *item {
	it := w.first
	w.first, it.next = it.next, nil
	if w.first == nil {
		w.end = nil
	}
	w.todo--
	return it
}

// startsLocked reports whether another goroutine is needed, and counts it as one then. It requires
// that mu is held.
func (w *crew) startsLocked() bool {
	if w.first == nil || w.out-w.standing >= w.most {
		return false
	}
	w.out++
	return true
}

func (w *crew) start(starts bool) {
	if starts {
		w.run.eng.system.Lend(w)
	}
}

// next takes the first one out, for a goroutine of the crew's that has none; nil means that it
// is not needed any more. submits says that the item is to wait without a goroutine.
func (w *crew) next() (it *item, submits bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.first == nil || w.out-w.standing > w.most {
		w.leaveLocked()
		return nil, false
	}
	it = w.popLocked()
	it.submitted = w.crews.standing >= mostStanding
	return it, it.submitted
}

// leaveLocked counts a goroutine out, or a request that was submitted. It requires that mu is held.
func (w *crew) leaveLocked() {
	w.out--
	if w.out == 0 && w.first == nil && len(w.of) > mostIdle {
		delete(w.of, w.lane)
		if w.last == w {
			w.last = nil
		}
	}
}

// Work is part of request.Work: the way of a goroutine through the requests of its crew. Code
// of the caller's may end it.
func (w *crew) Work() {
	returns := false
	var it *item // in hand
	defer func() {
		switch {
		case returns:
		case it != nil:
			w.cutOff(it)
		default: // what it has submitted ends by itself
			w.start(w.another())
		}
	}()
	for {
		next, submits := w.next()
		switch {
		case next == nil:
			returns = true
			return
		case submits:
			w.run.eng.submit(next.ctx, next.sent, next)
			if !w.another() {
				returns = true
				return
			}
		default:
			it = next
			response, err := w.carry(it)
			it = nil // it is somebody else's
			next.ended(response, err)
		}
	}
}

// another reports whether a goroutine is needed, for one that has none in hand: see startsLocked.
func (w *crew) another() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.startsLocked()
}

// carry is Do, on a goroutine of the crew's.
func (w *crew) carry(it *item) (*Response, error) {
	terms := request.Terms{Standby: it}
	response, stream, err := w.run.eng.carry(it.ctx, it.sent, &terms)
	it.GoesOn(false)
	it.lent = stream
	return response, err
}

// cutOff ends an item whose goroutine the caller's own code is ending, and has another take its
// place.
func (w *crew) cutOff(it *item) {
	response, err := it.response, it.err
	if response == nil && err == nil { // before its journey had begun
		err = messages.NewError(it.sent, Admitting, wire.Panicked(Admitting, nil))
		if w.run.eng.observers == nil { // otherwise that is counted where they are told
			w.run.eng.countTurnedAway(err)
		}
	}
	it.countOut()
	it.ended(response, err)
}

// countOut is told by an item whose goroutine takes no other, or that had none.
func (it *item) countOut() {
	it.GoesOn(false)
	w := it.crew
	w.mu.Lock()
	w.leaveLocked()
	starts := w.startsLocked()
	w.mu.Unlock()
	w.start(starts)
}

// StandsBy is part of request.Standby.
func (it *item) StandsBy(request.Queue) {
	w := it.crew
	w.mu.Lock()
	starts := false
	if !it.stands {
		it.stands = true
		w.standing++
		if !it.submitted {
			w.crews.standing++
		}
		starts = w.startsLocked()
	}
	w.mu.Unlock()
	w.start(starts)
}

// GoesOn is part of request.Standby. Whoever calls it has the item, and nobody else writes then
// whether it stands by.
func (it *item) GoesOn(bool) {
	if !it.stands {
		return
	}
	w := it.crew
	w.mu.Lock()
	it.stands = false
	w.standing--
	if !it.submitted {
		w.crews.standing--
	}
	w.mu.Unlock()
}

// AskedAt is part of request.Standby.
func (it *item) AskedAt() string { return callsite.Of(it.run.stack) }

// Ends is part of request.Standby.
func (it *item) Ends(response *Response, err error) { it.response, it.err = response, err }
