package protocol

import "github.com/sluice-engine/sluice/messages"

// OpenPool asks the supervisor for the pool of an origin by an egress, which is empty
// for the default one; PoolOpened answers.
type OpenPool struct {
	Origin messages.Origin
	Egress string
	Owner  Recipient
}

// PoolOpened answers OpenPool: the pool is published, and can be entered. Err is
// set when the engine is closing, or has no such egress.
type PoolOpened struct{ Err error }

// PoolUnused says that a pool had no connection for as long as pools wait. The
// supervisor has the requests that are between two lives leave it, shuts its
// door unless somebody is inside, and then answers with PartPool.
type PoolUnused struct {
	Origin messages.Origin
	Egress string
	Door   Door
}

// CloseSystem has every actor answer who waits.
type CloseSystem struct{}

// EndSystem says that no request is on its journey any more: the actors end as
// soon as they are not needed.
type EndSystem struct{}
