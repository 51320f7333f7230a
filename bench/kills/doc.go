// Package kills ends processes with an engine in them by kill -9, at random instants
// and under load, starts them again on the same memory, and has a server in this
// process count by definition what arrives.
//
//	book.go    the server's books: windows of every kind, and nonces
//	server.go  the server
//	child.go   the process that is killed
//	run.go     killing, and what came of it
//	cost.go    what a memory costs a request
package kills
