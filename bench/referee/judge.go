package referee

import (
	"slices"
	"time"
)

// arrival is a request that the server counted.
type arrival struct {
	at     time.Duration // by the server's clock
	ended  time.Duration // by the server's clock: when it was open no longer; zero if it still is
	since  time.Duration // in the world's time: when its permit was granted, or before
	wrote  time.Duration // in the world's time: when its first byte was taken
	landed time.Duration // in the world's time
	call   *call
	host   *host
	weight int64
	status int
}

// over returns the places of the arrivals that a version of a rule does not allow:
// those at which it is over, counting all that arrived, allowed or not.
type judge func(v *version, all []*arrival) (over []bool)

var judges = [kinds]judge{
	sliding:    overSliding,
	fixed:      overFixed,
	fromFirst:  overFromFirst,
	leaky:      overLeaky,
	ticking:    overLeaky,
	concurrent: overConcurrent,
	lifetime:   overLifetime,
}

// overSliding: no half-open span of length per holds more than quota. The fullest
// spans are those that end with an arrival.
func overSliding(v *version, all []*arrival) []bool {
	over := make([]bool, len(all))
	first, sum := 0, int64(0)
	for i, a := range all {
		sum += a.weight
		for ; all[first].at <= a.at-v.per; first++ {
			sum -= all[first].weight
		}
		over[i] = sum > v.quota
	}
	return over
}

// overFixed: no window that is aligned to the server's clock holds more than quota.
func overFixed(v *version, all []*arrival) []bool {
	over := make([]bool, len(all))
	window, sum := time.Duration(-1), int64(0)
	for i, a := range all {
		if k := (a.at - v.offset) / v.per; k != window { // Unix times are above zero, and so rounded down
			window, sum = k, 0
		}
		sum += a.weight
		over[i] = sum > v.quota
	}
	return over
}

// overFromFirst: the first arrival after a window opens the next.
func overFromFirst(v *version, all []*arrival) []bool {
	over := make([]bool, len(all))
	opened, sum := -v.per, int64(0)
	for i, a := range all {
		if a.at >= opened+v.per {
			opened, sum = a.at, 0
		}
		sum += a.weight
		over[i] = sum > v.quota
	}
	return over
}

// overLeaky: a counter that each arrival raises, that falls by quota every per, all
// the time or once every tick, and that must not pass burst.
func overLeaky(v *version, all []*arrival) []bool {
	const nothing = 1e-6 // sums of fractions are not exact
	over := make([]bool, len(all))
	level, last := 0.0, v.knows
	first := v
	for first.before != nil {
		first = first.before
	}
	for i, a := range all {
		level = max(0, level-v.fallen(last, a.at)) + float64(a.weight)
		last = a.at
		if a.landed < first.from { // a counter that begins so late holds no more than it can
			level = min(level, float64(first.burst))
		}
		over[i] = level > float64(v.burst)+nothing
	}
	return over
}

// fallen is what falls off the counter between two instants of the server's. Before
// a version was in force, the counter fell as the version before said.
func (v *version) fallen(after, until time.Duration) (sum float64) {
	if after < v.since && v.before != nil {
		sum = v.before.fallen(after, min(until, v.since))
		after = v.since
	}
	if until <= after {
		return sum
	}
	span := until - after
	if v.tick > 0 {
		span = (until/v.tick - after/v.tick) * v.tick
	}
	return sum + float64(v.quota)*float64(span)/float64(v.per)
}

// overConcurrent: no more than quota are open at once. What ends at an instant is
// not open at it.
func overConcurrent(v *version, all []*arrival) []bool {
	over := make([]bool, len(all))
	var open []*arrival
	for i, a := range all {
		open = slices.DeleteFunc(open, func(o *arrival) bool { return o.ended != 0 && o.ended <= a.at })
		open = append(open, a)
		sum := int64(0)
		for _, o := range open {
			sum += o.weight
		}
		over[i] = sum > v.quota
	}
	return over
}

// overLifetime: no more than quota, ever.
func overLifetime(v *version, all []*arrival) []bool {
	over := make([]bool, len(all))
	sum := int64(0)
	for i, a := range all {
		sum += a.weight
		over[i] = sum > v.quota
	}
	return over
}

// offences returns the places of the arrivals that were too many: by every version
// of the rule that was in force between the grant of their permits and their arrival.
func (c *counted) offences(all []*arrival) (places []int) {
	guilty := make([]bool, len(all))
	for i := range guilty {
		guilty[i] = true
	}
	for n, v := range c.versions {
		until := time.Duration(1<<63 - 1)
		if n+1 < len(c.versions) {
			until = c.versions[n+1].from
		}
		known, _ := slices.BinarySearchFunc(all, v.knows, func(a *arrival, t time.Duration) int { return int(a.at - t) })
		over := judges[v.kind](v, all[known:])
		for i, a := range all {
			if a.landed >= v.from && a.since <= until && (i < known || !over[i-known]) {
				guilty[i] = false
			}
		}
	}
	for i, g := range guilty {
		if g {
			places = append(places, i)
		}
	}
	return places
}
