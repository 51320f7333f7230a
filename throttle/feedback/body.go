package feedback

import (
	"time"

	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/internal/jsonpath"
)

// BodyCodes describes servers that say in the body what went wrong, some of
// them with a status of 200:
//
//	feedback.BodyCodes{
//		Fields: []string{"retCode"},
//		Codes: map[string]feedback.Feedback{
//			"10006": {Refused: true, OwnLimit: true, Pause: time.Second},
//			"10002": {TimestampRefused: true},
//		},
//	}
type BodyCodes struct {
	// Fields may have the code, names joined by dots: "retCode", "error.code". The
	// elements of a list are named by number, from zero: "error.0". The first that
	// has a code that is described here counts. No more than seven are looked at, and
	// of an answer with a status below 400 no more than its first 2 KiB and its last
	// fields: a server that refuses does not send the data as well.
	Fields []string
	// Codes are what the codes mean. A Pause is how long a refusal or an overload
	// lasts if the answer does not say.
	Codes map[string]Feedback
	// Prefixes are what codes mean that begin so, for codes that are sentences. The
	// longest counts, and Codes before it.
	Prefixes map[string]Feedback
	// Until are texts after which the body says, as a Unix time, how long a refusal
	// or an overload lasts: "banned until ". Reset is a header that says so; a
	// Retry-After is heard before either.
	Until []string
	Reset string
	Form  ResetForm
	// OnlyErrors leaves the bodies of answers with a status below 400 unread.
	OnlyErrors bool
	// TimeField has the server's clock in any form that says its own unit, such as
	// a Unix time. The server must have read it while it had the request.
	TimeField string
}

// Codes stand at the beginning of a body, or are among its last fields. maxCoded is how
// much is looked into of an error's, and maxSuccess of any other's.
const (
	maxCoded   = 64 << 10
	maxSuccess = 2 << 10
)

// Read is a Reader.
func (c BodyCodes) Read(a Answer) Feedback {
	failed := a.Status >= 400
	if c.OnlyErrors && !failed || len(a.Body) == 0 {
		return Feedback{}
	}
	var paths [jsonpath.MaxPaths]string
	var values [jsonpath.MaxPaths][]byte
	n := copy(paths[:jsonpath.MaxPaths-1], c.Fields)
	paths[n] = c.TimeField
	sought := paths[:n]
	if c.TimeField != "" {
		sought = paths[:n+1]
	}
	if !failed {
		jsonpath.FindFirst(a.Body, maxSuccess, sought, values[:])
	} else if body := a.Body[:min(len(a.Body), maxCoded)]; !jsonpath.FindAll(body, sought, values[:]) && len(body) == len(a.Body) {
		return Feedback{}
	}
	f := c.meaning(paths[:n], values[:n])
	if f.verdict() != nothing {
		f.Pause = c.wait(a, f.Pause)
	}
	if text, found := jsonpath.Text(values[n]); found && c.TimeField != "" {
		f.ServerTime, f.Resolution = serverTime(text)
	}
	return f
}

// meaning is what the first code means that is described.
func (c BodyCodes) meaning(paths []string, values [][]byte) Feedback {
	for i, value := range values {
		code, found := jsonpath.Text(value)
		if !found || len(code) == 0 || paths[i] == "" {
			continue
		}
		if f, described := c.Codes[string(code)]; described {
			return f
		}
		if f, described := c.beginning(code); described {
			return f
		}
	}
	return Feedback{}
}

func (c BodyCodes) beginning(code []byte) (f Feedback, described bool) {
	longest := -1
	for prefix, meaning := range c.Prefixes {
		if n := len(prefix); n > longest && n <= len(code) && string(code[:n]) == prefix {
			longest, f = len(prefix), meaning
		}
	}
	return f, longest >= 0
}

func (c BodyCodes) wait(a Answer, otherwise time.Duration) time.Duration {
	if pause, ok := a.retryAfter(); ok {
		return pause
	}
	if pause, ok := a.instantAfter(c.Until); ok {
		return pause
	}
	if pause, ok := a.reset(c.Reset, c.Form); ok {
		return pause
	}
	return clamp(otherwise)
}

// BodyTime reads the server's clock from a JSON field, names joined by dots. It
// may be a Unix time in s, ms, µs or ns, or a date. The server must have read its
// clock while it had the request.
func BodyTime(field string) Reader {
	return BodyCodes{TimeField: field}.Read
}

func serverTime(text []byte) (at time.Time, resolution time.Duration) {
	if n, fraction, ok := decimal(text); ok && !fraction { // as nearly all servers write it
		at, resolution = instant(n), clock.UnitOf(uint64(n))
	} else if unix, unit, err := clock.ParseTime(string(text)); err == nil {
		at, resolution = time.Unix(0, int64(unix)), unit
	}
	if at.Unix() < epochSeconds || at.Unix() > latestSeconds {
		return time.Time{}, 0
	}
	return at, resolution
}

// latestSeconds is the latest Unix time that is taken for a server's: the year 2255.
const latestSeconds = 9e9
