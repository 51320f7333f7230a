package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"strings"
)

// PrivateKey is a Signer of the asymmetric kinds:
//
//	Ed25519      RFC 8032, 64 bytes
//	RSA          PKCS #1 v1.5 with SHA-256
//	ECDSA P-256  SHA-256, r and s as 32 bytes each (JOSE's ES256), deterministic (RFC 6979)
//
// It prints as *** and is safe for concurrent use. The zero value cannot sign.
type PrivateKey struct{ box *keyBox } // a pointer, so that printing what holds it shows no key

type keyBox struct{ signer crypto.Signer }

// ParsePrivateKey reads a key as exchanges hand them out: PEM (PKCS #8, PKCS #1
// or SEC 1; "\n" may stand for line ends, as in an environment variable), the
// base64 of a PKCS #8 structure, or the base64 of an Ed25519 seed of 32 bytes or
// of seed and public key, 64 bytes. The error never quotes the key.
func ParsePrivateKey(text Secret) (PrivateKey, error) {
	s := strings.TrimSpace(strings.ReplaceAll(string(text), `\n`, "\n"))
	if s == "" {
		return PrivateKey{}, fail("PrivateKey", "", ErrMissing)
	}
	der := []byte(nil)
	if block, _ := pem.Decode([]byte(s)); block != nil {
		der = block.Bytes
	} else if raw, err := decodeAnyBase64(s); err == nil {
		der = raw
	}
	return parseDER(der)
}

func decodeAnyBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "-_") {
		return Base64URL.Decode(s)
	}
	return Base64.Decode(s)
}

func parseDER(der []byte) (PrivateKey, error) {
	switch len(der) { // no DER of a key has one of these lengths
	case ed25519.SeedSize:
		return NewPrivateKey(ed25519.NewKeyFromSeed(der))
	case ed25519.PrivateKeySize:
		key := ed25519.NewKeyFromSeed(der[:ed25519.SeedSize])
		if !bytes.Equal(key, der) { // to sign with a public half that is not the seed's gives the key away
			return PrivateKey{}, fail("PrivateKey", "", ErrKey)
		}
		return NewPrivateKey(key)
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return NewPrivateKey(signer)
		}
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return NewPrivateKey(key)
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return NewPrivateKey(key)
	}
	return PrivateKey{}, fail("PrivateKey", "", ErrKey)
}

// NewPrivateKey makes a PrivateKey of a key of the standard library, or of one
// in hardware that implements crypto.Signer.
func NewPrivateKey(signer crypto.Signer) (PrivateKey, error) {
	if signer == nil {
		return PrivateKey{}, fail("PrivateKey", "", ErrMissing)
	}
	switch public := signer.Public().(type) {
	case ed25519.PublicKey, *rsa.PublicKey:
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return PrivateKey{}, fail("PrivateKey", "", fmt.Errorf("curve is not P-256: %w", ErrKey))
		}
	default:
		return PrivateKey{}, fail("PrivateKey", "", fmt.Errorf("%T: %w", public, ErrKey))
	}
	return PrivateKey{&keyBox{signer}}, nil
}

// Public returns the public key.
func (k PrivateKey) Public() crypto.PublicKey {
	if k.box == nil {
		return nil
	}
	return k.box.signer.Public()
}

// Validate returns an error if there is no key.
func (k PrivateKey) Validate() error {
	if k.box == nil {
		return fail("PrivateKey", "", ErrMissing)
	}
	return nil
}

// Algorithm is the key's name in a JSON Web Signature: EdDSA, RS256 or ES256.
func (k PrivateKey) Algorithm() string {
	switch k.Public().(type) {
	case ed25519.PublicKey:
		return "EdDSA"
	case *rsa.PublicKey:
		return "RS256"
	case *ecdsa.PublicKey:
		return "ES256"
	}
	return ""
}

// AppendSignature is part of Signer: it appends the signature of the parts.
func (k PrivateKey) AppendSignature(dst []byte, parts ...[]byte) ([]byte, error) {
	if err := k.Validate(); err != nil {
		return nil, err
	}
	message := slices.Concat(parts...)
	if _, ok := k.Public().(ed25519.PublicKey); ok {
		sig, err := k.box.signer.Sign(nil, message, crypto.Hash(0))
		return append(dst, sig...), err
	}
	digest := sha256.Sum256(message)
	sig, err := k.box.signer.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	if _, ok := k.Public().(*ecdsa.PublicKey); ok {
		return appendRaw(dst, sig)
	}
	return append(dst, sig...), nil
}

// appendRaw turns the ASN.1 form of an ECDSA signature into r and s.
func appendRaw(dst, der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) > 0 ||
		sig.R.Sign() < 0 || sig.S.Sign() < 0 || sig.R.BitLen() > 256 || sig.S.BitLen() > 256 {
		return nil, fail("PrivateKey", "", ErrKey)
	}
	var raw [64]byte
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	return append(dst, raw[:]...), nil
}

// String returns "***".
func (k PrivateKey) String() string { return redacted }

// Format prints "***" for every verb and flag.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "***".
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "***".
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(redacted) }
