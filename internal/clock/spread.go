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
	if q.n < quietTrips {
		return 0
	}
	least, most := q.trips[0], q.trips[0]
	for _, t := range q.trips[:min(q.n, recentTrips)] {
		least, most = min(least, t), max(most, t)
	}
	noise := most - least
	if noise > least/4 || width >= least-noise {
		return 0
	}
	return most - width
}
