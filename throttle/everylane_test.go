package throttle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// nextOfAll is Ledger.Next of a ledger whose queue looks at all lanes at every step, in
// the order of their ranks, and adds up what better heads hold one by one. It has
// neither trees nor alarms: what those of the ledger say is compared on the way.
func nextOfAll(t require.TestingT, l *Ledger, now time.Duration) *Permit {
	now = l.at(now)
	q := &l.queue
	if p := q.refused.head; p != nil {
		q.remove(p)
		p.state = Refused
		return p
	}
	if p := l.expired(now, now-1); p != nil {
		return p
	}
	lanes := slices.Clone(q.lanes)
	slices.SortFunc(lanes, func(a, b *lane) int {
		if a.head.before(b.head) {
			return -1
		}
		return 1
	})
	for _, ln := range lanes {
		p := ln.head
		if err := p.hopeless(); err != nil {
			q.remove(p)
			p.state, p.err = Refused, err
			return p
		}
		if !letsPass(t, l, now, ln) {
			if ln.state == awake {
				q.sleepOn(ln)
			}
			continue
		}
		q.wake(ln)
		if l.examine(now, ln) <= now {
			q.take(ln)
			l.spreadAfter(now, p)
			l.grant(now, p)
			return p
		}
	}
	return l.expired(now, now)
}

// letsPass reports whether there is reason to look at a lane, by the definition.
func letsPass(t require.TestingT, l *Ledger, now time.Duration, ln *lane) bool {
	for i := range ln.claims {
		held := heldByAll(l, ln, i)
		require.Equal(t, held, ln.claims[i].line.heldBefore(&l.queue, ln.head.rank, ln.head.seq))
	}
	switch {
	case ln.line == nil || ln.roused:
		return true
	case ln.line.scope != nil:
		return ln.line.scope.opens(now) <= now
	}
	i := slices.IndexFunc(ln.claims, func(c claim) bool { return c.line == ln.line })
	c, m := &ln.claims[i], ln.line.meter
	room, want := m.window.room(now), heldByAll(l, ln, i)+c.want
	return want <= room && m.shutUntil(now) <= now || c.review <= now || c.far && want <= m.terms.quota ||
		c.pend > 0 && m.holdsFrom(now, room, want, c.pend) <= now
}

// heldByAll is what better heads hold of the i-th limit of a lane.
func heldByAll(l *Ledger, ln *lane, i int) (held int64) {
	for _, other := range l.queue.lanes {
		if other == ln || !other.head.before(ln.head) {
			continue
		}
		for j := range other.claims {
			if c := &other.claims[j]; c.line == ln.claims[i].line {
				held += c.held
			}
		}
	}
	return held
}

// twins are two ledgers to which the same happens, of which one looks at all lanes at
// every step.
type twins struct {
	t       *rapid.T
	rng     *rand.Rand
	now     time.Duration
	ledgers [2]*Ledger
	permits [][2]*Permit
	limits  [2][]Limit
	told    int // of answers, in all
	// replaces says that limits are replaced now and then, and then none is keyed: in
	// which order keys are taken over, and the idle ones forgotten, differs between the
	// two.
	replaces bool
}

func TestTheQueueGrantsWhatALookAtEveryLaneWouldGrant(t *testing.T) {
	answers := 0
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		w := newTwins(t, rng)
		for range 150 + rng.IntN(250) {
			w.step()
		}
		answers += w.told
	})
	require.Greater(t, answers, 300, "or else nothing was compared")
}

func newTwins(t *rapid.T, rng *rand.Rand) *twins {
	w := &twins{t: t, rng: rng, replaces: rng.IntN(3) == 0}
	kinds := allKinds()
	limit := func(id string, links ...Link) Limit {
		l := drawLimit(rng, id, kinds[rng.IntN(len(kinds))], links...)
		if rng.IntN(3) == 0 {
			l.Reserve = []Reserve{{Priority: 1, Weight: 1}, {Priority: 2, Weight: 1}}
		}
		if l.Window == Sliding && rng.IntN(4) == 0 {
			l.Per, l.Quota = 12*sec, 70 // so long that its bursts are spread
		}
		return l
	}
	apart := []By{0, ByAccount, ByAccount | ByEgress}[rng.IntN(3)] // in either table: it cannot change
	for i := range w.limits {
		w.limits[i] = []Limit{
			limit("pool"),
			limit("key", Link{ID: "pool", Weight: 1}),
			limit("heavy", Link{ID: "pool", Weight: 2}),
			limit("lone"),
			{ID: "route", Linked: []Link{{ID: "key"}, {ID: "heavy"}}},
			{ID: "two", Linked: []Link{{ID: "heavy"}, {ID: "lone"}}},
		}
		w.limits[i][1].Keyed = !w.replaces
		w.limits[i][2].Scope, w.limits[i][2].By = "other", apart
	}
	o := Options{Aging: []time.Duration{0, 300 * ms}[rng.IntN(2)], MaxQueued: 60}
	for i := range w.ledgers {
		l, err := New(w.limits[0], o)
		require.NoError(t, err)
		w.ledgers[i] = l
	}
	if rng.IntN(2) == 0 {
		w.each(func(_ int, l *Ledger) { l.SetClock(0, 1000*time.Hour, 1000*time.Hour+10*ms) })
	}
	return w
}

