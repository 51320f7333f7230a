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
	for _, layout := range [...]string{Layout, "Monday, 02-Jan-06 15:04:05 GMT", time.ANSIC} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
