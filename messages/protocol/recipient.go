package protocol

// Recipient can be told something: an actor, mostly. Tell never blocks, and may
// run the recipient on the teller's goroutine.
type Recipient interface{ Tell(message any) }

// Door leads to the pool of an origin. Whoever wants to tell the pool something
// enters before, and leaves behind the last word: a pool ends only when nobody
// is inside.
type Door interface {
	Recipient
	// Enter reports whether the pool is still there to be told things. Every
	// Enter that does is followed by one Leave.
	Enter() bool
	Leave()
}

// Survivor is what outlives the failure of an actor, and makes the next
// incarnation.
type Survivor interface {
	// Failed says on which message the last incarnation failed. The supervisor
	// calls it before the restart, while nobody runs the actor.
	Failed(message any)
}
