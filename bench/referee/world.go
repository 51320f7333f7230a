package referee

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// world is one engine with its servers and callers.
type world struct {
	scene   *scenario
	about   kind
	seed    uint64
	target  int // arrivals
	cheat   int64
	deaf    bool // the engine does not hear what answers say
	hurried bool // an attempt has its own bound, and may end while its answer is read
	floored bool // the engine knows how short a round trip can be

	start   time.Time
	clock   clock
	hosts   map[string]*host
	names   []string
	rules   []*counted
	routes  []*route
	eng     *engine.Engine
	network network

	mu      sync.Mutex
	rng     *rand.Rand
	calls   []*call // by id; the first is what looks at the clock
	pauses  pauses
	open    int // connections
	dialled int
	arrived int
	spents  int
	stopped bool
	faults  map[string]*fault
	used    float64
	brief   bool // too short to judge what was used
	lasted  time.Duration
}

// fault is one kind of offence, with the first of them.
type fault struct {
	count int
	first []string
}

const mostTold = 3

// blame notes an offence. It requires that the world's lock is held.
func (w *world) blame(what, format string, args ...any) {
	f := w.faults[what]
	if f == nil {
		f = &fault{}
		w.faults[what] = f
	}
	f.count++
	if len(f.first) < mostTold {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}

// newWorld draws a world. It belongs inside of a bubble.
func newWorld(s *scenario, about kind, seed uint64, target int) *world {
	w := &world{
		scene: s, about: about, seed: seed, target: target, cheat: 1,
		start: time.Now(), rng: rand.New(rand.NewPCG(seed, uint64(about))),
		hosts: map[string]*host{}, faults: map[string]*fault{},
		network: network{kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{})},
	}
	w.clock = clock{w.start, between(w.rng, -time.Minute, time.Minute), w.rng.Int64N(300) - 150}
	w.floored = w.rng.IntN(2) == 0
	for i := range max(1, s.hosts) {
		h := &host{world: w, name: string(rune('a'+i)) + ".test"}
		if i < len(s.graves) {
			h.grave = s.graves[i]
		}
		w.hosts[h.name], w.names = h, append(w.names, h.name)
	}
	w.drawRules(about)
	w.calls = []*call{{route: w.routes[0]}}
	return w
}

// config is the engine's.
func (w *world) config() engine.Config {
	c := engine.Config{
		BaseURL: "http://" + w.names[0], Limits: w.table(), Auth: signer(w.scene.dawdles),
		Time:           engine.TimeFrom("/time", "t").ChargedTo("time"),
		Timeout:        30 * time.Second,
		Connections:    engine.Connections{Max: 1 + w.rng.IntN(w.scene.conns)},
		Dial:           engine.Dial{DialContext: w.dial},
		PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(w.process)},
	}
	for _, name := range w.names[1:] {
		c.Origins = append(c.Origins, "http://"+name)
	}
	if w.scene.timeless {
		c.Time = nil
	}
	w.drawOptions(&c)
	if w.rng.IntN(2) == 0 {
		c.Feedback = feedback.Join(feedback.RetryAfter, feedback.BodyTime("t"))
	}
	if w.deaf {
		c.Feedback = func(feedback.Answer) feedback.Feedback { return feedback.Feedback{} }
	}
	return c
}

// drawOptions draws what changes nothing of what is promised.
func (w *world) drawOptions(c *engine.Config) {
	if w.scene.measured || w.scene.warm {
		c.Connections.Max = 64
		return
	}
	chance := func() bool { return w.rng.IntN(3) == 0 }
	if chance() {
		c.Throttle.Aging = 100 * time.Millisecond
	}
	if chance() {
		c.Throttle.Pacing = &throttle.Pacing{Bulk: engine.Normal}
	}
	if chance() {
		c.Throttle.StartFull = true
	}
	if chance() {
		c.Connections.MinIdle = w.rng.IntN(c.Connections.Max + 1)
	}
	if chance() {
		c.Connections.IdleTimeout, c.Connections.MaxAge = 300*time.Millisecond, 2*time.Second
	}
	c.Connections.Rotate = chance()
	if chance() {
		c.Admission.MaxInFlight = w.scene.callers / 2
	}
	if chance() {
		c.Retry.PerAttempt, w.hurried = between(w.rng, 200*time.Millisecond, 3*time.Second), true
	}
	if chance() {
		c.Retry.Statuses = []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}
	}
}

