package throttle

import "time"

// zone is a place by what its clocks show. All limits of a table that count by the same place
// have the same one, so that two calendars are alike if they are equal.
type zone struct {
	*time.Location
	// setBack is the most that clocks of the place are set back by in one change, in this
	// century.
	setBack time.Duration
}

// ahead returns what clocks of the place are ahead of UTC by.
func (z *zone) ahead(t time.Time) time.Duration { return ahead(z.Location, t) }

func ahead(of *time.Location, t time.Time) time.Duration {
	_, seconds := t.In(of).Zone()
	return time.Duration(seconds) * time.Second
}

// zones finds the zone of a location. Whoever loads a location twice has two that are the
// same: who reads a file of limits anew. A zones is made for the compilation of one table, from
// the zones of the table before, and let go of with it, so that no more locations are kept than
// limits have.
type zones struct {
	of    map[*time.Location]*zone
	alike map[zoneMark][]*zone // each cost a walk through the century
}

// zoneMark is the same for locations that are the same.
type zoneMark struct {
	name  string
	ahead [4]time.Duration // in a winter and a summer, and a good while later
}

func markOf(l *time.Location) zoneMark {
	at := func(year int, month time.Month) time.Duration {
		return ahead(l, time.Date(year, month, 1, 0, 0, 0, 0, time.UTC))
	}
	return zoneMark{l.String(), [...]time.Duration{at(2025, time.January), at(2025, time.July), at(2045, time.January), at(2045, time.July)}}
}

func newZones() *zones {
	return &zones{of: map[*time.Location]*zone{}, alike: map[zoneMark][]*zone{}}
}

// zones returns those of the limits that the ledger has, and of those that it keeps for when their
// ids come back.
func (l *Ledger) zones() *zones {
	zs := newZones()
	for _, rules := range []map[string]*rule{l.table.rules, l.retired} {
		for _, r := range rules {
			if g, ok := r.terms.grid.(calendar); ok {
				zs.add(g.place)
			}
		}
	}
	return zs
}

// add has all locations that are the same as that of a zone have that zone.
func (zs *zones) add(z *zone) {
	if zs.of[z.Location] == nil {
		mark := markOf(z.Location)
		zs.of[z.Location], zs.alike[mark] = z, append(zs.alike[mark], z)
	}
}

// at returns the zone of a location, nil standing for UTC.
func (zs *zones) at(l *time.Location) *zone {
	if l == nil {
		l = time.UTC
	}
	if z := zs.of[l]; z != nil {
		return z
	}
	mark := markOf(l)
	for _, z := range zs.alike[mark] {
		if sameClocks(z.Location, l) {
			zs.of[l] = z
			return z
		}
	}
	z := &zone{Location: l, setBack: setBack(l)}
	zs.add(z)
	return z
}

// The century in which clocks are looked at.
var centuryBegins, centuryEnds = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// sameClocks reports whether clocks at two locations show the same throughout the century: a
// name says little, for what is loaded later may know of other rules.
func sameClocks(a, b *time.Location) bool {
	for t := centuryBegins; t.Before(centuryEnds); {
		if ahead(a, t) != ahead(b, t) {
			return false
		}
		next := centuryEnds
		for _, l := range []*time.Location{a, b} {
			_, end := t.In(l).ZoneBounds()
			if !end.IsZero() && end.Before(next) {
				next = end
			}
		}
		if !next.After(t) { // ZoneBounds comes to a stand at the ends of some leap years
			next = t.Add(day)
		}
		t = next
	}
	return true
}

// setBack is that of the zone of a location. No two changes are less than half a month apart.
func setBack(of *time.Location) (most time.Duration) {
	before := ahead(of, centuryBegins)
	for t := centuryBegins; t.Before(centuryEnds); {
		t = t.Add(15 * day)
		after := ahead(of, t)
		most = max(most, before-after)
		before = after
	}
	return most
}
