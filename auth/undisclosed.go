package auth

// Undisclosed marks the type: a request that has a Secret among its parameters or
// in its body is refused, for it would be sent as "***".
func (s Secret) Undisclosed() {}