func (w *twins) each(do func(i int, l *Ledger)) {
	for i, l := range w.ledgers {
		do(i, l)
	}
}

// step lets something happen, and time pass. Before the instant at which the one that
// sleeps wants to be woken the other one has nothing to say either.
func (w *twins) step() {
	for range 1 + w.rng.IntN(3) {
		w.happen()
		w.drain()
	}
	for range w.rng.IntN(3) {
		at, ok := w.ledgers[0].Wake()
		next := w.now + time.Duration(w.rng.IntN(200))*ms
		if w.rng.IntN(2) == 0 && ok {
			next = max(w.now, min(next+sec, at))
		}
		w.now = next
		if told := w.drain(); ok && w.now < at && told > 0 {
			w.t.Fatalf("at %v: %d answers before %v", w.now, told, at)
		}
	}
}

// drain takes all answers, and demands that they are the same.
func (w *twins) drain() (told int) {
	// What a window makes of the clock may depend on when it was asked.
	w.each(func(_ int, l *Ledger) { l.eachMeter(func(m *meter) { m.window.room(w.now) }) })
	for {
		p, q := w.ledgers[0].Next(w.now), nextOfAll(w.t, w.ledgers[1], w.now)
		if p == nil && q == nil {
			break
		}
		require.Equal(w.t, tellPermit(q), tellPermit(p), "at %v", w.now)
		told++
	}
	w.told += told
	for _, ln := range w.ledgers[0].queue.lanes {
		require.False(w.t, letsPass(w.t, w.ledgers[0], w.now, ln), "at %v a lane sleeps that could pass", w.now)
	}
	return told
}

func tellPermit(p *Permit) string {
	if p == nil {
		return "nobody"
	}
	return fmt.Sprintf("%d %v %v", p.Owner, p.State(), p.Err())
}

// happen has one thing happen to both.
func (w *twins) happen() {
	rng := w.rng
	switch rng.IntN(12) {
	default:
		w.ask()
	case 0, 1, 2, 3:
		w.settle()
	case 4:
		n, reserved := rng.Uint64(), rng.IntN(2) == 0
		w.some(Granted, func(l *Ledger, p *Permit) string {
			if reserved {
				l.Park(w.now, p)
			}
			return fmt.Sprint(l.Requeue(w.now, p), p.State())
		}, n)
	case 5:
		w.some(Queued, func(l *Ledger, p *Permit) string { return fmt.Sprint(l.Cancel(w.now, p)) }, rng.Uint64())
	case 6:
		w.correct()
	}
	if rng.IntN(20) == 0 {
		w.pause()
	}
	if rng.IntN(20) == 0 {
		w.refuse()
	}
	if w.replaces && rng.IntN(30) == 0 {
		table := rng.IntN(2)
		w.each(func(_ int, l *Ledger) { require.NoError(w.t, l.Replace(w.now, w.limits[table])) })
	}
}

func (w *twins) ask() {
	rng := w.rng
	asked := Permit{
		Limit: []string{"pool", "key", "key", "key", "heavy", "lone", "route", "two"}[rng.IntN(8)], Key: fmt.Sprint(rng.IntN(8)),
		Origin: fmt.Sprint(rng.IntN(2)), Priority: Priority(rng.IntN(3)), Owner: len(w.permits),
	}
	if asked.Limit != "route" && asked.Limit != "two" && rng.IntN(3) == 0 {
		asked.Weight = 1 + rng.Int64N(4)
	}
	asked.Account, asked.Egress = []string{"", "main"}[rng.IntN(2)], []string{"", "eth1"}[rng.IntN(2)]
	if weighs := map[string][]string{"key": {"key", "pool"}, "heavy": {"pool", "heavy"}, "route": {"heavy", "pool"}}[asked.Limit]; rng.IntN(3) == 0 {
		for _, id := range weighs[:min(len(weighs), 1+rng.IntN(2))] {
			asked.Weights = append(asked.Weights, Cost{id, rng.Int64N(3) * rng.Int64N(2)})
		}
	}
	if rng.IntN(4) == 0 {
		asked.Deadline = w.now + time.Duration(1+rng.IntN(2000))*ms
	}
	var pair [2]*Permit
	var said [2]string
	w.each(func(i int, l *Ledger) {
		p := asked
		pair[i] = &p
		said[i] = fmt.Sprint(l.Acquire(w.now, &p), p.State())
	})
	require.Equal(w.t, said[1], said[0])
	w.permits = append(w.permits, pair)
}

// some does something to one of the permits of a state.
func (w *twins) some(state State, do func(l *Ledger, p *Permit) string, n uint64) {
	var of [][2]*Permit
	for _, pair := range w.permits {
		if pair[0].State() == state {
			of = append(of, pair)
		}
	}
	if len(of) == 0 {
		return
	}
	pair := of[n%uint64(len(of))]
	var said [2]string
	w.each(func(i int, l *Ledger) { said[i] = do(l, pair[i]) })
	require.Equal(w.t, said[1], said[0])
}

func (w *twins) settle() {
	rng := w.rng
	o := Outcome{Fate: []Fate{Answered, Answered, Answered, Answered, NeverSent, Lost, Closed}[rng.IntN(7)], Refused: rng.IntN(10) == 0}
	if rng.IntN(5) == 0 {
		o.Costs = []Cost{{"pool", rng.Int64N(4)}}
	}
	w.some(Granted, func(l *Ledger, p *Permit) string { l.Settle(w.now, p, o); return "" }, rng.Uint64())
}

func (w *twins) correct() {
	rng := w.rng
	id, key := []string{"pool", "key", "heavy", "lone"}[rng.IntN(4)], fmt.Sprint(rng.IntN(8))
	switch n := rng.Int64N(7) - 3; rng.IntN(3) {
	case 0:
		w.each(func(_ int, l *Ledger) { require.NoError(w.t, l.Adjust(w.now, id, Parts{Key: key}, n)) })
	case 1:
		w.each(func(_ int, l *Ledger) { require.NoError(w.t, l.Sync(w.now, id, Parts{Key: key}, n+3, 0)) })
	default:
		lo := 1000*time.Hour + time.Duration(rng.IntN(5))*ms
		w.each(func(_ int, l *Ledger) { l.SetClock(w.now, lo, lo+5*ms) })
	}
}

// refuse has a server refuse one limit alone.
func (w *twins) refuse() {
	rng := w.rng
	id, key := []string{"pool", "key", "heavy", "lone"}[rng.IntN(4)], fmt.Sprint(rng.IntN(8))
	account := []string{"", "main"}[rng.IntN(2)]
	granted, said := w.now-time.Duration(rng.IntN(500))*ms, time.Duration(rng.IntN(3)*rng.IntN(2000))*ms
	w.each(func(_ int, l *Ledger) {
		_, _, err := l.RefusedAlone(w.now, granted, id, Parts{Account: account, Key: key}, said)
		require.NoError(w.t, err)
	})
}

func (w *twins) pause() {
	rng := w.rng
	// Not AnyOrigin: in which order that comes to origins differs between the two.
	s := Scope{Origin: fmt.Sprint(rng.IntN(2)), Name: []string{"", "other", WholeOrigin}[rng.IntN(3)]}
	s = w.ledgers[0].ScopeOf(s.Origin, s.Name, Parts{Account: []string{"", "main"}[rng.IntN(2)], Egress: []string{"", "eth1"}[rng.IntN(2)]})
	span := time.Duration(rng.IntN(1500)) * ms
	switch rng.IntN(3) {
	case 0:
		w.each(func(_ int, l *Ledger) { require.NoError(w.t, l.Resume(w.now, s)) })
	case 1:
		w.each(func(_ int, l *Ledger) { require.NoError(w.t, l.Pause(w.now, s, w.now+span)) })
	default:
		w.each(func(_ int, l *Ledger) {
			_, err := l.Refused(w.now, w.now, s, span)
			require.NoError(w.t, err)
		})
	}
}
