package auth

import (
	"cmp"
	"crypto"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/sluice-engine/sluice/internal/quotient"
	"github.com/sluice-engine/sluice/messages"
)

// JWT signs a new JSON Web Token (RFC 7519) for every request and sends it as a
// bearer token. CoinbaseCDP makes the one that Coinbase wants.
type JWT struct {
	Issuer, Subject, Audience string // claims iss, sub, aud; empty ones are left out
	KeyID                     string // header field kid

	// Signer is a PrivateKey, an HMAC, or any other Signer with a method
	// Algorithm that gives its JSON Web Algorithms name (RFC 7518).
	Signer Signer
	// Lifetime is from nbf, up to a second ago, to exp: whole seconds, to which it is
	// rounded up, and two at least. Default 2 minutes.
	Lifetime time.Duration
	// URI adds the claim uri: "METHOD host/path", without the query.
	URI bool
	// Nonce adds the header field nonce: 16 random bytes in hex.
	Nonce bool
}

// CoinbaseCDP signs for Coinbase's Developer Platform and Advanced Trade with an
// Ed25519 or P-256 key; name is the key's full name.
func CoinbaseCDP(name string, key PrivateKey) JWT {
	return JWT{Issuer: "cdp", Subject: name, KeyID: name, Signer: key, URI: true, Nonce: true}
}

// Algorithm is the code's name in a JSON Web Signature, such as HS256.
func (h HMAC) Algorithm() string {
	switch h.Hash {
	case crypto.SHA256:
		return "HS256"
	case crypto.SHA384:
		return "HS384"
	case crypto.SHA512:
		return "HS512"
	}
	return ""
}

func (j JWT) algorithm() string {
	if a, ok := j.Signer.(interface{ Algorithm() string }); ok {
		return a.Algorithm()
	}
	return ""
}

// Validate reports every mistake.
func (j JWT) Validate() error {
	var errs []error
	switch {
	case lacks(j.Signer):
		errs = append(errs, fail("JWT", "Signer", ErrMissing))
	case j.Signer.Validate() != nil:
		errs = append(errs, signerError("JWT", j.Signer.Validate()))
	case j.algorithm() == "":
		errs = append(errs, fail("JWT", "Signer", errors.New("has no algorithm name")))
	}
	for _, claim := range [...]struct{ field, text string }{
		{"Issuer", j.Issuer}, {"Subject", j.Subject}, {"Audience", j.Audience}, {"KeyID", j.KeyID},
	} {
		errs = append(errs, named("JWT", claim.field, CheckSecret(Secret(claim.text))))
		if !utf8.ValidString(claim.text) { // JSON would have other bytes in their place
			errs = append(errs, fail("JWT", claim.field, errors.New("must be UTF-8")))
		}
	}
	errs = append(errs, checkLifetime("JWT", j.Lifetime))
	return errors.Join(errs...)
}

// BodyUnsigned returns true: the token tells of the target at most.
func (j JWT) BodyUnsigned() bool { return true }

// Authenticate is part of Authenticator: it sets the Authorization header.
func (j JWT) Authenticate(call *messages.Call, clock Clock) error {
	uri := ""
	if j.URI {
		uri = call.Method + " " + sentHost(call) + call.Path
	}
	token, err := j.Token(uri, clock)
	if err != nil {
		return err
	}
	call.SetHeader("Authorization", "Bearer "+string(token))
	return nil
}

type jwtHeader struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid,omitempty"`
	Nonce     string `json:"nonce,omitempty"`
}

type jwtClaims struct {
	Issuer    string `json:"iss,omitempty"`
	Subject   string `json:"sub,omitempty"`
	Audience  string `json:"aud,omitempty"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	URI       string `json:"uri,omitempty"`
}

// Token returns a token by itself, as WebSocket logins need it. An empty uri
// leaves that claim out. It fails if the key cannot sign, or there is no randomness.
func (j JWT) Token(uri string, clock Clock) (Secret, error) {
	if err := j.Validate(); err != nil {
		return "", err
	}
	if clock == nil {
		return "", fail("JWT", "", ErrNoClock)
	}
	header := jwtHeader{Algorithm: j.algorithm(), Type: "JWT", KeyID: j.KeyID}
	if j.Nonce {
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails (crypto/rand)
		header.Nonce = hex.EncodeToString(random[:])
	}
	claims := jwtClaims{Issuer: j.Issuer, Subject: j.Subject, Audience: j.Audience, URI: uri}
	claims.NotBefore, claims.Expires = j.lifetime(clock)
	return j.encode(header, claims)
}

// lifetime begins at the last second that has certainly come for the server.
func (j JWT) lifetime(clock Clock) (from, to int64) {
	life := cmp.Or(j.Lifetime, 2*time.Minute)
	now, rule := read(clock, time.Time{}), Window{Past: life, Future: time.Second}
	from, _ = rule.choose(now.est, now.lo, now.hi, int64(DefaultDelay), int64(time.Second))
	return from, from + quotient.Ceil(int64(life), int64(time.Second))
}

func (j JWT) encode(header jwtHeader, claims jwtClaims) (Secret, error) {
	head, err := json.Marshal(header)
	if err != nil {
		return "", fail("JWT", "header", err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fail("JWT", "claims", err)
	}
	token := Base64URL.Append(nil, head)
	token = Base64URL.Append(append(token, '.'), body)
	sig, err := j.Signer.AppendSignature(nil, token)
	if err != nil {
		return "", fail("JWT", "Signer", err)
	}
	return Secret(Base64URL.Append(append(token, '.'), sig)), nil
}
