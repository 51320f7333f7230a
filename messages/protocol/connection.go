package protocol

import (
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// Connection is one connection to an origin, used by one request at a time.
type Connection interface {
	// Exchange writes the call and reads its answer. A zero deadline means
	// none. The response is nil exactly when the error is not.
	Exchange(call *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error)
	// Reusable reports whether the last exchange left no doubt behind.
	Reusable() bool
	// Abort makes a running or later Exchange fail at once. Any goroutine may
	// call it.
	Abort()
	Close() error
}

// IdleHinter is a Connection whose server says how long it keeps an idle
// connection open.
type IdleHinter interface {
	// IdleHint returns how long after the last answer the connection may be used
	// again; zero if the server does not say.
	IdleHint() time.Duration
}
