package wire

// Turn is a lock that is held while a connection is waited for, and so perhaps a timer. Of a mutex, a
// bubble of testing/synctest does not know that its holder waits for that: its time would stand still,
// and who waits for the mutex would do so for ever. It is made by NewTurn.
type Turn chan struct{}

// NewTurn returns one that is free.
func NewTurn() Turn { return make(Turn, 1) }

// Take waits until it is free, and takes it.
func (t Turn) Take() { t <- struct{}{} }

// Pass frees it.
func (t Turn) Pass() { <-t }

// Try reports whether it was free, and is taken now.
func (t Turn) Try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}
