package suites

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// sluice is the module under test.
const sluice = "github.com/sluice-engine/sluice"

//go:embed carrier/carrier.go
var carrierSource embed.FS

// carried is the folder that package carrier gets in a copy, and the build tag under
// which the tests there import it.
const carried = "sluicecarrier"

// workshop is where copies are made and built.
type workshop struct {
	root   string // of our own module
	dir    string // the cache
	goroot string
}

// command is a go command that leaves every go.mod and go.sum of ours alone.
func (w workshop) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod", "GOTOOLCHAIN=local", "PWD="+dir)
	return cmd
}

// output runs a go command; its error holds what it said.
func (w workshop) output(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := w.command(ctx, dir, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, tail(append(out, stderr.Bytes()...), 30))
	}
	return out, nil
}

// download has the module proxy fetch a module, and returns where it is.
func (w workshop) download(ctx context.Context, s Suite) (string, error) {
	cmd := w.command(ctx, w.dir, "mod", "download", "-json", s.Module+"@"+s.Version)
	out, err := cmd.Output()
	var told struct{ Dir, Error string }
	if json.Unmarshal(out, &told) != nil || told.Dir == "" {
		said := told.Error
		if said == "" {
			said = fmt.Sprint(err)
		}
		return "", fmt.Errorf("fetch %s@%s: %s\nThe module proxy of 'go env GOPROXY' must be reachable; behind none, fill the module cache elsewhere with 'go mod download %[1]s@%[2]s'", s.Module, s.Version, said)
	}
	return told.Dir, nil
}

// prepare makes the suite's copy anew, and returns its folder.
func (w workshop) prepare(ctx context.Context, s Suite) (dir, module string, err error) {
	dir, module = filepath.Join(w.dir, s.Name), s.Module
	if err := os.RemoveAll(dir); err != nil {
		return "", "", err
	}
	if s.Std != "" {
		module = "suites.test/" + path.Base(s.Std)
	} else {
		source, err := w.download(ctx, s)
		if err != nil {
			return "", "", err
		}
		if err := copyTree(source, dir); err != nil {
			return "", "", err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, carried), 0o755); err != nil {
		return "", "", err
	}
	source, err := carrierSource.ReadFile("carrier/carrier.go")
	if err != nil {
		return "", "", err
	}
	return dir, module, os.WriteFile(filepath.Join(dir, carried, "carrier.go"), source, 0o644)
}

// require has the copy depend on our checkout. Both runs are built with the same
// versions of everything.
func (w workshop) require(ctx context.Context, s Suite, dir, module string) error {
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module "+module+"\n"), 0o644); err != nil {
			return err
		}
	}
	args := []string{"mod", "edit", "-go=1.26.0", "-toolchain=none", "-require=" + sluice + "@v0.0.0", "-replace=" + sluice + "=" + w.root}
	for _, other := range s.Require {
		args = append(args, "-require="+other)
	}
	_, err := w.output(ctx, dir, args...)
	return err
}

// tested is a package that has tests.
type tested struct {
	path string // from the module
	dir  string
	name string // of the package its tests are in
}

// packages lists those that have tests, and has each import package carrier in the
// build that the tag names.
func (w workshop) packages(ctx context.Context, s Suite, dir, module, overlay string) ([]tested, error) {
	patterns := s.Packages
	if patterns == nil {
		patterns = []string{"./..."}
	}
	args := append([]string{"list", "-overlay", overlay, "-f", "{{.ImportPath}}\t{{.Dir}}\t{{.Name}}\t{{len .TestGoFiles}}\t{{len .XTestGoFiles}}"}, patterns...)
	out, err := w.output(ctx, dir, args...)
	if err != nil {
		return nil, err
	}
	var all []tested
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 5 || f[3] == "0" && f[4] == "0" {
			continue
		}
		f[2] += "_test" // from outside: the engine may itself depend on the package
		all = append(all, tested{path: strings.TrimPrefix(strings.TrimPrefix(f[0], module), "/"), dir: f[1], name: f[2]})
		text := fmt.Sprintf("//go:build %s\n\npackage %s\n\nimport _ %q\n", carried, f[2], module+"/"+carried)
		if err := os.WriteFile(filepath.Join(f[1], "zz_"+carried+"_test.go"), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// copyTree copies a folder of the module cache, which is not writable.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, inside)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}

// tail is the last lines of a text.
func tail(text []byte, lines int) string {
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
