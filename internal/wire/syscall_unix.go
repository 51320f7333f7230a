//go:build unix && (!linux || race || msan || asan)

package wire

import "syscall"

// Elsewhere, and where a detector has to see what is read and written, the system
// calls are those of the syscall package.

func readOnce(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }

func writeOnce(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }

// writeBothOnce writes a, and b behind it.
func writeBothOnce(fd int, a, b []byte) (int, error) {
	n, err := syscall.Write(fd, a)
	if err != nil || n < len(a) {
		return n, err
	}
	m, _ := syscall.Write(fd, b) // what was written counts; the next write says why there was no more
	return n + max(m, 0), nil
}
