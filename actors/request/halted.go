package request

import (
	"cmp"
	"net/http"
	"runtime"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// A halt meets a request at four places: when it is prepared, when it has a connection
// and is about to be signed, when it has left but for its first byte, and wherever it
// waits, by the word HaltStands. The throttler sees to those in its queue besides.

// Subject is what halts look at in a request that is not on its journey yet. One that
// goes nowhere has no path, and is refused for that by whoever prepares it.
func (c *Carrier) Subject(asked *messages.Request, defaultLimit string) throttle.Subject {
	about := subjectOf(asked)
	about.LimitID = cmp.Or(asked.LimitID, defaultLimit)
	var at target
	if err := c.aim(&at, asked); err == nil {
		about.Path = at.escapedPath
	}
	if asksServer(asked) {
		about.Path = asked.Path
	}
	return about
}

func subjectOf(asked *messages.Request) throttle.Subject {
	return throttle.Subject{
		Parts:    throttle.Parts{Account: asked.Account, Key: asked.Key, Egress: asked.Egress},
		Priority: asked.Priority, Method: cmp.Or(asked.Method, http.MethodGet),
	}
}

// subject is the same on the journey, as the pre-processors left the request.
func (r *slot) subject() throttle.Subject {
	about := subjectOf(r.asked)
	about.LimitID, about.Path = r.limit, r.call.Path
	return about
}

// halted returns the error of a request that is halted; nil if it may go on. An errand of
// the engine's own is not, and nothing of a rehearsal leaves.
func (r *slot) halted() error {
	if !r.needs.Halts.Any() { // mostly, and then what it takes to look is not on the stack
		return nil
	}
	return r.refusedByHalt()
}

//go:noinline
func (r *slot) refusedByHalt() error {
	if h := r.haltedBy(); h != nil {
		return h.Refuse()
	}
	return nil
}

func (r *slot) haltedBy() *throttle.Halt {
	if !r.needs.Halts.Any() || r.terms.Errand || r.terms.Rehearsed != nil {
		return nil
	}
	return r.needs.Halts.Of(r.subject())
}

// leaveIfHalted ends the wait for permit and connection of a request that is halted,
// unless the answer is on its way: then that, or the look behind it, decides.
func (r *slot) leaveIfHalted() {
	if h := r.haltedBy(); h != nil && r.quitQueue() {
		r.fail(r.withLastError(h.Refuse()))
	}
}

// HaltRound tells every request that is on its journey to look whether it is halted: a
// few at a time, as whoever calls it again and again until it returns 0 has time.
type HaltRound struct {
	left   []*slot
	parked []*Parked
}

// TellHalted returns a round of all slots there are, and of all that are parked.
func (c *Carrier) TellHalted() HaltRound { return HaltRound{c.slots.list(), c.crowd.list()} }

// toldAtOnce is how many are told in one go: each may be woken by it.
const toldAtOnce = 64

// Some tells some of those left, and returns how many are.
func (t *HaltRound) Some() (left int) {
	n := min(toldAtOnce, len(t.left))
	for _, r := range t.left[:n] {
		r.Tell(protocol.HaltStands{})
	}
	t.left = t.left[n:]
	n = min(toldAtOnce-n, len(t.parked))
	for _, p := range t.parked[:n] {
		p.notify(newsHalted)
	}
	t.parked = t.parked[n:]
	return len(t.left) + len(t.parked)
}

const (
	// departPatience is how long an exchange that is halted may take between its last
	// look and its first byte: mostly no time at all, but a connection may take none.
	departPatience = 100 * time.Millisecond
	// departSpins is how often one is looked at before anybody sleeps.
	departSpins = 100
	departNap   = 50 * time.Microsecond
)

// AwaitDepartures returns when no request that a halt selects is between its last look
// and its first byte on the wire any more. One that stays there is aborted: what its
// connection may have taken is not known then.
func (c *Carrier) AwaitDepartures(h *throttle.Halt) {
	var began time.Time
	for _, r := range c.slots.list() {
		for spins := 0; r.departs(h); spins++ {
			switch {
			case spins < departSpins:
				runtime.Gosched()
				continue
			case began.IsZero():
				began = time.Now()
			case time.Since(began) > departPatience:
				r.recallExchange(h)
			}
			time.Sleep(departNap)
		}
	}
}

// departs reports whether a request that a halt selects is about to leave.
func (r *slot) departs(h *throttle.Halt) bool {
	w := &r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	return r.departsLocked(h)
}

// departsLocked requires that watch.mu is held. While an exchange is watched its request
// does not change: the life goes on behind watch.end.
func (r *slot) departsLocked(h *throttle.Halt) bool {
	if r.watch.conn == nil || r.terms.Errand || r.watch.halted != nil || !h.Selects(r.subject()) {
		return false
	}
	conn, known := r.watch.conn.(protocol.Departing)
	return !known || !conn.Departed()
}

// recallExchange aborts an exchange that would have left by now.
func (r *slot) recallExchange(h *throttle.Halt) {
	w := &r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.departsLocked(h) {
		w.halted = h
		w.cut()
	}
}

// list returns all slots there are.
func (s *slots) list() []*slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(s.all)
	for r := range s.others {
		all = append(all, r)
	}
	return all
}
