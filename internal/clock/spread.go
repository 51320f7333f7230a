package clock

// A path counts as quiet while its last recentTrips round trips, and at least
// quietTrips, are alike within a quarter.
const (
	quietTrips  = 8
	recentTrips = 64
)

// spreadSense finds out that servers differ by less than a round trip, when no
// two samples contradict each other yet. On a path whose round trips hardly
// vary, neither do the ways out and home, so one server's statements leave an
// interval as wide as the round trip. A narrower one was cut from both sides by
// servers that differ.
//
// This is evidence, not proof: it can only widen the claim.
type spreadSense struct {
	trips [recentTrips]int64
	n     int
}

func (q *spreadSense) add(s Sample) {
	q.trips[q.n%recentTrips] = int64(s.roundTrip())
	q.n++
}

// excess is by how much servers must differ to leave an interval of the given
// width: zero on a path that is not quiet.
func (q *spreadSense) excess(width int64) int64 {
	least, most, quiet := q.recent()
	// What the round trips vary by may have narrowed the interval too.
	if !quiet || width >= least-(most-least) {
		return 0
	}
	return most - width
}

// steadiness is what may be taken off both ends of every statement when only
// changes of the offset matter: on a quiet path neither way varies by more than
// the round trips do, so what remains of half a round trip is the same in all.
// An eighth of that is left, for rounding.
func (q *spreadSense) steadiness() int64 {
	least, most, quiet := q.recent()
	if !quiet {
		return 0
	}
	return 7*(least/16) - (most - least)
}

// recent returns the range of the last round trips, and whether they tell of a
// quiet path.
func (q *spreadSense) recent() (least, most int64, quiet bool) {
	if q.n < quietTrips {
		return 0, 0, false
	}
	least, most = q.trips[0], q.trips[0]
	for _, t := range q.trips[:min(q.n, recentTrips)] {
		least, most = min(least, t), max(most, t)
	}
	return least, most, most-least <= least/4
}
