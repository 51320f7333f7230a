// Package permit gives leave for what is no request of the engine's: a message on a
// WebSocket, a call of another client, a connection that is about to be opened.
//
//	issuer.go  who asks, and for what
//	bearer.go  the wait for the throttler's answer, on the caller's own goroutine
//	permit.go  what the caller holds, until Done
//	dropped.go permits that were forgotten
//
// It speaks the words of package ticket: the ticket that a request sends to the throttler
// goes on to a pool once it is granted, and one from here comes back to its bearer.
package permit
