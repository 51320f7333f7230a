//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package memory

import "os"

// mapped is of no use here: lockFile says so before.
type mapped struct{ bytes []byte }

func newMapped(string, int) (*mapped, error) { return nil, ErrUnsupported }
func (*mapped) append([]byte) error          { return ErrUnsupported }
func (*mapped) setState(uint32)              {}
func (*mapped) sync() error                  { return ErrUnsupported }
func (*mapped) finish() error                { return ErrUnsupported }
func (*mapped) empty()                       {}
func (*mapped) close()                       {}
func lockFile(string) (*os.File, error)      { return nil, ErrUnsupported }
