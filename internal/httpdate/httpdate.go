// Package httpdate reads and writes the dates of HTTP (RFC 9110, section 5.6.7).
//
// It is stricter than net/http's ParseTime about one thing: every form must say
// GMT. ParseTime takes whatever zone the second form names for GMT, and so would
// be off by an hour or more without a word.
package httpdate

import "time"

// Layout is the form that is written: the preferred one.
const Layout = "Mon, 02 Jan 2006 15:04:05 GMT"

// Parse reads a date in any of the three forms, in which it is exact to the
// second.
func Parse(text string) (at time.Time, ok bool) {
	if text == "" {
		return time.Time{}, false
	}
	if at, ok := preferred(text); ok {
		return at, true
	}
	for _, layout := range [...]string{Layout, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// preferred reads a date that is spelt exactly as in Layout, as nearly all are, for a
// small part of what time.Parse costs. What it does not read may be a date still.
func preferred(text string) (at time.Time, ok bool) {
	if len(text) != len(Layout) || !isDay(text[:3]) || text[3] != ',' ||
		text[4] != ' ' || text[7] != ' ' || text[11] != ' ' || text[16] != ' ' ||
		text[19] != ':' || text[22] != ':' || text[25:] != " GMT" {
		return time.Time{}, false
	}
	day, month := digits(text[5:7]), monthOf(text[8:11])
	year, century := digits(text[14:16]), digits(text[12:14])
	hour, minute, second := digits(text[17:19]), digits(text[20:22]), digits(text[23:25])
	if min(day-1, int(month)-1, century, year, hour, minute, second) < 0 || hour > 23 || minute > 59 || second > 59 || day > shortest(month) {
		return time.Time{}, false
	}
	return time.Date(100*century+year, month, day, hour, minute, second, 0, time.UTC), true
}

// shortest returns how many days a month has in every year.
func shortest(month time.Month) int {
	switch month {
	case time.February: // its 29th is left to time.Parse, which knows of leap years
		return 28
	case time.April, time.June, time.September, time.November:
		return 30
	}
	return 31
}

// digits returns what two digits say, or -1.
func digits(two string) int {
	tens, ones := two[0]-'0', two[1]-'0'
	if tens > 9 || ones > 9 {
		return -1
	}
	return 10*int(tens) + int(ones)
}

func isDay(name string) bool {
	switch name {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun":
		return true
	}
	return false
}

// monthOf returns the month of that name, or 0.
func monthOf(name string) time.Month {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for i := 0; i < len(names); i += 3 {
		if names[i:i+3] == name {
			return time.Month(i/3 + 1)
		}
	}
	return 0
}
