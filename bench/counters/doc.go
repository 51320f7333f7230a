// Package counters plays a trading desk of three accounts and five symbols against
// servers whose counters are as exchanges really have them, in virtual time, and tells
// how much of each counter was used and how often one of them refused.
//
//	counter.go    the servers' counters, by their plain definition
//	server.go     the server: a clock of its own, all counters of a request or none
//	world.go      the ledger, the network, and what is to happen when
//	scenarios.go  which counters, which limits, what the desk wants
//	report.go     the table
//
// The counters share nothing with package throttle, and are as slow as they are plain:
// a sliding window is the list of what arrived in it. A request is granted, travels 5
// to 50 ms, is counted or refused, and is answered after 5 to 50 ms more. The desk
// wants more than the server allows all the time. The server's clock is years and a
// fraction away from the desk's, runs 20 ppm slow, and is known to 20 ms.
//
// The ledger is throttle.Ledger itself, called as the throttler actor calls it. A run is
// decided by its scenario, its length and its seed.
package counters
