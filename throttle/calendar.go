package throttle

import (
	"sort"
	"time"

	"github.com/sluice-engine/sluice/internal/quotient"
)

// grid tells where the windows of a Fixed limit begin, on the server's Unix
// clock. They are numbered: window k begins at start(k), and index(t) is the one
// that t lies in.
type grid interface {
	index(server time.Duration) int64
	start(k int64) time.Duration
}

// even is a grid of windows that are all alike.
type even struct{ per, offset time.Duration }

func (g even) index(server time.Duration) int64 { return quotient.Floor(server-g.offset, g.per) }
func (g even) start(k int64) time.Duration      { return time.Duration(k)*g.per + g.offset }

const day = 24 * time.Hour

// calendar is a grid of whole days, or whole months, at a place. A day begins at
// the first instant at which clocks there have reached its midnight: twice a year
// that may be an hour early or late, and where clocks are set forward over
// midnight, or a date is left out, it is the instant at which they are.
type calendar struct {
	days, months int64 // one of them is zero
	place        *zone
	shift        int64         // of all windows, in days
	rest         time.Duration // and beyond
}

func newCalendar(l *Limit, place *zone) calendar {
	g := calendar{days: int64(l.Per / day), months: int64(l.Months), place: place}
	g.shift = quotient.Floor(l.Offset, day)
	g.rest = l.Offset - time.Duration(g.shift)*day
	return g
}

func (g calendar) index(server time.Duration) int64 {
	y, m, d := time.Unix(0, int64(server-g.rest)).In(g.place.Location).Date()
	date := time.Date(y, m, d-int(g.shift), 0, 0, 0, 0, time.UTC)
	var k int64
	if g.months > 0 {
		k = quotient.Floor(12*int64(date.Year())+int64(date.Month())-1, g.months)
	} else {
		k = quotient.Floor(time.Duration(date.Unix()), time.Duration(g.days)*(day/time.Second))
	}
	// A place's dates are not quite in the order of instants: where clocks are set
	// back over midnight one comes twice.
	for g.start(k) > server {
		k--
	}
	for g.start(k+1) <= server {
		k++
	}
	return k
}

func (g calendar) start(k int64) time.Duration {
	if g.months > 0 {
		return g.reaches(time.Date(0, time.Month(k*g.months)+1, 1+int(g.shift), 0, 0, 0, 0, time.UTC)) + g.rest
	}
	return g.reaches(time.Date(1970, 1, 1+int(k*g.days+g.shift), 0, 0, 0, 0, time.UTC)) + g.rest
}

// reaches returns the first instant at which clocks of the place show what clocks
// of UTC show at `wall`, or more.
func (g calendar) reaches(wall time.Time) time.Duration {
	const most = 26 * time.Hour // more than any clock is ahead of or behind UTC
	ahead, later := g.place.ahead(wall.Add(-most)), g.place.ahead(wall.Add(most))
	if ahead == later {
		return time.Duration(wall.UnixNano()) - ahead
	}
	// Clocks are changed about then. Their steps are whole quarters of an hour, and
	// so is where they meet a midnight, but for what is long past.
	const step = 15 * time.Minute
	at := wall.Add(-most)
	for at.Add(g.place.ahead(at)).Before(wall) {
		at = at.Add(step)
	}
	early := sort.Search(int(step/time.Second), func(i int) bool {
		t := at.Add(time.Duration(i)*time.Second - step)
		return !t.Add(g.place.ahead(t)).Before(wall)
	})
	return time.Duration(at.Add(time.Duration(early)*time.Second - step).UnixNano())
}

// longest is at least as long as every window.
func (g calendar) longest() time.Duration {
	return time.Duration(g.days+31*g.months)*day + g.place.setBack
}

// grid returns where the windows of a Fixed limit begin, and a span that none of
// them is longer than.
func (l *Limit) grid(zs *zones) (grid, time.Duration) {
	if l.Location == nil && l.Months == 0 {
		return even{l.Per, l.Offset}, l.Per
	}
	g := newCalendar(l, zs.at(l.Location))
	return g, g.longest()
}
