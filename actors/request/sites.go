package request

import (
	"hash/maphash"
	"strings"
	"sync/atomic"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
)

// site is what a URL says up to its path. It does not change.
type site struct {
	spelt  string // scheme and authority as the URL has them; "" for that of the base URL
	origin messages.Origin
	host   string // the Host header, as the URL spells it
	name   string // the origin's, as the throttler knows it
	root   string // scheme and host, as a response tells them
	home   bool   // the origin is one of Plan.Homes
}

func (c *Carrier) newSite(spelt string, origin messages.Origin, host string) *site {
	return &site{
		spelt: spelt, origin: origin, host: host, name: origin.String(), root: origin.Scheme + "://" + host,
		home: c.needs.Plan.home(origin),
	}
}

// siteOf returns the site of a URL, and what the URL says after it. The sites that
// were asked for lately are known, and only the others are worked out.
func (c *Carrier) siteOf(raw string) (at *site, rest string, err error) {
	end := endOfSite(raw)
	if 0 < end && end <= longestSpelt && isSound(raw[end:]) {
		if at := c.sites.find(raw[:end]); at != nil {
			return at, raw[end:], nil
		}
		return c.meetSite(raw, end)
	}
	return c.otherSite(raw)
}

// meetSite is siteOf for a site that is not known and will be.
func (c *Carrier) meetSite(raw string, end int) (at *site, rest string, err error) {
	// A copy, because the rest of the URL is the caller's, may be long, and may be
	// secret: it must not be kept with what is known of the site.
	spelt := strings.Clone(raw[:end])
	if origin, host, _, err := splitURL(spelt); err == nil {
		at := c.newSite(spelt, origin, host)
		c.sites.add(at)
		return at, raw[end:], nil
	}
	return c.otherSite(raw)
}

// otherSite is siteOf for a URL whose site is not to be known.
func (c *Carrier) otherSite(raw string) (at *site, rest string, err error) {
	origin, host, rest, err := splitURL(raw)
	if err != nil {
		return nil, "", err
	}
	return c.newSite("", origin, host), rest, nil
}

// endOfSite returns where the path, the query or the fragment of a URL begins; 0 for
// a text without a scheme.
func endOfSite(raw string) int {
	scheme := strings.Index(raw, "://")
	if scheme < 0 {
		return 0
	}
	for i := scheme + len("://"); i < len(raw); i++ {
		if c := raw[i]; c == '/' || c == '?' || c == '#' {
			return i
		}
	}
	return len(raw)
}

// isSound reports whether nothing in what follows the authority of a URL can be a
// reason for net/url to refuse it. It may be false of what net/url takes.
func isSound(rest string) bool {
	for i := range len(rest) {
		switch c := rest[i]; {
		case c < ' ' || c == 0x7f:
			return false
		case c == '%' && (i+2 >= len(rest) || !percent.IsHex(rest[i+1]) || !percent.IsHex(rest[i+2])):
			return false
		}
	}
	return true
}

const (
	siteSets = 1024
	siteWays = 4
	// longestSpelt is how long a scheme and an authority may be that are kept: a name
	// has no more than 253 bytes.
	longestSpelt = 300
)

// sites are those that were asked for lately, at most 4,096 of them. They are read
// and written without a lock. A new one takes the place of another of its set, each
// in its turn, and so a stream of ever new hosts costs no more memory, and no search
// for one to forget. Nobody can choose the set of a host: its hash has a seed.
type sites struct {
	table atomic.Pointer[siteTable] // nil before the first one
}

type siteTable struct {
	seed maphash.Seed
	sets [siteSets]siteSet
}

type siteSet struct {
	ways [siteWays]atomic.Pointer[site] // filled in order
	next atomic.Uint32                  // whose turn it is to be replaced
}

func (t *siteTable) set(spelt string) *siteSet {
	return &t.sets[maphash.String(t.seed, spelt)%siteSets]
}

// find returns the site that is spelt so, or nil.
func (s *sites) find(spelt string) *site {
	t := s.table.Load()
	if t == nil {
		return nil
	}
	set := t.set(spelt)
	for i := range set.ways {
		if at := set.ways[i].Load(); at != nil && at.spelt == spelt {
			return at
		}
	}
	return nil
}

// add keeps a site. Two that add the same at once may take two places.
func (s *sites) add(at *site) {
	t := s.table.Load()
	if t == nil {
		t = &siteTable{seed: maphash.MakeSeed()}
		if !s.table.CompareAndSwap(nil, t) {
			t = s.table.Load()
		}
	}
	set := t.set(at.spelt)
	set.ways[(set.next.Add(1)-1)%siteWays].Store(at)
}
