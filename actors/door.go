package actors

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/sluice-engine/sluice/messages"
)

// poolDoor leads to a pool. Whoever wants to tell the pool something enters
// before and leaves behind; a door is shut for good, and only while nobody is
// inside, so that a pool which ends is told nothing any more.
type poolDoor struct {
	address
	_      [64]byte     // what everyone reads, apart from what everyone writes
	inside atomic.Int64 // far below zero once shut
	_      [56]byte
}

func (d *poolDoor) enter() bool { return d.inside.Add(1) > 0 }
func (d *poolDoor) leave()      { d.inside.Add(-1) }
func (d *poolDoor) shut() bool  { return d.inside.CompareAndSwap(0, math.MinInt64/2) }
func (d *poolDoor) isShut() bool {
	return d.inside.Load() < 0
}

// enterPool enters the pool of an origin; nil means that one must be opened.
func (s *System) enterPool(origin messages.Origin) *poolDoor {
	if d := (*s.pools.Load())[origin]; d != nil && d.enter() {
		return d
	}
	return nil
}

// opener waits for a pool on a goroutine that is no actor's.
type opener chan messages.PoolOpened

// Tell is part of messages.Recipient.
func (o opener) Tell(message any) {
	if m, ok := message.(messages.PoolOpened); ok {
		o <- m
	}
}

// openPool enters the pool of an origin, which is opened if there is none.
func (s *System) openPool(ctx context.Context, origin messages.Origin) (*poolDoor, error) {
	for {
		if d := s.enterPool(origin); d != nil {
			return d, nil
		}
		if s.isClosing() {
			return nil, messages.ErrClosed
		}
		opened := make(opener, 1)
		s.supervisor.Tell(messages.OpenPool{Origin: origin, Owner: opened})
		select {
		case m := <-opened:
			if m.Err != nil {
				return nil, m.Err
			}
		case <-s.closing:
			return nil, messages.ErrClosed
		case <-ctx.Done():
			return nil, ContextError(ctx)
		}
	}
}

// Warm opens connections to an origin until n are open, or as many as its pool
// may have, and returns then or with the first error. The origin is that of a
// URL, or of the base URL if that is "".
func (s *System) Warm(ctx context.Context, rawURL string, n int) error {
	origin := s.config.Base.Origin
	if rawURL != "" {
		var err error
		if origin, _, _, err = splitURL(rawURL); err != nil {
			return err
		}
	} else if origin.Addr == "" {
		return messages.ErrInvalidRequest
	}
	door, err := s.openPool(ctx, origin)
	if err != nil {
		return err
	}
	defer door.leave()
	done := make(chan error, 1)
	door.Tell(warmPool{n, done})
	select {
	case err := <-done:
		return err
	case <-s.closing:
		return messages.ErrClosed
	case <-ctx.Done():
		return ContextError(ctx)
	}
}

// CloseIdle closes every connection that is not in use.
func (s *System) CloseIdle() {
	for _, door := range *s.pools.Load() {
		if door.enter() {
			door.Tell(dropIdle{})
			door.leave()
		}
	}
}
