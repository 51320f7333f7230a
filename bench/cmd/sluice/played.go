package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// played is a test that a verb plays: fake time needs one to run in.
type played struct {
	room string   // the package that has it
	args []string // of its binary
	env  []string // beside the process's own
	// broken is what it means that the test fails.
	broken string
}

// play builds the test from the project's own source, and runs it there.
func (p played) play(ctx context.Context, stdout, stderr io.Writer) error {
	root, err := moduleRoot(ctx)
	if err != nil {
		return interruptedAfter(ctx, err, "nothing: the source was looked for")
	}
	dir, err := os.MkdirTemp("", "sluice-"+filepath.Base(p.room))
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "played.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, p.room)
	build.Dir, build.Stdout, build.Stderr = root, stderr, stderr
	if err := build.Run(); err != nil {
		// Not its exit code, which would say that the test had failed.
		return interruptedAfter(ctx, fmt.Errorf("go test -c %s: %v", p.room, err), "nothing: %s was being built", p.room)
	}
	test := exec.CommandContext(ctx, binary, p.args...)
	test.Dir, test.Env, test.Stdout, test.Stderr = root, append(os.Environ(), p.env...), stdout, stderr
	return interruptedAfter(ctx, p.judgement(test.Run()), "what is above: the rest was not played")
}

// judgement is a finding if the test has failed.
func (p played) judgement(err error) error {
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return finding{p.broken}
	}
	return err
}

// untilInterrupted does what takes no context, and may wait for input, until it is done or ctx ends.
func untilInterrupted(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return finding{"interrupted before all was read"}
	}
}
