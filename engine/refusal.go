package engine

import (
	"io"
	"sync"
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
// longer; without it that is waited for, since a stream of a post-processor's may not be one that
// can be closed meanwhile.
func keepBeginning(response *Response, end func()) {
	if response.Stream == nil {
		return
	}
	b := beginning{done: make(chan struct{})}
	go b.read(response.Stream)
	var late <-chan time.Time
	if end != nil {
		patience := time.NewTimer(refusalPatience)
		defer patience.Stop()
		late = patience.C
	}
	select {
	case <-b.done:
	case <-late:
		end()
		if _, lent := response.Stream.(*request.Stream); lent {
			<-b.done // so that nothing is held when this returns
		}
	}
	response.Body, response.Stream = b.soFar(), nil
}

// beginning is that of a body, while it is read by a goroutine: code of a post-processor's may
// end that.
type beginning struct {
	done chan struct{} // closed when the stream is
	mu   sync.Mutex
	body []byte // guarded by mu
}

func (b *beginning) read(stream io.ReadCloser) {
	defer close(b.done)
	defer func() { _ = wire.Guard(Finishing, func() { _ = stream.Close() }) }()
	_ = wire.Guard(Finishing, func() {
		buffer := make([]byte, 4<<10)
		for left := keptOfABody; left > 0; {
			n, err := stream.Read(buffer[:min(left, len(buffer))])
			b.keep(buffer[:n])
			if left -= n; err != nil {
				return
			}
		}
	})
}

func (b *beginning) keep(part []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.body = append(b.body, part...)
}

func (b *beginning) soFar() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.body[:len(b.body):len(b.body)] // what comes later is not written behind it
}
