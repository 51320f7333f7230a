// Package h2frames is a server that speaks HTTP/2 by hand and breaks its rules, one
// at a time, against a whole engine.
//
//	frames.go     frames and header blocks, byte by byte
//	peer.go       one connection of the server's
//	host.go       the server: plays a case on its first connections, then behaves
//	case.go       what is asked, what is played, what the caller must get
//	cases_*.go    the cases
//	run.go        one case: an engine, a request, a second one, and what is left
//	opinion.go    what net/http makes of the same bytes
//
// Of each case is judged: that the call returns within its time with the answer, or
// an error of the right class that says truly what was sent; that a second request
// gets its answer; that nothing is held and no goroutine is left; that a flood makes
// nobody remember it; and that not one line goes to the standard logger.
package h2frames
