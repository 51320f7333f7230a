//go:build !windows && !plan9

package wire

import (
	"errors"
	"syscall"
)

// isReset tells a connection that the peer has torn down.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
