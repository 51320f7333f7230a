package ticket

import (
	"hash/maphash"
	"sync/atomic"

	"github.com/sluice-engine/sluice/messages"
)

// Crowds tells where many wait already: for permits under a limit, or at a pool that has no
// connection to lend. Who comes there waits for long, and what it costs to wake him matters less
// than what he takes up meanwhile.
//
// A place is known by a hash of its name alone, and so takes up nothing. Two that share one are
// taken for one.
//
// All methods are safe for concurrent use, and return at once. Any is false for a nil Crowds;
// the others need one.
type Crowds struct {
	seed   maphash.Seed
	there  atomic.Int32 // how many of counts are at Many or above
	counts [crowdPlaces]atomic.Int32
}

const (
	// Many is from how many on those who wait are a crowd.
	Many        = 256
	crowdPlaces = 256
)

// Place is where a crowd may be.
type Place uint8

// NewCrowds returns one without any.
func NewCrowds() *Crowds { return &Crowds{seed: maphash.MakeSeed()} }

// OfLimit is the place of those who wait for permits under a limit.
func (c *Crowds) OfLimit(id string) Place {
	return Place(maphash.String(c.seed, id) % crowdPlaces)
}

// OfPool is the place of those who wait for connections to an origin by an egress.
func (c *Crowds) OfPool(origin messages.Origin, egress string) Place {
	return Place((maphash.String(c.seed, origin.Addr) + 3*maphash.String(c.seed, origin.Scheme) + 5*maphash.String(c.seed, egress)) % crowdPlaces)
}

// Add counts n more who wait at a place, or fewer if n is below zero. Who is counted must be
// counted out again.
func (c *Crowds) Add(at Place, n int32) {
	now := c.counts[at].Add(n)
	switch before := now - n; {
	case before < Many && now >= Many:
		c.there.Add(1)
	case before >= Many && now < Many:
		c.there.Add(-1)
	}
}

// Any reports whether there is a crowd anywhere.
func (c *Crowds) Any() bool { return c != nil && c.there.Load() > 0 }

// At reports whether there is a crowd at a place.
func (c *Crowds) At(at Place) bool { return c.counts[at].Load() >= Many }
