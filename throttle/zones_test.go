package throttle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
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

// Whoever reads a file of limits anew has other locations, which are the same.
func TestAReplacementByTheSameLimitsLeavesACalendarAlone(t *testing.T) {
	names := []string{"America/Los_Angeles", "UTC", "Asia/Kathmandu"}
	read := func() (limits []Limit) {
		for _, name := range names {
			limits = append(limits,
				Limit{ID: name + " day", Quota: 2, Per: day, Window: Fixed, Location: locate(t, name)},
				Limit{ID: name + " month", Quota: 2, Months: 1, Window: Fixed, Location: locate(t, name)})
		}
		return limits
	}
	for _, name := range names {
		for _, kind := range []string{" day", " month"} {
			where, id := locate(t, name), name+kind
			l := exact(t, Options{}, read()...)
			evening := time.Date(2026, 1, 31, 20, 0, 0, 0, where)
			l.SetClock(0, unix(evening), unix(evening))
			for range 2 {
				l.Settle(sec, granted(t, l, 0, id), Outcome{})
			}
			require.NoError(t, l.Replace(time.Hour, read()))
			require.ErrorIs(t, l.TryAcquire(4*time.Hour-1, &Permit{Limit: id}), ErrNoRoom)
			require.NoError(t, l.TryAcquire(4*time.Hour, &Permit{Limit: id}), id)

			require.NoError(t, l.Replace(4*time.Hour+sec, read()[:0]), "it is away for a while")
			require.NoError(t, l.Replace(5*time.Hour, read()))
			require.Equal(t, evening.Add(4*time.Hour), time.Unix(0, int64(windowOf(l, id).from)).In(where), "its window is known still")
		}
	}
}

func windowOf(l *Ledger, id string) *fixed { return anyOf(&l.table.rules[id].meters).window.(*fixed) }

func TestNoMoreLocationsAreKeptThanLimitsHave(t *testing.T) {
	read := func() []Limit {
		return []Limit{{ID: "a", Quota: 2, Per: day, Window: Fixed, Location: locate(t, "America/Los_Angeles")}}
	}
	l := newLedger(t, Options{}, read()...)
	granted(t, l, 0, "a")
	for range 5 {
		require.NoError(t, l.Replace(0, read()))
		require.Len(t, l.zones().of, 1)
	}
	require.NoError(t, l.Replace(0, nil))
	require.Len(t, l.zones().of, 1, "of what is in flight still")
}

func TestLocationsOfOneNameWithOtherClocksAreAnotherCalendar(t *testing.T) {
	in := func(ahead time.Duration) []Limit {
		return []Limit{{ID: "a", Quota: 1, Per: day, Window: Fixed, Location: time.FixedZone("here", int(ahead/sec))}}
	}
	l := exact(t, Options{}, in(0)...)
	l.SetClock(0, 100*day+12*time.Hour, 100*day+12*time.Hour)
	l.Settle(sec, granted(t, l, 0, "a"), Outcome{})
	require.NoError(t, l.Replace(time.Minute, in(11*time.Hour)))
	require.NoError(t, l.Replace(time.Minute, in(11*time.Hour)))
	require.Error(t, l.TryAcquire(time.Hour, &Permit{Limit: "a"}), "of the new day, whose count may go on from the old")
}

func TestACalendarOfAnotherPlaceOpensWhenTheDaysOfBothHaveTurned(t *testing.T) {
	in := func(place string) []Limit {
		return []Limit{{ID: "a", Quota: 1, Per: day, Window: Fixed, Location: locate(t, place)}}
	}
	for _, move := range [][2]string{{"America/Los_Angeles", "America/New_York"}, {"America/New_York", "America/Los_Angeles"}} {
		l := exact(t, Options{}, in(move[0])...)
		evening := time.Date(2026, 1, 31, 20, 0, 0, 0, locate(t, "America/Los_Angeles"))
		l.SetClock(0, unix(evening), unix(evening))
		l.Settle(sec, granted(t, l, 0, "a"), Outcome{})
		require.NoError(t, l.Replace(time.Minute, in(move[1])))
		require.Error(t, l.TryAcquire(4*time.Hour-1, &Permit{Limit: "a"}), move)
		require.NoError(t, l.TryAcquire(4*time.Hour, &Permit{Limit: "a"}), move)
	}
}

// A server that goes over to other windows, and one that counted by both all the time.
func TestNoWindowOfEitherGridSeesMoreWhenTheWindowsChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most).Draw(t, name))
		}
		limit := func(name string) Limit {
			return Limit{ID: "a", Quota: 3, Window: Fixed, Per: sec + draw(name+" per", 9)*sec, Offset: draw(name+" offset", 99) * 100 * ms}
		}
		was, is := limit("old"), limit("new")
		l, err := New([]Limit{was}, Options{})
		require.NoError(t, err)
		ahead, width := 1000*sec, draw("width", 20)*50*ms
		early := draw("early", 20) * width / 20
		l.SetClock(0, ahead-early, ahead-early+width)
		old, now, changed := newServer(was), time.Duration(0), never
		fresh := map[int64]int64{}
		change := 5*sec + draw("change", 100)*100*ms
		var flying []*Permit
		arrive := func() {
			server := now + ahead
			if changed == never || now < changed {
				require.True(t, old.arrive(server, 1), "at %v", now)
			} else if begun := time.Duration(even{is.Per, is.Offset}.start(even{is.Per, is.Offset}.index(server))); begun >= changed+ahead {
				fresh[int64(begun)]++
				require.LessOrEqual(t, fresh[int64(begun)], is.Quota, "at %v", now)
			} else {
				require.True(t, old.arrive(server, 1), "at %v, where the old windows may go on", now)
			}
		}
		for now < 60*sec {
			if changed == never && now >= change {
				require.NoError(t, l.Replace(now, []Limit{is}))
				changed = now
			}
			if p := (&Permit{Limit: "a"}); l.TryAcquire(now, p) == nil {
				flying = append(flying, p)
				arrive()
			}
			now += draw("wait", 4) * 50 * ms
			if n := len(flying); n > 0 && (n > 2 || rapid.Bool().Draw(t, "answered")) {
				l.Settle(now, flying[0], Outcome{})
				flying = flying[1:]
			}
		}
	})
}
