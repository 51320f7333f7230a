package results

// Join takes in the reading of another machine in the same time: what stands and what passes
// adds up, and of pauses the longest counts.
func (g *Gauges) Join(other *Gauges) { g.join(other) }
