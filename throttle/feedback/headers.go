package feedback

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/httpdate"
)

// ResetForm is how a server writes when its window ends.
type ResetForm uint8

const (
	// NoReset: there is no such header, or it is not to be trusted.
	NoReset ResetForm = iota
	// DeltaSeconds and DeltaMillis count down to the end of the window.
	DeltaSeconds
	DeltaMillis
	// UnixSeconds and UnixMillis are the instant of the end of the window.
	UnixSeconds
	UnixMillis
)

// HeaderUsage describes the headers that tell the usage of one limit. Names
// that are empty are not looked at; without Used, Remaining is.
type HeaderUsage struct {
	// Limit is the id the numbers are about; empty means the one the request
	// named, for servers that count by endpoint.
	Limit string
	Used  string // header with the weight used in the window
	// Remaining is the header with what is left of the quota.
	Remaining string
	Quota     string // header with the quota itself
	Reset     string // header with the end of the window
	Form      ResetForm
	// Exhausted pauses until the reset when nothing remains and the status is
	// a refusal.
	Exhausted bool
}

// Read is a Reader.
func (h HeaderUsage) Read(a Answer) Feedback {
	u := Usage{Limit: h.Limit, Key: a.Key, Used: -1, Remaining: -1, At: dateOf(a)}
	if u.Limit == "" {
		u.Limit = a.Limit
	}
	if h.Used != "" {
		u.Used = number(a.Header.Get(h.Used))
	}
	if h.Remaining != "" {
		u.Remaining = number(a.Header.Get(h.Remaining))
	}
	if h.Quota != "" {
		u.Quota = max(0, number(a.Header.Get(h.Quota)))
	}
	var f Feedback
	if u.Used >= 0 || u.Remaining >= 0 {
		f.Usage = []Usage{u}
	}
	// An answer that used up the quota is no refusal: the ledger knows from Usage.
	if h.Exhausted && a.Status >= 400 && u.Remaining == 0 {
		f.Pause = h.untilReset(a)
	}
	return f
}

func (h HeaderUsage) untilReset(a Answer) time.Duration {
	n := number(a.Header.Get(h.Reset))
	if n < 0 || n > 1<<50 {
		return 0 // no instant that anybody means, in whatever unit
	}
	// Cut to what a Duration and a Time can hold; every pause is cut again by
	// throttle.Options.MaxPause.
	switch h.Form {
	case DeltaSeconds:
		return time.Duration(min(n, 1<<31)) * time.Second
	case DeltaMillis:
		return time.Duration(min(n, 1<<40)) * time.Millisecond
	case UnixSeconds:
		return max(0, time.Unix(min(n, 1<<40), 0).Sub(a.Clock.Now()))
	case UnixMillis:
		return max(0, time.UnixMilli(n).Sub(a.Clock.Now()))
	}
	return 0
}

// number returns a count of at least zero, or -1 for anything else.
func number(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

// dateOf is the server's time on the answer. A number that a proxy's cache has
// kept, or one without a date, is taken to be about the present window.
func dateOf(a Answer) time.Time {
	if a.Header.Get("Age") != "" {
		return time.Time{}
	}
	at, _ := httpdate.Parse(a.Header.Get("Date"))
	return at
}

// Binance reads X-MBX-USED-WEIGHT-1M as the usage of the limit named weight,
// X-MBX-ORDER-COUNT-10S and -1D as that of the limits named orders10s and
// ordersDay (empty names are left out), and Retry-After. Error -1021 says that
// the timestamp was refused. (Binance spot API, "Limits".)
func Binance(weight, orders10s, ordersDay string) Reader {
	readers := []Reader{RetryAfter, BodyCodes{Field: "code", Timestamp: []string{"-1021"}}.Read}
	for _, h := range []HeaderUsage{
		{Limit: weight, Used: "X-MBX-USED-WEIGHT-1M"},
		{Limit: orders10s, Used: "X-MBX-ORDER-COUNT-10S"},
		{Limit: ordersDay, Used: "X-MBX-ORDER-COUNT-1D"},
	} {
		if h.Limit != "" {
			readers = append(readers, h.Read)
		}
	}
	return Join(readers...)
}

// Bybit reads X-Bapi-Limit and X-Bapi-Limit-Status, which speak of the limit
// the request named, and the body's retCode: 10006 is a refusal with status
// 200, 10002 a refused timestamp. A 403 means that the address went over its
// own limit, and has to wait ten minutes. (Bybit v5, "Rate Limit".)
func Bybit() Reader {
	usage := HeaderUsage{
		Remaining: "X-Bapi-Limit-Status", Quota: "X-Bapi-Limit",
		Reset: "X-Bapi-Limit-Reset-Timestamp", Form: UnixMillis,
	}
	codes := BodyCodes{
		Field: "retCode", Refused: []string{"10006"}, Timestamp: []string{"10002"}, Pause: time.Second,
		TimeField: "time",
	}
	return Join(RetryAfter, usage.Read, codes.Read, func(a Answer) Feedback {
		if a.Status != http.StatusForbidden {
			return Feedback{}
		}
		return Feedback{Pause: 10 * time.Minute}
	})
}

// KuCoin reads gw-ratelimit-limit, -remaining and -reset, the last counting
// down in milliseconds. A refusal without these headers is an overload of the
// server's, and counts for nothing. (KuCoin, "Rate Limit".)
func KuCoin(limit string) Reader {
	return Join(RetryAfter, HeaderUsage{
		Limit: limit, Remaining: "gw-ratelimit-remaining", Quota: "gw-ratelimit-limit",
		Reset: "gw-ratelimit-reset", Form: DeltaMillis, Exhausted: true,
	}.Read)
}

// Gate reads X-Gate-RateLimit-Requests-Remain and its companions, which speak
// of the limit the request named. (Gate API v4, "Frequency limit rule".)
func Gate() Reader {
	return Join(RetryAfter, HeaderUsage{
		Remaining: "X-Gate-RateLimit-Requests-Remain", Quota: "X-Gate-RateLimit-Limit",
		Reset: "X-Gate-RateLimit-Reset-Timestamp", Form: UnixSeconds, Exhausted: true,
	}.Read)
}

// XRateLimit reads the widespread X-RateLimit-Limit, -Remaining and -Reset. The
// form of the last differs between servers and has to be told.
func XRateLimit(limit string, form ResetForm) Reader {
	return Join(RetryAfter, HeaderUsage{
		Limit: limit, Remaining: "X-RateLimit-Remaining", Quota: "X-RateLimit-Limit",
		Reset: "X-RateLimit-Reset", Form: form, Exhausted: true,
	}.Read)
}
