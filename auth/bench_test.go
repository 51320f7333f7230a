package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// query200 makes the signed payload 200 bytes long.
var query200 = "symbol=BTCUSDT&" + strings.Repeat("a", 200-len("symbol=BTCUSDT&")-len("&timestamp=1700000000000"))

// The cost a signature cannot avoid: the code itself, written in hex, with a key
// schedule that is kept.
func BenchmarkBareHMACOf200Bytes(b *testing.B) {
	b.ReportAllocs()
	payload := []byte(query200 + "&timestamp=1700000000000")
	mac := hmac.New(sha256.New, []byte("secret"))
	var sum, code []byte
	for b.Loop() {
		mac.Reset()
		mac.Write(payload)
		sum = mac.Sum(sum[:0])
		code = hex.AppendEncode(code[:0], sum)
	}
}

// The same as most clients pay it: with a new key schedule every time.
func BenchmarkFreshHMACOf200Bytes(b *testing.B) {
	b.ReportAllocs()
	payload := []byte(query200 + "&timestamp=1700000000000")
	for b.Loop() {
		mac := hmac.New(sha256.New, []byte("secret"))
		mac.Write(payload)
		_ = hex.EncodeToString(mac.Sum(nil))
	}
}

func BenchmarkHMACQueryOf200Bytes(b *testing.B) {
	b.ReportAllocs()
	scheme := HMACQuery{Key: "key", Secret: "secret"}
	clock := FixedClock(time.UnixMilli(1_700_000_000_000))
	var a Authenticator = scheme
	fields := make([]messages.Field, 0, 8)
	for b.Loop() {
		call := messages.Call{Method: "GET", Path: "/api/v3/order", Query: query200, Fields: fields}
		if err := a.Authenticate(&call, clock); err != nil {
			b.Fatal(err)
		}
	}
}

// The signature alone, through the pool of kept key schedules.
func BenchmarkSignatureOf200Bytes(b *testing.B) {
	b.ReportAllocs()
	var signer Signer = shared("secret", 5)
	parts := [][]byte{[]byte(query200 + "&timestamp=1700000000000")}
	var sig, code []byte
	for b.Loop() {
		sig, _ = signer.AppendSignature(sig[:0], parts...)
		code = Hex.Append(code[:0], sig)
	}
}
