package suites

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-engine/sluice/bench/suites/carrier"
)

// some are those of a package's tests that are run; the zero value is all.
type some struct {
	only    []string      // tests at the root
	without []string      // tests at the root
	silence time.Duration // that ends the run, and after five such it ends whatever it says; zero means the project's
}

// once runs the package's tests, or some of them. Verdicts that the end of the binary
// left open stay Unended.
func (p *project) once(ctx context.Context, mode string, chosen some) (Outcomes, error) {
	said, err := p.execute(ctx, mode, chosen)
	if err != nil {
		return Outcomes{}, err
	}
	told := p.command(ctx, p.tested.dir, "tool", "test2json", "-t") // -t has it tell how long a test took
	told.Stdin = said
	events, err := told.Output()
	if err != nil {
		return Outcomes{}, fmt.Errorf("test2json: %w", err)
	}
	return ReadEvents(bytes.NewReader(events))
}

// execute runs the binary and returns what it said, the traces of its goroutines
// included if it had to be ended.
func (p *project) execute(ctx context.Context, mode string, chosen some) (*bytes.Buffer, error) {
	patience, silence := p.suite.patience(), p.silence
	if chosen.silence > 0 {
		patience, silence = min(patience, 5*chosen.silence), min(silence, chosen.silence)
	}
	args := []string{"-test.v=test2json", "-test.paniconexit0", "-test.timeout=" + patience.String()}
	if len(chosen.only) > 0 {
		args = append(args, "-test.run=^("+quoted(chosen.only)+")$")
	}
	if skip := p.suite.skips(chosen.without); skip != "" {
		args = append(args, "-test.skip="+skip)
	}
	cmd := exec.CommandContext(ctx, p.binary(mode), args...)
	cmd.Dir, cmd.WaitDelay = p.tested.dir, 5*time.Second
	cmd.Env = p.environment(mode)
	said := &listener{heard: time.Now()}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { said.watch(cmd.Process, silence, ended) })
	err := cmd.Wait()
	close(ended)
	watch.Wait()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return nil, err
	}
	if mode == "" {
		p.silence = max(p.silence, p.suite.silence()+said.longest)
	}
	return &said.said, ctx.Err()
}

func (p *project) environment(mode string) []string {
	env := append(os.Environ(), "PWD="+p.tested.dir)
	if mode == "" {
		return env
	}
	env = append(env, carrier.ModeVariable+"="+mode, carrier.LogVariable+"="+p.log(mode))
	if p.suite.Ends {
		env = append(env, carrier.CloseVariable+"=1")
	}
	if p.suite.Repeats {
		env = append(env, carrier.RetryVariable+"=1")
	}
	return env
}

// silence is how long a binary may say nothing beyond what the baseline's did. There
// is a test that makes a thousand engines, and machines that are busy otherwise.
func (s Suite) silence() time.Duration { return s.patience() / 4 }

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

// skips is the flag -test.skip for what is excluded, and for these tests at the root.
func (s Suite) skips(without []string) string {
	var all []string
	for _, test := range without {
		all = append(all, "^"+regexp.QuoteMeta(test)+"$")
	}
	for _, e := range s.Excluded {
		var parts []string
		for part := range strings.SplitSeq(e.Test, "/") {
			parts = append(parts, "^"+regexp.QuoteMeta(part)+"$")
		}
		all = append(all, strings.Join(parts, "/"))
	}
	return strings.Join(all, "|")
}
