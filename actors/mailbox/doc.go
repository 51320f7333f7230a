// Package mailbox decides whose goroutine runs an actor, and how an actor is
// told something.
//
//	Caller   a request actor is run by the goroutine that waits in Do, or that is lent to it
//	Inline   throttler, pool and timesync, which never block, are run by
//	         whoever posts to them while they are idle
//	Address  where a service actor is told something: its Inline mailbox
//	Reply    the same for a goroutine that is no actor's
//	Hearer   an actor that hears most words without the library between
//	Alarm    tells an actor a word of its own at an instant
//
// Both mailboxes exist to save goroutine switches, which cost more than
// everything else a request does between the caller and the socket. With both,
// the road request → throttler → pool → request nests on one stack.
package mailbox
