package auth

import (
	"bytes"
	"cmp"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// Payload signs for Gemini and Bitfinex version 1, where the parameters travel
// in a header and the body is empty:
//
//	payload   = base64(JSON{"request": path, "nonce": …, the body's fields})
//	signature = hex(HMAC-SHA384(Secret, payload))
//
// The call's body must be empty or a JSON object. The constructors Gemini and
// BitfinexV1 know the headers.
type Payload struct {
	Key, Secret Secret

	KeyHeader, PayloadHeader, SignatureHeader string

	// NonceUnit is the step of the clock that nonces start from; default 1 ms.
	NonceUnit time.Duration
	// QuoteNonce writes the nonce as a JSON string instead of a number.
	QuoteNonce bool
	// Nonces says from where they rise, and how far.
	Nonces NonceRule
	// Codes are how the server says that it refused a nonce.
	Codes Codes
}

func (p Payload) unit() time.Duration { return cmp.Or(p.NonceUnit, time.Millisecond) }

// Gemini signs for Gemini's private REST interface.
func Gemini(key, secret Secret) Payload {
	return Payload{Key: key, Secret: secret,
		KeyHeader: "X-GEMINI-APIKEY", PayloadHeader: "X-GEMINI-PAYLOAD", SignatureHeader: "X-GEMINI-SIGNATURE"}
}

// BitfinexV1 signs for Bitfinex, version 1.
func BitfinexV1(key, secret Secret) Payload {
	return Payload{Key: key, Secret: secret, QuoteNonce: true, NonceUnit: time.Microsecond,
		KeyHeader: "X-BFX-APIKEY", PayloadHeader: "X-BFX-PAYLOAD", SignatureHeader: "X-BFX-SIGNATURE"}
}

// Validate reports every mistake.
func (p Payload) Validate() error {
	err := errors.Join(requiredInHeader("Payload", "Key", string(p.Key)), required("Payload", "Secret", string(p.Secret)),
		checkHeaderNames("Payload", "KeyHeader", p.KeyHeader, "PayloadHeader", p.PayloadHeader, "SignatureHeader", p.SignatureHeader),
		p.Codes.check("Payload", "Codes"))
	if p.NonceUnit < 0 || p.Nonces.Ahead < 0 {
		err = errors.Join(err, fail("Payload", "NonceUnit, Nonces.Ahead", errors.New("must not be negative")))
	}
	return err
}

// Lane names the key's sequence of nonces.
func (p Payload) Lane() string { return lane(p.Key) }

// Authenticate is part of Authenticator: it moves the body into the payload header and signs it.
func (p Payload) Authenticate(call *messages.Call, clock Clock) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if clock == nil {
		return fail("Payload", "", ErrNoClock)
	}
	fields, err := objectFields(call.Body)
	if err != nil {
		return fail("Payload", "", err)
	}
	for _, reserved := range [...]string{"request", "nonce"} {
		if hasField(call.Body, reserved) { // the server's decoder would take the caller's for ours
			return fail("Payload", reserved, ErrReserved)
		}
	}
	nonce, err := nextNonce(call, p.Key, clock, p.unit(), p.Nonces)
	if err != nil {
		return fail("Payload", "nonce", err)
	}
	return p.sign(call, p.object(call.Path, nonce, fields))
}

func (p Payload) object(path string, nonce uint64, fields []byte) []byte {
	digits := strconv.FormatUint(nonce, 10)
	if p.QuoteNonce {
		digits = `"` + digits + `"`
	}
	name, _ := json.Marshal(path) // a string always has a JSON form
	object := append([]byte(`{"request":`), name...)
	object = append(append(object, `,"nonce":`...), digits...)
	if len(fields) > 0 {
		object = append(append(object, ','), fields...)
	}
	return append(object, '}')
}

func (p Payload) sign(call *messages.Call, object []byte) error {
	payload := base64.StdEncoding.AppendEncode(nil, object)
	sig, err := HMAC{Secret: p.Secret, SecretEncoding: Raw, Hash: crypto.SHA384}.AppendSignature(nil, payload)
	if err != nil {
		return fail("Payload", "Secret", err)
	}
	call.Body = nil
	call.SetHeader("Content-Type", "text/plain")
	call.SetHeader("Cache-Control", "no-cache")
	call.SetHeader(p.KeyHeader, string(p.Key))
	call.SetHeader(p.PayloadHeader, string(payload))
	call.SetHeader(p.SignatureHeader, string(Hex.Append(nil, sig)))
	return nil
}

// objectFields returns what stands between the braces of a JSON object.
func objectFields(body []byte) ([]byte, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, nil
	}
	if body[0] != '{' || !json.Valid(body) {
		return nil, ErrBody
	}
	return bytes.TrimSpace(body[1 : len(body)-1]), nil
}

// hasField looks a name up as the server's decoder will: after unescaping, and
// at the outermost level.
func hasField(body []byte, name string) bool {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil {
		return false
	}
	_, ok := fields[name]
	return ok
}
