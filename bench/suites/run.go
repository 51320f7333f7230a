package suites

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/bench/suites/carrier"
)

// Config says what to run.
type Config struct {
	Root    string // of our own module
	Dir     string // where copies are made and kept
	Suites  []Suite
	Modes   []string     // of Modes
	Reasons []Reason     // what may differ
	Told    func(string) // of what begins and ends, a line at a time; may be nil
}

// repeats is how often a difference is run again, alone, before it counts. It does
// if it shows in most of them.
const repeats = 3

// Run runs the suites one after another. An error means that the results prove
// nothing: something could not be fetched or built, or ctx ended.
func Run(ctx context.Context, cfg Config) ([]Result, error) {
	if cfg.Told == nil {
		cfg.Told = func(string) {}
	}
	w, err := newWorkshop(ctx, cfg)
	if err != nil {
		return nil, err
	}
	release, err := lock(w.dir)
	if err != nil {
		return nil, err
	}
	defer release()
	var results []Result
	var mistakes []error
	for i, s := range cfg.Suites {
		cfg.Told(fmt.Sprintf("%d of %d  %s %s", i+1, len(cfg.Suites), s.Name, s.version()))
		result, err := w.run(ctx, cfg, s)
		if ctx.Err() != nil {
			return results, ctx.Err()
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("suite %s: %w", s.Name, err))
			continue
		}
		results = append(results, result)
	}
	return results, errors.Join(mistakes...)
}

func newWorkshop(ctx context.Context, cfg Config) (workshop, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return workshop{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return workshop{}, err
	}
	w := workshop{root: cfg.Root, dir: dir}
	out, err := w.output(ctx, dir, "env", "GOROOT")
	w.goroot = strings.TrimSpace(string(out))
	return w, err
}

// run makes the copy, builds it, and holds its verdicts against one another.
func (w workshop) run(ctx context.Context, cfg Config, s Suite) (Result, error) {
	result := Result{Suite: s, Passed: map[string]int{}, Carried: map[string]int{}, Left: map[string]int{}}
	dir, module, err := w.prepare(ctx, s)
	if err != nil {
		return result, err
	}
	overlays, dropped, err := w.overlays(s, dir)
	if err != nil {
		return result, err
	}
	result.Dropped = dropped
	if err := w.require(ctx, s, dir, module); err != nil {
		return result, err
	}
	all, err := w.packages(ctx, s, dir, module, overlays[""])
	if err != nil {
		return result, err
	}
	for _, t := range all {
		p := &project{workshop: w, suite: s, tested: t, overlays: overlays, told: cfg.Told}
		if err := p.build(ctx); err != nil {
			return result, err
		}
		if err := p.compare(ctx, cfg, &result); err != nil {
			return result, err
		}
	}
	return result, nil
}

// overlays are the go command's overlay for the baseline and for an engine.
func (w workshop) overlays(s Suite, dir string) (map[string]string, []Dropped, error) {
	var dropped []Dropped
	made := map[string]string{}
	for _, mode := range []string{"", carried} {
		over, err := newOverlay(w.goroot, filepath.Join(w.dir, "overlay-"+s.Name+mode))
		if err != nil {
			return nil, nil, err
		}
		if s.Std != "" {
			if dropped, err = adapt(s.Std, dir, over); err != nil {
				return nil, nil, err
			}
		}
		if mode != "" {
			if err := over.carry(); err != nil {
				return nil, nil, err
			}
		}
		if made[mode], err = over.write(); err != nil {
			return nil, nil, err
		}
	}
	return made, dropped, nil
}

// project is one package of a suite.
type project struct {
	workshop
	suite    Suite
	tested   tested
	overlays map[string]string
	told     func(string)
	silence  time.Duration // that ends a run; zero until the baseline is known
}

func (p *project) binary(mode string) string {
	name := "baseline.test"
	if mode != "" {
		name = "sluice.test"
	}
	return filepath.Join(p.dir, "overlay-"+p.suite.Name, strings.ReplaceAll(p.tested.path, "/", "_")+"_"+name)
}

// build makes the two binaries.
func (p *project) build(ctx context.Context) error {
	for _, mode := range []string{"", carried} {
		args := []string{"test", "-c", "-vet=off", "-overlay", p.overlays[mode], "-o", p.binary(mode)}
		if mode != "" {
			args = append(args, "-tags", carried)
		}
		if _, err := p.output(ctx, p.tested.dir, append(args, ".")...); err != nil {
			return err
		}
	}
	return nil
}

// once runs the package's tests, or these of them. Verdicts that the end of the
// binary left open stay Unended.
func (p *project) once(ctx context.Context, mode string, only []string) (Outcomes, error) {
	said, err := p.execute(ctx, mode, only)
	if err != nil {
		return Outcomes{}, err
	}
	told := p.command(ctx, p.tested.dir, "tool", "test2json")
	told.Stdin = said
	events, err := told.Output()
	if err != nil {
		return Outcomes{}, fmt.Errorf("test2json: %w", err)
	}
	return ReadEvents(bytes.NewReader(events))
}

