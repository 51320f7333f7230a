package auth

import (
	"cmp"
	"crypto"
	"errors"
	"slices"
	"strings"
	"time"
)

// QueryForm is what distinguishes the exchanges of the family. Empty fields are
// Binance's.
type QueryForm struct {
	KeyHeader  string // "X-MBX-APIKEY"
	KeyParam   string // if set, the key is sent as this parameter too
	Timestamp  string // "timestamp"
	RecvWindow string // "recvWindow"
	Signature  string // "signature"

	Unit     time.Duration // of the timestamp; default 1 ms
	Rule     Window        // the server's; default 5 s, 1 s
	Max      time.Duration // the greatest window the server takes; default 60 s
	Encoding Encoding      // of the signature; default Hex
	Hash     crypto.Hash   // of HMACQuery; default SHA-256

	// InBody adds timestamp, window and signature to the form body instead of to
	// the query, when there is a body. One that is no form is ErrBody.
	InBody bool
	// QueryOnly leaves the body out of the signature, so that it can be streamed.
	// It excludes InBody.
	QueryOnly bool

	// Codes are how the server says that it refused a timestamp; empty means
	// Binance's.
	Codes Codes
}

// binanceCodes: "-1021 INVALID_TIMESTAMP" (binance-spot-api-docs, errors.md).
var binanceCodes = Codes{Field: "code", Timestamp: []string{"-1021"}}

func (f QueryForm) withDefaults() QueryForm {
	f.KeyHeader = cmp.Or(f.KeyHeader, "X-MBX-APIKEY")
	f.Timestamp = cmp.Or(f.Timestamp, "timestamp")
	f.RecvWindow = cmp.Or(f.RecvWindow, "recvWindow")
	f.Signature = cmp.Or(f.Signature, "signature")
	f.Unit = cmp.Or(f.Unit, time.Millisecond)
	f.Rule = cmp.Or(f.Rule, Window{Past: 5 * time.Second, Future: time.Second})
	f.Max = cmp.Or(f.Max, time.Minute)
	f.Hash = cmp.Or(f.Hash, crypto.SHA256)
	if f.Codes.Field == "" && f.Codes.Timestamp == nil && f.Codes.Nonce == nil {
		f.Codes = binanceCodes
	}
	return f
}

// validate reports every mistake in a form that has its defaults.
func (f *QueryForm) validate(scheme string) error {
	errs := []error{
		checkHeaderNames(scheme, "Form.KeyHeader", f.KeyHeader), f.checkParams(scheme), f.Rule.check(scheme, "Form.Rule"), f.Codes.check(scheme, "Form.Codes"),
	}
	if f.Encoding != 0 && !f.Encoding.isKnown() {
		errs = append(errs, fail(scheme, "Form.Encoding", errUnknown))
	}
	if f.QueryOnly && f.InBody {
		errs = append(errs, fail(scheme, "Form", errors.New("QueryOnly excludes InBody")))
	}
	if f.Unit < 0 || f.Max < 0 {
		errs = append(errs, fail(scheme, "Form.Unit, Form.Max", errors.New("must not be negative")))
	}
	return errors.Join(errs...)
}

// checkParams reports names that would not be read as names, for they are written as they are,
// and those that two parameters have.
func (f *QueryForm) checkParams(scheme string) error {
	var errs []error
	var seen []string
	for _, p := range [...]struct{ field, name string }{
		{"Form.KeyParam", f.KeyParam}, {"Form.Timestamp", f.Timestamp}, {"Form.RecvWindow", f.RecvWindow}, {"Form.Signature", f.Signature},
	} {
		switch {
		case !isParamName(p.name):
			errs = append(errs, fail(scheme, p.field, errors.New("has a character that has to be encoded, and is written as it is")))
		case p.name != "" && slices.Contains(seen, decoded(p.name)):
			errs = append(errs, fail(scheme, p.field, errTwice))
		}
		seen = append(seen, decoded(p.name))
	}
	return errors.Join(errs...)
}

// isParamName reports whether a name ends nowhere before its end in a query. It may be encoded, and
// brackets stand in many as they are.
func isParamName(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("&=#", r) }) < 0
}
