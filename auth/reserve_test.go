package auth

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

// turns is a world in which processes and engines sign by turns with one key. What has
// been given is written down, and every nonce compared with all of that.
type turns struct {
	t      *rapid.T
	unit   time.Duration
	now    time.Time
	latest time.Time // the clock never showed more
	shelf  shelf
	lives  []*life
	all    map[string][]uint64 // by floor
	given  int
}

// life is a process with its engines: each has a memory, but for the first, which has a
// floor in its rule. A floor that two processes have is one of a rule: a memory is one
// process's at a time.
type life struct {
	source  *nonceSource
	rule    NonceFloor
	engines map[string]keeper // by the name of the memory
	given   []uint64
}

func (w *turns) begin() *life {
	return &life{source: process(w.unit), rule: w.shelf.floor("rule"), engines: map[string]keeper{}}
}

// engine returns that of a memory, opened anew if it is not open.
func (w *turns) engine(l *life, memory string) keeper {
	if l.engines[memory] == nil {
		l.engines[memory] = Remember(nil, func(string) NonceFloor { return w.shelf.floor(memory) }).(keeper)
	}
	return l.engines[memory]
}

func (w *turns) sign(l *life, floor string, rule NonceRule, k keeper) {
	n, err := l.source.next(new(messages.Call), shown(w.now, w.now), rule, k)
	require.NoError(w.t, err)
	for _, before := range [][]uint64{l.given, w.all[floor]} {
		for _, m := range before {
			require.Greater(w.t, n, m, "%s", floor)
		}
	}
	require.GreaterOrEqual(w.t, w.shelf.floor(floor).(*shelfFloor).stored, n, "stored before it is given")
	l.given, w.all[floor] = append(l.given, n), append(w.all[floor], n)
	w.given++
	most := l.source.units(w.latest) + l.source.span(nonceBlock) + 2*uint64(w.given)
	require.LessOrEqual(w.t, n, most, "a block ahead, and as far as nonces were used")
}

func (w *turns) tick(d time.Duration) {
	w.now = w.now.Add(d)
	if w.now.After(w.latest) {
		w.latest = w.now
	}
}

func TestNoncesRiseAndRunNoFurtherAheadHoweverOftenProcessesAndEnginesTakeTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := time.UnixMilli(noon)
		w := &turns{
			t: t, now: start, latest: start, all: map[string][]uint64{},
			unit: rapid.SampledFrom([]time.Duration{time.Microsecond, time.Millisecond, time.Second}).Draw(t, "unit"),
		}
		w.lives = []*life{w.begin(), w.begin(), w.begin()}
		pause := rapid.SampledFrom([]time.Duration{time.Millisecond, 100 * time.Millisecond, 20 * time.Second}).Draw(t, "pause")
		for range rapid.IntRange(1, 150).Draw(t, "turns") {
			i := rapid.IntRange(0, 2).Draw(t, "process")
			l := w.lives[i]
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0: // it is killed, or ends
				w.lives[i] = w.begin()
			case 1: // an engine is closed
				clear(l.engines)
			case 2: // the clock is set back
				w.tick(-time.Duration(rapid.Int64Range(0, int64(5*time.Minute)).Draw(t, "set back")))
			case 3, 4:
				memory := string(rune('a'+i)) + rapid.SampledFrom([]string{"1", "2"}).Draw(t, "memory")
				w.sign(l, memory, NonceRule{}, w.engine(l, memory))
			default:
				w.sign(l, "rule", NonceRule{Floor: l.rule}, nil)
			}
			w.tick(time.Duration(rapid.Int64Range(0, int64(pause)).Draw(t, "pause")))
		}
	})
}

func TestProcessesThatSignOnceEachRunNoFurtherAheadThanABlock(t *testing.T) {
	rule, now := NonceRule{Floor: new(memoryFloor)}, time.UnixMilli(noon)
	for range 10_000 { // a day's worth of blocks, and more
		s := process(time.Millisecond)
		n, err := s.next(new(messages.Call), shown(now, now), rule, nil)
		require.NoError(t, err)
		require.LessOrEqual(t, n, s.units(now.Add(nonceBlock))+1)
		now = now.Add(50 * time.Millisecond)
	}
}

