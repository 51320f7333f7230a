package messages

import "time"

// Connection is one connection to an origin, used by one request at a time.
type Connection interface {
	// Exchange writes the call and reads its answer. A zero deadline means
	// none. The response is nil exactly when the error is not.
	Exchange(call *Call, deadline time.Time) (*Response, Sent, error)
	// Reusable reports whether the last exchange left no doubt behind.
	Reusable() bool
	// Abort makes a running or later Exchange fail at once. Any goroutine may
	// call it.
	Abort()
	Close() error
}

// Lease is the sole use of one connection, from LeaseGranted to ReturnLease.
// The value lives as long as its connection and is lent again and again.
type Lease struct {
	Conn  Connection
	Abort func() // Conn.Abort, bound once
	Uses  int    // exchanges begun

	// Set by the request before ReturnLease, and by the pool for a new one.
	Reusable bool
	UsedAt   time.Time // when the last exchange ended

	// Owned by the pool.
	Rested   bool      // idle before its first use, so that it may have died since the dial
	RetireAt time.Time // when the connection is too old; zero means never
	Index    int
}

// Fresh reports whether the lease comes straight from the dial. A connection
// that does not, and turns out to be dead, is no failure of the origin's.
func (l *Lease) Fresh() bool { return l.Uses == 0 && !l.Rested }

// The words about leases.
type (
	// AcquireLease asks the pool for a connection, under a granted permit.
	AcquireLease struct{ *Ticket }
	// LeaseGranted answers AcquireLease: Ticket.Lease is the request's own
	// until it returns it.
	LeaseGranted struct{ *Ticket }
	// AbandonLease follows AbandonPermit on the ticket's road.
	AbandonLease struct{ *Ticket }
	// ReturnLease gives the connection back to its pool, which closes it
	// unless it is reusable.
	ReturnLease struct{ *Lease }
)

// ClosePool refuses everyone who waits, aborts what is leased, and ends the
// pool once every connection is closed.
type ClosePool struct{}

// OpenPool asks the supervisor for the pool of an origin; PoolOpened answers.
type OpenPool struct {
	Origin Origin
	Owner  Recipient
}

// PoolOpened answers OpenPool: the pool is published. Err is set when the
// engine is closing.
type PoolOpened struct {
	Pool Recipient
	Err  error
}
