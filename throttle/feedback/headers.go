package feedback

import (
	"net/http"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/httpdate"
)

// ResetForm is how a server writes when its window ends. It is a hint: what can
// be nothing but a Unix time or a date is read as one, and a Unix time's unit is
// told by its size.
type ResetForm uint8

const (
	// NoReset: there is no such header, or it is not to be trusted.
	NoReset ResetForm = iota
	// DeltaSeconds and DeltaMillis count down to the end of the window.
	DeltaSeconds
	DeltaMillis // the same, in milliseconds
	// UnixSeconds and UnixMillis are the instant of the end of the window. A number
	// that is too small for that counts down, in the same unit.
	UnixSeconds
	UnixMillis // the same, in milliseconds
)

// HeaderUsage describes the headers that tell the usage of one limit. Names
// that are empty are not looked at; where Remaining is told, it counts and Used
// does not.
type HeaderUsage struct {
	// Limit is the id the numbers are about; empty means the one the request
	// named, for servers that count by endpoint.
	Limit string
	Used  string // header with the weight used in the window
	// Remaining is the header with what is left of the quota.
	Remaining string
	Quota     string // header with the quota itself
	// Reset is the header with the end of the window. It also tells a number of a window that is over
	// from one of the present window, for Fixed limits; see Usage.Ends. Without it the answer's Date
	// tells the window, which is when the answer began: what a server counts when a request arrives, and
	// answers beyond the turn of the window, is charged to the next one then.
	Reset string
	Form  ResetForm

	resetOnlyIfFull bool // Reset is the end of the window of a refusal alone

	// Exhausted makes a 429 or 403 with which nothing remains a refusal until
	// the reset, of the request's own limit alone if Limit is empty.
	Exhausted bool
}

// Read is a Reader.
func (h HeaderUsage) Read(a Answer) Feedback {
	u, found := h.usage(&a)
	if !found {
		return Feedback{}
	}
	f := Feedback{Usage: []Usage{u}}
	// An answer that used up the quota is no refusal: the ledger knows from Usage.
	if h.Exhausted && u.Remaining == 0 && refuses(a.Status) {
		f.Refused, f.OwnLimit = true, h.Limit == ""
		f.Pause, _ = a.reset(h.Reset, h.Form)
		if pause, ok := a.retryAfter(); ok {
			f.Pause = max(f.Pause, pause)
		}
	}
	return f
}

// usage is what the headers tell; false if they do not.
func (h *HeaderUsage) usage(a *Answer) (u Usage, found bool) {
	used, remaining := int64(-1), int64(-1)
	if h.Remaining != "" {
		remaining = count(a.Header.Get(h.Remaining))
	}
	if h.Used != "" && remaining < 0 {
		used = count(a.Header.Get(h.Used))
	}
	if used < 0 && remaining < 0 {
		return Usage{}, false
	}
	u = Usage{Limit: h.Limit, Key: a.Key, Used: used, Remaining: remaining, At: dateOf(a)}
	if u.Limit == "" {
		u.Limit = a.Limit
	}
	if h.Quota != "" {
		u.Quota = max(0, count(a.Header.Get(h.Quota)))
	}
	if h.Reset != "" && !h.resetOnlyIfFull && a.Header.Get("Age") == "" {
		u.Ends, u.EndsIn = a.ends(h.Reset, h.Form)
	}
	return u, true
}

// ends is what a header says of the end of a window, as a Usage has it.
func (a *Answer) ends(header string, form ResetForm) (at time.Time, in time.Duration) {
	text := strings.TrimSpace(a.Header.Get(header))
	n, ok := wholeUp(text)
	switch {
	case form == NoReset:
	case !ok:
		at, _ = date(text)
	case form.countsDown(n):
		in = countingDown(n, form.unit())
	default:
		at = instant(n)
	}
	return at, in
}

// countingDown is the most that is left where a server says that it is n units: it may have
// cut off as much of a second.
func countingDown(n int64, unit time.Duration) time.Duration { return times(n, unit) + time.Second }

// refuses reports whether a status can be a refusal because of one limit. A 418
// is a ban.
func refuses(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusForbidden
}

// reset is how long it is to the instant in a header.
func (a Answer) reset(header string, form ResetForm) (time.Duration, bool) {
	if header == "" || form == NoReset {
		return 0, false
	}
	text := strings.TrimSpace(a.Header.Get(header))
	if n, ok := wholeUp(text); ok {
		return a.resetNumber(n, form)
	}
	if at, ok := date(text); ok {
		return a.until(at)
	}
	return 0, false
}

func (a Answer) resetNumber(n int64, form ResetForm) (time.Duration, bool) {
	if form.countsDown(n) {
		return times(n, form.unit()), true
	}
	return a.until(instant(n))
}

// countsDown reports whether a number is too small to be a Unix time.
func (f ResetForm) countsDown(n int64) bool {
	if f == DeltaMillis {
		return n < epochMillis
	}
	return n < epochSeconds
}

// unit is that of a number which counts down.
func (f ResetForm) unit() time.Duration {
	if f == DeltaMillis || f == UnixMillis {
		return time.Millisecond
	}
	return time.Second
}

// count returns a number of at least zero without its fraction, or -1 for
// anything else.
func count(text string) int64 {
	if n, _, ok := decimal(strings.TrimSpace(text)); ok {
		return n
	}
	return -1
}

// dateOf is dated by an answer's own lines.
func dateOf(a *Answer) time.Time { return dated(a.Header.Get("Age"), a.Header.Get("Date")) }

// dated is the server's time on an answer with that Age and Date. A number that a proxy's
// cache has kept, or one without a date, is taken to be about the present window.
func dated(age, date string) time.Time {
	if age != "" {
		return time.Time{}
	}
	at, _ := httpdate.Parse(date)
	return at
}
