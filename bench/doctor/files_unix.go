//go:build unix

package doctor

import "syscall"

// fileLimit is how many descriptors this process may have open. Go raises it to the hard limit
// when it starts.
func fileLimit() (n uint64, ok bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur), err == nil
}
