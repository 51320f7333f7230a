package h2

import (
	"errors"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Whoever is about to begin an exchange has been signed, and has looked whether there is a pause.
// Before its header is written it may have to wait for others on the connection, and then neither
// is as it was.
const (
	// soon is for how long a look is good; and how long one waits here for a stream while another
	// connection might have one.
	soon = 10 * time.Millisecond
	// outdated is for how long a signature is good: servers look at the time in it.
	outdated = time.Second
)

// Why nothing was sent to a peer that lets nobody begin a stream, or nobody more.
var (
	errNoStreams  = errors.New("the server allows no HTTP/2 streams: SETTINGS_MAX_CONCURRENT_STREAMS is 0")
	errTurn       = errors.New("another request's header has not been written to the HTTP/2 connection")
	errAllStreams = errors.New("the server allows no more HTTP/2 streams (SETTINGS_MAX_CONCURRENT_STREAMS), and none came free")
)

// AskBefore is part of protocol.Queueing.
func (s *Stream) AskBefore(sender protocol.Sender) { s.sender = sender }

// queue waits for the turn and for a stream, and returns when the exchange may leave. After an
// error it has no stream, and end passes the turn.
func (s *Stream) queue(began time.Time) (time.Time, error) {
	waited, err := s.takeTurn()
	if err == nil && !s.conn.reserve() {
		waited, err = true, s.awaitStream()
	}
	if err != nil || !waited {
		return began, err
	}
	now := time.Now()
	if err := s.mayStillLeave(now.Sub(began)); err != nil {
		s.conn.client.Release()
		return now, err
	}
	return now, nil
}

// mayStillLeave is asked behind a wait.
func (s *Stream) mayStillLeave(waited time.Duration) error {
	switch {
	case waited > outdated:
		return wire.ErrCrowded
	case waited > soon && s.sender != nil && !s.sender.MayLeave():
		s.spent = false // the place is as it was
		return wire.ErrRecalled
	}
	return nil
}

// takeTurn waits until no other exchange has its stream reserved and its header not written:
// net/http lets one at a time write its header in any case, and has that one wait which comes
// when the peer has lowered its bound, for streams that it would find reserved by those behind.
func (s *Stream) takeTurn() (waited bool, err error) {
	if !s.conn.turn.Try() {
		if err := s.awaitTurn(); err != nil {
			return true, err
		}
		waited = true
	}
	s.hasTurn.Store(true)
	return waited, nil
}

func (s *Stream) awaitTurn() error {
	f := s.conn.frames
	patience := time.NewTimer(soon)
	defer patience.Stop()
	for {
		changed := f.bound.change()
		if f.leaves() {
			return wire.ErrSpent
		}
		select {
		case s.conn.turn <- struct{}{}:
			return nil
		case <-changed:
		case <-patience.C:
			if s.conn.isFull() { // whoever has the turn waits for a stream, too
				return wire.ErrCrowded
			}
		case <-s.bare.Done():
			return s.cause(errTurn)
		}
	}
}

// passTurn lets the next exchange begin, unless that was done before.
func (s *Stream) passTurn() {
	if s.hasTurn.CompareAndSwap(true, false) {
		s.conn.turn.Pass()
	}
}

// isFull reports whether all streams are taken that the peer allows. One that allows none at all
// is not full: there would be no more room on another connection.
func (c *conn) isFull() bool { return c.frames.limit() > 0 && !c.mayBegin() }

// awaitStream waits until the peer lets one more stream begin: it may have lowered its bound
// since the place was taken, or the stream of an exchange that is over may still count.
func (s *Stream) awaitStream() error {
	f := s.conn.frames
	f.bound.waiting.Add(1)
	defer f.bound.waiting.Add(-1)
	s.conn.listen()
	patience := time.NewTimer(soon)
	defer patience.Stop()
	for late := false; ; {
		changed := f.bound.change()
		switch {
		case f.leaves():
			return wire.ErrSpent
		case late && f.limit() > 0: // be it that one came free this moment: what was signed is old
			return wire.ErrCrowded
		case s.conn.reserve():
			return nil
		}
		select {
		case <-changed:
		case <-patience.C:
			late = true
		case <-s.bare.Done():
			if f.limit() == 0 {
				return s.cause(errNoStreams)
			}
			return s.cause(errAllStreams)
		}
	}
}
