package counters

import (
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// scenario is a server, the limits that describe it, and what the desk wants.
type scenario struct {
	name, about string
	rules       []rule
	limits      []throttle.Limit
	trade       func(*world)
}

var (
	accounts = []string{"", "alice", "bob"} // "" is the default account
	symbols  = []string{"BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "LTCBTC"}
)

// everyone calls do for each account and each symbol.
func everyone(do func(who)) {
	for _, account := range accounts {
		for _, symbol := range symbols {
			do(who{account, symbol})
		}
	}
}

// leastTrip is a round trip that no answer beats: twice the shortest way.
const leastTrip = 10 * time.Millisecond

// always is a cost that does not depend on when a request arrives.
func always(costs map[string]int64) func(time.Duration) map[string]int64 {
	return func(time.Duration) map[string]int64 { return costs }
}

// scenarios are made anew for every run: nothing is left of an earlier one.
func scenarios() []scenario {
	return []scenario{instruments(), endpoints(), futures(), spentBudget(), haste()}
}

// instruments: every order counts for its symbol within the account, and for the
// account, each of a batch of 20 as one; batches have a counter of their own.
func instruments() scenario {
	const per = 2 * time.Second
	slides := func(quota int64) func() counter { return func() counter { return &sliding{quota: quota, per: per} } }
	return scenario{
		name:  "instruments",
		about: "60 orders and 300 in batches of 20, each in 2 s by account and symbol; together 1,000 in 2 s by account",
		rules: []rule{
			{name: "single", apart: byBoth, make: slides(60), way: "sliding, 60 in 2 s"},
			{name: "batched", apart: byBoth, make: slides(300), way: "sliding, 300 in 2 s"},
			{name: "account", apart: byAccount, make: slides(1_000), goal: 0.95, way: "sliding, 1,000 in 2 s"},
		},
		limits: []throttle.Limit{
			{ID: "account", Quota: 1_000, Per: per, By: throttle.ByAccount, RTTFloor: leastTrip},
			{ID: "single", Quota: 60, Per: per, By: throttle.ByAccount | throttle.ByKey, RTTFloor: leastTrip, Linked: []throttle.Link{{ID: "account"}}},
			{ID: "batched", Quota: 300, Per: per, By: throttle.ByAccount | throttle.ByKey, RTTFloor: leastTrip, Linked: []throttle.Link{{ID: "account"}}},
		},
		trade: func(w *world) {
			everyone(func(of who) {
				w.backlog(2, func() *request {
					return &request{who: of, permit: throttle.Permit{Limit: "single"}, costs: always(map[string]int64{"single": 1, "account": 1})}
				})
				w.backlog(2, func() *request {
					return &request{
						who: of, costs: always(map[string]int64{"batched": 20, "account": 20}),
						permit: throttle.Permit{Limit: "batched", Weights: []throttle.Cost{{ID: "batched", Weight: 20}, {ID: "account", Weight: 20}}},
					}
				})
			})
		},
	}
}

// endpoints: ten a second for each account and symbol, and all of them at one address.
func endpoints() scenario {
	return scenario{
		name:  "endpoints",
		about: "10 orders a second by account and symbol, 1,000 requests in 5 s at the address",
		rules: []rule{
			{name: "order", apart: byBoth, make: func() counter { return &sliding{quota: 10, per: time.Second} }, goal: 0.95, way: "sliding, 10 a second"},
			{name: "address", apart: byNothing, make: func() counter { return &sliding{quota: 1_000, per: 5 * time.Second} }, way: "sliding, 1,000 in 5 s"},
		},
		limits: []throttle.Limit{
			{ID: "address", Quota: 1_000, Per: 5 * time.Second, RTTFloor: leastTrip},
			{ID: "order", Quota: 10, Per: time.Second, By: throttle.ByAccount | throttle.ByKey, RTTFloor: leastTrip, Linked: []throttle.Link{{ID: "address"}}},
		},
		trade: func(w *world) {
			everyone(func(of who) {
				w.backlog(3, func() *request {
					return &request{who: of, permit: throttle.Permit{Limit: "order"}, costs: always(map[string]int64{"order": 1, "address": 1})}
				})
			})
		},
	}
}

// futures: an order weighs nothing at the address and one in both windows of its
// account; a batch of five weighs five at the address, five in the short window and one
// in the long one; a cancellation one at the address, and nothing else.
func futures() scenario {
	windows := func(quota int64, per time.Duration) func() counter {
		return func() counter { return &fixed{quota: quota, per: per} }
	}
	return scenario{
		name:  "futures",
		about: "2,400 a minute by address, 300 in 10 s and 1,200 a minute by account; an order is 0, 1 and 1, a batch of five 5, 5 and 1, a cancel 1, 0 and 0",
		rules: []rule{
			{name: "address", apart: byNothing, make: windows(2_400, time.Minute), goal: 0.99, way: "fixed, 2,400 a minute"},
			{name: "orders 10 s", apart: byAccount, make: windows(300, 10*time.Second), way: "fixed, 300 in 10 s"},
			{name: "orders 1 min", apart: byAccount, make: windows(1_200, time.Minute), goal: 0.99, way: "fixed, 1,200 a minute"},
		},
		limits: []throttle.Limit{
			{ID: "address", Quota: 2_400, Per: time.Minute, Window: throttle.Fixed},
			{ID: "orders 10 s", Quota: 300, Per: 10 * time.Second, Window: throttle.Fixed, By: throttle.ByAccount},
			{ID: "orders 1 min", Quota: 1_200, Per: time.Minute, Window: throttle.Fixed, By: throttle.ByAccount},
			{ID: "order", Linked: []throttle.Link{{ID: "orders 10 s"}, {ID: "orders 1 min"}}},
			{ID: "all", Linked: []throttle.Link{{ID: "address"}, {ID: "orders 10 s"}, {ID: "orders 1 min"}}},
		},
		trade: func(w *world) {
			everyone(func(of who) {
				w.backlog(3, func() *request {
					return &request{who: of, permit: throttle.Permit{Limit: "order"}, costs: always(map[string]int64{"orders 10 s": 1, "orders 1 min": 1})}
				})
				w.backlog(2, func() *request { return futuresRequest(of, throttle.Normal, 5, 5, 1) })
				w.every(2*time.Second, func() { w.submit(futuresRequest(of, throttle.Urgent, 1, 0, 0)) })
			})
		},
	}
}

// futuresRequest is one that says what it costs each limit, nothing included.
func futuresRequest(of who, priority throttle.Priority, address, short, long int64) *request {
	return &request{
		who:   of,
		costs: always(map[string]int64{"address": address, "orders 10 s": short, "orders 1 min": long}),
		permit: throttle.Permit{Limit: "all", Priority: priority, Weights: []throttle.Cost{
			{ID: "address", Weight: address}, {ID: "orders 10 s", Weight: short}, {ID: "orders 1 min", Weight: long},
		}},
	}
}

// haste: a counter for each account and pair, which an order raises by one and a
// cancellation by the more the younger its order is.
func haste() scenario {
	limit := throttle.Limit{
		ID: "engine", Window: throttle.Leaky, Quota: 234, Per: 100 * time.Second, Burst: 125, By: throttle.ByAccount | throttle.ByKey,
	}
	return scenario{
		name:  "haste",
		about: "a counter by account and pair, up to 125, falling by 2.34 a second; orders 1, cancels 8 to 0 by the order's age",
		rules: []rule{{
			name: "engine", apart: byBoth, goal: 0.99, way: "decaying, 2.34 a second, up to 125",
			make: func() counter { return &leaky{quota: 234, per: 100 * time.Second, burst: 125} },
		}},
		limits: []throttle.Limit{limit},
		trade: func(w *world) {
			everyone(func(of who) {
				for range 20 {
					w.quote(of)
				}
			})
		},
	}
}

// quote places an order, lets it stand for up to two minutes, cancels it, and so on.
func (w *world) quote(of who) {
	var placedAt time.Duration // of the server's clock
	place := &request{who: of, permit: throttle.Permit{Limit: "engine"}}
	place.costs = func(at time.Duration) map[string]int64 {
		placedAt = at
		return map[string]int64{"engine": 1}
	}
	place.answered = func() {
		known := w.now // the order is at least as old as its answer
		stands := time.Duration(w.rng.ExpFloat64() * float64(20*time.Second))
		w.after(min(stands, 2*time.Minute), func() { w.cancel(of, known, &placedAt) })
	}
	w.submit(place)
}

// cancel reserves what a cancellation costs at most, by the age that the order has at
// least, and is told by the answer what it has cost.
func (w *world) cancel(of who, known time.Duration, placedAt *time.Duration) {
	var cost int64
	r := &request{who: of, permit: throttle.Permit{Limit: "engine"}}
	// The server's clock runs slower than ours by no more than 200 ppm.
	age := (w.now - known) * 4_999 / 5_000
	r.permit.Weights = []throttle.Cost{{ID: "engine", Weight: cancelCost(age)}}
	r.costs = func(at time.Duration) map[string]int64 {
		cost = cancelCost(at - *placedAt)
		return map[string]int64{"engine": cost}
	}
	r.told = func() []throttle.Cost { return []throttle.Cost{{ID: "engine", Weight: cost}} }
	r.answered = func() { w.quote(of) }
	w.submit(r)
}

// cancelCost is what a cancellation costs by the age of its order.
func cancelCost(age time.Duration) int64 {
	for _, step := range []struct {
		below time.Duration
		cost  int64
	}{{5, 8}, {10, 6}, {15, 5}, {45, 4}, {90, 2}, {300, 1}} {
		if age < step.below*time.Second {
			return step.cost
		}
	}
	return 0
}

// spentBudget: actions come out of a budget for life, and once that is spent one is let
// in every ten seconds. Half-way the desk trades, and earns some more.
func spentBudget() scenario {
	const earned = 200
	return scenario{
		name:  "budget",
		about: "500 actions for life by account, and 200 earned at half-time; then one every 10 s",
		rules: []rule{{
			name: "actions", apart: byAccount, goal: 0.99, way: "for life",
			make: func() counter { return &budget{left: 500, given: 500, per: 10 * time.Second} },
		}},
		limits: []throttle.Limit{
			{ID: "actions", Quota: 500, Window: throttle.Lifetime, By: throttle.ByAccount, Fallback: "trickle"},
			{ID: "trickle", Quota: 1, Per: 10 * time.Second, By: throttle.ByAccount, RTTFloor: leastTrip},
		},
		trade: func(w *world) {
			everyone(func(of who) {
				w.backlog(1, func() *request {
					return &request{who: of, permit: throttle.Permit{Limit: "actions"}, costs: always(map[string]int64{"actions": 1})}
				})
			})
			w.after(w.length/2, func() {
				for _, account := range accounts {
					of := who{account: account}
					w.server.of("actions", of).counter.(*budget).earn(w.server.clock.read(w.now), earned)
					w.after(w.jitter(), func() { w.learn("actions", of, -earned) })
				}
			})
		},
	}
}
