package engine

import (
	"cmp"
	"slices"
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
// is none wait here: behind those that wait in the origin's pool they would only cost more. One that
// is more urgent than some of those on their way does not wait for them: it goes to the pool, which
// has it go before them. And while some of those may still wait there, a few more of the most urgent
// do than there are connections: one that comes back is lent anew before whoever had it begins the
// next, and must find that one there, and not a less urgent one.
//
// A request that waits for a limit, or for its next attempt, stands by: it keeps its goroutine,
// and another begins the next one in its place. Of those there are mostStanding at most. From
// then on requests are submitted, and wait without a goroutine; there are no more of them on their
// way either.
//
// Invariant, while mu is free: a crew for which requests wait has as many on their way that are as
// urgent as the most urgent of these as it may have, and that one is begun when one of them ends or
// stands by; or the run is over. Nothing less urgent is begun before it.
type crews struct {
	run  *run
	most int // requests of a crew on their way, beside those that stand by and those that are less urgent

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
	// mostAhead is how many more of the most urgent may wait for the next connections than there are
	// connections.
	mostAhead = 8
	// mostStanding is how many goroutines of a run may wait with their requests, in 8 KB each.
	mostStanding = 256
	// mostIdle is for how many lanes crews are kept that have nothing to do.
	mostIdle = 64
	// mostRanks is up to how many ranks a crew keeps one that has nothing to do.
	mostRanks = 8
)

// lane is what requests have in common that wait for the same connections. Of an origin that is
// spelt in two ways there are two.
type lane struct {
	origin string // what the URL begins with; empty for the engine's own origin
	egress string
}

// crew has the requests of one lane.
type crew struct {
	*crews
	lane  lane
	ranks []*rank // guarded by mu: the most urgent first
}

// rank has those of one priority, in the order of the input.
type rank struct {
	*crew
	priority Priority

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
	return lane{beforePath(req.URL), req.Egress}
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
		it.turnAway(it.contextError())
		return
	}
	w := c.last
	if w == nil || w.lane != at {
		w = c.crewLocked(at)
	}
	w.rankLocked(it.sent.Priority).pushLocked(it)
	c.ringLocked(it.until)
	begins := w.beginLocked()
	c.mu.Unlock()
	c.start(begins)
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

// rankLocked returns that of a priority. It requires that mu is held.
func (w *crew) rankLocked(p Priority) *rank {
	at, found := slices.BinarySearchFunc(w.ranks, p, func(r *rank, p Priority) int { return cmp.Compare(p, r.priority) })
	if !found {
		w.ranks = slices.Insert(w.ranks, at, &rank{crew: w, priority: p})
	}
	return w.ranks[at]
}

// pushLocked requires that mu is held.
func (r *rank) pushLocked(it *item) {
	it.rank, it.next = r, nil
	if r.first == nil {
		r.first = it
	} else {
		r.end.next = it
	}
	r.end = it
	r.todo++
}

// popLocked requires that mu is held, and that one waits.
func (r *rank) popLocked() *item {
	it := r.first
	r.first, it.next = it.next, nil
	if r.first == nil {
		r.end = nil
	}
	r.todo--
	return it
}

// beginLocked takes out the next one, if it may begin, and counts it out on its way: a goroutine
// is to go on with it. It requires that mu is held.
func (w *crew) beginLocked() *item {
	moving := 0
	for at, r := range w.ranks { // whoever is less urgent than one that waits waits as well
		moving += r.out - r.standing
		if moving >= w.most && moving >= w.most+w.aheadLocked(w.ranks[at+1:]) {
			return nil
		}
		if r.first != nil {
			it := r.popLocked()
			r.out++
			it.submitted = w.crews.standing >= mostStanding // it is to wait without a goroutine
			return it
		}
	}
	return nil
}

// aheadLocked is how many more wait for a connection than there are, for the sake of those ranks: as
// many as come back in the same moment, mostly, if anybody of these may wait there as well. Who stands
// by may, for he does so until he has his connection. It requires that mu is held.
func (w *crew) aheadLocked(ofThese []*rank) int {
	if slices.ContainsFunc(ofThese, func(r *rank) bool { return r.out > 0 }) {
		return min(w.most, mostAhead)
	}
	return 0
}

// start lends a goroutine to an item; nil needs none.
func (c *crews) start(it *item) {
	if it != nil {
		c.run.eng.system.Lend(it)
	}
}

// next takes the next one out, for a goroutine whose item of that rank has ended; nil means that it
// is not needed any more.
func (r *rank) next() *item {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leaveLocked()
	return r.beginLocked()
}

// leaveLocked counts a goroutine out, or a request that was submitted. It requires that mu is held.
func (r *rank) leaveLocked() {
	r.out--
	if !r.idle() {
		return
	}
	w := r.crew
	w.forgetLocked()
	if len(w.of) > mostIdle && !slices.ContainsFunc(w.ranks, func(r *rank) bool { return !r.idle() }) {
		delete(w.of, w.lane)
		if w.last == w {
			w.last = nil
		}
	}
}

// idle requires that mu is held.
func (r *rank) idle() bool { return r.out == 0 && r.first == nil }

// forgetLocked forgets ranks that have nothing to do, where there are many: a priority may be any
// number. It requires that mu is held.
func (w *crew) forgetLocked() {
	if len(w.ranks) > mostRanks {
		w.ranks = slices.DeleteFunc(w.ranks, (*rank).idle)
	}
}

// Work is part of request.Work: the way of a goroutine through the requests of a crew, from this one
// on. Code of the caller's may end it.
func (it *item) Work() { it.rank.crew.work(it) }

func (w *crew) work(it *item) {
	returns := false
	defer func() {
		switch {
		case returns:
		case it != nil:
			w.cutOff(it)
		default: // what it has submitted ends by itself
			w.start(w.another())
		}
	}()
	for it != nil {
		inHand := it
		if it.submitted {
			it = nil // it is somebody else's
			w.run.eng.submit(inHand.ctx, inHand.sent, inHand)
			it = w.another()
			continue
		}
		response, err := w.carry(it)
		of := it.rank
		it = nil // likewise
		inHand.ended(response, err)
		it = of.next()
	}
	returns = true
}

// another takes the next one out, for a goroutine that has none in hand: see beginLocked.
func (w *crew) another() *item {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.beginLocked()
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
	r := it.rank
	r.mu.Lock()
	r.leaveLocked()
	begins := r.beginLocked()
	r.mu.Unlock()
	r.start(begins)
}

// Asks is part of request.Standby.
func (*item) Asks(request.Queue) {}

// StandsBy is part of request.Standby.
func (it *item) StandsBy(request.Queue) {
	r := it.rank
	r.mu.Lock()
	var begins *item
	if !it.stands {
		it.stands = true
		r.standing++
		if !it.submitted {
			r.crews.standing++
		}
		begins = r.beginLocked()
	}
	r.mu.Unlock()
	r.start(begins)
}

// GoesOn is part of request.Standby. Whoever calls it has the item, and nobody else writes then
// whether it stands by.
func (it *item) GoesOn(bool) {
	if !it.stands {
		return
	}
	r := it.rank
	r.mu.Lock()
	it.stands = false
	r.standing--
	if !it.submitted {
		r.crews.standing--
	}
	r.mu.Unlock()
}

// AskedAt is part of request.Standby.
func (it *item) AskedAt() string { return callsite.Of(it.run.stack) }

// Over is part of request.Standby.
func (it *item) Over() error { return it.run.over() }

// Ends is part of request.Standby.
func (it *item) Ends(response *Response, err error) { it.response, it.err = response, err }
