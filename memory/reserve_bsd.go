//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package memory

import "os"

// reserve gives a file room on the disk from one length to another.
func reserve(file *os.File, from, to int64) error { return zeros(file, from, to) }
