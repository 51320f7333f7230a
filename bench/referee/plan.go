package referee

import (
	"math/rand/v2"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// The rules of every world, and the routes that are charged to them.
const (
	mainRule   = iota // of the kind that the world is about
	secondRule        // of any kind that time gives back
	keyedRule         // of the world's kind, once for every key
	apartRule         // in a scope of its own, with nothing in common with the others
	ruleCount
)

const keyCount = 4

// timed are the kinds that time gives back.
var timed = []kind{sliding, fixed, fromFirst, leaky, ticking}

// drawRule draws a rule of a kind with about so much a second.
func drawRule(rng *rand.Rand, id string, k kind, rate int64) rule {
	per := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}[rng.IntN(3)]
	r := rule{id: id, kind: k, per: per, scope: id}
	r.quota = max(5, rate*int64(per)/int64(time.Second))
	switch k {
	case fixed:
		r.offset = time.Duration(rng.Int64N(int64(per)))
	case leaky:
		r.burst = max(5, r.quota/2+rng.Int64N(r.quota))
	case ticking:
		r.tick = per / 10
		r.burst = max(10, r.quota/2+rng.Int64N(r.quota))
	case concurrent:
		r.quota = 6 + rng.Int64N(20)
	}
	return r
}

// drawRules draws the rules of a world.
func (w *world) drawRules(about kind) {
	rate := 40 + w.rng.Int64N(360)
	if w.scene.rate > 0 {
		rate = w.scene.rate
	}
	rules := [ruleCount]rule{
		drawRule(w.rng, "main", about, rate),
		drawRule(w.rng, "second", timed[w.rng.IntN(len(timed))], rate/2+20),
		drawRule(w.rng, "keyed", about, rate/4+5),
		drawRule(w.rng, "apart", sliding, rate/4+5),
	}
	rules[keyedRule].keyed = true
	if about == lifetime {
		rules[mainRule].quota, rules[keyedRule].quota = int64(w.target), int64(w.target/8)
	}
	if w.scene.measured && about != concurrent && about != lifetime {
		rules[mainRule].per, rules[mainRule].quota = time.Second, rate
	}
	if w.rng.IntN(2) == 0 { // one scope for three of them
		rules[secondRule].scope, rules[keyedRule].scope = "main", "main"
	}
	for _, r := range rules {
		w.rules = append(w.rules, &counted{versions: []*version{{rule: r}}, arrivals: map[int][]*arrival{}})
	}
	w.routes = []*route{
		{id: "time", tolls: []toll{{secondRule, 1}}},
		{id: "plain", tolls: []toll{{mainRule, 1}}},
		{id: "heavy", tolls: []toll{{mainRule, 2 + w.rng.Int64N(3)}, {secondRule, 1}}},
		{id: "keyed", tolls: []toll{{mainRule, 1}, {keyedRule, 1}}},
		{id: "apart", tolls: []toll{{apartRule, 1}}},
		{id: "free", free: true},
	}
}

var windows = [kinds]throttle.Window{
	throttle.Sliding, throttle.Fixed, throttle.FixedFromFirst, throttle.Leaky, throttle.Leaky, throttle.Concurrency, throttle.Lifetime,
}

// table is what the engine is told of the rules as they are now. A cheat of two
// has it believe that all quotas are twice what they are.
func (w *world) table() (limits []throttle.Limit) {
	for _, c := range w.rules {
		limits = append(limits, w.limit(c.now()))
	}
	for _, r := range w.routes {
		if r.free {
			continue
		}
		l := throttle.Limit{ID: r.id}
		for _, t := range r.tolls {
			l.Linked = append(l.Linked, throttle.Link{ID: "#" + w.rules[t.rule].now().id, Weight: t.weight})
		}
		limits = append(limits, l)
	}
	return limits
}

func (w *world) limit(r rule) throttle.Limit {
	l := throttle.Limit{
		ID: "#" + r.id, Window: windows[r.kind], Quota: r.quota * w.cheat, Per: r.per, Keyed: r.keyed, Scope: r.scope,
		Burst: r.burst * w.cheat, Tick: r.tick, Offset: r.offset,
	}
	if r.kind == concurrent || r.kind == lifetime {
		l.Per = 0
	}
	if r.kind == sliding && w.floored {
		l.RTTFloor = 2 * leastLag
	}
	return l
}

// limitID is what a request of a route names.
func (r *route) limitID() string {
	if r.free {
		return engine.Unlimited
	}
	return r.id
}
