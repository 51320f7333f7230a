package h2frames

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"runtime"
	"strings"
	"sync"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// Options say what is played.
type Options struct {
	Only    string    // those cases alone whose name contains it; empty means all
	Opinion bool      // ask net/http as well, and print where it differs
	Verbose bool      // print every case
	Step    int       // of more than 1, every so manieth case alone
	Out     io.Writer // nil discards what is printed
	// Progress is told before each case how many are done, and of how many; it may be
	// nil.
	Progress func(done, all int)
}

// Report is what came of it.
type Report struct {
	Cases      int
	Violations []string
	Differ     int // cases that net/http ends otherwise, if it was asked
	Took       time.Duration
}

// Names returns those of all cases.
func Names() (names []string) {
	for _, c := range cases() {
		names = append(names, c.Name)
	}
	return names
}

// Run plays the cases, one after another, against an engine each. While it runs, the
// standard logger is its own: what is written there is a violation. The error says
// that it could not be played, not what was found.
func Run(ctx context.Context, o Options) (Report, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	id, err := newIdentity()
	if err != nil {
		return Report{}, err
	}
	r := &run{Options: o, identity: id, before: goleak.IgnoreCurrent()}
	defer r.listen()()
	began := time.Now()
	chosen := o.chosen()
	for i, c := range chosen {
		if ctx.Err() != nil {
			return r.report, ctx.Err()
		}
		if o.Progress != nil {
			o.Progress(i, len(chosen))
		}
		if err := r.one(ctx, &c); err != nil {
			return r.report, err
		}
	}
	if err := goleak.Find(r.before); err != nil {
		r.violated("all together", "%v", err)
	}
	r.report.Took = time.Since(began)
	fmt.Fprintf(o.Out, "%d cases in %.1f s, %d violations\n", r.report.Cases, r.report.Took.Seconds(), len(r.report.Violations))
	return r.report, nil
}

// chosen are the cases that are played.
func (o Options) chosen() (chosen []Case) {
	for i, c := range cases() {
		if strings.Contains(c.Name, o.Only) && i%max(1, o.Step) == 0 {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

type run struct {
	Options
	identity *identity
	before   goleak.Option
	report   Report

	mu      sync.Mutex
	lines   int    // guarded by mu: written to the standard logger
	written string // guarded by mu: the first of them
}

// listen takes the standard logger over; what it returns gives it back.
func (r *run) listen() (restore func()) {
	out := log.Writer()
	log.SetOutput(r)
	return func() { log.SetOutput(out) }
}

// Write is part of io.Writer: the standard logger writes a line.
func (r *run) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lines == 0 {
		r.written = string(p)
	}
	r.lines++
	return len(p), nil
}

// takeLines returns how many lines were written since the last call.
func (r *run) takeLines() (n int, first string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, first = r.lines, r.written
	r.lines, r.written = 0, ""
	return n, first
}

func (r *run) violated(name, format string, args ...any) {
	text := name + ": " + fmt.Sprintf(format, args...)
	r.report.Violations = append(r.report.Violations, text)
	fmt.Fprintf(r.Out, "VIOLATION %s\n", text)
}

// one plays a case.
func (r *run) one(ctx context.Context, c *Case) error {
	r.report.Cases++
	began := time.Now()
	h, err := newHost(r.identity, c)
	if err != nil {
		return err
	}
	defer h.close()
	eng, err := r.engine(h, c)
	if err != nil {
		return err
	}
	before := r.memory(c)
	resp, err := eng.Do(ctx, c.request())
	if took := time.Since(began); took > c.limit()+time.Second {
		r.violated(c.Name, "returned after %v", took)
	}
	if wrong := c.want.judge(resp, err); wrong != "" {
		r.violated(c.Name, "%s", wrong)
	}
	if kept := r.memory(c) - before; kept > mostKept {
		r.violated(c.Name, "%d bytes are kept", kept)
	}
	r.second(ctx, h, eng, c)
	r.ended(eng, c)
	if r.Verbose {
		fmt.Fprintf(r.Out, "%-60s %5d ms  %s\n", c.Name, time.Since(began).Milliseconds(), told(resp, err))
	}
	if r.Opinion && !c.fatal {
		return r.ask(ctx, c, resp, err)
	}
	return nil
}

// mostKept is how many bytes may be in use after a flood that were not before. An
// engine, its connection and the server's are among them.
const mostKept = 4 << 20

// memory is how much is in use; 0 unless the case is a flood.
func (r *run) memory(c *Case) int64 {
	if !c.flood {
		return 0
	}
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func (r *run) engine(h *host, c *Case) (*engine.Engine, error) {
	cfg := engine.Config{BaseURL: h.url()}
	cfg.Dial.TLS = &tls.Config{RootCAs: r.identity.roots}
	cfg.Connections.HTTP2 = func(string) bool { return true }
	cfg.Responses.MaxBody = maxBody
	cfg.Retry = engine.Retry{Max: c.repeats, Base: 2 * time.Millisecond, Cap: 2 * time.Millisecond}
	cfg.Dial.Backoff, cfg.Dial.BackoffCap = time.Millisecond, time.Millisecond // for it is repeated no sooner
	if c.repeats == 0 {
		cfg.Retry.Max = -1
	}
	return engine.New(cfg)
}

const maxBody = 1 << 20

// second sends another request, which must get its answer.
func (r *run) second(ctx context.Context, h *host, eng *engine.Engine, c *Case) {
	want, req := answer(200, "ok"), &engine.Request{Path: "/second", Timeout: 3 * time.Second}
	if c.lasting {
		want, req.Timeout = c.want, c.limit()
	}
	resp, err := eng.Do(ctx, req)
	if engine.OutcomeOf(err) == engine.NotSent && !c.lasting && engine.Wait(ctx, err) == nil { // the dial before has only just failed
		resp, err = eng.Do(ctx, req)
	}
	// It may have met a connection that was about to end, or the rest of the flood.
	if c.flood && err != nil || errors.Is(err, messages.ErrPeerClosed) {
		resp, err = eng.Do(ctx, req)
	}
	if wrong := want.judge(resp, err); wrong != "" {
		r.violated(c.Name, "the second request: %s", wrong)
	}
	most := c.conns
	switch {
	case most > 0:
	case c.flood: // the second request may be asked twice
		most = 3
	default:
		most = 2
	}
	if n := h.connections(); n > most {
		r.violated(c.Name, "%d connections for two requests", n)
	}
}

// ended closes the engine and looks at what is left.
func (r *run) ended(eng *engine.Engine, c *Case) {
	stats := eng.Stats()
	for _, p := range stats.Pools {
		if p.Leased != 0 || p.Waiting != 0 {
			r.violated(c.Name, "%d connections in use, %d waiting", p.Leased, p.Waiting)
		}
	}
	if stats.InFlight != 0 {
		r.violated(c.Name, "%d requests in flight", stats.InFlight)
	}
	if err := eng.Close(); err != nil {
		r.violated(c.Name, "Close: %v", err)
	}
	if n, first := r.takeLines(); n > 0 {
		r.violated(c.Name, "%d lines to the standard logger, the first %q", n, first)
	}
}

// told is what came of a request, in a line.
func told(resp *engine.Response, err error) string {
	if err != nil {
		return fmt.Sprintf("fails: %.200v", err)
	}
	return fmt.Sprintf("answers %d %.20q", resp.StatusCode, resp.Text())
}
