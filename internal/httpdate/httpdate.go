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
	if min(day-1, month-1, century, year, hour, minute, second) < 0 || hour > 23 || minute > 59 || second > 59 || day > shortest[month] {
		return time.Time{}, false
	}
	days := daysBefore(100*century+year, month) + day - 1
	return time.Unix(86400*int64(days)+int64(3600*hour+60*minute+second), 0).UTC(), true
}

// shortest is how many days each month has in every year. The 29th of February is left to
// time.Parse, which knows of leap years.
var shortest = [13]int{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// gone is how many days of a year without a leap day are over when a month begins.
var gone = [13]int{0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334}

// daysBefore returns how many days there are from the Unix epoch to the first of a month
// of a year from 0 on, by today's calendar, as time.Date counts.
func daysBefore(year, month int) int {
	const epoch = 719_528 // from the first day of the year 0
	leaps := leapDays(year)
	if month > 2 { // its own leap day is over
		leaps = leapDays(year + 1)
	}
	return 365*year + leaps + gone[month] - epoch
}

// leapDays returns how many leap days there are from the year 0 up to a year, which does
// not count itself. The year 0 has one.
func leapDays(year int) int { return (year+3)/4 - (year+99)/100 + (year+399)/400 }

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

// monthOf returns the number of the month of that name, or 0.
func monthOf(name string) int {
	switch name {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}
