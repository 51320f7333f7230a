package suites

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// lock keeps a second run out of the folder; release lets it in again. What is left
// of a process that is gone locks nobody out.
func lock(dir string) (release func(), err error) {
	name := filepath.Join(dir, "lock")
	for range 2 {
		file, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err == nil {
			_, err = fmt.Fprint(file, os.Getpid())
			return func() { os.Remove(name) }, errors.Join(err, file.Close())
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if owner, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && alive(owner) {
			return nil, fmt.Errorf("%s is in use by process %d: wait for it, or choose another --dir", dir, owner)
		}
		if err := os.Remove(name); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s is in use: wait, or choose another --dir", dir)
}

func alive(pid int) bool {
	process, err := os.FindProcess(pid)
	return err == nil && process.Signal(syscall.Signal(0)) == nil
}
