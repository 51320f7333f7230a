package throttle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The clocks of a place are walked through when its zone is made, and never else.
func TestTheClocksOfAPlaceAreWalkedThroughOnceForATable(t *testing.T) {
	pacific := locate(t, "America/Los_Angeles")
	var limits []Limit
	for i := range 200 {
		limits = append(limits,
			Limit{ID: fmt.Sprint("same", i), Quota: 10, Per: day, Window: Fixed, Location: pacific},
			Limit{ID: fmt.Sprint("loaded", i), Quota: 10, Months: 1, Window: Fixed, Location: locate(t, "America/Los_Angeles")},
			Limit{ID: fmt.Sprint("months", i), Quota: 10, Months: 1, Window: Fixed},
			Limit{ID: fmt.Sprint("utc", i), Quota: 10, Per: day, Window: Fixed, Location: time.UTC})
	}
	l := newLedger(t, Options{}, limits...)
	zonesOf := func() map[*zone]int {
		met := map[*zone]int{}
		for _, r := range l.table.rules {
			met[r.terms.grid.(calendar).place]++
		}
		return met
	}
	require.Equal(t, 2, len(zonesOf()))
	_, _, err := l.Announce(0, "same1", Parts{}, 5)
	require.NoError(t, err)
	require.NoError(t, l.SetShare(0, "same1", 0.5, 0))
	require.NoError(t, l.SetShare(0, "loaded1", 0.5, 0))
	require.Equal(t, 2, len(zonesOf()), "another quota has the same windows")
}

func TestLocationsAreTheSameIfTheirClocksAre(t *testing.T) {
	zs := newZones()
	pacific := locate(t, "America/Los_Angeles")
	require.Same(t, zs.at(pacific), zs.at(pacific))
	require.Same(t, zs.at(pacific), zs.at(locate(t, "America/Los_Angeles")))
	require.Same(t, zs.at(nil), zs.at(time.UTC))
	require.Same(t, zs.at(time.FixedZone("a", 3600)), zs.at(time.FixedZone("a", 3600)))
	require.NotSame(t, zs.at(time.FixedZone("a", 3600)), zs.at(time.FixedZone("a", 7200)))
	require.NotSame(t, zs.at(time.FixedZone("a", 3600)), zs.at(time.FixedZone("b", 3600)))
	require.NotSame(t, zs.at(pacific), zs.at(locate(t, "America/Tijuana")))
	for _, name := range places {
		require.True(t, sameClocks(locate(t, name), locate(t, name)), name)
	}
	require.Equal(t, markOf(locate(t, "America/Havana")).ahead, markOf(locate(t, "America/New_York")).ahead)
	require.False(t, sameClocks(locate(t, "America/Havana"), locate(t, "America/New_York")), "they differ for a week or two in some years")
}
