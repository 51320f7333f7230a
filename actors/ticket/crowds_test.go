package ticket

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

func TestACrowdIsWhereManyAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		crowds, counts := NewCrowds(), make(map[Place]int32)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			at := Place(rapid.IntRange(0, 3).Draw(t, "place"))
			n := rapid.Int32Range(-counts[at], Many+1).Draw(t, "n")
			crowds.Add(at, n)
			counts[at] += n
			some := false
			for place, count := range counts {
				require.Equal(t, count >= Many, crowds.At(place))
				some = some || count >= Many
			}
			require.Equal(t, some, crowds.Any())
		}
	})
}

func TestNobodyWaitsWhereThereAreNoCrowds(t *testing.T) {
	var none *Crowds
	require.False(t, none.Any())
}

func TestPlacesAreToldApart(t *testing.T) {
	crowds, places := NewCrowds(), make(map[Place]bool)
	for i := range 1000 {
		places[crowds.OfLimit(fmt.Sprint(i))] = true
	}
	require.Greater(t, len(places), 200)
	http := messages.Origin{Scheme: "http", Addr: "venue.test:80"}
	require.Equal(t, crowds.OfPool(http, "a"), crowds.OfPool(http, "a"))
}
