package messages

import "net/http"

// ErrAttemptTimeout is the error of an attempt that Retry.PerAttempt ended. It is a
// timeout, as net.Error means it, and not context.DeadlineExceeded: the caller's own
// time is not up.
var ErrAttemptTimeout error = attemptTimeout{}

type attemptTimeout struct{}

// Error is part of error.
func (attemptTimeout) Error() string { return "attempt was not answered within Retry.PerAttempt" }

// Timeout is part of net.Error.
func (attemptTimeout) Timeout() bool { return true }

// Temporary is part of net.Error.
func (attemptTimeout) Temporary() bool { return true }

const clientClosedRequest = 499 // nginx's: its client left while the server was at it

// NotCarriedOut reports whether a status says that the server did not do what it was
// asked for: a 4xx, but for those that are sent for requests that were carried out,
// in part or for all that is known: 408, 409 and 499.
func NotCarriedOut(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusConflict, clientClosedRequest:
		return false
	}
	return status >= 400 && status < 500
}
