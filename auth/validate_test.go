package auth

import (
	"crypto"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASecretWhoseEncodingNobodyTellsIsNotGuessedAt(t *testing.T) {
	for _, secret := range []Secret{"SECRET", "abcd1234", "c2VjcmV0"} {
		h := HMAC{Secret: secret, Hash: crypto.SHA256}
		for _, err := range []error{h.Validate(), Header{Key: "k", Signer: h, Form: OKX("k", "s", "p").Form, Passphrase: "p"}.Validate()} {
			require.ErrorIs(t, err, ErrMissing)
			require.ErrorContains(t, err, "SecretEncoding")
			require.ErrorContains(t, err, "auth.Raw")
			require.NotContains(t, err.Error(), string(secret))
		}
		_, err := h.AppendSignature(nil, []byte("order"))
		require.ErrorIs(t, err, ErrMissing, "nothing is signed")
		h.SecretEncoding = Raw
		require.NoError(t, h.Validate())
	}
	err := HMAC{Secret: "SECRET", SecretEncoding: Hex, Hash: crypto.SHA256}.Validate()
	require.ErrorIs(t, err, ErrKey)
	require.ErrorContains(t, err, "not written in hex")
}

func TestEveryMistakeOfASignerIsToldAtOnce(t *testing.T) {
	require.EqualError(t, HMAC{}.Validate(), "auth: HMAC: Secret: missing\nauth: HMAC: Hash: missing\nauth: HMAC: SecretEncoding: "+errNoEncoding.Error())
	form := OKX("k", "s", "p").Form
	require.EqualError(t, Header{Key: "k", Passphrase: "p", Signer: HMAC{Secret: "s"}, Form: form}.Validate(),
		"auth: Header: Hash: missing\nauth: Header: SecretEncoding: "+errNoEncoding.Error())
	// A signer of the user's own may speak of two causes in one sentence.
	own := fmt.Errorf("card reader: %w, or %w", errors.New("no card"), errors.New("no reader"))
	require.EqualError(t, Header{Key: "k", Passphrase: "p", Signer: unusable{own}, Form: form}.Validate(),
		"auth: Header: Signer: card reader: no card, or no reader")
}

type unusable struct{ why error }

func (u unusable) AppendSignature(dst []byte, _ ...[]byte) ([]byte, error) { return dst, u.why }
func (u unusable) Validate() error                                         { return u.why }

// One that was named and is not linked in is not one that was forgotten.
func TestAHashThatTheProgramDoesNotHaveIsNamed(t *testing.T) {
	h := HMAC{Secret: "s", SecretEncoding: Raw, Hash: crypto.BLAKE2b_512}
	require.ErrorContains(t, h.Validate(), "BLAKE2b-512 is not linked into the program")
	_, err := h.AppendSignature(nil, []byte("order"))
	require.ErrorContains(t, err, "BLAKE2b-512 is not linked into the program")
	require.ErrorIs(t, err, ErrMissing)
}

func TestAFormThatWouldNotSignIsRefused(t *testing.T) {
	signed := Line{"X-SIG", []Part{Signature}}
	for want, form := range map[string]HeaderForm{
		"{pth}, which is none":          {Message: []Part{Timestamp, "{pth}"}, Headers: []Line{signed}},
		"{Path}, which is none":         {Message: []Part{"{Path}"}, Headers: []Line{signed}},
		"{timestamp} inside a longer":   {Message: []Part{"{timestamp}{method}"}, Headers: []Line{signed}},
		"Form.Headers[1].Value: part 2": {Message: []Part{Timestamp}, Headers: []Line{signed, {"X-TS", []Part{"t=", "{time}"}}}},
		"no line has auth.Signature":    {Message: []Part{Timestamp}, Headers: []Line{{"X-TS", []Part{Timestamp}}}},
		"Form.Headers[0].Name: missing": {Message: []Part{Timestamp}, Headers: []Line{{"", []Part{Signature}}}},
	} {
		h := Header{Key: "k", Signer: shared("s", crypto.SHA256), Form: form}
		require.ErrorContains(t, h.Validate(), want)
	}
	for _, p := range append([]Part{`{"op":"auth"}`, "{}", "GET/realtime", "a{"}, parts...) {
		require.Empty(t, checkParts("Form", []Part{p}), p)
	}
}
