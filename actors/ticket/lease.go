package ticket

import (
	"time"

	"github.com/sluice-engine/sluice/messages/protocol"
)

// Lease is the sole use of one connection, from LeaseGranted to ReturnLease.
// The value lives as long as its connection and is lent again and again. Its
// holder owns it: the request while it is lent, otherwise the pool. Instants are
// on the ledger's clock.
type Lease struct {
	Conn  protocol.Connection
	Abort func() // Conn.Abort, bound once
	Uses  int    // exchanges begun; counted by the request

	// Set by the request before ReturnLease, and by the pool for a new one.
	Reusable bool
	UsedAt   time.Duration // when the last exchange ended

	// StreamedFrom says where a stream was opened that holds the connection, if that
	// is asked for: set by the request before StreamLease, read by the pool from then
	// on, and cleared by the pool at ReturnLease.
	StreamedFrom string

	// The pool's own.
	Streaming    bool          // held by a stream; from StreamLease to ReturnLease
	StreamsSince time.Duration // since when
	Hint         time.Duration // how long it may rest, as the server says; zero if it does not
	Rested       bool          // idle before its first use, so that it may have died since the dial
	RetireAt     time.Duration // when the connection is too old; zero means never
	Index        int           // where the pool's list of open connections has it
}

// Fresh reports whether the lease comes straight from the dial. A connection
// that does not, and turns out to be dead, is no failure of the origin's.
func (l *Lease) Fresh() bool { return l.Uses == 0 && !l.Rested }
