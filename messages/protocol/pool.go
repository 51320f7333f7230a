package protocol

import "github.com/sluice-engine/sluice/messages"

// PartPool says that the pool's door is shut: only tickets of callers who have
// left can still reach it, and it ends.
type PartPool struct{}

// WarmPool asks a pool to have N connections open, as far as its maximum
// allows; PoolWarmed answers.
type WarmPool struct {
	N     int
	Owner Recipient
}

// PoolWarmed answers WarmPool. Err is nil when the connections are open, and
// otherwise why a dial failed.
type PoolWarmed struct{ Err error }

// DropIdle asks a pool to close what is idle.
type DropIdle struct{}

// DescribePool asks a pool for a picture of itself; PoolDescribed answers.
type DescribePool struct{ Owner Recipient }

// PoolDescribed answers DescribePool.
type PoolDescribed struct{ Stats PoolStats }

// PoolStats is a picture of one pool: gauges, and counters since it began.
type PoolStats struct {
	Origin                          messages.Origin
	Egress                          string
	Idle, Leased, Dialling, Waiting int
	Streams                         int // of those leased, held by streams
	AtLimit                         int // of those being dialled, waiting for the limit that they are charged to

	Dialled     int64 // connections opened
	DialsFailed int64
	Retired     int64 // connections closed for their idleness or age
	Broken      int64 // connections closed because an exchange left a doubt
	Refused     int64 // waiters sent away
}

// ClosePool refuses everyone who waits, aborts what is leased, and ends the
// pool once every connection is closed.
type ClosePool struct{}
