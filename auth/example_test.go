package auth_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/messages"
)

// Keys come from the environment, and are checked before the first request.
func Example_environment() {
	os.Setenv("EXCHANGE_KEY", "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv")
	os.Setenv("EXCHANGE_SECRET", "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP")

	scheme := auth.Binance(auth.Secret(os.Getenv("EXCHANGE_KEY")), auth.Secret(os.Getenv("EXCHANGE_SECRET")))
	if err := auth.Validate(scheme); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v %v\n", scheme.Key, scheme.Secret)
	fmt.Println(auth.Validate(auth.Binance("", "")))
	// Output:
	// *** ***
	// auth: HMACQuery: Key: missing
	// auth: HMACQuery: Secret: missing
}

// A private key comes from a file that only its owner can read.
func ExampleParsePrivateKey() {
	dir, _ := os.MkdirTemp("", "keys")
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "exchange.pem")
	os.WriteFile(path, []byte(`-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
`), 0o600)

	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := auth.ParsePrivateKey(auth.Secret(text))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(auth.BinanceKeyPair("api key", key).Signer, key.Algorithm())
	// Output: *** EdDSA
}

// An exchange that is not in the list is a value of its family.
func ExampleHeader() {
	scheme := auth.Header{
		Key:    "key",
		Signer: auth.HMAC{Secret: "secret", SecretEncoding: auth.Raw, Hash: crypto.SHA256},
		Form: auth.HeaderForm{
			Message: []auth.Part{auth.Method, "|", auth.Target, "|", auth.Timestamp, "|", auth.Body},
			Headers: []auth.Line{
				{Name: "X-Key", Value: []auth.Part{auth.KeyName}},
				{Name: "X-Signature", Value: []auth.Part{"v1=", auth.Signature}},
				{Name: "X-Time", Value: []auth.Part{auth.Timestamp}},
			},
		},
	}
	call := &messages.Call{Method: "GET", Path: "/orders", Query: "symbol=BTCUSDT"}
	if err := scheme.Authenticate(call, auth.FixedClock(time.UnixMilli(1_700_000_000_000))); err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range call.Fields {
		fmt.Println(f.Name, f.Value)
	}
	// Output:
	// X-Key key
	// X-Signature v1=275572383fa1fb91dd1c486376154635c98580ca98050999bb372d077106141f
	// X-Time 1700000000000
}

// Anything else is a function: it is given the bytes as they will be sent, and the server's time.
func ExampleFunc() {
	scheme := auth.Func(func(call *messages.Call, clock auth.Clock) error {
		now := strconv.FormatInt(clock.Now().UnixMilli(), 10)
		code := hmac.New(sha256.New, []byte("secret"))
		fmt.Fprint(code, call.Method, "|", call.Target(), "|", now, "|", string(call.Body))
		call.SetHeader("X-Time", now)
		call.SetHeader("X-Signature", "v1="+hex.EncodeToString(code.Sum(nil)))
		return nil
	})
	call := &messages.Call{Method: "GET", Path: "/orders", Query: "symbol=BTCUSDT"}
	err := scheme.Authenticate(call, auth.FixedClock(time.UnixMilli(1_700_000_000_000)))
	fmt.Println(call.Fields[1].Value, err)
	// Output: v1=275572383fa1fb91dd1c486376154635c98580ca98050999bb372d077106141f <nil>
}

// Most exchanges are there by name: what is missing is said before the first request.
func Example_exchanges() {
	key, err := auth.NewPrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, scheme := range []auth.Authenticator{
		auth.BinanceKeyPair("key", key), auth.BitMEX("key", "secret"), auth.BitfinexV1("key", "secret"),
		auth.BitfinexV2("key", "secret"), auth.Bybit("key", "secret"), auth.CoinbaseCDP("name", key),
		auth.Deribit("id", "secret"), auth.Gate("key", "secret"), auth.Gemini("key", "secret"), auth.MEXC("key", "secret"),
		auth.Bitget("key", "secret", "passphrase"), auth.CoinbaseExchange("key", "c2VjcmV0", "passphrase"),
		auth.CoinbasePrime("key", "secret", "passphrase"), auth.KuCoin("key", "secret", "passphrase"),
	} {
		if err := auth.Validate(scheme); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(auth.Validate(auth.OKX("key", "secret", "")))
	// Output: auth: Header: Passphrase: missing
}

// A secret that was copied with its line feed would sign, and be refused.
func ExampleCheckSecret() {
	fmt.Println(auth.CheckSecret("sesame\n"))
	// Output: is not as it was handed out: it has a line feed
}

// Nonces rise over restarts, even if the clock was set back.
func ExampleNonceFile() {
	dir, err := os.MkdirTemp("", "nonces")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	scheme := auth.Kraken{
		Key: "key", Secret: "c2VjcmV0",
		Nonces: auth.NonceRule{Floor: auth.NonceFile(filepath.Join(dir, "kraken"))},
	}
	fmt.Println(auth.Validate(scheme))
	// Output: <nil>
}
