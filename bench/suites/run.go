package suites

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
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
	result := newResult(s)
	dir, module, err := w.prepare(ctx, s)
	if err != nil {
		return result, err
	}
	overlays, adapted, err := w.overlays(s, dir)
	if err != nil {
		return result, err
	}
	if adapted != nil {
		result.Dropped, result.Needs = adapted.dropped, adapted.needs
	}
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

// overlays are the go command's overlay for the baseline and for an engine. The
// adaptation is nil for a module.
func (w workshop) overlays(s Suite, dir string) (map[string]string, *adaptation, error) {
	var adapted *adaptation
	made := map[string]string{}
	for _, mode := range []string{"", carried} {
		over, err := newOverlay(w.goroot, filepath.Join(w.dir, "overlay-"+s.Name+mode))
		if err != nil {
			return nil, nil, err
		}
		if s.Std != "" {
			if adapted, err = adapt(s.Std, dir, over); err != nil {
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
	return made, adapted, nil
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
