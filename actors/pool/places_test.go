package pool

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Pools begin to tell what is idle before the bound is reached, so that there is somebody to
// ask when it is; and not long before, for it costs each of their turns something.
func TestPoolsTellWhatIsIdleShortOfTheBound(t *testing.T) {
	require.Zero(t, NewPlaces(0, 0).watch, "no bound, and nothing to tell")
	for bound := 1; bound <= 1000; bound++ {
		for _, p := range []*Places{NewPlaces(bound, 0), NewPlaces(0, bound), NewPlaces(bound, 2*bound)} {
			require.GreaterOrEqual(t, 4*p.watch, 2*bound, bound)
			require.LessOrEqual(t, p.watch, max(1, bound-1), bound)
		}
	}
}

// Whoever lends and takes back looks at a word alone while nothing is owed.
func TestADebtIsToldForAsLongAsThereIsOne(t *testing.T) {
	p := NewPlaces(0, 1)
	has, lacks := &seat{door: NewDoor()}, &seat{door: NewDoor()}
	require.True(t, has.door.Shut(), "nobody is there to be told anything")
	require.True(t, p.take(0, has, true))
	require.False(t, p.owed.Load())
	require.False(t, p.payDebt())

	require.False(t, p.take(0, lacks, true))
	require.True(t, p.owed.Load())
	require.True(t, p.payDebt())
	require.False(t, p.owed.Load(), "it is paid: the place is on its way")

	p.withdraw(lacks)
	require.False(t, p.take(time.Second, lacks, true))
	require.True(t, p.owed.Load())
	p.withdraw(lacks)
	require.False(t, p.owed.Load(), "nobody waits any more")
}
