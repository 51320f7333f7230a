package compare

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// second is what one interval of a run adds to its figures.
type second struct {
	response, service *results.Histogram
	count, errors     uint64 // by intended instant
	completed         uint64
	cpu               time.Duration
	length            float64 // seconds of the measured part in it
	gauged            bool    // the CPU was read
}

// mostSeconds bounds how many pieces a run is drawn from; more are added up side by side.
const mostSeconds = 300

// secondsOf takes a run apart into the full seconds of its measured part: without its warm-up,
// without an interval that has some of it, and without what is behind the end, if there are
// others. A second that is not full, and the drain, have no rate and no CPU to compare, and are
// no second more; what was due in them, as the later steps of chains are, counts in the last
// full one.
func secondsOf(run *results.Run) []second {
	var all []second
	for _, in := range mainOf(run) {
		if len(all) > 0 && !full(run, in) {
			all[len(all)-1].addAll(in.Operations)
			continue
		}
		s := second{response: results.NewHistogram(), service: results.NewHistogram(), length: measuredIn(run, in)}
		if s.length > 0 {
			s.completed = in.InSchedule().Completed
		}
		if in.Gauges != nil {
			s.cpu, s.gauged = in.Gauges.CPU, true
		}
		s.addAll(in.Operations)
		all = append(all, s)
	}
	for len(all) > mostSeconds {
		all = halved(all)
	}
	return all
}

func mainOf(run *results.Run) []*results.Interval {
	var all, unmixed []*results.Interval
	enough := false
	for i := range run.Series {
		in := &run.Series[i]
		if in.Phase != results.Main {
			continue
		}
		all = append(all, in)
		if time.Duration(in.Second)*time.Second >= run.Header.WarmUp {
			unmixed = append(unmixed, in)
			enough = enough || full(run, in)
		}
	}
	if enough {
		return unmixed
	}
	return all
}

func (s *second) addAll(operations map[string]*results.Operation) {
	for name, op := range operations {
		if name == "" && len(operations) > 1 {
			continue // all the others together
		}
		s.add(op)
	}
}

func (s *second) add(op *results.Operation) {
	s.response.Merge(op.Response)
	s.service.Merge(op.Service)
	s.count += op.Count
	for _, n := range op.Errors {
		s.errors += n
	}
}

// measuredIn is how many seconds of the measured part an interval has: that ends with the
// schedule, or with the run if that ended before. Of a run that crashed all there is counts.
func measuredIn(run *results.Run, in *results.Interval) float64 {
	step, end := float64(max(1, run.Step)), math.Inf(1)
	for _, known := range []time.Duration{run.Header.Length, run.Header.RatesOver(run.End)} {
		if known > 0 {
			end = min(end, known.Seconds())
		}
	}
	return min(step, max(0, end-float64(in.Second)))
}

func full(run *results.Run, in *results.Interval) bool {
	return measuredIn(run, in) >= float64(max(1, run.Step))
}

// halved adds up neighbours.
func halved(all []second) []second {
	var half []second
	for pair := range slices.Chunk(all, 2) {
		s := pair[0]
		for _, other := range pair[1:] {
			s.response.Merge(other.response)
			s.service.Merge(other.service)
			s.count, s.errors, s.completed = s.count+other.count, s.errors+other.errors, s.completed+other.completed
			s.cpu, s.length, s.gauged = s.cpu+other.cpu, s.length+other.length, s.gauged && other.gauged
		}
		half = append(half, s)
	}
	return half
}

// figuresOf computes figures of a run again and again, each time of its seconds drawn with
// other weights.
type figuresOf struct {
	seconds           []second
	response, service cumulative
	failures          []failures
	gauged            bool
}

func newFiguresOf(seconds []second) *figuresOf {
	f := &figuresOf{seconds: seconds, gauged: len(seconds) > 0}
	f.response = newCumulative(seconds, func(s *second) *results.Histogram { return s.response })
	f.service = newCumulative(seconds, func(s *second) *results.Histogram { return s.service })
	var cpu time.Duration
	for i := range seconds {
		f.gauged = f.gauged && (seconds[i].gauged || seconds[i].completed == 0)
		cpu += seconds[i].cpu
		f.failures = append(f.failures, failures{float64(seconds[i].errors), float64(seconds[i].count)})
	}
	f.gauged = f.gauged && cpu > 0
	return f
}