// A floor that was put back from a copy says less than what this process has stored.
func TestAFloorThatFellIsStoredAnew(t *testing.T) {
	floor, now := new(memoryFloor), time.UnixMilli(noon)
	s, rule := process(time.Millisecond), NonceRule{Floor: floor}
	for _, found := range []uint64{0, 0, 1000, 1000} {
		_, err := s.next(new(messages.Call), shown(now, now), rule, nil)
		require.NoError(t, err)
		require.GreaterOrEqual(t, floor.value, s.last)
		floor.value = found
	}
}

// everyOther is a floor that cannot be compared, nor found again.
type everyOther []*memoryFloor

func (f everyOther) Load() (uint64, error) { return f[0].Load() }
func (f everyOther) Store(v uint64) error  { return f[0].Store(v) }

func TestEachFloorOfAKeyKnowsHowFarItWasUsed(t *testing.T) {
	floors, now := []*memoryFloor{}, time.UnixMilli(noon)
	s := process(time.Microsecond)
	for range 2 * mostReserves {
		floors = append(floors, new(memoryFloor))
	}
	memory := &shelf{}
	k := Remember(nil, memory.floor).(keeper)
	for i := range 10 * len(floors) {
		f := floors[i%len(floors)]
		rule := NonceRule{Floor: f}
		if i%3 == 0 {
			rule.Floor = everyOther{f}
		}
		before := s.last
		_, err := s.next(new(messages.Call), shown(now, now), rule, k)
		require.NoError(t, err)
		require.Greater(t, s.last, before)
		require.GreaterOrEqual(t, f.value, s.last, "a floor that is not asked is not told")
		_, err = s.next(new(messages.Call), shown(now, now), NonceRule{}, k)
		require.NoError(t, err)
		require.GreaterOrEqual(t, memory.floor("").(*shelfFloor).stored, s.last)
	}
	require.LessOrEqual(t, len(s.reserves), mostReserves)
}

func TestNothingIsReservedBeyondWhatMayBeUsed(t *testing.T) {
	floor, now := new(memoryFloor), time.UnixMilli(noon)
	rule := NonceRule{Floor: floor, Ahead: time.Second}
	for range 100 { // each finds room, for the clock has moved on
		_, err := process(time.Millisecond).next(new(messages.Call), shown(now, now), rule, nil)
		require.NoError(t, err)
		now = now.Add(time.Millisecond)
	}
}

func TestAboveTheGreatestNumberThereIsNoNonce(t *testing.T) {
	for _, stored := range []uint64{math.MaxUint64, math.MaxUint64 - 1} {
		for name, a := range ordered("TestTop", NonceRule{Floor: &memoryFloor{value: stored}}) {
			require.ErrorIs(t, a.Authenticate(&messages.Call{}, shifted(0)), ErrNonceAhead, name)
		}
	}
	now := time.UnixMilli(noon)
	s, rule := process(time.Microsecond), NonceRule{Floor: &memoryFloor{value: math.MaxUint64 - 2}, Ahead: math.MaxInt64}
	for _, want := range []uint64{math.MaxUint64 - 1, math.MaxUint64} {
		n, err := s.next(new(messages.Call), shown(now, now), rule, nil)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for range 3 {
		_, err := s.next(new(messages.Call), shown(now, now), rule, nil)
		require.ErrorIs(t, err, ErrNonceAhead)
		require.False(t, s.raise(now, now, rule))
		require.EqualValues(t, uint64(math.MaxUint64), s.last)
	}
	early := time.Unix(-1000, 0) // a clock that was never set
	_, err := process(time.Second).next(new(messages.Call), shown(now, early), NonceRule{}, nil)
	require.ErrorIs(t, err, ErrNonceAhead)
}

func TestNoncesThatAreUsedAsFastAsTheClockCountsRunAheadByAnEighthAtMost(t *testing.T) {
	for _, each := range []int{1, 3, 12, 100} { // of a process
		memory, now := &shelf{}, time.Now()
		const unit, used = time.Second, 2000
		ahead := uint64(0)
		for n := 0; n < used; n += each {
			anotherProcess(t)
			s, k := process(unit), Remember(nil, memory.floor).(keeper)
			for range each {
				given, err := s.next(new(messages.Call), shown(now, now), NonceRule{}, k)
				require.NoError(t, err)
				ahead = given - min(given, s.units(now))
				now = now.Add(unit)
			}
		}
		require.LessOrEqual(t, ahead, uint64(11+used/8), each)
	}
}
