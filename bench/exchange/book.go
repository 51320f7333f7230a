package exchange

import (
	"maps"
	"slices"
	"strconv"
	"time"
)

// keptEvents is how many violations a report lists.
const keptEvents = 100

// book is what the referee writes down; it is guarded by the exchange's mutex.
type book struct {
	started  time.Time
	requests int64
	banned   int64
	counts   map[Violation]int64
	faults   map[string]int64
	routes   map[string]*RouteReport
	events   []Event
}

func newBook(started time.Time) *book {
	return &book{
		started: started,
		counts:  map[Violation]int64{},
		faults:  map[string]int64{},
		routes:  map[string]*RouteReport{},
	}
}

func (b *book) route(name string) *RouteReport {
	r := b.routes[name]
	if r == nil {
		r = &RouteReport{Route: name, Statuses: map[string]int{}}
		b.routes[name] = r
	}
	return r
}

func (b *book) answered(route string, status int) {
	b.requests++
	r := b.route(route)
	r.Requests++
	name := "none"
	if status != 0 {
		name = strconv.Itoa(status)
	}
	r.Statuses[name]++
}

func (b *book) violated(c *call, v Violation, detail string) {
	b.counts[v]++
	if c.owner != nil {
		c.owner.violations[v]++
	}
	if len(b.events) < keptEvents {
		b.events = append(b.events, Event{At: c.now.local, Client: c.client, Route: c.name, Violation: v, Detail: detail})
	}
}

// report copies the books; limits come in the order they were configured.
func (b *book) report(now time.Time, limits []Limit, meters []*meter) Report {
	r := Report{
		Started:  b.started,
		Duration: now.Sub(b.started),
		Requests: b.requests,
		Banned:   b.banned,
		Counts:   maps.Clone(b.counts),
		Faults:   maps.Clone(b.faults),
		Events:   slices.Clone(b.events),
	}
	for _, name := range slices.Sorted(maps.Keys(b.routes)) {
		route := *b.routes[name]
		route.Statuses = maps.Clone(route.Statuses)
		r.Routes = append(r.Routes, route)
	}
	for _, l := range limits {
		for _, m := range meters {
			if m.limit == l {
				r.Limits = append(r.Limits, m.report())
			}
		}
	}
	return r
}