// of returns a figure of the seconds, each taken so many times; NaN if it was not measured. A
// share of errors is as asRatio, so that the logarithm of a ratio is the difference.
func (f *figuresOf) of(figure Figure, weights []float64) float64 {
	switch figure {
	case ResponseP50:
		return f.response.quantile(0.5, weights)
	case ResponseP90:
		return f.response.quantile(0.9, weights)
	case ResponseP99:
		return f.response.quantile(0.99, weights)
	case ServiceP50:
		return f.service.quantile(0.5, weights)
	case ServiceP90:
		return f.service.quantile(0.9, weights)
	case ServiceP99:
		return f.service.quantile(0.99, weights)
	case Rate:
		return f.sum(weights, func(s *second) float64 { return float64(s.completed) }) / f.sum(weights, func(s *second) float64 { return s.length })
	case Errors:
		return asRatio(shareOf(f.failures, weights))
	case CPU:
		if f.gauged {
			return f.sum(weights, func(s *second) float64 { return float64(s.cpu) / 1e3 }) / f.sum(weights, func(s *second) float64 { return float64(s.completed) })
		}
	}
	return math.NaN()
}

// shown is a figure of the whole run as it is written.
func (f *figuresOf) shown(figure Figure) float64 {
	once := f.once()
	if figure == Errors {
		return shareOf(f.failures, once)
	}
	return f.of(figure, once)
}

func (f *figuresOf) sum(weights []float64, of func(*second) float64) float64 {
	total := 0.0
	for i := range f.seconds {
		total += weights[i] * of(&f.seconds[i])
	}
	return total
}

// once weighs every second alike: the run as it was.
func (f *figuresOf) once() []float64 { return ones(len(f.seconds)) }

// draw fills weights with how often each second is drawn: in blocks that begin anywhere and
// go on at the beginning, until there are as many as before. Blocks grow with the cube root
// of the run, as is usual.
func (f *figuresOf) draw(weights []float64, random *rand.Rand) {
	clear(weights)
	n := len(f.seconds)
	block := int(math.Ceil(math.Cbrt(float64(n))))
	for left := n; left > 0; {
		from := random.IntN(n)
		for i := range min(block, left) {
			weights[(from+i)%n]++
		}
		left -= block
	}
}

// cumulative knows of each duration how many requests of each second took no longer, so that
// a quantile of weighted seconds is a search and no merging.
type cumulative struct {
	durations []float64   // microseconds, going up
	upTo      [][]float64 // by duration, then by second
}

func newCumulative(seconds []second, of func(*second) *results.Histogram) cumulative {
	place := map[time.Duration]int{}
	var durations []time.Duration
	for i := range seconds {
		of(&seconds[i]).Each(func(_, last time.Duration, _ uint64) bool {
			if _, known := place[last]; !known {
				place[last] = 0
				durations = append(durations, last)
			}
			return true
		})
	}
	slices.Sort(durations)
	c := cumulative{durations: make([]float64, len(durations)), upTo: make([][]float64, len(durations))}
	for i, d := range durations {
		place[d] = i
		c.durations[i] = float64(d) / 1e3
		c.upTo[i] = make([]float64, len(seconds))
	}
	for i := range seconds {
		of(&seconds[i]).Each(func(_, last time.Duration, n uint64) bool {
			c.upTo[place[last]][i] = float64(n)
			return true
		})
	}
	for d := 1; d < len(c.upTo); d++ {
		for i, below := range c.upTo[d-1] {
			c.upTo[d][i] += below
		}
	}
	return c
}

// quantile is NaN if there is no request.
func (c *cumulative) quantile(q float64, weights []float64) float64 {
	if len(c.durations) == 0 {
		return math.NaN()
	}
	wanted := q * dot(c.upTo[len(c.upTo)-1], weights)
	wanted -= 1e-12 * wanted           // a product may lie a rounding above what is meant
	low, high := 0, len(c.durations)-1 // the answer is among them
	for low < high {
		middle := (low + high) / 2
		if dot(c.upTo[middle], weights) >= wanted {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return c.durations[low]
}

func dot(xs, ys []float64) float64 {
	total := 0.0
	for i, x := range xs {
		total += x * ys[i]
	}
	return total
}
