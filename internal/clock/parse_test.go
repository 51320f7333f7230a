package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServerTimesAreReadWithTheirResolution(t *testing.T) {
	const s = 1_700_000_000 * time.Second
	for text, want := range map[string]struct{ unix, resolution time.Duration }{
		"1700000000":                      {s, time.Second},
		"1700000000123":                   {s + 123*time.Millisecond, time.Millisecond},
		"1700000000123456":                {s + 123456*time.Microsecond, time.Microsecond},
		"1700000000123456789":             {s + 123456789, 1},
		"1700000000.12":                   {s + 120*time.Millisecond, 10 * time.Millisecond},
		"1700000000123.4":                 {s + 123400*time.Microsecond, 100 * time.Microsecond},
		"1700000000.1234567890":           {s + 123456789, 1},
		` "1700000000123" `:               {s + 123*time.Millisecond, time.Millisecond},
		"2023-11-14T22:13:20Z":            {s, time.Second},
		"2023-11-14T22:13:20.123Z":        {s + 123*time.Millisecond, time.Millisecond},
		"2023-11-14 23:13:20.5+01:00":     {s + 500*time.Millisecond, 100 * time.Millisecond},
		"Tue, 14 Nov 2023 22:13:20 GMT":   {s, time.Second},
		"Tuesday, 14-Nov-23 22:13:20 GMT": {s, time.Second},
		"Tue Nov 14 22:13:20 2023":        {s, time.Second},
	} {
		unix, resolution, err := ParseTime(text)
		require.NoError(t, err, text)
		require.Equal(t, want.unix, unix, text)
		require.Equal(t, want.resolution, resolution, text)
	}
}

func TestWhatIsNoServerTimeIsRefused(t *testing.T) {
	for _, text := range []string{"", " ", "x", "-1", "+5", "1e9", "0x10", "0", "1.x", "2023-13-14T22:13:20Z", "Tue, 14 Nov 2023 22:13:20 CET",
		"9999999999999999999999", "99999999999", "9999-01-01T00:00:00Z", "1960-01-01T00:00:00Z", "NaN", "1_700"} {
		_, _, err := ParseTime(text)
		require.Error(t, err, text)
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"1700000000", "1700000000.123", "2023-11-14T22:13:20.123Z", "Tue, 14 Nov 2023 22:13:20 GMT", "2000-01-01 0:00:00,1Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		unix, resolution, err := ParseTime(text)
		if err != nil {
			return
		}
		require.NoError(t, Sample{Server: unix, Resolution: resolution}.Validate())
		require.Positive(t, resolution)
		require.Zero(t, unix%resolution, "cut off to its resolution")
	})
}
