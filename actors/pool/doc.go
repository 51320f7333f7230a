// Package pool lends the connections to one origin, each to one request at a
// time.
//
//	core.go      the decisions, pure: idle, leased, dialling, waiters; `now` is
//	             an argument
//	dialling.go  when it dials, and the pause after a dial that failed
//	streams.go   the connections that streamed answers hold, and what is said of them
//	upkeep.go    what time asks for: retirement, warm-up, the pool's own end
//	waiters.go   the queue of tickets that wait for a connection
//	actor.go     the actor around it: one mailbox, one alarm, the goroutines that
//	             dial
//	door.go      how others reach it
package pool
