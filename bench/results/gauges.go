package results

import "slices"

func (g *Gauges) clone() *Gauges {
	if g == nil {
		return nil
	}
	c := *g
	c.Limits = slices.Clone(g.Limits)
	return &c
}

// follow takes in a later reading of the same machine: the largest of what stands, the sum
// of what passes.
func (g *Gauges) follow(later *Gauges) {
	g.InFlight = max(g.InFlight, later.InFlight)
	g.Waiting = max(g.Waiting, later.Waiting)
	g.Connections = max(g.Connections, later.Connections)
	g.CPU = longer(g.CPU, later.CPU)
	g.Heap = max(g.Heap, later.Heap)
	g.GC = longer(g.GC, later.GC)
	g.GCs += later.GCs
	g.eachLimit(later, func(mine, theirs *LimitUse) {
		mine.Used = max(mine.Used, theirs.Used)
		mine.Quota = theirs.Quota
		mine.Queued = max(mine.Queued, theirs.Queued)
		mine.Refusals = plus(mine.Refusals, theirs.Refusals)
	})
}

// join takes in the reading of another machine in the same time: sums, but for the pauses,
// which are the longest.
func (g *Gauges) join(other *Gauges) {
	g.InFlight += other.InFlight
	g.Waiting += other.Waiting
	g.Connections += other.Connections
	g.CPU = longer(g.CPU, other.CPU)
	g.Heap = plus(g.Heap, other.Heap)
	g.GC = max(g.GC, other.GC)
	g.GCs += other.GCs
	g.eachLimit(other, func(mine, theirs *LimitUse) {
		mine.Used += theirs.Used
		mine.Quota += theirs.Quota
		mine.Queued += theirs.Queued
		mine.Refusals = plus(mine.Refusals, theirs.Refusals)
	})
}

func (g *Gauges) eachLimit(other *Gauges, both func(mine, theirs *LimitUse)) {
	for i := range other.Limits {
		theirs := &other.Limits[i]
		at := slices.IndexFunc(g.Limits, func(l LimitUse) bool { return l.ID == theirs.ID })
		if at < 0 {
			g.Limits = append(g.Limits, *theirs)
			continue
		}
		both(&g.Limits[at], theirs)
	}
}
