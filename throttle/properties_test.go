package throttle

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drawPlan makes a world with a shared pool, two endpoints that charge it, and
// a route that charges all.
func drawPlan(rng *rand.Rand, kinds ...Window) plan {
	kind := func() Window { return kinds[rng.IntN(len(kinds))] }
	limit := func(id string, links ...Link) Limit {
		return drawLimit(rng, id, kind(), links...)
	}
	p := plan{
		seed: rng.Uint64(), requests: 20 + rng.IntN(60),
		loss: []float64{0, 0.1, 0.3}[rng.IntN(3)], cancel: []float64{0, 0.2}[rng.IntN(2)],
		clockErr: []time.Duration{-1, 0, 10 * ms, 400 * ms, 3 * sec}[rng.IntN(5)],
	}
	if rng.IntN(2) == 0 {
		p.deadline = 2 * sec
	}
	p.options.Aging = []time.Duration{0, 300 * ms}[rng.IntN(2)]
	p.options.ClockRate = []float64{1e-9, 200e-6, 0.01}[rng.IntN(3)]
	p.limits = []Limit{
		limit("pool"),
		limit("light", Link{ID: "pool", Weight: 1}),
		limit("heavy", Link{ID: "pool", Weight: 2}),
		{ID: "route", Linked: []Link{{ID: "light"}, {ID: "heavy"}}},
	}
	p.limits[1].Keyed = rng.IntN(2) == 0
	for i := range p.limits[:3] {
		if rng.IntN(2) == 0 {
			p.limits[i].By = By(rng.IntN(int(byAll) + 1))
		}
	}
	p.limits[2].Scope = []string{"", "other"}[rng.IntN(2)]
	return p
}

func drawLimit(rng *rand.Rand, id string, kind Window, links ...Link) Limit {
	l := Limit{ID: id, Window: kind, Quota: 4 + rng.Int64N(8), Linked: links}
	l.MaxDelay = time.Duration(1+rng.IntN(3000)) * ms
	l.CloseDelay = time.Duration(1+rng.IntN(1500)) * ms
	switch kind {
	case Concurrency:
	case Lifetime:
		l.Quota = 20 + rng.Int64N(100)
	case Leaky:
		l.Per = time.Duration(50+rng.IntN(1000)) * ms
		l.Burst = 5 + rng.Int64N(10)
		if rng.IntN(3) == 0 {
			l.Tick, l.Quota = l.Per, 1
		}
	default:
		l.Per = time.Duration(50+rng.IntN(1000)) * ms
		if kind == Fixed {
			l.Offset = time.Duration(rng.Int64N(int64(l.Per)))
		}
	}
	return l
}

func allKinds() []Window {
	return []Window{Sliding, Fixed, FixedFromFirst, Leaky, Concurrency, Lifetime}
}

// holdsIn runs the property in many worlds; shape may change each plan.
func holdsIn(t *testing.T, kinds []Window, shape func(rng *rand.Rand, p *plan)) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
		p := drawPlan(rng, kinds...)
		if shape != nil {
			shape(rng, &p)
		}
		if err := simulate(p); err != nil {
			t.Fatalf("%v\nplan: %+v", err, p)
		}
	})
}

func TestNoServerIsEverAskedTooMuch(t *testing.T) {
	for _, kind := range allKinds() {
		t.Run(kind.String(), func(t *testing.T) { holdsIn(t, []Window{kind}, nil) })
	}
	t.Run("mixed", func(t *testing.T) { holdsIn(t, allKinds(), nil) })
}

func TestTimestampsInAnswersNeverLetTooMuchThrough(t *testing.T) {
	holdsIn(t, []Window{Sliding, Fixed}, func(_ *rand.Rand, p *plan) { p.dates = true })
}

func TestAnRTTFloorThatHoldsNeverLetsTooMuchThrough(t *testing.T) {
	holdsIn(t, []Window{Sliding}, func(rng *rand.Rand, p *plan) {
		p.minRTT = 40 * ms
		for i := range p.limits[:3] {
			p.limits[i].RTTFloor = time.Duration(1+rng.IntN(40)) * ms
		}
		p.loss = 0 // a lost request comes back with no answer, and so with no floor
	})
}

