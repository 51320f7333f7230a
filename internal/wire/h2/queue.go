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
	// soon is for how long a look is good, and after how long one looks again for a stream.
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
	if !s.mayStillLeave(now.Sub(began)) {
		s.conn.client.Release()
		s.spent = false // the place is as it was
		return now, wire.ErrRecalled
	}
	return now, nil
}

// mayStillLeave reports whether what was looked at and signed before a wait is good behind it.
func (s *Stream) mayStillLeave(waited time.Duration) bool {
	return waited <= soon || waited <= outdated && (s.sender == nil || s.sender.MayLeave())
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
	for {
		changed := f.bound.change()
		if f.leaves() {
			return wire.ErrSpent
		}
		select {
		case s.conn.turn <- struct{}{}:
			return nil
		case <-changed:
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

// awaitStream waits until the peer lets one more stream begin: it may have lowered its bound
// since the place was taken, or the stream of an exchange that is over may still count. Should
// another connection have room, the place is given up for one there, and by one exchange after
// another, since this is the one that has the turn: all at once would find no room there either. A
// new connection is not opened for that: it might not come about, while this one has room again.
func (s *Stream) awaitStream() error {
	f := s.conn.frames
	f.bound.waiting.Add(1)
	defer f.bound.waiting.Add(-1)
	s.conn.listen()
	again := time.NewTicker(soon)
	defer again.Stop()
	for late := false; ; {
		changed := f.bound.change()
		switch {
		case f.leaves():
			return wire.ErrSpent
		case s.conn.reserve():
			return nil
		case late && s.conn.shared.hasRoomBeside(s.conn):
			return wire.ErrCrowded
		}
		select {
		case <-changed:
		case <-again.C: // net/http does not always say that a stream is free, see listen
			late = true
		case <-s.bare.Done():
			if f.limit() == 0 {
				return s.cause(errNoStreams)
			}
			return s.cause(errAllStreams)
		}
	}
}