// execute runs the binary and returns what it said, the traces of its goroutines
// included if it had to be ended.
func (p *project) execute(ctx context.Context, mode string, only []string) (*bytes.Buffer, error) {
	args := []string{"-test.v=test2json", "-test.paniconexit0", "-test.timeout=" + p.suite.patience().String()}
	if len(only) > 0 {
		args = append(args, "-test.run=^("+quoted(only)+")$")
	}
	if skip := p.suite.skips(); skip != "" {
		args = append(args, "-test.skip="+skip)
	}
	cmd := exec.CommandContext(ctx, p.binary(mode), args...)
	cmd.Dir, cmd.WaitDelay = p.tested.dir, 5*time.Second
	cmd.Env = append(os.Environ(), "PWD="+p.tested.dir)
	if mode != "" {
		cmd.Env = append(cmd.Env, carrier.ModeVariable+"="+mode, carrier.LogVariable+"="+p.log(mode))
		if p.suite.Ends {
			cmd.Env = append(cmd.Env, carrier.CloseVariable+"=1")
		}
		if p.suite.Repeats {
			cmd.Env = append(cmd.Env, carrier.RetryVariable+"=1")
		}
	}
	said := &listener{heard: time.Now()}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { said.watch(cmd.Process, p.silence, ended) })
	err := cmd.Wait()
	close(ended)
	watch.Wait()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return nil, err
	}
	if mode == "" {
		p.silence = max(p.silence, silence+said.longest)
	}
	return &said.said, ctx.Err()
}

// silence is how long a binary may say nothing beyond what the baseline's did.
const silence = 12 * time.Second

// listener keeps what a binary says, and for how long it said nothing.
type listener struct {
	mu      sync.Mutex
	said    bytes.Buffer
	heard   time.Time
	longest time.Duration
}

// Write is part of io.Writer.
func (l *listener) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.longest, l.heard = max(l.longest, time.Since(l.heard)), time.Now()
	return l.said.Write(b)
}

// watch ends a process that has been silent for too long: a test waits for ever.
// First it is asked for the traces of its goroutines. A silence of zero has no end.
func (l *listener) watch(process *os.Process, silence time.Duration, ended <-chan struct{}) {
	for silence > 0 {
		l.mu.Lock()
		left := silence - time.Since(l.heard)
		l.mu.Unlock()
		if left <= 0 {
			break
		}
		select {
		case <-time.After(left):
		case <-ended:
			return
		}
	}
	if silence == 0 {
		return
	}
	_ = process.Signal(syscall.SIGQUIT) // it may be gone
	select {
	case <-time.After(5 * time.Second):
		_ = process.Kill()
	case <-ended:
	}
}

func (p *project) log(mode string) string { return p.binary(mode) + "." + mode + ".log" }

func quoted(tests []string) string {
	var all []string
	for _, test := range tests {
		all = append(all, regexp.QuoteMeta(test))
	}
	return strings.Join(all, "|")
}

// skips is the flag -test.skip for what is excluded.
func (s Suite) skips() string {
	var all []string
	for _, e := range s.Excluded {
		var parts []string
		for part := range strings.SplitSeq(e.Test, "/") {
			parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
		}
		all = append(all, strings.Join(parts, "/"))
	}
	return strings.Join(all, "|")
}

// whole runs all tests. When the binary ended before its time, a panic or a test
// that waited for ever, those that had not begun are run by themselves.
func (p *project) whole(ctx context.Context, cfg Config, mode string, known Outcomes) (Outcomes, error) {
	all, err := p.once(ctx, mode, nil)
	if err != nil {
		return all, err
	}
	for {
		missing := all.missing(known)
		if len(missing) == 0 {
			break
		}
		p.told(fmt.Sprintf("      %s: the binary ended early; %d tests that had not begun are run again", mode, len(missing)))
		more, err := p.once(ctx, mode, missing)
		if err != nil {
			return all, err
		}
		if all.add(more) == 0 {
			break
		}
	}
	for _, test := range all.besides() {
		if _, listed := cfg.reason(p.suite.Name, test, mode); listed {
			continue
		}
		alone, err := p.once(ctx, mode, []string{test})
		if err != nil {
			return all, err
		}
		all.forget(test)
		all.add(alone)
	}
	all.judgeWhole()
	return all, nil
}

// besides are the tests at the root that have not ended, if there are several: most
// of them only ran beside the one that kept the binary from its end.
func (o Outcomes) besides() []string {
	var names []string
	for test, verdict := range o.Verdicts {
		if verdict == Unended && !strings.Contains(test, "/") {
			names = append(names, test)
		}
	}
	if len(names) < 2 {
		return nil
	}
	slices.Sort(names)
	return names
}

// forget drops the verdicts of a test and its subtests.
func (o *Outcomes) forget(test string) {
	maps.DeleteFunc(o.Verdicts, func(name string, _ Verdict) bool { return top(name) == test })
}

// missing are the tests at the root that known has and o has not.
func (o Outcomes) missing(known Outcomes) []string {
	var names []string
	for test := range known.Verdicts {
		if _, has := o.Verdicts[test]; !has && !strings.Contains(test, "/") && test != TheWhole {
			names = append(names, test)
		}
	}
	slices.Sort(names)
	return names
}

// add takes over the verdicts that o has not, and returns how many tests at the root
// were among them.
func (o *Outcomes) add(more Outcomes) (added int) {
	fresh := map[string]bool{}
	for test := range more.Verdicts {
		if _, has := o.Verdicts[top(test)]; !has {
			fresh[top(test)] = true
		}
	}
	for test, verdict := range more.Verdicts {
		if fresh[top(test)] {
			o.Verdicts[test], o.Output[test] = verdict, more.Output[test]
		}
	}
	o.Rest += more.Rest
	return len(fresh)
}
