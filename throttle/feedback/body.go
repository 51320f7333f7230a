package feedback

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BodyCodes describes servers that say in the body what went wrong, some of
// them with a status of 200.
type BodyCodes struct {
	// Field has the code, names joined by dots: "retCode", "error.code".
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
	if len(a.Body) > maxCoded || len(bytes.TrimLeft(a.Body, " \t\r\n")) == 0 {
		return Feedback{}
	}
	var f Feedback
	if code := scalar(a.Body, c.Field); code != "" {
		f.TimestampRefused = slices.Contains(c.Timestamp, code)
		if slices.Contains(c.Refused, code) {
			f.Pause = c.Pause
		}
	}
	if c.TimeField != "" {
		f.ServerTime, f.Resolution = millis(scalar(a.Body, c.TimeField))
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
	if err != nil || n <= 0 || n > 1<<53 {
		return time.Time{}, 0
	}
	return time.UnixMilli(n), time.Millisecond
}

// scalar returns a field's string, or its JSON text otherwise; "" if there is
// none.
func scalar(document []byte, field string) string {
	if field == "" {
		return ""
	}
	for name := range strings.SplitSeq(field, ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(document, &object) != nil {
			return ""
		}
		document = object[name]
	}
	var text string
	if json.Unmarshal(document, &text) == nil {
		return text
	}
	return string(document)
}
