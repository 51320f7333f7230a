package scale

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/child"
	"github.com/sluice-engine/sluice/bench/gauge"
)

// Job is what one process measures.
type Job struct {
	Curve  string `json:"curve"`
	Role   Role   `json:"role"`
	X      int    `json:"x"`
	Quick  bool   `json:"quick"`
	Origin string `json:"origin,omitempty"` // of the server, such as "http://127.0.0.1:8080"
}

// subject is a job that was made ready, warmed up, and can be measured slice by
// slice.
type subject interface {
	slice(ctx context.Context) (Sample, error)
	close()
}

// open makes a job ready.
func (j Job) open() (subject, error) {
	curves := Curves()
	i := slices.IndexFunc(curves, func(c Curve) bool { return c.Name == j.Curve })
	if i < 0 {
		return nil, fmt.Errorf("curve %q is unknown", j.Curve)
	}
	if least := curves[i].least(); j.X < least {
		return nil, fmt.Errorf("X is %d: want at least %d", j.X, least)
	}
	return curves[i].open(j)
}

// word is what a worker says: that it is ready, without a sample; or what a slice
// came to; or what went wrong.
type word struct {
	Sample *Sample `json:"sample,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// measure is what a worker is told for each slice.
const measure = "measure"

// Work is the process of a point: it reads a Job, makes it ready, and measures a slice
// for each line that it is sent. Whatever goes wrong is said to out. It returns when in
// ends, whatever it is doing then: the caller is to end the process.
func Work(ctx context.Context, in io.Reader, out io.Writer) error {
	child.LeaveInterrupts()
	told, gone := listen(in)
	worked := make(chan error, 1)
	go func() { worked <- work(ctx, told, json.NewEncoder(out)) }()
	select {
	case err := <-worked:
		return err
	case <-gone:
		return nil
	}
}

// listen hands on what is said, and closes both channels when that ends. Nobody says
// more than one thing that was not answered, so it hears of the end at once.
func listen(in io.Reader) (<-chan json.RawMessage, <-chan struct{}) {
	told, gone := make(chan json.RawMessage, 2), make(chan struct{})
	go func() {
		defer close(gone)
		defer close(told)
		words := json.NewDecoder(in)
		for {
			var said json.RawMessage
			if words.Decode(&said) != nil {
				return
			}
			told <- said
		}
	}()
	return told, gone
}

func work(ctx context.Context, told <-chan json.RawMessage, say *json.Encoder) error {
	var job Job
	if err := json.Unmarshal(<-told, &job); err != nil {
		return fmt.Errorf("no job: %w", err)
	}
	subject, err := job.open()
	if err != nil {
		return say.Encode(word{Error: err.Error()})
	}
	defer subject.close()
	if err := say.Encode(word{}); err != nil {
		return err
	}
	for range told {
		sample, err := subject.slice(ctx)
		if err != nil {
			return say.Encode(word{Error: err.Error()})
		}
		if err := say.Encode(word{Sample: &sample}); err != nil {
			return err
		}
	}
	return nil
}

// How long a slice should last: short against most disturbances of a shared
// machine, long against the cost of waking the callers.
const (
	sliceTime      = 150 * time.Millisecond
	quickSliceTime = 30 * time.Millisecond
)

// loop is a subject that does one thing again and again.
type loop struct {
	run        func(n int) error
	n, untimed int
	end        func() // may be nil
}

// newLoop warms up by at least `least` of them, finds out how many fill a slice, and
// lets so many untimed ones precede it.
func newLoop(j Job, least, untimed int, run func(n int) error) (*loop, error) {
	target := sliceTime
	if j.Quick {
		target = quickSliceTime
	}
	for n := least; ; n *= 2 {
		began := time.Now()
		if err := run(n); err != nil {
			return nil, err
		}
		if took := time.Since(began); took >= target/2 {
			fill := int(float64(n) * float64(target) / float64(took))
			return &loop{run: run, n: max(least, fill), untimed: untimed}, nil
		}
	}
}

func (l *loop) slice(context.Context) (Sample, error) {
	cost, err := gauge.Measure(l.run, l.untimed, l.n)
	return Sample{Cost: cost}, err
}

func (l *loop) close() {
	if l.end != nil {
		l.end()
	}
}
