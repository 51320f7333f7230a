package request

import (
	"slices"
	"sync"
	"time"
)

// lender has the goroutines that parked requests are lent. The last to be idle is lent
// first: its stack has grown already, and is in a cache. Those that nobody has needed for
// idleTime end.
//
// Whoever was granted something is lent one at once. Those that only have to be told how
// they ended stand in a line, which a few goroutines go along: a halt of very many must not
// be as many goroutines. Where that is told to code of the caller's, which may take its time,
// another goroutine goes along the line meanwhile, up to mostAside of them.
//
// All methods are safe for concurrent use, return at once, and call nobody.
type lender struct {
	step func(*Parked, *worker) // goes on with a request; set before the first
	most int                    // goroutines that go along the line at once; likewise

	mu        sync.Mutex
	idle      []*worker   // guarded by mu
	untouched int         // guarded by mu: the lowest so many have been idle since the last look
	line      []*Parked   // guarded by mu; those before head have been taken
	head      int         // guarded by mu
	walkers   int         // guarded by mu: goroutines that go along the line
	aside     int         // guarded by mu: others that are in code of the caller's with one of it
	tidy      *time.Timer // guarded by mu; nil while nobody is idle
	ended     bool        // guarded by mu: nobody rests here any more
}

// worker is a goroutine of a lender's.
type worker struct {
	lender *lender
	wake   chan loan // of capacity 1: only whoever took it out of the idle ones sends
	walks  bool      // it counts among the walkers; its own
	aside  bool      // or among those aside; likewise
}

// loan is what a goroutine is lent for: one request, some work, or the line. The zero loan ends it.
type loan struct {
	to    *Parked
	work  Work
	walks bool // along the line, among whose walkers it counts already
}

// Work is what a goroutine may be lent for that is no submitted request. It may run code of
// the caller's, which ends the goroutine with runtime.Goexit.
type Work interface{ Work() }

// idleTime is how long a goroutine waits for somebody who needs it, give or take as much.
const idleTime = 10 * time.Second

// lend has a goroutine go on with a request, at once.
func (l *lender) lend(p *Parked) {
	l.mu.Lock()
	g := l.popLocked()
	l.mu.Unlock()
	l.start(g, loan{to: p})
}

// lendTo has a goroutine do some work, at once.
func (l *lender) lendTo(w Work) {
	l.mu.Lock()
	g := l.popLocked()
	l.mu.Unlock()
	l.start(g, loan{work: w})
}

// start has an idle goroutine begin, or a new one if there is none.
func (l *lender) start(g *worker, of loan) {
	if g == nil {
		g = &worker{lender: l, wake: make(chan loan, 1)}
		go g.run(of)
		return
	}
	g.wake <- of // never blocks: it is idle, and nobody else has it
}

// popLocked returns the goroutine that was idle last; nil if there is none. It requires
// that mu is held.
func (l *lender) popLocked() *worker {
	last := len(l.idle) - 1
	if last < 0 {
		return nil
	}
	g := l.idle[last]
	l.idle[last] = nil
	l.idle = l.idle[:last]
	l.untouched = min(l.untouched, last)
	return g
}

// queue has a request go on when its turn comes.
func (l *lender) queue(p *Parked) {
	l.mu.Lock()
	l.line = append(l.line, p)
	g, starts := l.walkerLocked()
	l.mu.Unlock()
	if starts {
		l.start(g, loan{walks: true})
	}
}

// walkerLocked returns who is to go along the line as well, if there are too few: nil is one
// that is yet to be made. It requires that mu is held.
func (l *lender) walkerLocked() (g *worker, starts bool) {
	if waiting := len(l.line) - l.head; l.walkers >= l.most || l.walkers >= waiting || l.aside >= mostAside {
		return nil, false
	}
	l.walkers++
	return l.popLocked(), true
}

// run goes on with requests for as long as there are some. Code of the callers' may end it
// with runtime.Goexit.
func (g *worker) run(of loan) {
	defer g.stay()
	for ; of != (loan{}); of = <-g.wake {
		g.walks = of.walks
		switch {
		case of.to != nil:
			g.lender.step(of.to, g)
		case of.work != nil:
			of.work.Work()
		}
		for p := g.next(); p != nil; p = g.next() {
			g.lender.step(p, g)
		}
	}
}

// next returns the next one in the line, if this goroutine goes along it or may. Otherwise
// it is idle from then on.
func (g *worker) next() *Parked {
	l := g.lender
	l.mu.Lock()
	defer l.mu.Unlock()
	g.standInLocked()
	if !g.walks && l.walkers < l.most && l.head < len(l.line) {
		g.walks = true
		l.walkers++
	}
	if g.walks {
		if p := l.shiftLocked(); p != nil {
			return p
		}
		g.walks = false
		l.walkers--
	}
	if l.ended {
		g.wake <- loan{}
		return nil
	}
	l.idle = append(l.idle, g)
	if l.tidy == nil {
		l.untouched = 0
		l.tidy = time.AfterFunc(idleTime, l.endIdle)
	}
	return nil
}

// keptLine is for how many requests an empty line keeps room.
const keptLine = 1024

// shiftLocked takes the first one out of the line; nil if there is none. It requires that mu
// is held.
func (l *lender) shiftLocked() *Parked {
	if l.head == len(l.line) {
		return nil
	}
	p := l.line[l.head]
	l.line[l.head] = nil
	if l.head++; l.head == len(l.line) {
		if l.head = 0; cap(l.line) > keptLine {
			l.line = nil // a burst must not keep its memory for ever
		}
		l.line = l.line[:0]
	}
	return p
}

// stay takes a goroutine out of the walkers that goes on with one request for longer, or has
// ended: another one takes its place.
func (g *worker) stay() {
	if g == nil || !g.walks && !g.aside {
		return
	}
	g.lender.mu.Lock()
	g.standInLocked()
	g.leaveLine()
}

// mostAside is how many goroutines may be in code of the caller's at once with those that stood in
// the line: a hook that takes 5 ms then holds up a thousand for 20 ms, and a million are no more
// goroutines than that.
const mostAside = 256

// stepAside takes a goroutine out of the walkers until it has done with the one that it goes on with.
// If as many have done so as may, nobody takes its place before one of them comes back.
func (g *worker) stepAside() {
	if g == nil || !g.walks {
		return
	}
	g.lender.mu.Lock()
	g.aside = true
	g.lender.aside++
	g.leaveLine()
}

// leaveLine requires that mu is held, and lets go of it.
func (g *worker) leaveLine() {
	l := g.lender
	if g.walks {
		g.walks = false
		l.walkers--
	}
	next, starts := l.walkerLocked()
	l.mu.Unlock()
	if starts {
		l.start(next, loan{walks: true})
	}
}

// standInLocked counts a goroutine aside no more. It requires that mu is held.
func (g *worker) standInLocked() {
	if g.aside {
		g.aside = false
		g.lender.aside--
	}
}

// endIdle ends those that nobody has needed since the look before.
func (l *lender) endIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	for _, g := range l.idle[:l.untouched] {
		g.wake <- loan{}
	}
	l.idle = slices.Delete(l.idle, 0, l.untouched)
	l.untouched = len(l.idle)
	if len(l.idle) == 0 {
		l.idle, l.tidy = nil, nil
		return
	}
	l.tidy.Reset(idleTime)
}

// end ends those that are idle, and every other one when it is.
func (l *lender) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.tidy != nil {
		l.tidy.Stop()
	}
	for _, g := range l.idle {
		g.wake <- loan{}
	}
	l.idle = nil
}
