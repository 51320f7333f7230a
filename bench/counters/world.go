package counters

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// world is one run: a ledger, a network and a server in virtual time.
type world struct {
	now    time.Duration
	length time.Duration // of the run
	events events
	serial int

	rng    *rand.Rand
	ledger *throttle.Ledger
	server *server
	wakes  time.Duration // when the ledger is looked at next
}

// request is one wish of the desk.
type request struct {
	permit throttle.Permit
	who    who
	// costs is what the server counts, told when the request arrives.
	costs func(at time.Duration) map[string]int64
	// granted, if set, is called when it leaves, and answered when its answer is here.
	granted  func()
	answered func()
	// told are costs that the answer tells.
	told func() []throttle.Cost
}

// newWorld begins a run.
func newWorld(s *scenario, seed uint64, length time.Duration) (*world, error) {
	ledger, err := throttle.New(s.limits, throttle.Options{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	w := &world{rng: rand.New(rand.NewPCG(seed, 0xc0)), ledger: ledger, wakes: -1, length: length}
	ahead := 20_000*24*time.Hour + time.Duration(w.rng.Int64N(int64(24*time.Hour)))
	w.server = newServer(serverClock{ahead}, s.rules)
	w.lookAtTheClock()
	return w, nil
}

// lookAtTheClock has the ledger know the server's clock to 20 ms, every ten seconds.
func (w *world) lookAtTheClock() {
	ahead := w.server.clock.read(w.now) - w.now
	w.ledger.SetClock(w.now, ahead-w.upTo(20*time.Millisecond), ahead+w.upTo(20*time.Millisecond))
	w.pump()
	w.after(10*time.Second, w.lookAtTheClock)
}

// jitter is one way of the network.
func (w *world) jitter() time.Duration { return 5*time.Millisecond + w.upTo(45*time.Millisecond) }

func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d) + 1)) }

// submit asks for a permit.
func (w *world) submit(r *request) {
	r.permit.Account, r.permit.Key = r.who.account, r.who.symbol
	r.permit.Owner = r
	if err := w.ledger.Acquire(w.now, &r.permit); err != nil {
		panic(fmt.Sprintf("the ledger refuses what it should have: %v", err)) // scenarios are made in this package
	}
	if r.permit.State() == throttle.Granted {
		w.depart(r)
	}
	w.pump()
}

// pump sends what the ledger lets go, and has it looked at when it says.
func (w *world) pump() {
	for p := w.ledger.Next(w.now); p != nil; p = w.ledger.Next(w.now) {
		if p.State() != throttle.Granted {
			panic(fmt.Sprintf("a permit without a deadline is %v: %v", p.State(), p.Err()))
		}
		w.depart(p.Owner.(*request))
	}
	at, ok := w.ledger.Wake()
	if ok && at != w.wakes {
		w.wakes = at
		w.after(at-w.now, func() {
			if w.wakes == at {
				w.wakes = -1
				w.pump()
			}
		})
	}
}

func (w *world) depart(r *request) {
	if r.granted != nil {
		w.after(0, r.granted)
	}
	w.after(w.jitter(), func() { w.arrive(r) })
}

func (w *world) arrive(r *request) {
	at := w.server.clock.read(w.now)
	refused := w.server.arrive(at, r.who, r.costs(at)) != ""
	w.after(w.jitter(), func() {
		o := throttle.Outcome{Refused: refused, ServerTime: at.Truncate(time.Millisecond), Resolution: time.Millisecond}
		if r.told != nil && !refused {
			o.Costs = r.told()
		}
		w.ledger.Settle(w.now, &r.permit, o)
		w.pump()
		if r.answered != nil {
			r.answered()
		}
	})
}

// backlog keeps so many requests waiting: for each that leaves another comes.
func (w *world) backlog(n int, make func() *request) {
	for range n {
		w.again(make)
	}
}

func (w *world) again(make func() *request) {
	r := make()
	r.granted = func() { w.again(make) }
	w.submit(r)
}

// learn tells the ledger what a stream has told the desk: that so much more was used of
// a limit, or so much less.
func (w *world) learn(id string, of who, delta int64) {
	if err := w.ledger.Adjust(w.now, id, throttle.Parts{Account: of.account, Key: of.symbol}, delta); err != nil {
		panic(err) // scenarios are made in this package
	}
	w.pump()
}

// every has something done again and again, about so often.
func (w *world) every(d time.Duration, do func()) {
	w.after(time.Duration(w.rng.ExpFloat64()*float64(d)), func() {
		do()
		w.every(d, do)
	})
}

// after has something done in a while.
func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.events, event{w.now + max(0, d), w.serial, do})
}

// run lets everything happen that is due by then.
func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		if at, due := w.ledger.ForgetAt(); due && at <= w.now {
			w.ledger.Forget(w.now)
		}
		e.do()
	}
	w.now = until
}

// event is something that happens; of those due at one instant the first entered is
// the first.
type event struct {
	at     time.Duration
	serial int
	do     func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].serial < e[j].serial
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = event{}
	*e = (*e)[:last]
	return x
}
