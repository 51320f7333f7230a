package auth

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// shelf is a place for the floors of keys.
type shelf struct {
	floors map[string]*shelfFloor
	fails  bool
}

type shelfFloor struct {
	*shelf
	stored uint64
	stores int
}

func (s *shelf) floor(lane string) NonceFloor {
	if s.floors == nil {
		s.floors = map[string]*shelfFloor{}
	}
	if s.floors[lane] == nil {
		s.floors[lane] = &shelfFloor{shelf: s}
	}
	return s.floors[lane]
}

func (f *shelfFloor) Load() (uint64, error) { return f.stored, nil }

func (f *shelfFloor) Store(floor uint64) error {
	if f.fails {
		return errors.New("no")
	}
	f.stored, f.stores = max(f.stored, floor), f.stores+1
	return nil
}

// anotherProcess forgets all nonces, as the end of the process does.
func anotherProcess(t *testing.T) {
	sources, forgotten := nonces.sources, nonces.forgotten
	t.Cleanup(func() { nonces.sources, nonces.forgotten = sources, forgotten })
	nonces.sources, nonces.forgotten = map[string]*nonceSource{}, map[time.Duration]uint64{}
}

func TestNoncesGoOnAboveThoseOfAnEarlierProcessThoughTheClockWasSetBack(t *testing.T) {
	at := time.Now()
	memory := &shelf{}
	var last uint64
	for process := range 4 {
		anotherProcess(t)
		clock := Remember(FixedClock(at.Add(-time.Duration(process)*time.Minute)), memory.floor)
		for range 100 {
			n, err := nextNonce(new(messages.Call), "key", clock, time.Microsecond, NonceRule{})
			require.NoError(t, err)
			require.Greater(t, n, last)
			last = n
		}
	}
	require.Len(t, memory.floors, 1)
	for lane, f := range memory.floors {
		require.NotContains(t, lane, "key")
		require.LessOrEqual(t, f.stores, 1+3*30, "once, and where nonces are ahead of the clock for ever more of them")
	}
}

func TestANonceThatCannotBeRememberedIsNotUsed(t *testing.T) {
	anotherProcess(t)
	_, err := nextNonce(new(messages.Call), "key", Remember(LocalClock(0), (&shelf{fails: true}).floor), time.Microsecond, NonceRule{})
	require.Error(t, err)
}

func TestAFloorOfItsOwnComesBeforeTheMemory(t *testing.T) {
	anotherProcess(t)
	memory, own := &shelf{}, &shelfFloor{shelf: &shelf{}, stored: 1 << 40}
	n, err := nextNonce(new(messages.Call), "key", Remember(FixedClock(time.Unix(1, 0)), memory.floor), time.Microsecond, NonceRule{Floor: own})
	require.NoError(t, err)
	require.EqualValues(t, 1<<40+1, n)
	require.Empty(t, memory.floors)
}

func TestTwoMemoriesBothKnowHowFarAKeyWasUsed(t *testing.T) {
	anotherProcess(t)
	a, b := &shelf{}, &shelf{}
	now := FixedClock(time.Now())
	for _, memory := range []*shelf{a, b, a} {
		n, err := nextNonce(new(messages.Call), "key", Remember(now, memory.floor), time.Microsecond, NonceRule{})
		require.NoError(t, err)
		for _, f := range memory.floors {
			require.GreaterOrEqual(t, f.stored, n)
		}
	}
	require.Len(t, b.floors, 1)
}

func TestAClockThatRemembersShowsWhatItIsMadeOf(t *testing.T) {
	_, ranges := Remember(LocalClock(time.Second), nil).(Ranger)
	require.False(t, ranges)
	require.Equal(t, time.Second, Remember(LocalClock(time.Second), nil).Bound())
	r, ranges := Remember(ranged{}, nil).(Ranger)
	require.True(t, ranges)
	lo, _ := r.Range(time.Unix(5, 0))
	require.Equal(t, time.Unix(4, 0), lo)
}

type ranged struct{ LocalClock }

func (ranged) Range(local time.Time) (lo, hi time.Time) { return local.Add(-time.Second), local }

func TestAnEnginesOwnBlockIsNotSkippedWhenAnotherEngineSignedMeanwhile(t *testing.T) {
	anotherProcess(t)
	a, b := &shelf{}, &shelf{}
	start := time.Now()
	now := start
	engines := []keeper{Remember(nil, a.floor).(keeper), Remember(nil, b.floor).(keeper)}
	s := process(time.Microsecond)
	for i := range 4000 {
		n, err := s.next(new(messages.Call), shown(now, now), NonceRule{}, engines[i%2])
		require.NoError(t, err)
		require.EqualValues(t, now.UnixMicro(), n, "it is the time, however often they take turns")
		now = now.Add(10 * time.Millisecond)
	}
	for _, memory := range []*shelf{a, b} {
		for _, f := range memory.floors {
			require.LessOrEqual(t, f.stores, 5, "40 s of use")
		}
	}
}

func TestEnginesOneAfterTheOtherRunNoFurtherAheadThanABlock(t *testing.T) {
	anotherProcess(t)
	memory, now := &shelf{}, time.Now()
	s := process(time.Microsecond)
	for range 10_000 { // each closed, which says nothing
		n, err := s.next(new(messages.Call), shown(now, now), NonceRule{}, Remember(nil, memory.floor).(keeper))
		require.NoError(t, err)
		require.LessOrEqual(t, n, s.units(now.Add(nonceBlock))+1)
		now = now.Add(time.Millisecond)
	}
}
