package actors

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/request"
)

// Totals are what the actors have counted since the system was started.
type Totals struct {
	request.Totals
	Pauses, Lost           int64 // begun; permits
	Opened, Failed, Closed int64 // connections
	DeadLetters, Restarts  int64
}

// Totals asks no actor, and so goes on when the system has ended.
func (s *System) Totals() Totals {
	limits, sockets := s.newThrottler.Counts(), &s.places.Connections
	closed := sockets.Closed.Load() // before those that were opened
	return Totals{
		Totals: s.requests.Totals(), Pauses: limits.Pauses.Load(), Lost: limits.Lost.Load(),
		Opened: sockets.Opened.Load(), Failed: sockets.Failed.Load(), Closed: closed,
		DeadLetters: s.deadLetters.Load(), Restarts: s.restarts.Load(),
	}
}

// noteDeadLetter counts a message to an actor that has ended.
func (s *System) noteDeadLetter(event any) {
	if _, dead := event.(*actor.DeadLetterEvent); dead {
		s.deadLetters.Add(1)
	}
}
