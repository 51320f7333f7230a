package auth

import (
	"crypto"
	"time"
)

// Binance signs for Binance's REST interfaces with an HMAC key.
func Binance(key, secret Secret) HMACQuery { return HMACQuery{Key: key, Secret: secret} }

// BinanceKeyPair signs for Binance with an Ed25519 or RSA key, as the exchange
// recommends.
func BinanceKeyPair(key Secret, private PrivateKey) SignedQuery {
	return SignedQuery{Key: key, Signer: private, Form: QueryForm{Encoding: Base64}}
}

// MEXC signs for MEXC's spot interface, version 3.
func MEXC(key, secret Secret) HMACQuery {
	return HMACQuery{Key: key, Secret: secret, Form: QueryForm{KeyHeader: "X-MEXC-APIKEY"}}
}

// OKX signs for OKX, version 5.
func OKX(key, secret, passphrase Secret) Header {
	return Header{Key: key, Passphrase: passphrase, Signer: shared(secret, crypto.SHA256), Form: HeaderForm{
		Message: []Part{Timestamp, Method, Target, Body},
		Headers: []Line{
			{"OK-ACCESS-KEY", []Part{KeyName}}, {"OK-ACCESS-SIGN", []Part{Signature}},
			{"OK-ACCESS-TIMESTAMP", []Part{Timestamp}}, {"OK-ACCESS-PASSPHRASE", []Part{Passphrase}},
		},
		Time: ISOMilli, Encoding: Base64, Rule: Window{30 * time.Second, 30 * time.Second},
		// "Timestamp request expired", with status 401 (okxapi/python-okx#68).
		Codes: Codes{Field: "code", Timestamp: []string{"50102"}},
	}}
}

// Bitget signs for Bitget.
func Bitget(key, secret, passphrase Secret) Header {
	return Header{Key: key, Passphrase: passphrase, Signer: shared(secret, crypto.SHA256), Form: HeaderForm{
		Message: []Part{Timestamp, Method, Target, Body},
		Headers: []Line{
			{"ACCESS-KEY", []Part{KeyName}}, {"ACCESS-SIGN", []Part{Signature}},
			{"ACCESS-TIMESTAMP", []Part{Timestamp}}, {"ACCESS-PASSPHRASE", []Part{Passphrase}},
		},
		Encoding: Base64, Rule: Window{30 * time.Second, 30 * time.Second},
	}}
}

// KuCoin signs for KuCoin with a key of version 2 or 3, whose passphrase is
// signed too. For version 1, clear Form.SignPassphrase and remove the header
// KC-API-KEY-VERSION.
func KuCoin(key, secret, passphrase Secret) Header {
	return Header{Key: key, Passphrase: passphrase, Signer: shared(secret, crypto.SHA256), Form: HeaderForm{
		Message: []Part{Timestamp, Method, Target, Body},
		Headers: []Line{
			{"KC-API-KEY", []Part{KeyName}}, {"KC-API-SIGN", []Part{Signature}},
			{"KC-API-TIMESTAMP", []Part{Timestamp}}, {"KC-API-PASSPHRASE", []Part{Passphrase}},
			{"KC-API-KEY-VERSION", []Part{"2"}},
		},
		Encoding: Base64, SignPassphrase: true, Rule: Window{5 * time.Second, 5 * time.Second},
	}}
}

// CoinbaseExchange signs for Coinbase Exchange, whose secrets are base64.
func CoinbaseExchange(key, secret, passphrase Secret) Header {
	signer := HMAC{Secret: secret, SecretEncoding: Base64, Hash: crypto.SHA256}
	return Header{Key: key, Passphrase: passphrase, Signer: signer, Form: HeaderForm{
		Message: []Part{Timestamp, Method, Target, Body},
		Headers: []Line{
			{"CB-ACCESS-KEY", []Part{KeyName}}, {"CB-ACCESS-SIGN", []Part{Signature}},
			{"CB-ACCESS-TIMESTAMP", []Part{Timestamp}}, {"CB-ACCESS-PASSPHRASE", []Part{Passphrase}},
		},
		Time: UnixSecond, Encoding: Base64, Rule: Window{30 * time.Second, 30 * time.Second},
	}}
}

