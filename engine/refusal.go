package engine

import (
	"io"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/wire"
)

const (
	// keptOfABody is how much of a streamed body an error keeps.
	keptOfABody = 64 << 10
	// refusalPatience is how long that is waited for: a server that sends the head of an error and
	// then nothing must not hold up whoever is to be told of it.
	refusalPatience = time.Second
)

// refusal is the error of an answer that nobody will be handed: what it holds is
// given back, and the beginning of a streamed body is kept.
func refusal(response *Response) error {
	lent, _ := response.Stream.(*request.Stream)
	return refusalOf(response, closing(lent))
}

// refusalOf is refusal of an answer whose stream may be a post-processor's: see keepBeginning.
func refusalOf(response *Response, end func()) error {
	keepBeginning(response, end)
	return &StatusError{Answer: response.Answer()}
}

// closing is what ends the reading of a stream, or of what a post-processor has put around it; nil
// without one.
func closing(lent *request.Stream) func() {
	if lent == nil {
		return nil
	}
	return func() { _ = lent.Close() } // it always returns nil, and may be called while another goroutine reads
}

// keepBeginning makes what comes of a streamed body within refusalPatience, and not more than
// keptOfABody, the body of an answer, and closes the stream. End makes a Read return that takes
// longer, if that is known. It is waited for: where a body ends its answer has its trailer, and
// a post-processor's stream may not be one that can be closed while it is read.
func keepBeginning(response *Response, end func()) {
	if response.Stream == nil {
		return
	}
	if end != nil {
		defer time.AfterFunc(refusalPatience, end).Stop()
	}
	var body []byte
	_ = wire.Apart(Finishing, func() { // where code of a post-processor's ends the goroutine, that is not the caller's
		body, _ = io.ReadAll(io.LimitReader(response.Stream, keptOfABody)) // as far as it came
	})
	_ = wire.Apart(Finishing, func() { _ = response.Stream.Close() })
	response.Body, response.Stream = body, nil
}
