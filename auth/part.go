package auth

import (
	"crypto/sha512"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
)

// Part is a piece of a signed message or of a header's value: one of the
// constants, or any other text, which stands for itself. A text that has words in
// braces and is none of the constants is a mistake that Validate tells.
type Part string

// The pieces a Header knows.
const (
	Timestamp  Part = "{timestamp}" // as HeaderForm.Time writes it
	Nonce      Part = "{nonce}"     // strictly increasing per key: calls must be sent in order
	Unique     Part = "{unique}"    // never the same twice; order does not matter
	Expires    Part = "{expires}"   // Unix time after which the server is to refuse
	RecvWindow Part = "{window}"    // the window in ms

	KeyName    Part = "{key}"
	Passphrase Part = "{passphrase}" // signed, if HeaderForm.SignPassphrase
	Signature  Part = "{signature}"  // in headers only

	Method      Part = "{method}"
	Host        Part = "{host}"
	Path        Part = "{path}"          // without the query
	Target      Part = "{target}"        // path, and "?" and the query if there is one
	Query       Part = "{query}"         // percent-encoded, as sent
	PlainQuery  Part = "{plain query}"   // not percent-encoded
	Body        Part = "{body}"          // as sent
	BodySHA512  Part = "{sha512(body)}"  // in hex
	QueryOrBody Part = "{query or body}" // the query of a GET or DELETE, otherwise the body
)

// parts are the constants.
var parts = []Part{
	Timestamp, Nonce, Unique, Expires, RecvWindow, KeyName, Passphrase, Signature,
	Method, Host, Path, Target, Query, PlainQuery, Body, BodySHA512, QueryOrBody,
}

// inBraces is what looks as if a part was meant, and no JSON.
var inBraces = regexp.MustCompile(`\{[\w ()-]+\}`)

// checkParts returns an error for every text that is hardly meant to stand for itself.
func checkParts(field string, of []Part) (errs []error) {
	for i, p := range of {
		meant := Part(inBraces.FindString(string(p)))
		switch {
		case meant == "" || slices.Contains(parts, p):
		case slices.Contains(parts, meant):
			errs = append(errs, fail("Header", field, fmt.Errorf("part %d has %s inside a longer text, where it stands for itself: make it a part of its own", i+1, meant)))
		default:
			errs = append(errs, fail("Header", field, fmt.Errorf("part %d is %s, which is none: there are %v", i+1, meant, parts)))
		}
	}
	return errs
}

// Line is a header that a Header sets. One whose value has an empty KeyName,
// Passphrase or RecvWindow is left out.
type Line struct {
	Name  string
	Value []Part
}

// TimeFormat is how a timestamp is written.
type TimeFormat uint8

const (
	UnixMilli  TimeFormat = iota // 1700000000000
	UnixSecond                   // 1700000000
	ISOMilli                     // 2023-11-14T22:13:20.000Z
)

func (f TimeFormat) unit() time.Duration {
	if f == UnixSecond {
		return time.Second
	}
	return time.Millisecond
}

func (f TimeFormat) append(dst []byte, units int64) []byte {
	if f == ISOMilli {
		return time.UnixMilli(units).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
	}
	return strconv.AppendInt(dst, units, 10)
}

func appendCallPart(dst []byte, call *messages.Call, p Part) []byte {
	switch p {
	case Method:
		return append(dst, call.Method...)
	case Host:
		return append(dst, sentHost(call)...)
	case Path:
		return append(dst, call.Path...)
	case Target:
		dst = append(dst, call.Path...)
		if call.Query == "" && !call.ForceQuery {
			return dst
		}
		return append(append(dst, '?'), call.Query...)
	case Query:
		return append(dst, call.Query...)
	case PlainQuery:
		return percent.AppendDecoded(dst, call.Query)
	case Body:
		return append(dst, call.Body...)
	case BodySHA512:
		sum := sha512.Sum512(call.Body)
		return Hex.Append(dst, sum[:])
	case QueryOrBody:
		if strings.EqualFold(call.Method, "GET") || strings.EqualFold(call.Method, "DELETE") {
			return append(dst, call.Query...)
		}
		return append(dst, call.Body...)
	}
	return append(dst, p...)
}
