package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// vector is one published (or derived) example of a signature.
type vector struct {
	ID, Scheme, Alg, Key, Message, Signature, Source, Status string

	KeyEnc string `json:"key_enc"`
	SigEnc string `json:"sig_enc"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var all []vector
	require.NoError(t, json.Unmarshal(text, &all))
	return all
}

// replays rebuild the call an example is about and have a scheme sign it whole;
// they return the signature as it would be sent.
var replays = map[string]func(t *testing.T, v vector) string{
	"binance-spot-ascii":      replayQuery,
	"binance-spot-pctencoded": replayQuery,
	"binance-spot-mixed":      replayQueryAndBody,
	"binance-usdm-hmac":       replayQuery,
	"mexc-hmac":               replayQuery,
	"binance-wsapi-hmac":      replayParams,
	"binance-wsapi-hmac-utf8": replayParams,

	"kraken-spot":      replayKraken,
	"kucoin":           replayHeader(KuCoin, "KC-API-SIGN", "1547015186532", `POST /api/v1/deposit-addresses {"currency":"BTC"}`),
	"bitmex-get":       replayHeader(BitMEX3, "api-signature", "1518064235", "GET /api/v1/instrument "),
	"bitmex-get-query": replayHeader(BitMEX3, "api-signature", "1518064236", "GET /api/v1/instrument?filter=%7B%22symbol%22%3A+%22XBTM15%22%7D "),
	"bitmex-post":      replayHeader(BitMEX3, "api-signature", "1518064237", `POST /api/v1/order {"symbol":"XBTM15","price":219.0,"clOrdID":"mm_bitmex_1a/oemUeQ4CAJZgP3fjHsA","orderQty":98}`),
	"gate-get":         replayHeader(Gate3, "SIGN", "1541993715", "GET /api/v4/futures/orders?contract=BTC_USD&status=finished&limit=50 "),
	"gate-post":        replayHeader(Gate3, "SIGN", "1541993715", `POST /api/v4/futures/orders {"contract":"BTC_USD","type":"limit","size":100,"price":6800,"time_in_force":"gtc"}`),
	"okx-post":         replayHeader(OKX, "OK-ACCESS-SIGN", "1607418537715", `POST /api/v5/trade/order {"instId":"BTC-USDT","tdMode":"cash","clOrdId":"b15","side":"buy","ordType":"limit","px":"2.15","sz":"2"}`),
	"okx-get":          replayHeader(OKX, "OK-ACCESS-SIGN", "1607418537715", "GET /api/v5/account/balance?ccy=BTC "),

	"deribit-ws":               replayMessage,
	"gemini-v1":                replayMessage,
	"binance-fix-ed25519":      replayMessage,
	"jws-hs256":                replayMessage,
	"jws-eddsa":                replayMessage,
	"jws-es256-verify-only":    verifyES256,
	"http-message-sig-ed25519": replayHTTPSignature,
	"sigv4-get-vanilla":        replaySigV4,
}

func TestEveryVectorIsReproduced(t *testing.T) {
	forgetNonces()
	all := vectors(t)
	require.Len(t, all, len(replays))
	for _, v := range all {
		t.Run(v.ID, func(t *testing.T) {
			replay := replays[v.ID]
			require.NotNil(t, replay)
			require.Equal(t, v.Signature, replay(t, v))
		})
	}
}

func replayQuery(t *testing.T, v vector) string {
	query, millis := cutTimestamp(t, v.Message)
	call := &messages.Call{Method: "POST", Path: "/order", Query: query}
	require.NoError(t, HMACQuery{Key: "k", Secret: Secret(v.Key)}.Authenticate(call, at(millis)))
	require.True(t, strings.HasPrefix(call.Query, v.Message+"&signature="))
	return strings.TrimPrefix(call.Query, v.Message+"&signature=")
}

func replayQueryAndBody(t *testing.T, v vector) string {
	query, body, _ := strings.Cut(v.Message, "quantity")
	body, millis := cutTimestamp(t, "quantity"+body)
	call := &messages.Call{Method: "POST", Path: "/order", Query: query, Body: []byte(body)}
	scheme := HMACQuery{Key: "k", Secret: Secret(v.Key), Form: QueryForm{InBody: true}}
	require.NoError(t, scheme.Authenticate(call, at(millis)))
	signed, signature, _ := strings.Cut(string(call.Body), "&signature=")
	require.Equal(t, v.Message, call.Query+signed)
	return signature
}

func replayParams(t *testing.T, v vector) string {
	message, millis := v.Message, int64(0)
	params := make(map[string]string)
	for pair := range strings.SplitSeq(message, "&") {
		name, value, _ := strings.Cut(pair, "=")
		params[name] = value
	}
	millis = mustInt(t, params["timestamp"])
	key := Secret(params["apiKey"])
	delete(params, "timestamp")
	delete(params, "apiKey")
	require.NoError(t, HMACQuery{Key: key, Secret: Secret(v.Key), Delay: time.Nanosecond}.SignParams(params, at(millis)))
	return params["signature"]
}

func replayKraken(t *testing.T, v vector) string {
	parts := strings.SplitN(v.Message, "|", 3)
	_, body, _ := strings.Cut(parts[2], "&")
	call := &messages.Call{Method: "POST", Path: parts[0], Body: []byte(body)}
	scheme := Kraken{Key: "TestEveryVectorIsReproduced", Secret: Secret(v.Key), NonceUnit: time.Millisecond}
	require.NoError(t, scheme.Authenticate(call, at(mustInt(t, parts[1]))))
	require.Equal(t, parts[2], string(call.Body))
	return header(t, call, "API-Sign")
}

// BitMEX3 and Gate3 make constructors without a passphrase look like the others.
func BitMEX3(key, secret, _ Secret) Header {
	h := BitMEX(key, secret)
	h.Window = time.Second // the examples give the expiry, a second later
	return h
}

func Gate3(key, secret, _ Secret) Header { return Gate(key, secret) }

func replayHeader(scheme func(key, secret, pass Secret) Header, name, unix, request string) func(*testing.T, vector) string {
	return func(t *testing.T, v vector) string {
		parts := strings.SplitN(request, " ", 3)
		path, query, _ := strings.Cut(parts[1], "?")
		call := &messages.Call{Method: parts[0], Path: path, Query: query, Body: []byte(parts[2])}
		clock := at(mustInt(t, unix))
		if len(unix) == 10 {
			clock = at(1000 * mustInt(t, unix))
		}
		require.NoError(t, scheme("k", Secret(v.Key), "p").Authenticate(call, clock))
		return header(t, call, name)
	}
}

// replayMessage signs the example's message as it stands: where the example
// gives no request, or one whose formatting is its own.
func replayMessage(t *testing.T, v vector) string {
	encoding := map[string]Encoding{"hex": Hex, "base64": Base64, "base64url": Base64URL}[v.SigEnc]
	sig, err := signerOf(t, v).AppendSignature(nil, []byte(v.Message))
	require.NoError(t, err)
	return string(encoding.Append(nil, sig))
}

func signerOf(t *testing.T, v vector) Signer {
	if v.Alg == "ed25519" {
		key, err := ParsePrivateKey(Secret(v.Key))
		require.NoError(t, err)
		return key
	}
	hash := map[string]crypto.Hash{"hmac-sha256": crypto.SHA256, "hmac-sha384": crypto.SHA384, "hmac-sha512": crypto.SHA512}[v.Alg]
	encoding := map[string]Encoding{"raw": Raw, "base64": Base64, "base64url": Base64URL}[v.KeyEnc]
	return HMAC{Secret: Secret(v.Key), SecretEncoding: encoding, Hash: hash}
}

// verifyES256 checks that the example's signature and one of ours are both valid
// under the example's key; ES256 signatures need not be equal.
func verifyES256(t *testing.T, v vector) string {
	raw, err := Base64URL.Decode(v.Key)
	require.NoError(t, err)
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
	require.NoError(t, err)
	digest := sha256.Sum256([]byte(v.Message))
	valid := func(sig []byte) bool {
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		return ecdsa.Verify(&private.PublicKey, digest[:], r, s)
	}
	published, err := Base64URL.Decode(v.Signature)
	require.NoError(t, err)
	require.True(t, valid(published))

	key, err := NewPrivateKey(private)
	require.NoError(t, err)
	ours, err := key.AppendSignature(nil, []byte(v.Message))
	require.NoError(t, err)
	require.True(t, valid(ours))
	return v.Signature
}

func replayHTTPSignature(t *testing.T, v vector) string {
	key, err := ParsePrivateKey(Secret(v.Key))
	require.NoError(t, err)
	scheme := HTTPSignature{KeyID: "test-key-ed25519", Signer: key, Label: "sig-b26",
		Components: []string{"date", "@method", "@path", "@authority", "content-type", "content-length"}}
	call := &messages.Call{
		Method: "POST", Path: "/foo", Query: "param=Value&Pet=dog", Host: "example.com",
		Origin: messages.Origin{Scheme: "https", Addr: "example.com:443"},
		Fields: []messages.Field{{Name: "Content-Type", Value: "application/json"}, {Name: "Date", Value: "Tue, 20 Apr 2021 02:07:55 GMT"}},
		Body:   []byte(`{"hello": "world"}`),
	}
	require.NoError(t, scheme.Authenticate(call, at(1618884473_000)))
	_, params, _ := strings.Cut(v.Message, `"@signature-params": `)
	require.Equal(t, "sig-b26="+params, header(t, call, "Signature-Input"))
	return strings.Trim(strings.TrimPrefix(header(t, call, "Signature"), "sig-b26="), ":")
}

func at(millis int64) FixedClock { return FixedClock(time.UnixMilli(millis)) }

func cutTimestamp(t *testing.T, message string) (rest string, millis int64) {
	rest, text, ok := strings.Cut(message, "&timestamp=")
	require.True(t, ok)
	return rest, mustInt(t, text)
}

func mustInt(t *testing.T, s string) int64 {
	t.Helper()
	n, ok := new(big.Int).SetString(s, 10)
	require.True(t, ok, s)
	return n.Int64()
}

func header(t *testing.T, call *messages.Call, name string) string {
	t.Helper()
	value, ok := call.Header(name)
	require.True(t, ok, "no header %s", name)
	return value
}

// The example's call, signed whole: AWS's get-vanilla.
func replaySigV4(t *testing.T, v vector) string {
	scheme := SigV4{AccessKey: "AKIDEXAMPLE", Secret: Secret(v.Key), Region: "us-east-1", Service: "service"}
	call := &messages.Call{Method: "GET", Path: "/", Host: "example.amazonaws.com"}
	clock := FixedClock(time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC))
	require.NoError(t, scheme.Authenticate(call, clock))
	canonical, _ := scheme.canonical(call, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	digest := sha256.Sum256([]byte(canonical))
	require.True(t, strings.HasSuffix(v.Message, string(Hex.Append(nil, digest[:]))))
	_, signature, _ := strings.Cut(header(t, call, "Authorization"), "Signature=")
	return signature
}
