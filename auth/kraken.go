package auth

import (
	"crypto"
	"crypto/sha256"
	"errors"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// Kraken signs for Kraken's spot REST interface. The nonce becomes the first
// field of the form body; a body of another kind is refused.
//
//	API-Sign = base64(HMAC-SHA512(base64⁻¹(Secret), path || SHA-256(nonce || body)))
//
// Nonces rise strictly per key and start from the clock. The server refuses one
// that arrives after a greater one, so the calls of a key must be sent in order:
// see Lane.
type Kraken struct {
	Key, Secret Secret
	// NonceUnit is the step of the clock that nonces start from; default 1 µs.
	// Choose what other programs use with the key.
	NonceUnit time.Duration
	// Nonces says from where they rise, and how far.
	Nonces NonceRule
}

// krakenCodes are in the answer's list "error", with status 200: "Too many
// requests with nonces below the last valid nonce (EAPI:Invalid nonce) can result
// in temporary bans" (Kraken's documentation, as quoted in ccxt/ccxt#5110).
var krakenCodes = Codes{Field: "error", Nonce: []string{"EAPI:Invalid nonce"}}

// Validate reports every mistake.
func (k Kraken) Validate() error {
	errs := []error{requiredInHeader("Kraken", "Key", string(k.Key))}
	if err := k.signer().Validate(); err != nil {
		errs = append(errs, signerError("Kraken", err))
	}
	if k.NonceUnit < 0 || k.Nonces.Ahead < 0 {
		errs = append(errs, fail("Kraken", "NonceUnit, Nonces.Ahead", errors.New("must not be negative")))
	}
	return errors.Join(errs...)
}

func (k Kraken) signer() HMAC {
	return HMAC{Secret: k.Secret, SecretEncoding: Base64, Hash: crypto.SHA512}
}

// Lane names the key's sequence of nonces.
func (k Kraken) Lane() string { return lane(k.Key) }

// Authenticate is part of Authenticator: it adds nonce, key and signature.
func (k Kraken) Authenticate(call *messages.Call, clock Clock) error {
	if k.Key == "" || k.Secret == "" || k.NonceUnit < 0 {
		return k.Validate()
	}
	if clock == nil {
		return fail("Kraken", "", ErrNoClock)
	}
	if !hasForm(call) {
		return fail("Kraken", "", ErrBody)
	}
	if _, ok := lookup(string(call.Body), "nonce"); ok {
		return fail("Kraken", "nonce", ErrReserved)
	}
	nonce, err := nextNonce(call, k.Key, clock, k.NonceUnit, k.Nonces)
	if err != nil {
		return fail("Kraken", "nonce", err)
	}
	return k.sign(call, nonce)
}

func (k Kraken) sign(call *messages.Call, nonce uint64) error {
	digits := strconv.AppendUint(nil, nonce, 10)
	body := append([]byte("nonce="), digits...)
	if len(call.Body) > 0 {
		body = append(append(body, '&'), call.Body...)
	}
	digest := sha256.Sum256(append(digits, body...)) // the nonce once more, before a body that begins with it
	sig, err := k.signer().AppendSignature(nil, []byte(call.Path), digest[:])
	if err != nil {
		return fail("Kraken", "Secret", err)
	}
	call.Body = body
	if _, ok := call.Header("Content-Type"); !ok {
		call.SetHeader("Content-Type", "application/x-www-form-urlencoded")
	}
	call.SetHeader("API-Key", string(k.Key))
	call.SetHeader("API-Sign", string(Base64.Append(nil, sig)))
	return nil
}
