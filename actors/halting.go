package actors

import (
	"context"
	"runtime"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// TakeHalted takes what a halt, which stands already, may select out of the throttler's
// queue: it has left that when TakeHalted returns, and is answered in the background, a
// few at a time.
func (s *System) TakeHalted(h *throttle.Halt) error {
	_, err := ask[protocol.HaltTaken](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
		return protocol.HaltQueue{Halt: h, Owner: owner}
	})
	go s.answerHalted()
	return err
}

// AwaitDepartures returns when no request that a halt selects is between its last look
// at what is halted and its first byte on the wire any more.
func (s *System) AwaitDepartures(h *throttle.Halt) { s.requests.AwaitDepartures(h) }

// Subject is what halts look at in a request that is not on its journey yet.
func (s *System) Subject(asked *messages.Request, defaultLimit string) throttle.Subject {
	return s.requests.Subject(asked, defaultLimit)
}

// answerHalted has everybody told who is halted, wherever he waits. Between two steps
// whoever was woken has a turn, so that a request that is not halted waits for a few of
// them at most.
func (s *System) answerHalted() {
	others := s.requests.TellHalted()
	for queued, waiting := 1, 1; queued+waiting > 0; runtime.Gosched() {
		if queued > 0 {
			answer, err := ask[protocol.HaltedDrained](context.Background(), s.throttler, s.ended, func(owner protocol.Recipient) any {
				return protocol.DrainHalted{Owner: owner}
			})
			if err != nil {
				return
			}
			queued = answer.Left
		}
		waiting = others.Some()
	}
}
