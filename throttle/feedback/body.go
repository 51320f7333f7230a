package feedback

import (
	"slices"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/internal/jsonpath"
)

// BodyCodes describes servers that say in the body what went wrong, some of
// them with a status of 200.
type BodyCodes struct {
	// Field has the code, names joined by dots: "retCode", "error.code". The
	// elements of a list are named by number, from zero: "data.0.sCode".
	Field string
	// Refused are codes that mean "over the limit"; Pause is for how long.
	Refused []string
	Pause   time.Duration
	// Timestamp are codes that mean "timestamp outside the window".
	Timestamp []string
	// TimeField has the server's clock as a Unix time in milliseconds.
	TimeField string
}

// maxCoded is the size up to which a body is looked into: errors are short.
const maxCoded = 64 << 10

// Read is a Reader.
func (c BodyCodes) Read(a Answer) Feedback {
	if len(a.Body) > maxCoded {
		return Feedback{}
	}
	var f Feedback
	if code, found := scalar(a.Body, c.Field); found {
		f.TimestampRefused = slices.Contains(c.Timestamp, code)
		if slices.Contains(c.Refused, code) {
			f.Pause = c.Pause
		}
	}
	if text, found := scalar(a.Body, c.TimeField); found {
		f.ServerTime, f.Resolution = millis(text)
	}
	return f
}

// BodyTime reads the server's clock from a JSON field, names joined by dots, in
// milliseconds since 1970. The server must have read its clock while it had
// the request.
func BodyTime(field string) Reader {
	return BodyCodes{TimeField: field}.Read
}

func millis(text string) (time.Time, time.Duration) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > 1<<53 { // what a JSON number can hold exactly
		return time.Time{}, 0
	}
	return time.UnixMilli(n), time.Millisecond
}

// scalar returns what a field says. A field that is empty, or without a name, is
// none.
func scalar(document []byte, field string) (text string, found bool) {
	if field == "" {
		return "", false
	}
	text, _ = jsonpath.Scalar(document, field)
	return text, text != ""
}
