package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Config says what to run.
type Config struct {
	Root    string // of the module the mutants are of
	Mutants []Mutant
	Jobs    int           // at a time; less than one means one
	Told    func(Outcome) // of each mutant when it ended, one at a time, but not by ctx; may be nil
}

// patience bounds a test that a mutant made wait for ever: that is a failure
// too.
const patience = "30s"

// Run makes sure that the tests pass as the source is, and then has them run
// once for every mutant. An error means that the outcomes prove nothing: a test
// is missing or fails by itself, or ctx ended.
func Run(ctx context.Context, cfg Config) ([]Outcome, error) {
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := requireSound(ctx, cfg, dir); err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(cfg.Mutants))
	var told sync.Mutex
	each(cfg.Jobs, len(cfg.Mutants), func(i int) {
		if ctx.Err() != nil {
			return
		}
		m := cfg.Mutants[i]
		fate, reason := m.try(ctx, cfg.Root, filepath.Join(dir, fmt.Sprint(i)))
		outcomes[i] = Outcome{Mutant: m, Fate: fate, Reason: reason}
		if cfg.Told != nil && ctx.Err() == nil { // or the fate is only that of a test that was killed
			told.Lock()
			defer told.Unlock()
			cfg.Told(outcomes[i])
		}
	})
	return outcomes, ctx.Err()
}

// each calls f for 0 to n-1, so many at a time.
func each(jobs, n int, f func(int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range max(1, jobs) {
		all.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// requireSound runs every test without a mutant. Its error does not wrap what
// the go command ended with, whose exit code would be taken for the caller's.
func requireSound(ctx context.Context, cfg Config, dir string) error {
	tests := map[string][]string{}
	for _, m := range cfg.Mutants {
		if of := m.testPackage(); !slices.Contains(tests[of], m.Test) {
			tests[of] = append(tests[of], m.Test)
		}
	}
	var mistakes []error
	for of, names := range tests {
		binary := filepath.Join(dir, "sound.test")
		if out, err := build(ctx, cfg.Root, of, binary); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s does not build: %v\n%s", of, err, out))
			continue
		}
		out, err := test(ctx, cfg.Root, of, binary, names...)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s fails without a mutant: %v\n%s", of, err, out))
		}
		for _, name := range names {
			if !bytes.Contains(out, []byte("--- PASS: "+name+" ")) {
				mistakes = append(mistakes, fmt.Errorf("%s: test %s does not pass without a mutant", of, name))
			}
		}
	}
	return errors.Join(mistakes...)
}

// try builds the mutant's test and runs it. A mutant that does not compile
// proves nothing, nor does a run that ends without the test having failed.
func (m Mutant) try(ctx context.Context, root, dir string) (Fate, error) {
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return Unproven, err
	}
	binary := filepath.Join(dir, "mutant.test")
	if out, err := build(ctx, root, m.testPackage(), binary, "-overlay", overlay); err != nil {
		return Unproven, fmt.Errorf("it does not build: %w\n%s", err, out)
	}
	defer os.Remove(binary)
	out, err := test(ctx, root, m.testPackage(), binary, m.Test)
	switch {
	case err == nil:
		return Survived, nil
	case bytes.Contains(out, []byte("--- FAIL: "+m.Test+" ")), bytes.Contains(out, []byte("panic: test timed out")):
		return Killed, nil
	}
	return Unproven, fmt.Errorf("its run ended otherwise: %w\n%s", err, out)
}

// overlay writes the altered file and the go command's word for it.
func (m Mutant) overlay(root, dir string) (name string, err error) {
	source, err := m.source(root)
	if err != nil {
		return "", err
	}
	altered, name := filepath.Join(dir, "altered.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, m.File): altered}})
	return name, errors.Join(err, os.MkdirAll(dir, 0o755), os.WriteFile(altered, source, 0o644), os.WriteFile(name, replace, 0o644))
}

func build(ctx context.Context, root, of, binary string, flags ...string) ([]byte, error) {
	args := append([]string{"test", "-c", "-ldflags=-s -w", "-gcflags=-N -l", "-o", binary}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+of)...)
	cmd.Dir = root
	return cmd.CombinedOutput()
}

func test(ctx context.Context, root, of, binary string, names ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, binary, "-test.v", "-test.timeout="+patience, "-test.run=^("+strings.Join(names, "|")+")$")
	cmd.Dir = filepath.Join(root, of)
	return cmd.CombinedOutput()
}
