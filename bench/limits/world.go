package limits

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
)

// world is one run: a client, a network and a server in virtual time.
type world struct {
	schedule
	*setup
	rng     *rand.Rand
	path    path
	server  *server
	client  limiter
	span    span
	horizon time.Duration
	tally   tally
	serial  int
	trace   io.Writer // nil: nobody reads along

	request  func(*flow) *request // makes the requests; nil from it: there are no more
	finished func(*request)       // told of every end of a request; may be nil
	over     bool                 // nothing is left to be played for
}

// request is one wish to send, from then to its end.
type request struct {
	ticket ticket.Ticket // of the Sluice client
	w      *world

	serial  int
	flow    *flow
	charges []charge
	key     string
	wished  time.Duration
	granted time.Duration
	costs   []charge // what it really costs, if that is not its charges
	sent    bool
	landed  bool // it has arrived, or never will
	settled bool // answered, lost, or not sent after all
}

// newWorld makes a world in which nothing has happened yet.
func newWorld(s *setup, c Client, seed uint64) *world {
	w := &world{setup: s, rng: rand.New(rand.NewPCG(seed, 0x5106ce))}
	clock := serverClock{offset: 20_000*24*time.Hour + time.Duration(w.rng.Int64N(int64(24*time.Hour))), ppb: s.ppb}
	w.path = path{network: s.network, rng: w.rng}
	w.server = newServer(clock, s.rules)
	w.horizon, w.span = s.measured(clock)
	w.tally.waits = make([][]time.Duration, len(s.flows))
	w.request = w.newRequest
	w.client = limiters[c](w)
	return w
}

// play runs a setup to its end and returns the figures.
func play(s *setup, c Client, seed uint64) tally {
	w := newWorld(s, c, seed)
	for i := range s.flows {
		w.open(&s.flows[i])
	}
	w.run(w.horizon)
	w.tally.most = w.span.most(s.rules[0])
	return w.tally
}

// open lets a flow begin.
func (w *world) open(f *flow) {
	for range f.backlog {
		w.wish(f)
	}
	if f.gap > 0 {
		w.after(w.pause(f), func() { w.again(f) })
	}
}

func (w *world) again(f *flow) {
	if w.wish(f) {
		w.after(w.pause(f), func() { w.again(f) })
	}
}

func (w *world) pause(f *flow) time.Duration {
	if f.steady {
		return f.gap
	}
	return time.Duration(w.rng.ExpFloat64() * float64(f.gap))
}

// wish makes a request and has the client submit it. It reports false if there
// are no more.
func (w *world) wish(f *flow) bool {
	r := w.request(f)
	switch {
	case r == nil:
		return false
	case f.foreign:
		w.send(r)
	default:
		w.client.submit(r)
	}
	return true
}

func (w *world) newRequest(f *flow) *request {
	w.serial++
	return &request{w: w, serial: w.serial, flow: f, charges: f.charges, key: f.key, wished: w.now}
}

// send is called by the client when r may leave.
func (w *world) send(r *request) {
	r.sent, r.granted = true, w.now
	w.log(r, "granted after %v", w.now-r.wished)
	w.tally.granted(w, r)
	if r.flow.backlog > 0 {
		w.after(0, func() { w.wish(r.flow) })
	}
	wire := 20*time.Microsecond + time.Duration(w.rng.Int64N(int64(180*time.Microsecond)))
	w.travel(r, wire+w.path.draw(w.now+wire))
}

// travel decides what becomes of a request on its way.
func (w *world) travel(r *request, out time.Duration) {
	l := &w.losses
	switch chance := w.rng.Float64(); {
	case l.timeout == 0:
		w.after(out, func() { w.arrive(r, true) })
		return
	case chance < l.unsent:
		r.landed = true
		w.after(w.upTo(l.timeout), func() { w.unsent(r) })
		return
	case chance < l.unsent+l.out:
		r.landed = true
	case chance < l.unsent+l.out+l.home:
		w.after(min(out, l.timeout+l.latest), func() { w.arrive(r, false) })
	case chance < l.unsent+l.out+l.home+l.late:
		w.after(max(min(out, l.timeout+l.latest), l.timeout+w.upTo(l.latest)), func() { w.arrive(r, false) })
	default:
		w.after(min(out, l.timeout+l.latest), func() { w.arrive(r, true) })
	}
	w.after(l.timeout, func() { w.giveUp(r) })
}

func (w *world) giveUp(r *request) {
	if r.settled {
		return
	}
	w.log(r, "given up")
	r.settled = true
	if !r.flow.foreign {
		w.client.lost(r)
	}
	w.end(r)
}

func (w *world) unsent(r *request) {
	w.log(r, "not sent after all")
	r.settled = true
	w.client.unsent(r)
	w.end(r)
}

func (w *world) end(r *request) {
	if w.finished != nil {
		w.finished(r)
	}
}

// arrive has the server count r.
func (w *world) arrive(r *request, answers bool) {
	r.landed = true
	at := w.server.clock.read(w.now)
	charges := r.charges
	if r.costs != nil {
		charges = r.costs
	}
	refusedBy := w.server.arrive(at, r.key, charges)
	w.log(r, "arrives, server time %v", at)
	w.tally.arrived(w, r, at, refusedBy)
	a := answer{refused: refusedBy >= 0, used: -1, costs: r.costs}
	if w.stamp > 0 {
		a.serverTime, a.resolution = at/w.stamp*w.stamp, w.stamp
	}
	if w.headers {
		a.used = w.server.used(0, r.key, at)
	}
	home := w.path.draw(w.now)
	if refusedBy < 0 {
		w.after(w.serviceTime(r, home), func() { w.server.served(r.key, charges) })
	}
	if answers {
		w.after(home, func() { w.answer(r, a) })
	}
}

// serviceTime is how long r counts as being served: half the way home, but no
// longer than a client that has given it up believes.
func (w *world) serviceTime(r *request, home time.Duration) time.Duration {
	if w.losses.timeout == 0 {
		return home / 2
	}
	return min(home/2, r.granted+w.losses.timeout+w.losses.latest-w.now)
}

func (w *world) answer(r *request, a answer) {
	if r.settled {
		return // its connection was closed when it was given up
	}
	w.log(r, "answered")
	r.settled = true
	if !r.flow.foreign {
		w.client.answered(r, a)
	}
	w.end(r)
}

func (w *world) log(r *request, format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%14v  #%d %s prio %d %v %q  %s\n", w.now, r.serial, r.flow.name, r.flow.priority, r.charges, r.key, fmt.Sprintf(format, args...))
	}
}

func (w *world) note(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%14v  %s\n", w.now, fmt.Sprintf(format, args...))
	}
}

// upTo is a random span of at most d.
func (w *world) upTo(d time.Duration) time.Duration {
	return time.Duration(w.rng.Int64N(int64(d) + 1))
}

// clockBounds are bounds of what the server's clock is ahead of ours, each at
// most clockError away from the truth.
func (w *world) clockBounds() (lo, hi time.Duration) {
	ahead := w.server.clock.read(w.now) - w.now
	return ahead - w.upTo(w.clockError), ahead + w.upTo(w.clockError)
}
