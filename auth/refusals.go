package auth

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/sluice-engine/sluice/internal/jsonpath"
	"github.com/sluice-engine/sluice/messages"
)

// Refusals is an authenticator that knows how its server says that it refused
// what the scheme signs. In either case the server did not execute the request.
type Refusals interface {
	// TimestampRefused reports whether an answer says that the request's timestamp
	// lay outside the server's window.
	TimestampRefused(status int, body []byte) bool
	// NonceRefused reports whether an answer says that the request's nonce was not
	// greater than all before it.
	NonceRefused(status int, body []byte) bool
}

// RefusedTimestamp reports whether an answer to a request that a authenticated
// refuses its timestamp. A look at the server's clock and another attempt may help.
func RefusedTimestamp(a Authenticator, status int, body []byte) bool {
	r, ok := a.(Refusals)
	return ok && r.TimestampRefused(status, body)
}

// RefusedNonce reports whether an answer to a request that a authenticated
// refuses its nonce. RaiseNonce and another attempt may help.
func RefusedNonce(a Authenticator, status int, body []byte) bool {
	r, ok := a.(Refusals)
	return ok && r.NonceRefused(status, body)
}

// Rejecter is an authenticator that can have other credentials after the server
// took none of those it had: a token that was revoked early.
type Rejecter interface {
	// Rejected is told of an answer of status 401, and of the call as it was sent.
	// It reports whether the next call will carry other credentials, so that one
	// more attempt may help. It does not wait for them: Authenticate does, and a Chain
	// calls it beforehand, so that nothing that is signed grows old meanwhile.
	Rejected(call *messages.Call, response *messages.Response) (again bool)
}

// Rejected tells a of an answer to a call that a authenticated, if a is a
// Rejecter and the answer is one of status 401.
func Rejected(a Authenticator, call *messages.Call, response *messages.Response) (again bool) {
	r, ok := a.(Rejecter)
	return ok && response.StatusCode == http.StatusUnauthorized && r.Rejected(call, response)
}

// Rejected tells every member.
func (c Chain) Rejected(call *messages.Call, response *messages.Response) (again bool) {
	for _, a := range c {
		again = Rejected(a, call, response) || again
	}
	return again
}

// Rejected tells the authenticator.
func (w WithoutBody) Rejected(call *messages.Call, response *messages.Response) (again bool) {
	return Rejected(w.Authenticator, call, response)
}

// Codes are the words for it in a server's JSON answers, whatever their status.
type Codes struct {
	// Field has the code, or a list of codes, names joined by dots: "code",
	// "error". Empty means that no code is known.
	Field string
	// Timestamp and Nonce are the codes, a number as the server writes it. Nil knows none.
	Timestamp, Nonce []string
}

// check reports codes that no answer can have.
func (c Codes) check(scheme, field string) error {
	switch {
	case c.Field == "" && len(c.Timestamp)+len(c.Nonce) > 0:
		return fail(scheme, field+".Field", ErrMissing)
	case c.Field != "" && !jsonpath.IsPath(c.Field):
		return fail(scheme, field+".Field", errors.New("has an empty name: names are joined by single dots"))
	}
	return nil
}

// maxCoded is the size up to which a body is looked into: refusals are short.
const maxCoded = 64 << 10

// says reports whether a body has one of the codes.
func (c Codes) says(body []byte, codes []string) bool {
	if c.Field == "" || len(codes) == 0 || len(body) > maxCoded {
		return false
	}
	if code, found := jsonpath.Scalar(body, c.Field); found {
		return slices.Contains(codes, code)
	}
	raw, found := jsonpath.Find(body, c.Field)
	var list []string
	if !found || json.Unmarshal(raw, &list) != nil {
		return false
	}
	return slices.ContainsFunc(list, func(code string) bool { return slices.Contains(codes, code) })
}

// TimestampRefused is part of Refusals, by Form.Codes.
func (q HMACQuery) TimestampRefused(_ int, body []byte) bool {
	codes := q.Form.withDefaults().Codes
	return codes.says(body, codes.Timestamp)
}

// NonceRefused returns false: there is no nonce.
func (q HMACQuery) NonceRefused(int, []byte) bool { return false }

// TimestampRefused is part of Refusals, by Form.Codes.
func (q SignedQuery) TimestampRefused(_ int, body []byte) bool {
	codes := q.Form.withDefaults().Codes
	return codes.says(body, codes.Timestamp)
}

// NonceRefused returns false: there is no nonce.
func (q SignedQuery) NonceRefused(int, []byte) bool { return false }

// TimestampRefused is part of Refusals, by Form.Codes.
func (h Header) TimestampRefused(_ int, body []byte) bool {
	return h.Form.Codes.says(body, h.Form.Codes.Timestamp)
}

// NonceRefused is part of Refusals, by Form.Codes.
func (h Header) NonceRefused(_ int, body []byte) bool {
	return h.Form.Codes.says(body, h.Form.Codes.Nonce)
}

// TimestampRefused returns false: there is no timestamp.
func (k Kraken) TimestampRefused(int, []byte) bool { return false }

// NonceRefused is part of Refusals.
func (k Kraken) NonceRefused(_ int, body []byte) bool {
	return krakenCodes.says(body, krakenCodes.Nonce)
}

// TimestampRefused returns false: there is no timestamp.
func (p Payload) TimestampRefused(int, []byte) bool { return false }

// NonceRefused is part of Refusals, by Codes.
func (p Payload) NonceRefused(_ int, body []byte) bool { return p.Codes.says(body, p.Codes.Nonce) }

// TimestampRefused asks every member.
func (c Chain) TimestampRefused(status int, body []byte) bool {
	return slices.ContainsFunc(c, func(a Authenticator) bool { return RefusedTimestamp(a, status, body) })
}

// NonceRefused asks every member.
func (c Chain) NonceRefused(status int, body []byte) bool {
	return slices.ContainsFunc(c, func(a Authenticator) bool { return RefusedNonce(a, status, body) })
}

// TimestampRefused asks the authenticator.
func (w WithoutBody) TimestampRefused(status int, body []byte) bool {
	return RefusedTimestamp(w.Authenticator, status, body)
}

// NonceRefused asks the authenticator.
func (w WithoutBody) NonceRefused(status int, body []byte) bool {
	return RefusedNonce(w.Authenticator, status, body)
}

// RaiseNonce is part of NonceRaiser.
func (h Header) RaiseNonce(clock Clock) bool {
	return h.Form.uses(Nonce) && raiseNonce(h.Key, clock, h.Form.NonceUnit, h.Nonces)
}

// RaiseNonce is part of NonceRaiser.
func (k Kraken) RaiseNonce(clock Clock) bool { return raiseNonce(k.Key, clock, k.NonceUnit, k.Nonces) }

// RaiseNonce is part of NonceRaiser.
func (p Payload) RaiseNonce(clock Clock) bool { return raiseNonce(p.Key, clock, p.unit(), p.Nonces) }

// RaiseNonce raises those of every member that has nonces.
func (c Chain) RaiseNonce(clock Clock) (raised bool) {
	for _, a := range c {
		raised = RaiseNonce(a, clock) || raised
	}
	return raised
}

// RaiseNonce raises the authenticator's.
func (w WithoutBody) RaiseNonce(clock Clock) bool { return RaiseNonce(w.Authenticator, clock) }
