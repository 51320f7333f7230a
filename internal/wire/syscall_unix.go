//go:build unix && (!linux || race || msan || asan)

package wire

import "syscall"

// Elsewhere, and where a detector has to see what is read and written, the system
// calls are those of the syscall package.

func readOnce(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }

func writeOnce(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
