package capacity

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/optimize"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// Point is a measured throughput.
type Point struct {
	Callers    int     `json:"callers"`
	Throughput float64 `json:"throughput"` // a second
}

// Fit is a law fitted to points.
type Fit struct {
	Law
	// LambdaCI, SigmaCI and KappaCI are 95 % intervals.
	LambdaCI gauge.Interval `json:"lambda_ci95"`
	SigmaCI  gauge.Interval `json:"sigma_ci95"`
	KappaCI  gauge.Interval `json:"kappa_ci95"`
	// Spread is by how much points lie off the law, as a share: a standard deviation.
	Spread float64 `json:"spread"`
	// Measured is the most callers there were.
	Measured int `json:"measured"`

	peaks, peakThroughputs []float64 // of the bootstrap, sorted
}

const (
	// LeastSteps is how many numbers of callers a law is fitted to at least.
	LeastSteps = 5 // three parameters, and something to know the noise by
	draws      = 1000
	badSpread  = 0.1
	tiny       = 1e-12 // a parameter of zero has no logarithm
)

// FitLaw fits the law to points, of which there must be five with different numbers of
// callers. It is a function of its arguments.
func FitLaw(points []Point, seed uint64) (*Fit, error) { return fitLaw(points, seed, draws) }

func fitLaw(points []Point, seed uint64, draws int) (*Fit, error) {
	if err := check(points); err != nil {
		return nil, err
	}
	law := minimize(points)
	freedom := float64(len(points) - 3)
	f := &Fit{Law: law, Spread: math.Sqrt(squares(law, points) / freedom)}
	for _, p := range points {
		f.Measured = max(f.Measured, p.Callers)
	}
	random := rand.New(rand.NewPCG(seed, uint64(len(points))))
	columns := make([][]float64, 5)
	drawn := slices.Clone(points)
	for range draws {
		spread := f.Spread * math.Sqrt(freedom/chiSquared(random, len(points)-3))
		for i := range drawn {
			drawn[i].Throughput = law.At(float64(points[i].Callers)) * math.Exp(spread*random.NormFloat64())
		}
		again := minimize(drawn)
		peak := again.Peak()
		for i, x := range []float64{again.Lambda, again.Sigma, again.Kappa, peak, again.At(min(peak, farthest*float64(f.Measured)))} {
			columns[i] = append(columns[i], x)
		}
	}
	for i := range columns {
		slices.Sort(columns[i])
	}
	f.LambdaCI, f.SigmaCI, f.KappaCI = middle(columns[0]), middle(columns[1]), middle(columns[2])
	f.peaks, f.peakThroughputs = columns[3], columns[4]
	return f, nil
}

func check(points []Point) error {
	different := map[int]bool{}
	for _, p := range points {
		if p.Callers < 1 || !(p.Throughput > 0) || math.IsInf(p.Throughput, 0) {
			return fmt.Errorf("%d callers with a throughput of %g/s: both must be above zero", p.Callers, p.Throughput)
		}
		different[p.Callers] = true
	}
	if len(different) < LeastSteps {
		return fmt.Errorf("%d steps are too few to fit three parameters: at least %d are needed", len(different), LeastSteps)
	}
	return nil
}

// chiSquared draws from the distribution of the sum of so many squares.
func chiSquared(random *rand.Rand, freedom int) float64 {
	sum := 0.0
	for range freedom {
		z := random.NormFloat64()
		sum += z * z
	}
	return sum
}

func middle(sorted []float64) gauge.Interval {
	tail := len(sorted) / 40
	return gauge.Interval{Low: sorted[tail], High: sorted[len(sorted)-1-tail]}
}

// squares adds up the squared differences of the logarithms.
func squares(l Law, points []Point) float64 {
	sum := 0.0
	for _, p := range points {
		d := math.Log(p.Throughput / l.At(float64(p.Callers)))
		sum += d * d
	}
	return sum
}

