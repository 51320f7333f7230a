package protocol

import (
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// Connection is one connection to an origin, used by one request at a time.
type Connection interface {
	// Exchange writes the call and reads its answer. A zero deadline means
	// none.
	//
	// There is a response exactly when the server is known to have answered:
	// SentYes. With an error beside it the head is whole, and the body is not:
	// Body is what came before the error, and there is no Stream. Without a
	// response there is an error.
	//
	// An error that is the peer's having closed or reset the connection, or the
	// stream, is messages.ErrPeerClosed as well; one of an abort, a deadline or
	// anything else this side did never is.
	Exchange(call *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error)
	// Reusable reports whether the last exchange left no doubt behind.
	Reusable() bool
	// Abort makes a running or later Exchange fail at once. Any goroutine may
	// call it.
	Abort()
	Close() error
}

// Aged may be implemented by a Connection that lies upon one which others share,
// and which may be older than itself.
type Aged interface {
	// Age is how old that is.
	Age() time.Duration
}

// Parting may be implemented by a Connection that lies upon one which others share:
// its Close may take a while, and until then whoever dials might be given a place
// beside it, on what is about to be closed.
type Parting interface {
	// Part comes before Close, if the connection is not in use, and returns at once.
	// From then on nobody is given a place on what carries it, unless others hold one.
	Part()
}

// Departing may be implemented by a Connection that knows when a request begins to
// leave.
type Departing interface {
	// Departed reports whether bytes of the running exchange have left. Any goroutine may
	// call it. It is false between two exchanges, and may be once one is over.
	Departed() bool
}

// Queueing may be implemented by a Connection on which an exchange may have to wait for those of
// others before it leaves.
type Queueing interface {
	// AskBefore has the next Exchange ask sender behind such a wait whether it may still leave,
	// on its own goroutine. One that may not ends unsent.
	AskBefore(sender Sender)
}

// Sender is who makes an exchange.
type Sender interface {
	// MayLeave reports whether what was looked at before the exchange is still so.
	MayLeave() bool
}

// IdleHinter may be implemented by a Connection whose server says how long it
// keeps an idle connection.
type IdleHinter interface {
	// IdleHint is how long after its last answer the connection may safely be used
	// again; zero if the server has not said.
	IdleHint() time.Duration
}
