package limits

import (
	"context"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"
)

// FuzzReport counts what random worlds have shown.
type FuzzReport struct {
	Worlds   int
	Requests int // granted
	Refused  int
	Stuck    int
	Kinds    map[Counting]int // requests by the kind of their world's first rule
	Failed   []Verdict        // worlds that were not good, in the order of their seeds
}

// Good reports whether nothing was refused and nobody forgotten.
func (r *FuzzReport) Good() bool { return r.Refused == 0 && r.Stuck == 0 }

// Fuzz plays random worlds, whose seeds are counted up from the given one, for
// the given time of the real clock or until ctx ends: any limits and links, any
// demand, networks that lose and delay, server clocks that are off and run at
// another rate, cancellations, deadlines, refunds, pauses, limits that change,
// ledgers that are lost. In all of them the ledger knows the server's way of
// counting, and nothing it is told is wrong. Progress is told every 5 s.
func Fuzz(ctx context.Context, seed uint64, lasts time.Duration, progress func(FuzzReport)) FuzzReport {
	ctx, stop := context.WithTimeout(ctx, lasts)
	defer stop()
	const often = 5 * time.Second
	var (
		mu      sync.Mutex
		report  = FuzzReport{Kinds: map[Counting]int{}}
		told    = time.Now()
		next    = seed
		workers sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				world := next
				next++
				mu.Unlock()
				v := playWorld(world, nil, nil)
				mu.Lock()
				report.add(v)
				if progress != nil && time.Since(told) >= often {
					told = time.Now()
					progress(report)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	slices.SortFunc(report.Failed, func(a, b Verdict) int { return int(int64(a.World - b.World)) })
	return report
}

func (r *FuzzReport) add(v Verdict) {
	r.Worlds++
	r.Requests += v.Requests
	r.Refused += v.Refused
	r.Stuck += v.Stuck
	r.Kinds[v.Kind] += v.Requests
	if !v.Good() {
		r.Failed = append(r.Failed, v)
	}
}

// maxListed bounds how many failed worlds are listed.
const maxListed = 20

// WriteText writes the counts, and how to see each failed world again.
func (r *FuzzReport) WriteText(w io.Writer) error {
	p := printer{w: w}
	p.printf("%d requests in %d worlds: %d refused, %d without end\n", r.Requests, r.Worlds, r.Refused, r.Stuck)
	for _, kind := range slices.Sorted(maps.Keys(r.Kinds)) {
		p.printf("  %-12s %10d\n", kind, r.Kinds[kind])
	}
	for i, v := range r.Failed {
		if i == maxListed {
			p.printf("and %d more worlds\n", len(r.Failed)-i)
			break
		}
		p.printf("world %d (%s): %d refused, %d without end of %d; see it with --world %d\n", v.World, v.Kind, v.Refused, v.Stuck, v.Requests, v.World)
	}
	return p.err
}

// Replay plays the world of one seed again and writes all that happens in it.
func Replay(world uint64, w io.Writer) (Verdict, error) {
	p := printer{w: w}
	v := playWorld(world, &p, nil)
	p.printf("world %d (%s): %d requests, %d refused, %d without end\n", v.World, v.Kind, v.Requests, v.Refused, v.Stuck)
	return v, p.err
}

// printer keeps the first error of a writer.
type printer struct {
	w   io.Writer
	err error
}

// Write is part of io.Writer.
func (p *printer) Write(b []byte) (int, error) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
	return len(b), p.err
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }
