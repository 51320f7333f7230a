package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func TestASecretPrintsAsStarsWhateverTheVerb(t *testing.T) {
	holder := struct{ S Secret }{"sesame"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v"} {
		for _, value := range []any{Secret("sesame"), holder, &holder, []Secret{"sesame"}, map[string]Secret{"a": "sesame"}} {
			text := fmt.Sprintf(verb, value)
			require.NotContains(t, text, "sesame", verb)
			require.NotContains(t, text, "736573616d65", verb)
		}
	}
	require.Equal(t, "***", fmt.Sprint(Secret("sesame")))
	require.Equal(t, `auth.Secret("***")`, fmt.Sprintf("%#v", Secret("sesame")))
	require.Empty(t, Secret("").String())
}

func TestASecretIsEncodedAsStars(t *testing.T) {
	holder := struct{ S Secret }{"sesame"}
	text, err := json.Marshal(holder)
	require.NoError(t, err)
	require.JSONEq(t, `{"S":"***"}`, string(text))
	text, err = Secret("sesame").MarshalText()
	require.NoError(t, err)
	require.Equal(t, "***", string(text))
	for _, handler := range []func(*bytes.Buffer) slog.Handler{
		func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("x", "s", Secret("sesame"), "h", holder)
		require.NotContains(t, b.String(), "sesame")
	}
}

// everyScheme holds "sesame" wherever it takes a secret.
func everyScheme(t *testing.T) []Authenticator {
	key := newEd25519(t)
	return []Authenticator{
		APIKey{Header: "x", Key: "sesame"}, Basic{"u", "sesame"}, Bearer{"sesame"},
		Binance("sesame", "sesame"), MEXC("sesame", "sesame"), BinanceKeyPair("sesame", key),
		OKX("sesame", "sesame", "sesame"), Bitget("sesame", "sesame", "sesame"), KuCoin("sesame", "sesame", "sesame"),
		CoinbaseExchange("sesame", "sesame", "sesame"), CoinbasePrime("sesame", "sesame", "sesame"),
		Bybit("sesame", "sesame"), BitMEX("sesame", "sesame"), Gate("sesame", "sesame"), BitfinexV2("sesame", "sesame"),
		Deribit("sesame", "sesame"), Kraken{Key: "sesame", Secret: "sesame"}, Gemini("sesame", "sesame"), BitfinexV1("sesame", "sesame"),
		CoinbaseCDP("name", key), HTTPSignature{KeyID: "k", Signer: key},
		SigV4{AccessKey: "a", Secret: "sesame", SessionToken: "sesame", Region: "r", Service: "s"},
		Chain{Bearer{"sesame"}}, HTX{"sesame", "sesame"},
	}
}

func TestNoSchemePrintsItsSecrets(t *testing.T) {
	for _, a := range everyScheme(t) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			require.NotContains(t, fmt.Sprintf(verb, a), "sesame", "%T", a)
			require.NotContains(t, fmt.Sprintf(verb, struct{ A any }{a}), "sesame", "%T", a)
		}
		text, err := json.Marshal(struct{ A any }{a})
		require.NoError(t, err, "%T", a)
		require.NotContains(t, string(text), "sesame", "%T", a)
	}
}

func TestNoErrorHoldsASecret(t *testing.T) {
	calls := []messages.Call{{}, {Query: "timestamp=1&signature=2"}, {Body: []byte(`{"nonce":1}`)}, {Body: []byte("[")},
		{Deadline: time.Now().Add(-time.Hour)}}
	for _, a := range everyScheme(t) {
		for _, call := range calls {
			for _, clock := range []Clock{nil, at(noon)} {
				if err := a.Authenticate(&call, clock); err != nil {
					require.NotContains(t, err.Error(), "sesame", "%T", a)
				}
			}
		}
	}
}

func TestAPrivateKeyPrintsAsStars(t *testing.T) {
	key, err := ParsePrivateKey(testEd25519)
	require.NoError(t, err)
	hidden := struct{ key PrivateKey }{key}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		require.Equal(t, "***", fmt.Sprintf(verb, key))
		require.NotContains(t, fmt.Sprintf(verb, hidden), "9f 83")
	}
	text, err := json.Marshal(key)
	require.NoError(t, err)
	require.Equal(t, `"***"`, string(text))
	require.Equal(t, "***", key.LogValue().String())
	require.Equal(t, "***", key.String())
}
