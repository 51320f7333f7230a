// Package pool lends the connections to one origin, each to one request at a
// time.
//
//	core.go      the decisions, pure: idle, leased, dialling, waiters; `now` is
//	             an argument
//	dialling.go  when it dials, and the pause after a dial that failed
//	leave.go     dials that wait for leave, where connections are charged to a limit
//	sharing.go   its part in what all pools may have open together
//	streams.go   the connections that streamed answers hold, and what is said of them
//	upkeep.go    what time asks for: retirement, warm-up, the pool's own end
//	waiters.go   the queue of tickets that wait for a connection
//	actor.go     the actor around it: one mailbox, one alarm, the goroutines that
//	             dial
//	places.go    what pools share: how many connections there may be over all
//	door.go      how others reach it
package pool
