package crew

import (
	"slices"

	"github.com/sluice-engine/sluice/bench/results"
)

// gaugeLag is for how many seconds the gauges of a second wait for those of slower machines.
const gaugeLag = 30

// gaugeBook puts the gauges together that machines read in the same second. Whoever adds up a
// file takes several readings of a second for one machine's, of which the largest counts.
//
// Invariant: every reading is in exactly one interval that add or rest returns.
type gaugeBook struct {
	machines int
	pages    []gaugePage // by second
}

type gaugePage struct {
	second int
	phase  results.Phase
	gauges results.Gauges
	from   map[int]bool
}

func newGaugeBook(machines int) *gaugeBook { return &gaugeBook{machines: machines} }

// add notes a machine's reading, and returns what is complete, or too old to be waited for.
func (b *gaugeBook) add(machine, second int, phase results.Phase, g *results.Gauges) []results.Interval {
	at, ok := slices.BinarySearchFunc(b.pages, second, func(p gaugePage, s int) int { return p.second - s })
	if !ok {
		b.pages = slices.Insert(b.pages, at, gaugePage{second: second, phase: phase, from: map[int]bool{}})
	}
	p := &b.pages[at]
	p.from[machine] = true
	p.gauges.Join(g)
	newest := b.pages[len(b.pages)-1].second
	var done []results.Interval
	b.pages = slices.DeleteFunc(b.pages, func(p gaugePage) bool {
		if len(p.from) < b.machines && p.second > newest-gaugeLag {
			return false
		}
		done = append(done, p.interval())
		return true
	})
	return done
}

// rest returns what is left.
func (b *gaugeBook) rest() []results.Interval {
	var done []results.Interval
	for _, p := range b.pages {
		done = append(done, p.interval())
	}
	b.pages = nil
	return done
}

func (p gaugePage) interval() results.Interval {
	return results.Interval{Second: p.second, Phase: p.phase, Gauges: &p.gauges}
}
