package ticket

// The words about permits. A struct of one pointer is sent without allocation.
type (
	// AcquirePermit asks the throttler for leave to send.
	AcquirePermit struct{ *Ticket }
	// TryPermit asks the throttler for leave at once, or for a refusal: the ticket never
	// queues. It is answered like AcquirePermit.
	TryPermit struct{ *Ticket }
	// PermitQueued says that the permit cannot be granted yet, to who has asked to be told:
	// an answer follows, perhaps much later.
	PermitQueued struct{ *Ticket }
	// TicketRefused answers AcquirePermit or AcquireLease: Refused says why, and
	// Stage who. From the throttler it means that nothing is held; from the pool,
	// that a granted permit is still the request's.
	TicketRefused struct{ *Ticket }
	// AbandonPermit says that the caller left before an answer came. It is not
	// answered; whatever was held is given back.
	AbandonPermit struct{ *Ticket }
	// ParkPermit gives a granted permit back while no connection is in sight: the
	// ticket stays at the pool. RequeuePermit follows when there is one.
	ParkPermit struct{ *Ticket }
	// RequeuePermit gives a permit back, unless it is parked, and asks for it
	// again: the ticket queues with the rank it had. It is answered like
	// AcquirePermit.
	RequeuePermit struct{ *Ticket }
	// ExpirePermit says that the caller's time is up: whoever has the ticket
	// refuses it, and says what it waited for, unless it was answered before.
	ExpirePermit struct{ *Ticket }
	// SettlePermit tells what became of a granted permit: its Fate, and what was Said.
	SettlePermit struct{ *Ticket }
)

// The words about leases.
type (
	// AcquireLease asks the pool for a connection, under a granted permit or for
	// a request that needs none.
	AcquireLease struct{ *Ticket }
	// LeaseGranted answers AcquireLease: Ticket.Lease is the request's own
	// until it returns it.
	LeaseGranted struct{ *Ticket }
	// AbandonLease follows AbandonPermit on the ticket's road.
	AbandonLease struct{ *Ticket }
	// ExpireLease follows ExpirePermit on the ticket's road.
	ExpireLease struct{ *Ticket }
	// StreamLease says that the request has ended, and that the stream of its answer
	// holds the connection: ReturnLease may be long in coming.
	StreamLease struct{ *Lease }
	// ReturnLease gives the connection back to its pool, which closes it
	// unless it is reusable.
	ReturnLease struct{ *Lease }
)
