package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// DefaultPairs and DefaultRequests make slices long enough, and enough of them, to find 7 %
// more CPU nearly always.
const (
	DefaultPairs    = 60
	DefaultRequests = 1500
)

// Side makes requests in slices and says what they cost. Only one side works at a time.
type Side interface {
	// Slice makes so many requests. It ends early, with an error, when ctx does.
	Slice(ctx context.Context, requests int) (Slice, error)
}

// Slice is what a slice's requests cost and how long they took.
type Slice struct {
	gauge.Cost
	P50      float64  `json:"p50_us"` // of the response time
	P99      float64  `json:"p99_us"`
	Requests uint64   `json:"requests"`
	Errors   uint64   `json:"errors"`
	Mostly   string   `json:"mostly,omitempty"`  // what most of the errors were
	Invalid  []string `json:"invalid,omitempty"` // why the harness could not hold a rate
}

// value is that of a figure; errors are no value of a slice's own, but of all together.
func (s *Slice) value(f Figure) float64 {
	switch f {
	case CPU:
		return s.CPU
	case Allocs:
		return s.Allocs
	case Bytes:
		return s.Bytes
	case ResponseP50:
		return s.P50
	}
	return s.P99
}

// AB is a comparison of two sides in slices, in mirrored order: A B B A, B A A B, and so on.
type AB struct {
	A, B  Side
	Names [2]string // of the sides, in the report
	// Pairs is how many slices each side makes; 0 means DefaultPairs. Requests is how many
	// each slice has; 0 means DefaultRequests.
	Pairs    int
	Requests int
	Options
	// Progress, if not nil, is called before every pair, outside the slices.
	Progress func(done, pairs int)
}

// Run compares the sides. When ctx ends, the pairs that are whole are compared all the same,
// and the report says so; with none it is an error. One slice of each side goes before and
// is thrown away. The error is an *InvalidError if one slice in twenty could not hold its rate.
func (c AB) Run(ctx context.Context) (*Report, error) {
	if c.Pairs == 0 {
		c.Pairs = DefaultPairs
	}
	if c.Requests == 0 {
		c.Requests = DefaultRequests
	}
	if c.Gate == nil {
		c.Gate = GateOfSlices
	}
	if c.Threshold == 0 {
		c.Threshold = ThresholdOfSlices
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
	measured, err := c.measure(ctx)
	pairs := len(measured[1])
	switch {
	case err != nil && ctx.Err() == nil:
		return nil, err
	case pairs == 0:
		return nil, fmt.Errorf("interrupted before there was a pair: %w", context.Cause(ctx))
	}
	report := &Report{Method: Pairs, Count: [2]int{pairs, pairs}, Old: c.Names[:1], New: c.Names[1:], Seed: c.Seed}
	if pairs < c.Pairs {
		report.note("ended after %d of %d pairs", pairs, c.Pairs)
	}
	for i, side := range measured {
		if err := checkSlices(c.Names[i], side, report); err != nil {
			return nil, err
		}
	}
	report.finish(c.figures(measured), c.Options)
	return report, nil
}

// measure makes the slices, and returns those of whole pairs.
func (c AB) measure(ctx context.Context) (all [2][]Slice, err error) {
	sides := [2]Side{c.A, c.B}
	for i, side := range sides {
		first, err := side.Slice(ctx, c.Requests)
		if err == nil {
			err = mostlyFailed(first.Errors, first.Requests, first.Mostly) // or each slice may take its time to
		}
		if err != nil {
			return all, fmt.Errorf("%s: %w", c.Names[i], err)
		}
	}
	for pair := range c.Pairs {
		c.Progress(pair, c.Pairs)
		round := gauge.Mirrored(pair/2, 2)
		var made [2]Slice
		for _, i := range round[pair%2*2:][:2] {
			if made[i], err = sides[i].Slice(ctx, c.Requests); err != nil {
				return all, fmt.Errorf("%s: %w", c.Names[i], err)
			}
		}
		all[0], all[1] = append(all[0], made[0]), append(all[1], made[1])
	}
	return all, nil
}

// checkSlices refuses what has measured something else than it should have.
func checkSlices(name string, slices []Slice, report *Report) error {
	var invalid []string
	broken, requests, failed, mostly := 0, uint64(0), uint64(0), ""
	for _, s := range slices {
		requests, failed, mostly = requests+s.Requests, failed+s.Errors, cmp.Or(s.Mostly, mostly)
		if len(s.Invalid) > 0 {
			broken++
			invalid = s.Invalid
		}
	}
	switch {
	case 20*broken > len(slices):
		return &InvalidError{Run: fmt.Sprintf("%s in %d of %d slices", name, broken, len(slices)), Reasons: invalid}
	case broken > 0:
		report.note("%s: %d of %d slices could not hold their rate", name, broken, len(slices))
	}
	if err := mostlyFailed(failed, requests, mostly); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// mostlyFailed refuses requests of which more than half failed, or none was made.
func mostlyFailed(failed, requests uint64, mostly string) error {
	switch {
	case requests == 0:
		return errors.New("no request was made")
	case 2*failed > requests:
		return fmt.Errorf("%d of %d requests failed, so there is nothing to compare; mostly %s", failed, requests, cmp.Or(mostly, "of unknown kinds"))
	}
	return nil
}

func (c AB) figures(slices [2][]Slice) []measured {
	var figures []measured
	for _, f := range OfSlices {
		if f == Errors {
			figures = append(figures, compareFailures(failing(slices[0]), failing(slices[1]), c.Seed, pairedFailures))
			continue
		}
		old, new := column(slices[0], f), column(slices[1], f)
		figures = append(figures, measured{figure: f, old: gauge.Median(old), new: gauge.Median(new), estimate: paired(old, new, c.Seed)})
	}
	return figures
}

func column(slices []Slice, f Figure) []float64 {
	values := make([]float64, len(slices))
	for i := range slices {
		values[i] = slices[i].value(f)
	}
	return values
}

func failing(slices []Slice) []failures {
	blocks := make([]failures, len(slices))
	for i, s := range slices {
		blocks[i] = failures{float64(s.Errors), float64(s.Requests)}
	}
	return blocks
}
