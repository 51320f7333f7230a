package throttle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// ids are those of the limits of a table, for an error that names none of them. They outlive
// their table, and whatever is worked out of them is worked out when such an error is read.
type ids struct {
	sorted sync.Once
	all    []string // in order from then on
}

func idsOf(limits []Limit) *ids {
	i := &ids{all: make([]string, len(limits))}
	for at := range limits {
		i.all[at] = limits[at].ID
	}
	return i
}

const (
	mostListed   = 5   // ids that are named all
	mostNear     = 3   // that are named of more
	mostCompared = 200 // that are looked at of more, those around the place of the one that is meant
	mostBytes    = 64  // of an id that are looked at
)

// near says which ids there are, or which of them are the closest to one; "" without any.
func (i *ids) near(id string) string {
	i.sorted.Do(func() { slices.Sort(i.all) })
	place, is := slices.BinarySearch(i.all, id)
	switch {
	case is:
		return "it is a route, without a quota of its own"
	case len(i.all) == 0:
		return ""
	case len(i.all) <= mostListed:
		return "there is " + quoted(i.all)
	}
	begin := max(0, min(place-mostCompared/2, len(i.all)-mostCompared))
	return "the closest are " + quoted(closest(id, i.all[begin:min(begin+mostCompared, len(i.all))]))
}

func quoted(ids []string) string {
	var text strings.Builder
	for at, id := range ids {
		if at > 0 {
			text.WriteString(", ")
		}
		fmt.Fprintf(&text, "%q", id)
	}
	return text.String()
}

// closest returns the ids that are the fewest changes away from one.
func closest(id string, all []string) []string {
	type candidate struct {
		id    string
		steps int
	}
	found := make([]candidate, len(all))
	for at, one := range all {
		found[at] = candidate{one, changes(beginning(id), beginning(one))}
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.steps, b.steps) })
	names := make([]string, min(mostNear, len(found)))
	for at := range names {
		names[at] = found[at].id
	}
	return names
}

// beginning is what is compared of an id: case is the least that can be wrong with it.
func beginning(id string) string { return strings.ToLower(id[:min(len(id), mostBytes)]) }

// changes returns how many bytes have to be put in, taken out or replaced to make b of a.
func changes(a, b string) int {
	row := make([]int, len(b)+1) // of what was read of a: the changes to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0] // of a byte less of both
		row[0] = i + 1
		for j := range len(b) {
			least := before
			if a[i] != b[j] {
				least = 1 + min(before, row[j], row[j+1])
			}
			before, row[j+1] = row[j+1], least
		}
	}
	return row[len(b)]
}
