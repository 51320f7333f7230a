package page

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/throttle"
)

// windows are how an engine counts what the exchange counts in that way. A Budget is missing: what
// is earned on top of it no limit knows.
var windows = map[exchange.Policy]throttle.Window{
	exchange.Fixed: throttle.Fixed, exchange.Sliding: throttle.Sliding, exchange.TokenBucket: throttle.Leaky,
	exchange.Decaying: throttle.Leaky, exchange.FromFirst: throttle.FixedFromFirst,
}

// The routes of the load, each with its weight by the exchange's table.
var routes = []struct {
	id     string
	weight int64
	order  bool // it places one
	signed bool
}{
	{"time", 1, false, false}, {"price", 2, false, false}, {"depth", 5, false, false},
	{"order", 1, true, true}, {"account", 20, false, true},
}

// limitsOf makes limits of the exchange's, and routes that are charged to them. Limits by
// address are one scope, and those by account another.
func limitsOf(all []exchange.Limit) (limits []throttle.Limit, err error) {
	links, taken := map[string][]throttle.Link{}, map[string]bool{}
	for _, l := range all {
		window, known := windows[l.Policy]
		if !known || l.Kind == exchange.Matching || l.Kind == exchange.Connections {
			return nil, fmt.Errorf("the load of the page cannot keep the limit %s: leave it out, or leave the page out", l)
		}
		one := throttle.Limit{ID: fmt.Sprintf("%s %s", l.Kind, short(l.Per)), Window: window, Quota: l.Quota, Per: l.Per, Burst: l.Burst, Scope: "address"}
		for n := 2; taken[one.ID]; n++ { // of one kind and length there may be several
			one.ID = fmt.Sprintf("%s %s (%d)", l.Kind, short(l.Per), n)
		}
		taken[one.ID] = true
		if l.Policy == exchange.Decaying {
			one.Tick = l.Per / time.Duration(l.Quota)
		}
		if l.Kind != exchange.Weight && l.Kind != exchange.Raw {
			one.Scope, one.By = "account", throttle.ByAccount
			if l.PerSymbol {
				one.By |= throttle.ByKey
			}
		}
		limits = append(limits, one)
		for _, r := range routes {
			if weight := weightOf(l.Kind, r.weight, r.order, r.signed); weight > 0 {
				links[r.id] = append(links[r.id], throttle.Link{ID: one.ID, Weight: weight})
			}
		}
	}
	for _, r := range routes {
		if len(links[r.id]) > 0 {
			limits = append(limits, throttle.Limit{ID: r.id, Linked: links[r.id]})
		}
	}
	return limits, nil
}

// weightOf is what a kind of limit counts for a request.
func weightOf(kind exchange.Kind, weight int64, order, signed bool) int64 {
	switch {
	case kind == exchange.Weight, kind == exchange.AccountWeight && signed:
		return weight
	case kind == exchange.Raw, (kind == exchange.Orders || kind == exchange.Actions) && order:
		return 1
	}
	return 0
}

func short(d time.Duration) string {
	for _, unit := range []struct {
		d    time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= unit.d && d%unit.d == 0 {
			return fmt.Sprintf("%d %s", d/unit.d, unit.name)
		}
	}
	return d.String()
}
