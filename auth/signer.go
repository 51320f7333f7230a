package auth

import (
	"crypto"
	"crypto/hmac"
	_ "crypto/sha256" // crypto.Hash.New needs the hashes linked in
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/sluice-engine/sluice/messages"
)

// Signer turns the bytes to be signed into a signature. HMAC and PrivateKey are
// Signers; implement it for keys in hardware, or for curves that the standard
// library lacks. It must be safe for concurrent use.
type Signer interface {
	// AppendSignature appends the raw signature of the parts, taken as one
	// message, to dst. It must not keep dst or the parts.
	AppendSignature(dst []byte, parts ...[]byte) ([]byte, error)
	// Validate reports why the signer cannot be used.
	Validate() error
}

// Encoding is how bytes are written as text. The zero value is Hex for a signature, and
// says nothing of a secret: see HMAC.SecretEncoding.
type Encoding uint8

const (
	Hex       Encoding = iota + 1 // lower case
	Base64                        // RFC 4648 section 4, padded
	Base64URL                     // RFC 4648 section 5, not padded
	Raw                           // the bytes themselves
)

// isKnown reports whether e is one of the constants.
func (e Encoding) isKnown() bool { return Hex <= e && e <= Raw }

// Append appends src, encoded, to dst.
func (e Encoding) Append(dst, src []byte) []byte {
	switch e {
	case Base64:
		return base64.StdEncoding.AppendEncode(dst, src)
	case Base64URL:
		return base64.RawURLEncoding.AppendEncode(dst, src)
	case Raw:
		return append(dst, src...)
	}
	return hex.AppendEncode(dst, src)
}

// Decode returns the bytes that s stands for. Padding is optional in both
// kinds of base64. A text that stands for none is an error.
func (e Encoding) Decode(s string) ([]byte, error) {
	switch e {
	case Base64:
		return base64.RawStdEncoding.DecodeString(trimPadding(s))
	case Base64URL:
		return base64.RawURLEncoding.DecodeString(trimPadding(s))
	case Raw:
		return []byte(s), nil
	}
	return hex.DecodeString(s)
}

func (e Encoding) name() string {
	switch e {
	case Base64:
		return "base64"
	case Base64URL:
		return "base64 for URLs"
	case Raw:
		return "characters as they are"
	}
	return "hex"
}

func trimPadding(s string) string {
	for len(s) > 0 && s[len(s)-1] == '=' {
		s = s[:len(s)-1]
	}
	return s
}

// HMAC is a Signer that shares its secret with the server (RFC 2104).
type HMAC struct {
	Secret Secret
	// SecretEncoding is what the secret is written in, and must be said: many a secret
	// can be read in several ways, and in all but one every signature is wrong. Most
	// exchanges use its characters as they are: Raw.
	SecretEncoding Encoding
	// Hash is crypto.SHA256, SHA384, SHA512 or any other that is linked in.
	Hash crypto.Hash
}

var errNoEncoding = fmt.Errorf("%w: say what the secret is written in: auth.Raw if its characters are the key, "+
	"as with most exchanges, auth.Hex, auth.Base64 or auth.Base64URL", ErrMissing)

// Validate reports every mistake.
func (h HMAC) Validate() error {
	errs := []error{required("HMAC", "Secret", string(h.Secret)), h.hashMissing()}
	if !h.SecretEncoding.isKnown() {
		errs = append(errs, fail("HMAC", "SecretEncoding", errNoEncoding))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_, err := h.pool()
	return err
}

// hashMissing is why there is nothing to hash with: none is named, or the program does not
// have the one that is.
func (h HMAC) hashMissing() error {
	switch {
	case h.Hash.Available():
		return nil
	case h.Hash == 0:
		return fail("HMAC", "Hash", ErrMissing)
	}
	return fail("HMAC", "Hash", fmt.Errorf("%w: %v is not linked into the program: import its package", ErrMissing, h.Hash))
}

// AppendSignature is part of Signer: it appends the authentication code of the parts.
func (h HMAC) AppendSignature(dst []byte, parts ...[]byte) ([]byte, error) {
	pool, err := h.pool()
	if err != nil {
		return nil, err
	}
	state := pool.get()
	for _, p := range parts {
		state.Write(p)
	}
	dst = state.Sum(dst)
	pool.put(state)
	return dst, nil
}

func (h HMAC) pool() (*macPool, error) {
	if pool := (*macPools.Load())[h]; pool != nil {
		return pool, nil
	}
	return h.newPool()
}

func (h HMAC) newPool() (*macPool, error) {
	if err := h.hashMissing(); err != nil {
		return nil, err
	}
	if !h.SecretEncoding.isKnown() {
		return nil, fail("HMAC", "SecretEncoding", errNoEncoding)
	}
	key, err := h.SecretEncoding.Decode(string(h.Secret))
	if err != nil { // the decoder's text would quote the secret
		return nil, fail("HMAC", "Secret", fmt.Errorf("%w: it is not written in %s, as its SecretEncoding says", ErrKey, h.SecretEncoding.name()))
	}
	pool := &macPool{}
	pool.states.New = func() any { return hmac.New(h.Hash.New, key) }
	macPoolsMu.Lock()
	defer macPoolsMu.Unlock()
	next := maps.Clone(*macPools.Load()) // loaded under the lock, or another's new pool would be lost
	if len(next) >= maxPools {
		clear(next) // those in use come back one by one, and what leaked is gone
	}
	next[h] = pool
	macPools.Store(&next)
	return pool, nil
}

// macPool recycles the states of one key. A state that is reset keeps the key
// schedule, which is half the work of a short message.
type macPool struct{ states sync.Pool }

func (p *macPool) get() hash.Hash  { return p.states.Get().(hash.Hash) }
func (p *macPool) put(h hash.Hash) { h.Reset(); p.states.Put(h) }

// macPools maps every key in use to its pool, so that an HMAC can be a plain
// value. The map is replaced, never changed: every goroutine that signs reads it
// without a lock, and newPool alone stores it, under macPoolsMu. A program that
// uses more keys than maxPools pays for a key schedule now and then.
var (
	macPools   atomic.Pointer[map[HMAC]*macPool]
	macPoolsMu sync.Mutex
)

const maxPools = 1024

func init() { macPools.Store(&map[HMAC]*macPool{}) }

// shared is the Signer of the exchanges that share a secret as it stands.
func shared(secret Secret, hash crypto.Hash) Signer {
	return HMAC{Secret: secret, SecretEncoding: Raw, Hash: hash}
}

// signerError reports a signer's mistakes, each as one of the scheme that holds it.
func signerError(scheme string, err error) error {
	// What errors.Join has joined is told one by one; a text of the signer's own is kept whole.
	if list, ok := err.(interface{ Unwrap() []error }); ok && errors.Join(list.Unwrap()...).Error() == err.Error() {
		var errs []error
		for _, each := range list.Unwrap() {
			errs = append(errs, signerError(scheme, each))
		}
		return errors.Join(errs...)
	}
	var e *Error
	if errors.As(err, &e) && e.Field != "" {
		return fail(scheme, e.Field, e.Err)
	}
	return fail(scheme, "Signer", err)
}

// lacks reports whether there is no signer, or a nil pointer in its place.
func lacks(s Signer) bool { return s == nil || messages.HoldsNil(s) }
