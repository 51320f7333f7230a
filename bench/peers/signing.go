package peers

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/sluice-engine/sluice/auth"
)

// What is posted, and how it is signed: an HMAC of the body in a header. The engine signs by a
// scheme of its own, all others by the function below; the server refuses what is not signed so.
const (
	orderPath       = "/order"
	signatureHeader = "X-Signature"
	contentType     = "Content-Type"
	isJSON          = "application/json"
	signingKey      = "the key of the comparison"
)

var order = []byte(`{"symbol":"BTCUSDT","side":"BUY","type":"LIMIT","timeInForce":"GTC","quantity":"0.00100000","price":"97231.84"}`)

func signature(body []byte) string {
	mac := hmac.New(sha256.New, []byte(signingKey))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// verified is the server's side.
func verified(body, signed []byte) bool {
	return hmac.Equal([]byte(signature(body)), signed)
}

// scheme is how the engine computes the same.
func scheme() auth.Header {
	return auth.Header{
		Key: "comparison", Signer: auth.HMAC{Secret: signingKey, SecretEncoding: auth.Raw, Hash: crypto.SHA256},
		Form: auth.HeaderForm{
			Message: []auth.Part{auth.Body},
			Headers: []auth.Line{{Name: signatureHeader, Value: []auth.Part{auth.Signature}}},
		},
	}
}
