package compare

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/bench/report"
)

// Figure is something that is compared.
type Figure string

// The figures. All are the better the lower they are, but for Rate.
const (
	CPU         Figure = "cpu"    // of the client's process, for each request
	Allocs      Figure = "allocs" // for each request
	Bytes       Figure = "bytes"  // allocated, for each request
	ResponseP50 Figure = "p50"    // of the response time
	ResponseP90 Figure = "p90"
	ResponseP99 Figure = "p99"
	ServiceP50  Figure = "service.p50"
	ServiceP90  Figure = "service.p90"
	ServiceP99  Figure = "service.p99"
	Rate        Figure = "rate"   // of requests that ended within the schedule
	Errors      Figure = "errors" // as a share
)

// OfRuns are the figures that files of results have, and OfSlices those of slices side by
// side, in the order of reports.
var (
	OfRuns   = []Figure{ResponseP50, ResponseP90, ResponseP99, ServiceP50, ServiceP90, ServiceP99, Rate, Errors, CPU}
	OfSlices = []Figure{CPU, Allocs, Bytes, Errors, ResponseP50, ResponseP99}
)

// GateOfRuns and GateOfSlices are what is gated if nothing else is said. Latency and
// throughput of slices are shown and not gated: on a shared machine they say more about the
// neighbours than about the code.
var (
	GateOfRuns   = []Figure{ResponseP50, ResponseP90, ResponseP99, Rate, Errors, CPU}
	GateOfSlices = []Figure{CPU, Allocs, Bytes, Errors}
)

// ThresholdOfRuns and ThresholdOfSlices are how much worse a figure has to be to count, if
// nothing else is said. Pairs are exact enough for less: with slices whose CPU varies by 5 %
// of its own, 60 pairs find 7 % nearly always at 3 %, and nine times in ten at 5 %.
const (
	ThresholdOfRuns   = 0.05
	ThresholdOfSlices = 0.03
	// hard is the threshold of what hardly varies.
	hard = 0.01
)

// threshold is how much worse the figure has to be. Allocations hardly vary, so one more in a
// hundred counts, whatever is allowed to the rest.
func (f Figure) threshold(usual float64) float64 {
	if f == Allocs || f == Bytes {
		return min(usual, hard)
	}
	return usual
}

// higherIsBetter tells rates from everything else.
func (f Figure) higherIsBetter() bool { return f == Rate }

// worse is by how much of itself the figure has become worse: above zero if it has.
func (f Figure) worse(ratio float64) float64 {
	if f.higherIsBetter() {
		return quotient(1, ratio) - 1
	}
	return ratio - 1
}

// anything is the interval of a change of which nothing is known.
func (f Figure) anything() gauge.Interval {
	if f == Errors {
		return gauge.Interval{Low: -1, High: 1}
	}
	return gauge.Interval{Low: 0, High: math.Inf(1)}
}

// format writes a value of the figure for people.
func (f Figure) format(v float64) string {
	switch f {
	case Allocs, Bytes:
		return fourDigits(v)
	case Rate:
		return report.Rate(v)
	case Errors:
		return fmt.Sprintf("%.3g%%", 100*v)
	}
	switch { // the rest are microseconds
	case v >= 1e6:
		return fmt.Sprintf("%.4gs", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.4gms", v/1e3)
	}
	return fmt.Sprintf("%.4gµs", v)
}

// fourDigits writes a number to four digits, or all that are before its point.
func fourDigits(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.4g", v)
}

// ParseFigures reads names of figures, each of which has to be among those that are known. No
// names mean usual.
func ParseFigures(names []string, known, usual []Figure) ([]Figure, error) {
	if len(names) == 0 {
		return usual, nil
	}
	var wanted []Figure
	for _, name := range names {
		f := Figure(strings.TrimSpace(name))
		if !slices.Contains(known, f) {
			return nil, fmt.Errorf("figure %q is not measured; there are %s", name, Names(known))
		}
		if !slices.Contains(wanted, f) {
			wanted = append(wanted, f)
		}
	}
	return wanted, nil
}

// Names writes figures with commas between them.
func Names(figures []Figure) string {
	var names []string
	for _, f := range figures {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}
