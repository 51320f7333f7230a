// Package fanout measures what Engine.Stream costs and holds.
//
//	memory      a stream of millions of inputs that are made while it runs: what the
//	            process holds at most, and whether the number makes a difference
//	cpu         a stream of so many requests, and the same by callers of Engine.Do
//	throughput  the same stream, and a pool of goroutines around net/http, as one
//	            writes it by hand
//
// The server is a process of its own. Stream, Do and net/http take turns in mirrored
// order in one process, and a ratio is taken within each half of a round: see bench/gauge.
// Each has a connection for every caller.
//
// The reading order: run.go, contenders.go, memory.go, server.go, report.go.
package fanout
