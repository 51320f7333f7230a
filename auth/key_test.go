package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testEd25519 is the sample key of RFC 9421, section B.1.4.
const testEd25519 = "MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"

func newKey(t testing.TB, signer crypto.Signer, err error) PrivateKey {
	t.Helper()
	require.NoError(t, err)
	key, err := NewPrivateKey(signer)
	require.NoError(t, err)
	return key
}

func newEd25519(t testing.TB) PrivateKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	return newKey(t, private, err)
}

func newP256(t testing.TB) PrivateKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return newKey(t, private, err)
}

func newRSA(t testing.TB) PrivateKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	return newKey(t, private, err)
}

func requireVerifies(t require.TestingT, key PrivateKey, message string, sig []byte) {
	digest := sha256.Sum256([]byte(message))
	switch public := key.Public().(type) {
	case ed25519.PublicKey:
		require.True(t, ed25519.Verify(public, []byte(message), sig))
	case *rsa.PublicKey:
		require.NoError(t, rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], sig))
	case *ecdsa.PublicKey:
		require.Len(t, sig, 64)
		require.True(t, ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])))
	default:
		require.Fail(t, "unknown key")
	}
}

func TestEveryKindOfKeySignsWhatItsPublicKeyVerifies(t *testing.T) {
	for _, key := range []PrivateKey{newEd25519(t), newP256(t), newRSA(t)} {
		for range 20 { // r and s with leading zeros among them, now and then
			sig, err := key.AppendSignature([]byte("kept"), []byte("in "), []byte("parts"))
			require.NoError(t, err)
			require.Equal(t, "kept", string(sig[:4]))
			requireVerifies(t, key, "in parts", sig[4:])
		}
	}
}

func TestES256IsDeterministicAsInRFC6979(t *testing.T) {
	raw, err := hex.DecodeString("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
	require.NoError(t, err)
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	key := newKey(t, private, err)
	sig, err := key.AppendSignature(nil, []byte("sample"))
	require.NoError(t, err)
	require.Equal(t, "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"+
		"f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8", hex.EncodeToString(sig))
}

func TestKeysAreReadInEveryFormTheyAreHandedOutIn(t *testing.T) {
	ed, p256, rsaKey := newEd25519(t), newP256(t), newRSA(t)
	seed := ed.box.signer.(ed25519.PrivateKey)
	p256DER, err := x509.MarshalECPrivateKey(p256.box.signer.(*ecdsa.PrivateKey))
	require.NoError(t, err)
	armoured := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	pkcs8 := func(k PrivateKey) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(k.box.signer)
		require.NoError(t, err)
		return der
	}
	for name, c := range map[string]struct {
		text string
		want PrivateKey
	}{
		"Ed25519 PKCS #8 PEM":    {armoured("PRIVATE KEY", pkcs8(ed)), ed},
		"Ed25519 PKCS #8 base64": {base64.StdEncoding.EncodeToString(pkcs8(ed)), ed},
		"Ed25519 seed":           {base64.StdEncoding.EncodeToString(seed.Seed()), ed},
		"Ed25519 seed, URL form": {base64.RawURLEncoding.EncodeToString(seed.Seed()), ed},
		"Ed25519 seed and key":   {base64.StdEncoding.EncodeToString(seed), ed},
		"P-256 SEC 1 PEM":        {armoured("EC PRIVATE KEY", p256DER), p256},
		"P-256 one line":         {strings.ReplaceAll(armoured("EC PRIVATE KEY", p256DER), "\n", `\n`), p256},
		"P-256 PKCS #8 PEM":      {"\n " + armoured("PRIVATE KEY", pkcs8(p256)), p256},
		"RSA PKCS #1 PEM":        {armoured("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey.box.signer.(*rsa.PrivateKey))), rsaKey},
		"RSA PKCS #8 PEM":        {armoured("PRIVATE KEY", pkcs8(rsaKey)), rsaKey},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParsePrivateKey(Secret(c.text))
			require.NoError(t, err)
			require.Equal(t, c.want.Public(), got.Public())
		})
	}
}

func TestUnusableKeysAreRefusedWithoutBeingQuoted(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	require.NoError(t, err)
	mismatched := append(make([]byte, 63), 1)
	for _, text := range []string{
		"sesame", "####", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
		base64.StdEncoding.EncodeToString(der), base64.StdEncoding.EncodeToString(mismatched),
	} {
		_, err := ParsePrivateKey(Secret(text))
		require.ErrorIs(t, err, ErrKey)
		require.NotContains(t, err.Error(), text)
	}
	_, err = ParsePrivateKey("  ")
	require.ErrorIs(t, err, ErrMissing)
	_, err = NewPrivateKey(nil)
	require.ErrorIs(t, err, ErrMissing)
	_, err = PrivateKey{}.AppendSignature(nil)
	require.ErrorIs(t, err, ErrMissing)
}

func FuzzParsePrivateKey(f *testing.F) {
	f.Add(testEd25519)
	f.Add("-----BEGIN PRIVATE KEY-----\n" + testEd25519 + "\n-----END PRIVATE KEY-----")
	f.Add(`-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----`)
	f.Fuzz(func(t *testing.T, text string) {
		key, err := ParsePrivateKey(Secret(text))
		if err != nil {
			require.Error(t, key.Validate())
			return
		}
		require.NotEmpty(t, key.Algorithm())
		require.Equal(t, redacted, fmt.Sprint(key))
	})
}
