package clock

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/httpdate"
)

// ErrFormat means that a text is not a server time in any known form.
var ErrFormat = errors.New("not a server time")

// ParseTime reads a server's time as its answers give it, and tells the unit of
// the last digit. It knows
//
//	1700000000, 1700000000123, …   Unix time in s, ms, µs or ns, told by its size
//	1700000000.123                 the same with a fraction
//	2023-11-14T22:13:20.123Z       RFC 3339
//	Tue, 14 Nov 2023 22:13:20 GMT  the three forms of RFC 9110, section 5.6.7
//
// Surrounding quotes and spaces are dropped.
func ParseTime(text string) (unix, resolution time.Duration, err error) {
	s := strings.Trim(text, " \t\"")
	switch {
	case s == "" || len(s) > 64:
		err = ErrFormat
	case !strings.ContainsAny(s, "-:"):
		unix, resolution, err = parseUnix(s)
	case s[0] >= '0' && s[0] <= '9':
		unix, resolution, err = parseRFC3339(s)
	default:
		unix, resolution, err = parseDate(s)
	}
	if err == nil && (unix <= 0 || unix > maxUnix) {
		err = ErrServerTime
	}
	if err != nil {
		return 0, 0, fmt.Errorf("a text of %d bytes: %w", len(text), err) // an answer's, which may hold anything
	}
	return unix, resolution, nil
}

func parseUnix(s string) (unix, resolution time.Duration, err error) {
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil {
		return 0, 0, ErrFormat
	}
	unit := UnitOf(n)
	if n > uint64(maxUnix/unit) { // or the product would overflow
		return 0, 0, ErrServerTime
	}
	unix, resolution = time.Duration(n)*unit, unit
	for _, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return 0, 0, ErrFormat
		}
		if resolution /= 10; resolution == 0 {
			return unix, 1, nil // digits below a nanosecond are cut off
		}
		unix += time.Duration(c-'0') * resolution
	}
	return unix, resolution, nil
}

// UnitOf tells the unit of a Unix time between the years 1973 and 5138.
func UnitOf(n uint64) time.Duration {
	switch {
	case n < 1e11:
		return time.Second
	case n < 1e14:
		return time.Millisecond
	case n < 1e17:
		return time.Microsecond
	}
	return time.Nanosecond
}

func parseRFC3339(s string) (unix, resolution time.Duration, err error) {
	t, err := time.Parse(time.RFC3339Nano, strings.Replace(s, " ", "T", 1)) // RFC 3339 allows the space
	if err != nil {
		return 0, 0, ErrFormat
	}
	return Unix(t), fractionUnit(s), nil
}

// fractionUnit is the unit of the last digit after the point: a second if there
// is none.
func fractionUnit(s string) time.Duration {
	unit := time.Second
	at := strings.IndexAny(s, ".,") // time.Parse takes either, as ISO 8601 does
	if at < 0 {
		return unit
	}
	for _, c := range []byte(s[at+1:]) {
		if c < '0' || c > '9' {
			break
		}
		unit = max(unit/10, 1)
	}
	return unit
}

func parseDate(s string) (unix, resolution time.Duration, err error) {
	t, ok := httpdate.Parse(s)
	if !ok {
		return 0, 0, ErrFormat
	}
	return Unix(t), time.Second, nil
}

// Unix is t as a Unix time, and zero for one that a Sample cannot hold.
func Unix(t time.Time) time.Duration {
	if s := t.Unix(); s <= 0 || s > int64(maxUnix/time.Second) {
		return 0
	}
	return time.Duration(t.UnixNano())
}
