package kills

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-engine/sluice/bench/child"
	"github.com/sluice-engine/sluice/memory"
)

// Config says how often to kill.
type Config struct {
	// Child is the command line of a process that calls Work on its standard streams.
	Child []string
	Kills int
	// Least and Most bound how long a process sends before it is killed.
	Least, Most time.Duration
	Seed        uint64
	// Dir is where the memory's file is; empty means a temporary directory.
	Dir string
	// Forget has the processes do without a memory, which shows that something is found
	// then.
	Forget bool
	// Progress, if not nil, is called after every kill.
	Progress func(kills int, r *Result)
}

// Result is what came of it.
type Result struct {
	Kills      int
	Took       time.Duration
	Requests   int      // that arrived
	Violations []string // arrivals above a limit
	Reused     []string // nonces
	Unreadable []string // files, or processes that did not start on one
	Bytes      uint64   // appended to the file, what each start wrote anew included
	FileSize   int64    // the most that it was
	Used       []Usage
}

// Usage is how much of a limit was used.
type Usage struct {
	ID    string // of the limit and its key
	Total int64  // requests that arrived in the whole time
	// Fullest is the most that stood in the books at once, counted by the limit's own definition:
	// in a window, in the bucket, open, or of the budget. Above Most the limit is broken.
	Fullest, Most int64
}

// Run kills, and returns what was found. The error is that of the system. If ctx ends, what was
// found until then is beside the error.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	dir := cfg.Dir
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "sluice-kills"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	budget := int64(20 * cfg.Kills)
	books := newBooks(Limits(budget))
	origin, stop, err := books.serve()
	if err != nil {
		return nil, err
	}
	defer stop()
	r := &runner{Config: cfg, books: books, rng: rand.New(rand.NewPCG(cfg.Seed, 3)), result: &Result{}}
	r.order = order{Origin: origin, Memory: filepath.Join(dir, "memory"), Budget: budget}
	if cfg.Forget {
		r.order.Memory = ""
	}
	began := time.Now()
	for range cfg.Kills {
		if err = r.once(ctx); err != nil {
			break
		}
	}
	if err != nil && ctx.Err() == nil {
		return nil, err
	}
	time.Sleep(mostDelay / 2) // for what the kernel has still
	r.result.Took = time.Since(began)
	r.sum()
	return r.result, err
}

type runner struct {
	Config
	order  order
	books  *books
	rng    *rand.Rand
	result *Result
}

// once starts a process, lets it send for a time, and kills it.
func (r *runner) once(ctx context.Context) error {
	r.order.Life++
	p, err := child.Start(ctx, r.Child)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := p.Send(r.order); err != nil {
		return err
	}
	starting, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("the process does not start"))
	defer cancel()
	var word ready
	if err := p.Receive(starting, &word); err != nil {
		return err
	}
	if word.Err != "" {
		r.result.Unreadable = append(r.result.Unreadable, fmt.Sprintf("process %d: %s", r.order.Life, word.Err))
		return nil
	}
	select {
	case <-time.After(r.Least + time.Duration(r.rng.Int64N(int64(r.Most-r.Least)+1))):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.Kill()
	r.result.Kills++
	if !r.Forget {
		r.look()
	}
	if r.Progress != nil {
		r.books.mu.Lock()
		r.result.Requests = r.books.arrived
		r.result.Violations, r.result.Reused = r.books.violations, r.books.reused
		r.books.mu.Unlock()
		r.Progress(r.result.Kills, r.result)
	}
	return nil
}

// look reads the file as the next process will.
func (r *runner) look() {
	bad := func(why string) {
		r.result.Unreadable = append(r.result.Unreadable, fmt.Sprintf("after kill %d: %s", r.result.Kills, why))
	}
	if aside, _ := filepath.Glob(r.order.Memory + ".bad-*"); len(aside) > 0 {
		bad(fmt.Sprint("set aside: ", aside))
		for _, name := range aside {
			_ = os.Rename(name, filepath.Join(filepath.Dir(name), "kept-"+filepath.Base(name)))
		}
	}
	if info, err := os.Stat(r.order.Memory); err == nil {
		r.result.FileSize = max(r.result.FileSize, info.Size())
	}
	store, held, err := memory.File(r.order.Memory).Open()
	if err != nil {
		bad(err.Error())
		return
	}
	defer store.Close()
	if held.Torn {
		bad(held.Warning)
	}
	r.result.Bytes += uint64(len(held.Records))
	for _, err := range memory.Frames(held.Records) {
		if err != nil {
			bad(err.Error())
		}
	}
}

func (r *runner) sum() {
	b := r.books
	b.mu.Lock()
	defer b.mu.Unlock()
	out := r.result
	out.Requests, out.Violations, out.Reused = b.arrived, b.violations, b.reused
	for _, name := range slices.Sorted(maps.Keys(b.all)) {
		k := b.all[name]
		out.Used = append(out.Used, Usage{ID: name, Total: k.total, Fullest: k.fullest, Most: k.most})
	}
}

// Found is how many promises were broken.
func (r *Result) Found() int { return len(r.Violations) + len(r.Reused) + len(r.Unreadable) }

// PerRequest is how many bytes were written for each request.
func (r *Result) PerRequest() float64 { return float64(r.Bytes) / float64(max(1, r.Requests)) }

// WriteText writes what was found.
func (r *Result) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%d kills in %v, %d requests arrived\n", r.Kills, r.Took.Round(time.Second), r.Requests)
	fmt.Fprintf(w, "over a limit      %d\nnonces reused     %d\nunreadable files  %d\n", len(r.Violations), len(r.Reused), len(r.Unreadable))
	fmt.Fprintf(w, "written           %.0f bytes a request, what each start writes anew included; the file had at most %d KiB\n", r.PerRequest(), r.FileSize>>10)
	for _, u := range r.Used {
		fmt.Fprintf(w, "%-12s %8d requests, at the fullest %3.0f %% of the limit: %d of %d\n",
			u.ID, u.Total, 100*float64(u.Fullest)/float64(u.Most), u.Fullest, u.Most)
	}
	const most = 20
	for _, found := range [][]string{r.Violations, r.Reused, r.Unreadable} {
		for _, text := range found[:min(most, len(found))] {
			fmt.Fprintln(w, text)
		}
	}
	return nil
}