func TestAClockThatIsSetAgainAndAgainNeverLetsTooMuchThrough(t *testing.T) {
	holdsIn(t, []Window{Fixed, Sliding}, func(_ *rand.Rand, p *plan) {
		p.resync, p.clockErr = true, max(p.clockErr, 10*ms)
		p.dates = p.seed%2 == 0
	})
}

func TestPausesHoldAtTheirOriginAndHurtNobody(t *testing.T) {
	holdsIn(t, allKinds(), func(rng *rand.Rand, p *plan) { p.pauses, p.origins = true, rng.IntN(3) })
}

func TestTakingPermitsBackLosesNothing(t *testing.T) {
	holdsIn(t, allKinds(), func(rng *rand.Rand, p *plan) {
		p.recall, p.pauses, p.origins = 0.3, rng.IntN(2) == 0, rng.IntN(3)
		p.replace = rng.IntN(3) == 0
	})
}

func TestReplacingLimitsLosesNothing(t *testing.T) {
	holdsIn(t, allKinds(), func(_ *rand.Rand, p *plan) { p.replace = true })
}

func TestPacedWorkIsServedInTheEnd(t *testing.T) {
	holdsIn(t, allKinds(), func(rng *rand.Rand, p *plan) {
		p.options.Pacing = &Pacing{Bulk: Priority(rng.IntN(3))}
	})
}

func TestTheSameEventsBringTheSameGrants(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		p := drawPlan(rng, allKinds()...)
		var first, second strings.Builder
		p.trace = &first
		require.NoError(t, simulate(p))
		p.trace = &second
		require.NoError(t, simulate(p))
		require.Equal(t, first.String(), second.String())
	}
}

// The worlds above must tell a broken ledger from a sound one.
func TestABrokenLedgerIsCaught(t *testing.T) {
	eachRule := func(change func(*terms)) func(*Ledger) {
		return func(l *Ledger) {
			for _, r := range l.table.rules {
				change(r.terms)
			}
		}
	}
	tick := func(d *terms) { d.hold-- }
	told := func(change func(*rule)) func(*Ledger) { // otherwise than the table says
		return func(l *Ledger) {
			for _, r := range l.table.rules {
				change(r)
			}
			for _, r := range l.table.routes {
				r.by = byAll
			}
		}
	}
	mutations := []struct {
		name   string
		kinds  []Window
		mutate func(*Ledger)
	}{
		{"a sliding permit held one tick short", []Window{Sliding}, eachRule(tick)},
		{"a fixed window's log one tick short", []Window{Fixed}, eachRule(tick)},
		{"a spell that ends too soon", []Window{FixedFromFirst}, eachRule(func(d *terms) { d.hold -= 2 * ms })},
		{"a counter that drains too fast", []Window{Leaky}, eachRule(func(d *terms) { d.drain -= d.drain / 100 })},
		{"a counter too large by one", []Window{Leaky}, eachRule(func(d *terms) { d.quota++ })},
		{"one permit too many at once", []Window{Concurrency}, eachRule(func(d *terms) { d.quota++ })},
		{"a meter told apart by what its limit does not name", []Window{Sliding}, told(func(r *rule) { r.By |= ByEgress })},
		{"one meter for two accounts", []Window{Sliding}, told(func(r *rule) { r.By &^= ByAccount })},
		{"one permit too many in a lifetime", []Window{Lifetime}, eachRule(func(d *terms) { d.quota++ })},
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			require.Error(t, firstFailure(m.kinds, 1000, m.mutate), "no world noticed")
		})
	}
}

// The same worlds have nothing against a sound ledger. What they would have
// against one whose queue forgets a promise is told by sluice mutants --rule 9.
func TestASoundLedgerIsNotCaught(t *testing.T) {
	for _, kind := range allKinds() {
		require.NoError(t, firstFailure([]Window{kind}, 30, nil), kind)
	}
}

func firstFailure(kinds []Window, worlds int, mutate func(*Ledger)) error {
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range worlds {
		p := drawPlan(rng, kinds...)
		p.mutate = mutate
		if err := simulate(p); err != nil {
			return fmt.Errorf("world %d: %w", i, err)
		}
	}
	return nil
}
