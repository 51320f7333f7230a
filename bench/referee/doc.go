// Package referee judges an engine from outside: a server of its own, which notes
// when each request arrives by its own clock, and judges afterwards by the plain
// definition of every limit. It knows the engine by its door alone, and shares no
// code with what it judges.
//
//	clock.go      the server's clock: ahead or behind, and at a rate of its own
//	link.go       a connection in memory: what lies between client and server
//	network.go    who is told what when, in the order of time
//	host.go       the server: reads requests by hand, answers as its manners are
//	answer.go     the answers, and how they end
//	rules.go      what the server counts; plan.go: the same as the engine's table
//	judge.go      every window of every rule, by definition
//	pauses.go     what must not be sent after a refusal
//	book.go       every call: what became of it, and what the engine said of it
//	callers.go    those who call, give up, cancel, repeat
//	scenarios.go  what all of them are like; world.go plays one; referee.go all
//
// One thing is not judged as strictly as it could be: a request whose answer's head
// was read, and whose body its caller has no more use for, counts as open until the
// client closes the connection, and not until the server hears of that.
//
// A world is one engine, its servers and their callers in a bubble of
// testing/synctest: an hour takes as long as the work in it. What a seed repeats
// are the draws, though not how goroutines take turns within one instant.
package referee
