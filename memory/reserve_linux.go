package memory

import (
	"errors"
	"os"
	"syscall"
)

// reserve gives a file room on the disk from one length to another.
func reserve(file *os.File, from, to int64) error {
	err := syscall.Fallocate(int(file.Fd()), 0, from, to-from)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fallocate(int(file.Fd()), 0, from, to-from)
	}
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return zeros(file, from, to)
	}
	return err
}
