package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// The noise of a shared machine of two cores, as measured: CPU time of a slice varies by 22 %
// in all, nearly all of it common to neighbours in time, and by some 5 % of its own. Wall time
// varies twice as much, and allocations hardly.
const (
	commonNoise = 0.21
	ownNoise    = 0.05
)

// machine is what disturbs both sides.
type machine struct {
	random *rand.Rand
	common float64
	slices int
	own    float64
}

// simulated is a side on a machine: the common noise changes from pair to pair.
type simulated struct {
	m     *machine
	dear  float64
	alloc float64
	order *[]string
	name  string
	err   error
}

func (s *simulated) Slice(context.Context, int) (Slice, error) {
	if s.err != nil {
		return Slice{}, s.err
	}
	m := s.m
	if m.slices%2 == 0 {
		m.common = math.Exp(commonNoise * m.random.NormFloat64())
	}
	m.slices++
	if s.order != nil {
		*s.order = append(*s.order, s.name)
	}
	own := func(of float64) float64 { return math.Exp(of * m.random.NormFloat64()) }
	return Slice{
		Cost:     gauge.Cost{CPU: 53 * s.dear * m.common * own(m.own), Allocs: 30 * s.alloc * own(0.001), Bytes: 4000 * s.alloc * own(0.003)},
		P50:      300 * m.common * own(0.15),
		P99:      2000 * m.common * own(0.4),
		Requests: 1500,
	}, nil
}

// experiment compares two simulated sides once.
func experiment(t *testing.T, seed uint64, dear, alloc, own float64, opts Options) *Report {
	t.Helper()
	m := &machine{random: rand.New(rand.NewPCG(seed, 99)), own: own}
	opts.Seed = seed
	report, err := AB{
		A: &simulated{m: m, dear: 1, alloc: 1}, B: &simulated{m: m, dear: dear, alloc: alloc},
		Names: [2]string{"a", "b"}, Options: opts,
	}.Run(t.Context())
	require.NoError(t, err)
	return report
}

// found counts experiments in which a figure was found to be worse.
func found(t *testing.T, experiments int, dear, alloc, own float64, figure Figure, opts Options) (share float64) {
	t.Helper()
	n := 0
	for seed := range uint64(experiments) {
		for _, e := range experiment(t, seed, dear, alloc, own, opts).Regressions() {
			if e.Figure == figure {
				n++
			}
		}
	}
	return float64(n) / float64(experiments)
}

func TestSevenPercentMoreCPUIsFoundInSixtyPairs(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, found(t, 40, 1.07, 1, ownNoise, CPU, Options{}), 0.97, "at the usual threshold of 3 %")
	require.GreaterOrEqual(t, found(t, 50, 1.07, 1, ownNoise, CPU, Options{Threshold: 0.05, Gate: []Figure{CPU}}), 0.9, "at one of 5 %")
	require.GreaterOrEqual(t, found(t, 40, 1.07, 1, 0.07, CPU, Options{}), 0.9, "on a machine that is noisier yet")
}

func TestOneMoreAllocationInFiftyIsFound(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, found(t, 20, 1, 1.02, ownNoise, Allocs, Options{}), 0.99)
}

// The stated rate is of finding anything, so the thresholds are taken away.
func TestEqualSidesAreSilentAtTheStatedRate(t *testing.T) {
	t.Parallel()
	const experiments = 100
	anything, regressions := 0, 0
	for seed := range uint64(experiments) {
		report := experiment(t, seed, 1, 1, ownNoise, Options{Threshold: 1e-9})
		for _, e := range report.Effects {
			if e.Gated && (e.Regression || e.Improvement) {
				anything++
				break
			}
		}
		if seed < 25 {
			regressions += len(experiment(t, seed, 1, 1, ownNoise, Options{}).Regressions())
		}
	}
	deviation := math.Sqrt(alpha * (1 - alpha) / experiments)
	require.LessOrEqual(t, float64(anything)/experiments, alpha+2.5*deviation)
	require.LessOrEqual(t, regressions, 1, "and with them hardly ever a regression")
}

func TestSlicesAreMirrored(t *testing.T) {
	m := &machine{random: rand.New(rand.NewPCG(1, 2))}
	var order []string
	report, err := AB{
		A: &simulated{m: m, dear: 1, alloc: 1, order: &order, name: "A"}, B: &simulated{m: m, dear: 1, alloc: 1, order: &order, name: "B"},
		Names: [2]string{"a", "b"}, Pairs: 5,
	}.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"A", "B", "A", "B", "B", "A", "B", "A", "A", "B", "A", "B"}, order, "one of each before, and then A B B A, B A A B")
	require.Equal(t, [2]int{5, 5}, report.Count)
	require.Contains(t, report.Conclusion(), "none could have been in cpu, allocs, bytes, errors")
	require.Contains(t, report.Notes[0], "at least 10 are needed")
}

