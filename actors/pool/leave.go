package pool

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// Where new connections are charged to a limit, a dial waits for leave before it opens
// its socket: on its own goroutine, and so on nobody's turn. It counts as dialling from its
// beginning, and so everything that is said of dials is true of one that waits: its place
// is taken, whoever waits for a connection waits for it, and is in doubt when it takes
// long. Those it was begun for may all have left when it has leave; then it is not made,
// and the leave is given back, because another dial can use it.

// errUnwanted is the error of a dial that had leave when nobody wanted its connection any
// more.
var errUnwanted = errors.New("nobody wants the connection any more")

// AtLimit takes note that a dial waits for leave, or that it does so no more: it has it, or has
// ended.
func (c *Core) AtLimit(waits bool) {
	if waits {
		c.dials.atLimit++
	} else {
		c.dials.atLimit--
	}
}

// awaited is what dials wait for that have not begun; nil if all have.
func (c *Core) awaited() error {
	if c.dials.atLimit == 0 {
		return nil
	}
	return fmt.Errorf("a new one waits for limit %q", c.config.Limit)
}

// Wants reports whether a dial that waited for leave is still of use. One that is not ends
// with errUnwanted.
func (c *Core) Wants() bool {
	switch {
	case c.closed:
		return false
	case c.dials.n-c.dials.spare > c.wanted():
		c.dials.spare++
		return false
	}
	return true
}

// spared takes note of a dial that was not made. Somebody may have come meanwhile.
func (c *Core) spared(now time.Duration) {
	c.dials.spare = max(0, c.dials.spare-1) // a closed pool has not counted it
	c.noteEmpty(now)
	c.dialMore(now)
}

// Leave waits for leave to open a connection. The func says how that ended, and is called
// once; after an error there is none. It must be safe for concurrent use.
type Leave func(ctx context.Context, origin messages.Origin, egress string, urgent messages.Priority) (ended func(protocol.DialEnd), err error)

// What a dial tells its pool that waits for leave, and that has it. The second is answered once,
// and not by a pool that has ended.
type (
	leaveAsked struct{ dial *underWay }
	leaveGiven struct{ dial *underWay }
)

// underWay is a dial of this pool's.
type underWay struct {
	wanted  chan bool // the answer to leaveGiven; of capacity 1
	spared  bool      // it was no; written and read by the pool alone
	atLimit bool      // it waits for leave; likewise
	urgent  messages.Priority
}

// gate has a dial wait for leave, and then ask whether it is still wanted. It runs on the
// dial's goroutine.
func (p *Pool) gate(dial *underWay) protocol.DialGate {
	leave, origin, egress, door := p.needs.Leave, p.needs.Origin, p.needs.Egress, p.needs.Door
	return func(ctx context.Context) (func(protocol.DialEnd), error) {
		door.Address.Tell(leaveAsked{dial})
		ended, err := leave(ctx, origin, egress, dial.urgent)
		if err != nil {
			return nil, err
		}
		door.Address.Tell(leaveGiven{dial})
		select {
		case wanted := <-dial.wanted:
			if wanted {
				return ended, nil
			}
			err = errUnwanted
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		ended(protocol.DialUnsent)
		return nil, err
	}
}

// atLimit takes note of whether a dial waits for leave, of which it may have told already.
func (p *Pool) atLimit(dial *underWay, waits bool) {
	if dial.atLimit != waits {
		dial.atLimit = waits
		p.core.AtLimit(waits)
	}
}

// mayDial answers a dial that has leave.
func (p *Pool) mayDial(dial *underWay) {
	p.atLimit(dial, false)
	wanted := p.core.Wants()
	dial.spared = !wanted
	dial.wanted <- wanted
}