// CoinbasePrime signs for Coinbase Prime, whose secrets are used as they stand.
func CoinbasePrime(key, secret, passphrase Secret) Header {
	return Header{Key: key, Passphrase: passphrase, Signer: shared(secret, crypto.SHA256), Form: HeaderForm{
		Message: []Part{Timestamp, Method, Path, Body},
		Headers: []Line{
			{"X-CB-ACCESS-KEY", []Part{KeyName}}, {"X-CB-ACCESS-SIGNATURE", []Part{Signature}},
			{"X-CB-ACCESS-TIMESTAMP", []Part{Timestamp}}, {"X-CB-ACCESS-PASSPHRASE", []Part{Passphrase}},
		},
		Time: UnixSecond, Encoding: Base64, Rule: Window{30 * time.Second, 30 * time.Second},
	}}
}

// Bybit signs for Bybit, version 5. Window is sent as X-BAPI-RECV-WINDOW; zero
// leaves it to the server (5 s). For an RSA key replace Signer, and Form.Encoding
// by Base64.
func Bybit(key, secret Secret) Header {
	return Header{Key: key, Signer: shared(secret, crypto.SHA256), Form: HeaderForm{
		Message: []Part{Timestamp, KeyName, RecvWindow, QueryOrBody},
		Headers: []Line{
			{"X-BAPI-API-KEY", []Part{KeyName}}, {"X-BAPI-SIGN", []Part{Signature}},
			{"X-BAPI-TIMESTAMP", []Part{Timestamp}}, {"X-BAPI-RECV-WINDOW", []Part{RecvWindow}},
		},
		Rule: Window{Past: 5 * time.Second, Future: time.Second},
		// "The request time exceeds the time window range", with status 200 (Bybit's
		// documentation, error codes of version 5).
		Codes: Codes{Field: "retCode", Timestamp: []string{"10002"}},
	}}
}

// BitMEX signs for BitMEX. Window is how long a request stays valid.
func BitMEX(key, secret Secret) Header {
	return Header{Key: key, Signer: shared(secret, crypto.SHA256), Form: HeaderForm{
		Message: []Part{Method, Target, Expires, Body},
		Headers: []Line{
			{"api-key", []Part{KeyName}}, {"api-expires", []Part{Expires}}, {"api-signature", []Part{Signature}},
		},
		Time: UnixSecond,
	}}
}

// Gate signs for Gate, version 4. The query is signed without percent-encoding.
func Gate(key, secret Secret) Header {
	return Header{Key: key, Signer: shared(secret, crypto.SHA512), Form: HeaderForm{
		Message: []Part{Method, "\n", Path, "\n", PlainQuery, "\n", BodySHA512, "\n", Timestamp},
		Headers: []Line{
			{"KEY", []Part{KeyName}}, {"Timestamp", []Part{Timestamp}}, {"SIGN", []Part{Signature}},
		},
		Time: UnixSecond, Rule: Window{time.Minute, time.Minute},
	}}
}

// BitfinexV2 signs for Bitfinex, version 2. The calls of one key must be sent in
// the order they were signed.
func BitfinexV2(key, secret Secret) Header {
	return Header{Key: key, Signer: shared(secret, crypto.SHA384), Form: HeaderForm{
		Message: []Part{"/api", Path, Nonce, Body},
		Headers: []Line{
			{"bfx-nonce", []Part{Nonce}}, {"bfx-apikey", []Part{KeyName}}, {"bfx-signature", []Part{Signature}},
		},
	}}
}

// Deribit signs for Deribit's REST interface with a client secret.
func Deribit(id, secret Secret) Header {
	return Header{Key: id, Signer: shared(secret, crypto.SHA256), Form: HeaderForm{
		Message: []Part{Timestamp, "\n", Unique, "\n", Method, "\n", Target, "\n", Body, "\n"},
		Headers: []Line{{"Authorization", []Part{
			"deri-hmac-sha256 id=", KeyName, ",ts=", Timestamp, ",sig=", Signature, ",nonce=", Unique,
		}}},
		Rule: Window{time.Minute, time.Minute},
	}}
}
