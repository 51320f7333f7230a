package limits

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/throttle"
)

func TestNoRandomWorldRefusesOrForgetsARequest(t *testing.T) {
	granted := map[Counting]int{}
	for world := range uint64(105) {
		v := playWorld(world, nil, nil)
		require.Zero(t, v.Refused, "see it with --world %d", world)
		require.Zero(t, v.Stuck, "see it with --world %d", world)
		granted[v.Kind] += v.Requests
	}
	for _, kind := range kinds {
		require.Greater(t, granted[kind], 1000, kind)
	}
}

func TestRandomWorldsCatchALedgerThatIsToldTooMuch(t *testing.T) {
	wrong := map[Counting]func(*throttle.Limit){
		Sliding:     func(l *throttle.Limit) { l.Per = l.Per * 9 / 10 },
		Fixed:       func(l *throttle.Limit) { l.Offset = l.Per / 2 },
		Token:       func(l *throttle.Limit) { l.Burst += 2 },
		Decaying:    func(l *throttle.Limit) { l.Burst += 2 },
		First:       func(l *throttle.Limit) { l.Quota++ },
		Concurrency: func(l *throttle.Limit) { l.Quota++ },
		Lifetime:    func(l *throttle.Limit) { l.Quota++ },
	}
	for i, kind := range kinds {
		refused := 0
		for world := uint64(i); world < 30*uint64(len(kinds)) && refused == 0; world += uint64(len(kinds)) {
			refused += playWorld(world, nil, func(l *throttle.Limit) {
				if l.ID == "pool" {
					wrong[kind](l)
				}
			}).Refused
		}
		require.Positive(t, refused, kind)
	}
}

func TestAWorldIsDecidedByItsSeed(t *testing.T) {
	var first, second, other strings.Builder
	v, err := Replay(17, &first)
	require.NoError(t, err)
	again, err := Replay(17, &second)
	require.NoError(t, err)
	require.Equal(t, v, again)
	require.Equal(t, first.String(), second.String())
	require.Contains(t, first.String(), "granted after")
	_, err = Replay(18, &other)
	require.NoError(t, err)
	require.NotEqual(t, first.String(), other.String())
}

func TestFuzzCountsAndNamesTheWorldsThatFailed(t *testing.T) {
	r := Fuzz(t.Context(), 1, 200*time.Millisecond, nil)
	require.True(t, r.Good())
	require.Positive(t, r.Requests)
	r.add(Verdict{World: 99, Kind: Sliding, Requests: 10, Refused: 2})
	require.False(t, r.Good())
	var out strings.Builder
	require.NoError(t, r.WriteText(&out))
	require.Contains(t, out.String(), "2 refused")
	require.Contains(t, out.String(), "--world 99")
}