func TestAnInterruptionLeavesTheWholePairs(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	m := &machine{random: rand.New(rand.NewPCG(1, 2))}
	a, b := &simulated{m: m, dear: 1, alloc: 1}, &simulated{m: m, dear: 1, alloc: 1}
	cfg := AB{A: a, B: b, Names: [2]string{"a", "b"}, Progress: func(done, _ int) {
		if done == 12 {
			interrupt()
			a.err, b.err = context.Canceled, context.Canceled
		}
	}}
	report, err := cfg.Run(ctx)
	require.NoError(t, err)
	require.Equal(t, [2]int{12, 12}, report.Count)
	require.Contains(t, report.Notes, "ended after 12 of 60 pairs")
	_, err = cfg.Run(ctx)
	require.ErrorIs(t, err, context.Canceled, "with no pair there is nothing to report")
}

func TestASideThatFailsIsNamed(t *testing.T) {
	m := &machine{random: rand.New(rand.NewPCG(1, 2))}
	broken := errors.New("broken")
	_, err := AB{A: &simulated{m: m}, B: &simulated{m: m, err: broken}, Names: [2]string{"a", "b"}}.Run(t.Context())
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "b: ")
}

// fixed is a side whose slices are all the same.
type fixed Slice

func (f fixed) Slice(context.Context, int) (Slice, error) { return Slice(f), nil }

// failingLater is a side all of whose requests fail after so many slices.
type failingLater struct {
	slice Slice
	left  int
}

func (f *failingLater) Slice(context.Context, int) (Slice, error) {
	if f.left--; f.left < 0 {
		f.slice.Errors = f.slice.Requests
	}
	return f.slice, nil
}

func TestSlicesThatMeasuredNothingAreRefused(t *testing.T) {
	fine := fixed{Cost: gauge.Cost{CPU: 1, Allocs: 1, Bytes: 1}, Requests: 10}
	failing, invalid, none := fine, fine, fine
	failing.Errors, invalid.Invalid, none.Requests = 6, []string{"late"}, 0
	run := func(b Side) error {
		_, err := AB{A: fine, B: b, Names: [2]string{"a", "b"}, Pairs: 12}.Run(t.Context())
		return err
	}
	require.NoError(t, run(fine))
	require.ErrorContains(t, run(failing), "b: 6 of 10 requests failed", "after the first slice")
	later := failingLater{slice: Slice(fine), left: 6}
	require.ErrorContains(t, run(&later), "b: 70 of 120 requests failed")
	require.ErrorContains(t, run(none), "no request was made")
	var refused *InvalidError
	require.ErrorAs(t, run(invalid), &refused)
	require.Equal(t, []string{"late"}, refused.Reasons)
}

func TestMoreErrorsAreARegression(t *testing.T) {
	fine := fixed{Cost: gauge.Cost{CPU: 1, Allocs: 1, Bytes: 1}, Requests: 1000}
	failing := fine
	failing.Errors = 10
	report, err := AB{A: fine, B: failing, Names: [2]string{"a", "b"}, Pairs: 12}.Run(t.Context())
	require.NoError(t, err)
	require.Len(t, report.Regressions(), 1)
	require.Equal(t, Errors, report.Regressions()[0].Figure)
	require.Equal(t, 0.01, report.Regressions()[0].New)
	require.Zero(t, report.Regressions()[0].Old)
}

func TestAReportIsTextAndJSON(t *testing.T) {
	report := experiment(t, 1, 1.2, 1, ownNoise, Options{})
	var text, machineReadable bytes.Buffer
	require.NoError(t, report.WriteText(&text))
	for _, want := range []string{"REGRESSION: cpu +", "60 old and 60 new side by side", "would have been found", "90 times in 100", "not gated", "95 % of comparisons"} {
		require.Contains(t, text.String(), want)
	}
	require.NoError(t, report.WriteJSON(&machineReadable))
	var read struct {
		Report
		Conclusion string
	}
	require.NoError(t, json.Unmarshal(machineReadable.Bytes(), &read))
	require.Equal(t, report.Effects, read.Effects)
	require.Equal(t, report.Conclusion(), read.Conclusion)
}