// look is the call that looks at the clock.
func (w *world) look() *call { return w.calls[0] }

// mostTime is how long a world lasts at most.
const mostTime = 10 * time.Minute

// play plays the world to its end, and judges it.
func (w *world) play(t *testing.T) {
	eng, err := engine.New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	w.eng = eng
	go w.run()
	if w.scene.warm {
		if err := eng.Warm(t.Context(), "", 64); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range w.scene.callers {
		all.Go(func() { w.calling(uint64(i)) })
	}
	if w.scene.replaces {
		all.Go(w.replacing)
	}
	if w.scene.byHand {
		all.Go(w.pausing)
	}
	for !w.enough() {
		time.Sleep(50 * time.Millisecond)
	}
	w.mu.Lock()
	w.lasted = w.now()
	w.stopped = !w.scene.closes
	w.mu.Unlock()
	if w.scene.closes {
		w.end()
	}
	all.Wait()
	w.close()
	w.judge()
}

// end closes the engine, or shuts it down with some patience. Callers hear of it.
func (w *world) end() {
	err := error(nil)
	if w.seed%2 == 0 {
		err = w.eng.Close()
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(w.seed%5)*200*time.Millisecond)
		err = w.eng.Shutdown(ctx)
		cancel()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		w.blame("did not close", "%v", err)
	}
}

func (w *world) enough() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.arrived >= w.target || w.now() >= mostTime || w.stopped
}

// settling is how long after the last call something may still arrive, or be held
// for what may arrive.
const settling = 40 * time.Second

// close ends the engine, and looks whether anything is left of it.
func (w *world) close() {
	time.Sleep(settling)
	w.mu.Lock()
	for _, left := range w.leftovers() {
		w.blame("left something in use", "%s", left)
	}
	w.mu.Unlock()
	if err := w.eng.Close(); err != nil {
		w.blame("did not close", "%v", err)
	}
	time.Sleep(5 * time.Second)
	close(w.network.quit)
	<-w.network.done
	synctest.Wait() // the network's own goroutine has said that it ends, and may be about to
	if w.open != 0 {
		w.blame("left connections open", "%d of %d", w.open, w.dialled)
	}
	for _, stack := range others() {
		w.blame("left a goroutine", "%s", stack)
	}
}

// mostLeft is how long something may be in use while no pause stands, though nobody
// uses the engine: it looks at the server's clock every now and then, a look waits for
// the end of a pause as any request does, and one whose answer is lost holds its permit
// until nothing of it can arrive any more. What nobody will ever give back is in use for
// longer. No pause may stand for as long as mostPaused.
const mostLeft, mostPaused = time.Minute, time.Hour

// leftovers are what is in use though nobody uses the engine.
func (w *world) leftovers() (list []string) {
	const look = time.Second
	for calm, waited := time.Duration(0), time.Duration(0); calm < mostLeft && waited < mostPaused; waited += look {
		w.mu.Unlock()
		stats := w.eng.Stats()
		time.Sleep(look)
		w.mu.Lock()
		if list = inUse(stats); len(list) == 0 {
			break
		}
		if !paused(stats) {
			calm += look
		}
	}
	return list
}

// paused is whether a pause keeps anything from leaving.
func paused(s engine.Stats) bool {
	return slices.ContainsFunc(s.Limits.Scopes, func(sc engine.ScopeStats) bool { return !sc.PausedUntil.IsZero() })
}

