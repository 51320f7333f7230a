package feedback

import (
	"math"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/internal/httpdate"
)

// MaxPause is the longest pause that a reader gives. It stands for all that are
// longer, and now plus MaxPause overflows nothing.
const MaxPause = 10 * 365 * 24 * time.Hour

// now is the server's time when it answered: the answer's own Date, plus what it
// spent in caches, which does not depend on any clock here; without one, the
// server's time as the engine knows it. It is false if neither is known.
func (a Answer) now() (time.Time, bool) {
	if at, ok := httpdate.Parse(a.Header.Get("Date")); ok {
		age, _ := wholeUp(a.Header.Get("Age"))
		return at.Add(times(age, time.Second)), true
	}
	if a.Clock == nil {
		return time.Time{}, false
	}
	return a.Clock.Now(), true
}

// until is how long it is to an instant of the server's.
func (a Answer) until(at time.Time) (time.Duration, bool) {
	now, ok := a.now()
	if !ok {
		return 0, false
	}
	return clamp(at.Sub(now)), true // Sub saturates
}

func clamp(d time.Duration) time.Duration { return min(max(d, 0), MaxPause) }

// times is n units, at most MaxPause.
func times(n int64, unit time.Duration) time.Duration {
	return time.Duration(min(max(n, 0), int64(MaxPause/unit))) * unit
}

// epochSeconds is the least number that can be a Unix time: it is in 1998, before any clock of
// a test stands, and as a number of seconds or milliseconds to wait it is 28 years or 10 days.
const epochSeconds = 9e8

// epochMillis is the same for what is said to be a number of milliseconds to
// wait: 3 years.
const epochMillis = 1e11

// instant is the Unix time that a number is, in s, ms, µs or ns, as told by its
// size.
func instant(n int64) time.Time {
	switch clock.UnitOf(uint64(n)) {
	case time.Second:
		return time.Unix(n, 0)
	case time.Millisecond:
		return time.UnixMilli(n)
	case time.Microsecond:
		return time.UnixMicro(n)
	}
	return time.Unix(0, n)
}

// date reads an instant written as a date: RFC 3339, or one of HTTP's forms.
func date(text string) (time.Time, bool) {
	if len(text) > 64 {
		return time.Time{}, false
	}
	if at, ok := httpdate.Parse(text); ok {
		return at, true
	}
	at, err := time.Parse(time.RFC3339Nano, strings.Replace(text, " ", "T", 1)) // RFC 3339 allows the space
	return at, err == nil
}

// wholeUp reads a decimal number of at least zero, rounded up: to wait for a
// fraction of a second less than is asked for is to be refused again. What is
// too large for an int64 is the largest.
func wholeUp[T string | []byte](text T) (n int64, ok bool) {
	n, fraction, ok := decimal(text)
	if fraction && n < math.MaxInt64 {
		n++
	}
	return n, ok
}

// decimal reads digits, with or without a point among them, and tells whether
// anything but zeros follows the point.
func decimal[T string | []byte](text T) (whole int64, fraction, ok bool) {
	point := false
	for i := range len(text) {
		c := text[i]
		switch {
		case c == '.' && !point:
			point = true
		case c < '0' || c > '9':
			return 0, false, false
		case point:
			fraction, ok = fraction || c != '0', true
		case whole > (math.MaxInt64-9)/10:
			whole, ok = math.MaxInt64, true
		default:
			whole, ok = 10*whole+int64(c-'0'), true
		}
	}
	return whole, fraction, ok
}
