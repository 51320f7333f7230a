package quotient

import (
	"math"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAQuotientIsRoundedTowardsOneSide(t *testing.T) {
	for _, c := range []struct{ a, b, floor, ceil int64 }{
		{7, 2, 3, 4}, {-7, 2, -4, -3}, {6, 2, 3, 3}, {-6, 2, -3, -3}, {0, 5, 0, 0}, {-1, 5, -1, 0}, {1, 5, 0, 1},
		{math.MinInt64, 1, math.MinInt64, math.MinInt64}, {math.MaxInt64, 1, math.MaxInt64, math.MaxInt64},
		{math.MinInt64, math.MaxInt64, -2, -1},
	} {
		require.Equal(t, c.floor, Floor(c.a, c.b), "%d / %d", c.a, c.b)
		require.Equal(t, c.ceil, Ceil(c.a, c.b), "%d / %d", c.a, c.b)
	}
	require.EqualValues(t, -1, Floor(-time.Millisecond, time.Second))
}

func TestFloorAndCeilEncloseTheTrueQuotient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Int64().Draw(t, "a"), rapid.Int64Range(1, math.MaxInt64).Draw(t, "b")
		exact := big.NewRat(a, b)
		floor, ceil := big.NewRat(Floor(a, b), 1), big.NewRat(Ceil(a, b), 1)
		require.True(t, floor.Cmp(exact) <= 0 && exact.Cmp(ceil) <= 0)
		width := new(big.Rat).Sub(ceil, floor)
		require.Equal(t, exact.IsInt(), width.Sign() == 0)
		require.True(t, width.Cmp(big.NewRat(1, 1)) <= 0)
	})
}
