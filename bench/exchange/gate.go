package exchange

import "time"

// gate is the set of limits that one client address, or one account, has to
// pass, and what it has been told. It is guarded by the exchange's mutex.
type gate struct {
	limits  []Limit
	scope   string
	meters  map[meterID]*meter
	opened  func(*meter) // told of every meter
	penalty penalty      // of a client address; accounts are told limit by limit
}

// meterID names a meter of a gate: a limit, by its place, and a symbol if the limit
// tells symbols apart.
type meterID struct {
	limit  int
	symbol string
}

// newGate makes a gate of those limits that are chosen. Meters that are told apart by
// symbol are opened when they are first needed.
func newGate(limits []Limit, scope string, chosen func(Kind) bool, opened func(*meter)) *gate {
	g := &gate{scope: scope, meters: map[meterID]*meter{}, opened: opened}
	for _, l := range limits {
		if chosen(l.Kind) {
			g.limits = append(g.limits, l)
		}
	}
	for i, l := range g.limits {
		if !l.PerSymbol {
			g.meter(i, "")
		}
	}
	return g
}

func (g *gate) meter(limit int, symbol string) *meter {
	id := meterID{limit, symbol}
	m := g.meters[id]
	if m == nil {
		scope := g.scope
		if symbol != "" {
			scope += " " + symbol
		}
		m = newMeter(g.limits[limit], scope)
		g.meters[id] = m
		g.opened(m)
	}
	return m
}

// act is something that is counted: what one request does about one symbol.
type act struct {
	symbol      string // "" is none
	weight      int64
	requests    int64
	connections int64
	orders      int64 // placed
	actions     int64 // orders placed, amended or cancelled
	matching    int64 // what the matching engine takes for them
	batch       bool
}

// cost is what an act costs a limit.
func (a act) cost(l Limit) int64 {
	cost := [...]int64{
		Weight: a.weight, AccountWeight: a.weight, Raw: a.requests, Connections: a.connections,
		Orders: a.orders, Actions: a.actions, Matching: a.matching,
	}[l.Kind]
	if l.WholeBatch && a.batch {
		return min(cost, 1)
	}
	return cost
}

// charge is what an arrival costs a meter.
type charge struct {
	meter  *meter
	weight int64
}

// charges lists what acts of one request cost, without what costs nothing.
func (g *gate) charges(acts ...act) (list []charge) {
	for i, l := range g.limits {
		for _, a := range acts {
			cost := a.cost(l)
			if cost == 0 || l.PerSymbol && a.symbol == "" {
				continue
			}
			symbol := ""
			if l.PerSymbol {
				symbol = a.symbol
			}
			list = addCharge(list, charge{g.meter(i, symbol), cost})
		}
	}
	return list
}

// addCharge adds to what a meter is charged already. A batch is one for a meter that
// counts it as a whole, however many symbols it is about.
func addCharge(list []charge, c charge) []charge {
	for i := range list {
		if list[i].meter != c.meter {
			continue
		}
		if !c.meter.limit.WholeBatch {
			list[i].weight += c.weight
		}
		return list
	}
	return append(list, c)
}

// admitAll charges every meter, or none and names the one that takes longest.
func admitAll(now instant, list []charge, chargeRefused bool) (full charge, wait time.Duration) {
	for _, c := range list {
		if d := c.meter.wait(now, c.weight); d > wait {
			full, wait = c, d
		}
	}
	for _, c := range list {
		switch {
		case wait == 0:
			c.meter.charge(now, c.weight)
		case c.meter.wait(now, c.weight) > 0:
			c.meter.refuse(now, c.weight, chargeRefused)
		case chargeRefused:
			c.meter.burden(now, c.weight)
		}
	}
	return full, wait
}

// burden counts an arrival that was turned away before any limit was asked.
func (g *gate) burden(now instant, acts ...act) {
	for _, c := range g.charges(acts...) {
		c.meter.burden(now, c.weight)
	}
}

// earn adds to every budget of the gate.
func (g *gate) earn(weight int64) {
	for _, m := range g.meters {
		if b, is := m.counter.(*budget); is {
			b.earn(weight)
		}
	}
}

// usage is what a header says is used up.
type usage struct {
	header string
	limit  Limit
	weight int64
}

var usageHeaders = map[Kind]string{
	Weight: "X-MBX-USED-WEIGHT-", Orders: "X-MBX-ORDER-COUNT-", AccountWeight: "X-SAPI-USED-UID-WEIGHT-",
}

// headers appends the header of every limit that has one. Limits told apart by symbol
// have none.
func (g *gate) headers(now instant, to []usage, kinds ...Kind) []usage {
	for i, l := range g.limits {
		for _, k := range kinds {
			if l.Kind == k && !l.PerSymbol {
				m := g.meter(i, "")
				to = append(to, usage{usageHeaders[k] + m.label, l, m.used(now)})
			}
		}
	}
	return to
}
