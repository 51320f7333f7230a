// Package hostile has servers, proxies, connections and endpoints that do what they
// should not at whole engines, by the engine's public doors alone.
//
//	hostile.go      the parts, and what comes of them: add one to the table there
//	grammar.go      odd answers, by the kind of oddity
//	answers.go      each of them read by net/http and at every door of an engine
//	shape.go        what is odd about the bytes of an answer, without a parser
//	classes.go      in what the two may differ, and why
//	mutants.go      valid answers with bytes changed
//	lenient.go      both once more, read leniently
//	connections.go  what a DialContext may return, and servers that speak out of turn
//	sockets.go      the odd answers once more, over loopback
//	tls.go          records that are split, cut and spoilt
//	tunnels.go      proxies that open tunnels
//	relays.go       proxies that pass plain HTTP on
//	frames.go       HTTP/2 that breaks its rules, which h2frames has the cases of
//	endpoints.go    where tokens and the time come from
//	secrets         what the public types print
//	server.go       a server in memory; outcome.go: clients, and what they make of it
//
// Whatever a server says, four things hold. A request ends in time. What an engine
// makes of an answer is what net/http's Transport makes of it, which is asked there
// and then, or differs from it for a reason that has a class. The request after it is
// given its own answer. And no secret is told to anybody it is not for.
//
// What cannot be known is not demanded: of bytes that come while a request is on its
// way nobody can tell whether they answer it.
//
// Nearly all of it is played in memory and in fake time (testing/synctest), an hour in
// as long as the work in it takes.
package hostile
