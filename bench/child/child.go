// Package child runs a part of a measurement in a process of its own, and talks
// with it in lines of JSON over its standard streams.
//
// A child lives no longer than its parent, however that ends: it holds the other
// end of the child's input. It cannot keep its parent waiting either: every wait
// for its word ends with a context, and every other end of it is told.
package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"time"
)

// ErrGone is the end of a child that had more to say.
var ErrGone = errors.New("the process ended")

// Process is a child. Send and Receive are for one goroutine; Stop is for any.
type Process struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	heard  chan json.RawMessage // what it said; closed at the end of its output
	stderr head
	stop   sync.Once
	ended  error // how it ended; read after stop
}

// Start runs a command line. When ctx ends the child is killed; Stop must be called
// all the same.
func Start(ctx context.Context, argv []string) (*Process, error) {
	if len(argv) == 0 {
		return nil, errors.New("no command for the process")
	}
	p := &Process{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), heard: make(chan json.RawMessage)}
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second // a grandchild may hold its streams
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go p.listen(stdout)
	return p, nil
}

// listen hands on what the child says, one value at a time, until its output ends.
// What nobody is there to receive is dropped once the child is stopped, for then
// its output ends.
func (p *Process) listen(stdout io.Reader) {
	defer close(p.heard)
	words := json.NewDecoder(stdout)
	for {
		var word json.RawMessage
		if words.Decode(&word) != nil {
			return
		}
		p.heard <- word
	}
}

// Send tells the child something. A child that is gone is found out by Receive.
func (p *Process) Send(word any) error {
	line, err := json.Marshal(word)
	if err != nil {
		return err
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		return p.gone()
	}
	return nil
}

// Receive waits for the child's next word. The error is ErrGone, with what the
// child first wrote to its standard error, if it ended instead, and the cause of
// ctx if that did.
func (p *Process) Receive(ctx context.Context, into any) error {
	select {
	case word, ok := <-p.heard:
		if !ok {
			return p.gone()
		}
		return json.Unmarshal(word, into)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// gone says how the child ended.
func (p *Process) gone() error {
	how := "with success"
	if err := p.Stop(); err != nil {
		how = err.Error()
	}
	if said := p.stderr.lines(); said != "" {
		return fmt.Errorf("%w: %s: %s", ErrGone, how, said)
	}
	return fmt.Errorf("%w: %s", ErrGone, how)
}

// patience is how long a child whose input has ended may take to end itself.
const patience = 2 * time.Second

// Stop closes the child's input, waits for it to end and kills it if it does not.
// It returns how the child ended, and the same to everybody.
func (p *Process) Stop() error {
	p.stop.Do(func() {
		_ = p.stdin.Close()
		killed := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
		defer killed.Stop()
		for range p.heard { // Wait may not be called before the output has ended
		}
		p.ended = p.cmd.Wait()
	})
	return p.ended
}

// Kill ends the child now, and waits for that.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.Stop()
}

// head keeps the beginning of what is written to it: a crash says there what it is.
type head struct {
	mu   sync.Mutex
	text []byte
}

const longestHead = 4096

// Write is part of io.Writer, and never fails.
func (h *head) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, b[:min(len(b), longestHead-len(h.text))]...)
	return len(b), nil
}

// lines returns the first few lines that say something, in one.
func (h *head) lines() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lines []string
	for line := range strings.Lines(string(h.text)) {
		if line = strings.TrimSpace(line); line != "" && len(lines) < 3 {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " | ")
}

// UntilParentGone returns when in has ended, which is what a child's input does
// when its parent has, or wants it to.
func UntilParentGone(in io.Reader) { _, _ = io.Copy(io.Discard, in) }

// Serving returns when what serves has ended, with its error, or when in has ended, as for
// UntilParentGone: the end of a child that is a server.
func Serving(in io.Reader, served <-chan error) error {
	parentGone := make(chan struct{})
	go func() {
		UntilParentGone(in)
		close(parentGone)
	}()
	select {
	case err := <-served:
		return err
	case <-parentGone:
		return nil
	}
}

// LeaveInterrupts has this process ignore an interrupt from the keyboard, which
// reaches parent and child alike: it is the parent's to answer.
func LeaveInterrupts() { signal.Ignore(os.Interrupt) }