// minimize finds the law with the least squares: from the linear solution on, by Nelder and
// Mead's method over the logarithms of the parameters, which are so never below zero.
func minimize(points []Point) Law {
	start := linear(points)
	at := func(u []float64) Law {
		return Law{Lambda: math.Exp(u[0]), Sigma: orZero(math.Exp(u[1])), Kappa: orZero(math.Exp(u[2]))}
	}
	problem := optimize.Problem{Func: func(u []float64) float64 { return squares(at(u), points) }}
	from := []float64{math.Log(start.Lambda), math.Log(max(start.Sigma, tiny)), math.Log(max(start.Kappa, tiny))}
	settings := &optimize.Settings{
		FuncEvaluations: 400,
		Converger:       &optimize.FunctionConverge{Absolute: 1e-9, Relative: 1e-6, Iterations: 20},
	}
	result, err := optimize.Minimize(problem, from, settings, &optimize.NelderMead{SimplexSize: 0.05})
	if result == nil || err != nil && result.F > squares(start, points) {
		return start
	}
	return at(result.X)
}

// orZero takes for zero what only its logarithm keeps from it.
func orZero(parameter float64) float64 {
	if parameter < 1000*tiny {
		return 0
	}
	return parameter
}

// linear solves N/X = (1 + σ(N−1) + κN(N−1))/λ, which is linear in 1/λ, σ/λ and κ/λ, by least
// squares relative to N/X: with both of σ and κ, with either, and with none, and takes the best
// in which none is below zero.
func linear(points []Point) Law {
	best, least := Law{Lambda: points[0].Throughput / float64(points[0].Callers)}, math.Inf(1)
	for _, use := range [][]int{{0, 1, 2}, {0, 1}, {0, 2}, {0}} {
		x, ok := solve(points, use)
		if !ok || x[0] <= 0 || x[1] < 0 || x[2] < 0 {
			continue
		}
		law := Law{Lambda: 1 / x[0], Sigma: x[1] / x[0], Kappa: x[2] / x[0]}
		if s := squares(law, points); s < least {
			best, least = law, s
		}
	}
	return best
}

// solve makes the normal equations of some of the three columns and eliminates.
func solve(points []Point, use []int) (x [3]float64, ok bool) {
	var a [3][4]float64
	for _, p := range points {
		n := float64(p.Callers)
		scale := p.Throughput / n
		column := [3]float64{scale, scale * (n - 1), scale * n * (n - 1)}
		for _, i := range use {
			for _, j := range use {
				a[i][j] += column[i] * column[j]
			}
			a[i][3] += column[i]
		}
	}
	for at, i := range use {
		if a[i][i] < 1e-300 {
			return x, false
		}
		for _, j := range use[at+1:] {
			factor := a[j][i] / a[i][i]
			for k := range a[j] {
				a[j][k] -= factor * a[i][k]
			}
		}
	}
	for at := len(use) - 1; at >= 0; at-- {
		i := use[at]
		x[i] = a[i][3]
		for _, j := range use[at+1:] {
			x[i] -= a[i][j] * x[j]
		}
		x[i] /= a[i][i]
	}
	return x, true
}

// Predict says which throughput the law expects of n callers. The error is a *BeyondError if
// they are more than twice those measured.
func (f *Fit) Predict(n float64) (float64, error) {
	if !(n >= 1) {
		return 0, fmt.Errorf("%g callers: at least one is needed", n)
	}
	if n > farthest*float64(f.Measured) {
		return 0, &BeyondError{Callers: n, Measured: f.Measured}
	}
	return f.At(n), nil
}

// Peak is where throughput is highest, with 95 % intervals. What lies beyond twice the callers
// that were measured is cut off there, and Beyond says so.
type Peak struct {
	Callers      float64        `json:"callers"`
	CallersCI    gauge.Interval `json:"callers_ci95"`
	Throughput   float64        `json:"throughput"`
	ThroughputCI gauge.Interval `json:"throughput_ci95"`
	Beyond       bool           `json:"interval_cut_off"`
}

// Peak says where throughput is highest. The error is a *BeyondError if that is at more than
// twice the callers that were measured.
func (f *Fit) Peak() (Peak, error) {
	n := f.Law.Peak()
	x, err := f.Predict(n)
	if err != nil {
		return Peak{}, err
	}
	p := Peak{Callers: n, CallersCI: middle(f.peaks), Throughput: x, ThroughputCI: middle(f.peakThroughputs)}
	if most := farthest * float64(f.Measured); p.CallersCI.High > most {
		p.CallersCI.High, p.Beyond = most, true
	}
	return p, nil
}

// Bad reports whether the law fits so badly that its parameters mean little.
func (f *Fit) Bad() bool { return f.Spread > badSpread }
