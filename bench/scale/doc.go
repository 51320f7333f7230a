// Package scale shows how cost grows as the work grows: with the keys that wait,
// the limits in the table, the callers, the connections, the origins, the size of
// bodies.
//
// A curve has a base and points. A point is measured in a process of its own, and
// so is its base, each against a server process of its own. Their slices (see
// bench/gauge) run in mirrored order, and what is shown is the ratio of a point's
// CPU time to its base's within each half of a round:
//
//	round   p b b p        the point and its base
//	round   b p p b        the next one begins with the other
//	        └┬┘
//	         half: one slice of each, side by side in time
//
// Where the growth of the engine stands beside fasthttp's own there are four
// processes, and the ratio is that of the two growths. A point may have bars: what
// a figure of it should at most, or at least, be.
//
// No wait is without an end. A point that takes longer than it may is given up,
// and says how far it came; a process that dies is told with what it said.
//
// The reading order: curve.go (what a curve is), curves.go (all of them and their
// bars), run.go and worker.go (the parent), work.go (a point's process), requests.go,
// waiting.go, ledger.go, memory.go (what they measure), point.go and bar.go (what the
// numbers say), text.go, page.go.
package scale
