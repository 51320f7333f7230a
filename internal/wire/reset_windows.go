package wire

import (
	"errors"
	"syscall"
)

// isReset tells a connection that the peer has torn down. Sockets have numbers of
// their own here.
func isReset(err error) bool {
	const wsaeConnReset = syscall.Errno(10054)
	return errors.Is(err, wsaeConnReset) || errors.Is(err, syscall.ERROR_BROKEN_PIPE)
}
