package feedback

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/httpdate"
)

// What a refusal without a Retry-After means. Going on after a 418 makes bans
// longer, so the pause is Binance's shortest.
const (
	pauseAfter429 = time.Second
	pauseAfter418 = 2 * time.Minute
)

// RetryAfter pauses after 429 (too many requests) and 418 (banned for going on
// after that), for as long as Retry-After says, and after any other status of
// 400 and above that carries the header. It is what an engine uses unless told
// otherwise.
func RetryAfter(a Answer) Feedback {
	if a.Status < 400 {
		return Feedback{}
	}
	pause, ok := ParseRetryAfter(a.Header.Get("Retry-After"), a.Clock)
	switch {
	case ok:
		return Feedback{Pause: pause}
	case a.Status == http.StatusTooManyRequests:
		return Feedback{Pause: pauseAfter429}
	case a.Status == http.StatusTeapot:
		return Feedback{Pause: pauseAfter418}
	}
	return Feedback{}
}

// ParseRetryAfter reads the header's two forms (RFC 9110, section 10.2.3): a
// number of seconds, or a date, which is compared with the server's time.
func ParseRetryAfter(text string, clock Clock) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil { // 31 bits of seconds fit a Duration
		return time.Duration(seconds) * time.Second, true
	}
	at, ok := httpdate.Parse(text)
	if !ok {
		return 0, false
	}
	return max(0, at.Sub(clock.Now())), true
}
