package throttle

import (
	"testing"
	"time"
	_ "time/tzdata" // the places below, wherever the tests run

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func locate(t require.TestingT, name string) *time.Location {
	l, err := time.LoadLocation(name)
	require.NoError(t, err)
	return l
}

func calendarOf(l *Limit) calendar { return newCalendar(l, newZones().at(l.Location)) }

// unix is the server time of an instant.
func unix(t time.Time) time.Duration { return time.Duration(t.UnixNano()) }

func TestADayLastsFromMidnightToMidnightOfItsPlace(t *testing.T) {
	pacific := locate(t, "America/Los_Angeles")
	g := calendarOf(&Limit{Per: day, Location: pacific})
	for _, c := range []struct {
		month time.Month
		day   int
		hours time.Duration
	}{{3, 7, 24}, {3, 8, 23}, {3, 9, 24}, {10, 31, 24}, {11, 1, 25}, {11, 2, 24}} {
		midnight := time.Date(2026, c.month, c.day, 0, 0, 0, 0, pacific)
		k := g.index(unix(midnight))
		require.Equal(t, unix(midnight), g.start(k))
		require.Equal(t, c.hours*time.Hour, g.start(k+1)-g.start(k), midnight)
		require.Equal(t, k-1, g.index(unix(midnight)-1))
	}
	require.Equal(t, 25*time.Hour, g.longest())
}

func TestMonthsAndQuartersBeginWithTheCalendars(t *testing.T) {
	for _, c := range []struct {
		months int
		offset time.Duration
		want   time.Time
	}{
		{1, 0, time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)},
		{3, 0, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{12, 0, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)},
		{1, 14 * day, time.Date(2026, 2, 15, 0, 0, 0, 0, time.UTC)},
		{1, 19*day + 6*time.Hour, time.Date(2026, 1, 20, 6, 0, 0, 0, time.UTC)},
		{1, -time.Hour, time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)},
	} {
		g := calendarOf(&Limit{Months: c.months, Offset: c.offset})
		k := g.index(unix(time.Date(2026, 2, 17, 12, 0, 0, 0, time.UTC)))
		require.Equal(t, c.want, time.Unix(0, int64(g.start(k))).UTC(), "%+v", c)
	}
}

var places = []string{
	"America/Los_Angeles", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "America/Havana",
	"Pacific/Apia", "Atlantic/Azores", "Africa/Cairo", "Asia/Kathmandu", "Asia/Amman", "UTC",
}

func TestEveryInstantLiesInTheWindowOfItsDate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for range 40 {
			l := Limit{Location: locate(t, rapid.SampledFrom(places).Draw(t, "place"))}
			if l.Months = rapid.IntRange(0, 4).Draw(t, "months"); l.Months == 0 {
				l.Per = time.Duration(rapid.IntRange(1, 8).Draw(t, "days")) * day
			}
			g := calendarOf(&l)
			year := rapid.IntRange(2000, 2060).Draw(t, "year")
			at := unix(time.Date(year, 1, 1, 0, 0, rapid.IntRange(0, 366*24*3600).Draw(t, "second"), 0, time.UTC))
			k := g.index(at)
			from, to := g.start(k), g.start(k+1)
			require.True(t, from <= at && at < to, "%v %v %v", from, at, to)
			require.LessOrEqual(t, to-from, g.longest())
			require.Equal(t, k, g.index(from), "a window begins in itself")
			require.Less(t, g.index(from-1), k)

			// The slow way: minute by minute to where clocks first show the date.
			wall := time.Unix(0, int64(from)).In(l.Location)
			y, m, d := wall.Date()
			if wall.Hour() > 2 {
				y, m, d = wall.AddDate(0, 0, 1).Date() // 23 o'clock, where nothing else is left of a date
			}
			midnight := time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
			for slow := wall.Add(-4 * time.Hour); slow.Before(wall); slow = slow.Add(time.Minute) {
				shows := time.Date(slow.Year(), slow.Month(), slow.Day(), slow.Hour(), slow.Minute(), 0, 0, time.UTC)
				require.True(t, shows.Before(midnight), "%v: clocks show %v before", wall, shows)
			}
		}
	})
}

// A ledger and a server that counts by the dates of a place, around the days on
// which clocks are changed there.
func TestADailyQuotaOfAPlaceIsSpentInFullAndNeverOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		where := locate(t, rapid.SampledFrom([]string{"America/Los_Angeles", "America/New_York", "Australia/Lord_Howe"}).Draw(t, "place"))
		month := rapid.SampledFrom([]time.Month{3, 4, 10, 11}).Draw(t, "month")
		begin := time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC)
		l, err := New([]Limit{{ID: "a", Quota: 5, Per: day, Window: Fixed, Location: where}}, Options{ClockRate: 1e-9})
		require.NoError(t, err)
		l.SetClock(0, unix(begin)-sec, unix(begin)+sec)
		counts := map[string]int{}
		now := time.Duration(0)
		for now < 12*day {
			p := &Permit{Limit: "a"}
			require.NoError(t, l.Acquire(now, p))
			for p.State() != Granted {
				at, ok := l.Wake()
				require.True(t, ok)
				now = max(now, at)
				l.Next(now)
			}
			out := time.Duration(rapid.IntRange(1, 3000).Draw(t, "out")) * ms
			date := begin.Add(now + out).In(where).Format(time.DateOnly)
			counts[date]++
			require.LessOrEqual(t, counts[date], 5, date)
			now += out + 10*ms
			l.Settle(now, p, Outcome{})
		}
		require.GreaterOrEqual(t, len(counts), 12)
		full := 0
		for _, n := range counts {
			if n == 5 {
				full++
			}
		}
		require.GreaterOrEqual(t, full, len(counts)-3, "but for the first and the last, and what lands on an edge")
	})
}

func TestOnlyWholeDaysAndMonthsHaveACalendar(t *testing.T) {
	_, err := New([]Limit{
		{ID: "hour", Quota: 1, Per: time.Hour, Window: Fixed, Location: time.UTC},
		{ID: "sliding", Quota: 1, Per: day, Location: time.UTC},
		{ID: "both", Quota: 1, Per: day, Months: 1, Window: Fixed},
		{ID: "age", Quota: 1, Months: 1000, Window: Fixed},
	}, Options{})
	for _, part := range []string{`"hour": per 1h0m0s`, `"sliding": offset, months and location`, `"both": months 1`, `"age": months 1000`} {
		require.ErrorContains(t, err, part)
	}
	_, err = New([]Limit{{ID: "m", Quota: 10, Months: 1, Window: Fixed}, {ID: "q", Quota: 10, Months: 3, Window: Fixed, Location: time.UTC}}, Options{})
	require.NoError(t, err)
}
