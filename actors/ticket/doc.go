// Package ticket is the one conversation that request, throttler and pool
// share: a Ticket, its words, and the Lease it ends in.
//
//	request ── AcquirePermit ──▶ throttler ── AcquireLease ──▶ pool ── LeaseGranted ──▶ request
//	request ◀── TicketRefused ── throttler | pool      instead of LeaseGranted
//	request ── AbandonPermit ──▶ throttler ── AbandonLease ──▶ pool      the caller left
//	request ── ReturnLease ──▶ pool             once after LeaseGranted
//	request ── SettlePermit ──▶ throttler       once after LeaseGranted
//
// A permit without a request goes on to its owner, which takes AcquireLease for the grant.
//
// A request that no limit applies to begins at AcquireLease, and so does one
// whose connection turned out to be stale while its permit is still good.
package ticket
