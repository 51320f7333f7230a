package httpdate

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestADateIsReadInItsThreeForms(t *testing.T) {
	want := time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)
	for _, text := range []string{
		"Tue, 14 Nov 2023 22:13:20 GMT", "Tuesday, 14-Nov-23 22:13:20 GMT", "Tue Nov 14 22:13:20 2023",
		want.Format(http.TimeFormat), want.Format(Layout),
	} {
		at, ok := Parse(text)
		require.True(t, ok, text)
		require.Equal(t, want, at, text)
	}
}

func TestADateOfAnotherZoneIsNone(t *testing.T) {
	for _, text := range []string{
		"", "Tue, 14 Nov 2023 22:13:20 CET", "Tuesday, 14-Nov-23 22:13:20 CET", "Tue, 14 Nov 2023 22:13:20 +0100",
		"2023-11-14T22:13:20Z", "Tue, 32 Nov 2023 22:13:20 GMT",
	} {
		_, ok := Parse(text)
		require.False(t, ok, text)
	}
	_, err := http.ParseTime("Tuesday, 14-Nov-23 22:13:20 CET")
	require.NoError(t, err, "net/http takes it for GMT, which is why it is not used")
}

// FuzzPreferred holds what is read by hand to what time.Parse reads.
func FuzzPreferred(f *testing.F) {
	for _, text := range []string{
		"Tue, 14 Nov 2023 22:13:20 GMT", "Thu, 29 Feb 2024 00:00:00 GMT", "Wed, 29 Feb 2023 00:00:00 GMT",
		"Fri, 31 Apr 2026 10:00:00 GMT", "Sun, 31 May 2026 23:59:60 GMT", "Sun, 00 May 0000 24:00:00 GMT",
		"sun, 01 may 2026 00:00:00 GMT", "Xxx, 01 May 2026 00:00:00 GMT", "Sun, 01 anF 2026 00:00:00 GMT", "Sun,  1 May 2026 00:60:00 GMT",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, ok := preferred(text)
		want, err := time.Parse(Layout, text)
		if ok {
			require.NoError(t, err, text)
			require.Equal(t, want, at, text)
		}
	})
}

func TestEveryDateThatIsWrittenIsReadByHandButLeapDays(t *testing.T) {
	for at := time.Date(1999, 12, 25, 0, 0, 0, 0, time.UTC); at.Year() < 2030; at = at.Add(17*time.Hour + 13*time.Minute + 7*time.Second) {
		text := at.Format(Layout)
		read, ok := preferred(text)
		require.Equal(t, at.Month() != time.February || at.Day() < 29, ok, text)
		if ok {
			require.Equal(t, at, read, text)
		}
	}
}

func TestMonthsBeginWhenTheTimePackageSays(t *testing.T) {
	for year := range 10_000 {
		for month := 1; month <= 12; month++ {
			want := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, time.UTC).Unix()
			if 86400*int64(daysBefore(year, month)) != want { // without require, which would look at 120,000 numbers for long
				require.Failf(t, "begins at another time", "month %d of %d", month, year)
			}
		}
	}
}

func TestADateIsReadWithoutAllocation(t *testing.T) {
	require.Zero(t, testing.AllocsPerRun(100, func() { Parse("Tue, 14 Nov 2023 22:13:20 GMT") }))
	require.Zero(t, testing.AllocsPerRun(100, func() { Parse("") }), "no answer needs a date")
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Parse("Tue, 14 Nov 2023 22:13:20 GMT")
	}
}
