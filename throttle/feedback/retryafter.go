package feedback

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

const (
	statusOverloaded = 529 // not registered, but in use

	// What a refusal without a Retry-After means. Going on after a 418 makes bans
	// longer, so the pause is Binance's shortest.
	pauseAfter429 = time.Second
	pauseAfter418 = 2 * time.Minute

	// pauseWhenBusy is what an overload without a Retry-After means. It is short,
	// because nothing says that the next request would fail as well.
	pauseWhenBusy = 200 * time.Millisecond
)

// RetryAfter goes by the status. 429 (too many requests) and 418 (the address is
// banned for going on after that) are refusals, 503 (unavailable) and 529
// (overloaded) say that the server is busy. How long to pause is told by
// Retry-After, or by an instant in the body of a refusal ("banned until
// 1652345678901"); without either it is a second after a 429, two minutes after
// a 418 and a fifth of a second when busy. Other statuses say nothing, whatever
// headers they carry. It is what an engine uses unless told otherwise.
func RetryAfter(a Answer) Feedback {
	switch a.Status {
	case http.StatusTooManyRequests:
		return Feedback{Refused: true, Pause: a.wait(pauseAfter429)}
	case http.StatusTeapot:
		return Feedback{Refused: true, Whole: true, Pause: a.wait(pauseAfter418)}
	case http.StatusServiceUnavailable, statusOverloaded:
		return Feedback{Busy: true, Pause: a.wait(pauseWhenBusy)}
	}
	return Feedback{}
}

// bannedUntil is how Binance announces until when an address is banned.
var bannedUntil = []string{"banned until "}

// wait is how long an answer says to wait, in its Retry-After or in its body. If
// it does not say, it is otherwise.
func (a Answer) wait(otherwise time.Duration) time.Duration {
	if pause, ok := a.retryAfter(); ok {
		return pause
	}
	if pause, ok := a.instantAfter(bannedUntil); ok {
		return pause
	}
	return otherwise
}

func (a Answer) retryAfter() (time.Duration, bool) {
	text := a.Header.Get("Retry-After")
	if text == "" {
		return 0, false
	}
	if now, known := a.now(); known {
		return ParseRetryAfter(text, fixed(now))
	}
	return ParseRetryAfter(text, nil)
}

// fixed is a clock that stands still.
type fixed time.Time

func (f fixed) Now() time.Time { return time.Time(f) }

// ParseRetryAfter reads the header's two forms (RFC 9110, section 10.2.3): a
// number of seconds, or a date, which is compared with the server's time; without
// a clock, dates are not understood. It also takes a fraction of a second, which
// is rounded up, and a Unix time, which some servers write: a number that is one
// of within ten years from now. What is too long is MaxPause, what has passed is
// zero.
func ParseRetryAfter(text string, clock Clock) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if n, ok := wholeUp(text); ok {
		if n >= epochSeconds && clock != nil {
			if d := instant(n).Sub(clock.Now()); d.Abs() <= MaxPause {
				return clamp(d), true
			}
		}
		return times(n, time.Second), true
	}
	if at, ok := date(text); ok && clock != nil {
		return clamp(at.Sub(clock.Now())), true
	}
	return 0, false
}

// instantAfter looks in the body for an instant after one of several texts.
func (a Answer) instantAfter(texts []string) (time.Duration, bool) {
	body := a.Body[:min(len(a.Body), maxCoded)]
	for _, text := range texts {
		_, rest, found := bytes.Cut(body, []byte(text))
		if !found {
			continue
		}
		rest = bytes.TrimLeft(rest, ` ["`)
		end := bytes.IndexFunc(rest, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
		if end < 0 {
			end = len(rest)
		}
		digits := bytes.TrimRight(rest[:end], ".") // the full stop of a sentence
		if n, ok := wholeUp(digits); ok && n >= epochSeconds {
			if pause, known := a.until(instant(n)); known {
				return pause, true
			}
		}
	}
	return 0, false
}
