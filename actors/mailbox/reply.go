package mailbox

// Reply is a recipient on a goroutine that is no actor's: it takes the answer to
// one question. A second one would have to be read as well, or its teller waits.
type Reply chan any

// NewReply returns a Reply for one answer.
func NewReply() Reply { return make(Reply, 1) }

// Tell is part of protocol.Recipient.
func (r Reply) Tell(message any) { r <- message }