func inUse(s engine.Stats) (list []string) {
	note := func(n int, what string) {
		if n != 0 {
			list = append(list, fmt.Sprintf("%d %s", n, what))
		}
	}
	note(s.InFlight, "requests in flight")
	note(s.Waiting, "requests waiting")
	note(s.Queued, "requests queued")
	note(s.Limits.Lost, "permits lost")
	for _, l := range s.Limits.Limits {
		note(int(l.InFlight), "in flight on "+l.ID)
	}
	for _, sc := range s.Limits.Scopes {
		note(sc.InFlight, "in flight in scope "+sc.Name)
	}
	for _, p := range s.Pools {
		note(p.Leased, "connections leased")
		note(p.Waiting, "waiting for a connection")
	}
	return list
}

// judge judges everything that is judged at the end.
func (w *world) judge() {
	for _, r := range w.rules {
		for key, all := range r.arrivals {
			for _, i := range r.offences(all) {
				w.blame("over the limit "+r.now().id, "%s", w.offence(r, key, all, i))
			}
		}
	}
	same := map[*call][]*call{}
	late := grace
	if w.scene.dawdles {
		late += mostDawdling // nobody can call an authenticator off
	}
	for _, c := range w.calls[1:] {
		for _, text := range c.faults(late) {
			w.blame("said what is not true of a request", "%s: %v", text, c)
		}
		if c.once {
			same[c.first] = append(same[c.first], c)
		}
	}
	for first, repetitions := range same {
		if twice(repetitions) {
			w.blame("did something twice", "%v", first)
		}
	}
	if w.scene.measured {
		w.measure()
	}
}

// offence shows an arrival that was too many, and those before it.
func (w *world) offence(r *counted, key int, all []*arrival, i int) string {
	text := fmt.Sprintf("key %d; clock %v ahead, %d ppm", key, w.clock.offset, w.clock.ppm)
	for n, v := range r.versions {
		if v.from <= all[i].landed && (n+2 >= len(r.versions) || r.versions[n+2].from >= all[i].since) {
			text += fmt.Sprintf("\n      from %v on %v", v.from, v.rule)
		}
	}
	for _, a := range all[max(0, i-4) : i+1] {
		text += fmt.Sprintf("\n      %v by the server's clock: weight %d, written at %v, arrived at %v, open until %v, status %d, call %d on %q",
			time.Unix(0, int64(a.at)).UTC().Format("15:04:05.000000000"), a.weight, a.wrote, a.landed,
			time.Unix(0, int64(a.ended)).UTC().Format("15:04:05.000000000"), a.status, a.call.id, a.call.route.id)
	}
	return text
}

// leastJudged is how many windows there must be behind the warm-up for what is used of them to
// be judged: of fewer, one request that arrives a window late is a large share.
const leastJudged = 10

// measure judges what was used of the main rule, if the world lasted long enough.
func (w *world) measure() {
	r := w.rules[mainRule].now()
	least := 0.99
	switch r.kind {
	case sliding, fromFirst:
		least = 0.90
	case concurrent, lifetime:
		return
	}
	const warmUp = 4 * time.Second // the clock is learned, and a bucket emptied
	from, to := w.clock.read(warmUp), w.clock.read(w.lasted)
	from, to = from-(from-r.offset)%r.per+r.per, to-(to-r.offset)%r.per
	windows := int64((to - from) / r.per)
	if windows < leastJudged { // below zero if the world ended within its warm-up
		w.brief = true
		return
	}
	sum := int64(0)
	for _, a := range w.rules[mainRule].arrivals[0] {
		if a.at >= from && a.at < to {
			sum += a.weight
		}
	}
	if w.used = float64(sum) / float64(r.quota*windows); w.used < least {
		w.blame("left quota unused", "%.2f %% of %v over %v used", 100*w.used, r, to-from)
	}
}

// whats are the kinds of offences, in order.
func (w *world) whats() []string {
	var list []string
	for what := range w.faults {
		list = append(list, what)
	}
	slices.Sort(list)
	return list
}
