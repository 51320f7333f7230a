package auth

import (
	"cmp"
	"crypto"
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
	if f.Codes.Field == "" {
		f.Codes = binanceCodes
	}
	return f
}
