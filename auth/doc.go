// Package auth adds credentials to a call in the instant before it leaves.
//
// A scheme is a value: fill in the keys and hand it to the engine.
//
//	auth.Binance("key", "secret")                 a constructor per exchange
//	auth.HMACQuery{Key: "key", Secret: "secret"}  or the family it belongs to
//
// The families, and how to tell which one a server wants:
//
//	APIKey, Basic, Bearer   a fixed header or parameter
//	HMACQuery, SignedQuery  the signature is a parameter, over query and body
//	Header                  the signature is a header, over timestamp, method, path, …
//	Kraken                  a nonce in the body, a digest inside the signature
//	Payload                 the parameters travel as base64 JSON in a header
//	JWT                     a signed token per request
//	HTTPSignature           RFC 9421
//	SigV4, HTX              AWS, version 4, and the manner of its version 2
//	oauth2.Tokens           OAuth 2.0, in the package beside this one
//
// Whatever else a server wants is a Func. A streamed body needs a scheme that
// leaves bodies alone, which some are by nature and some by a setting: see
// BodyUnsigned, and WithoutBody for a Func.
//
// What a scheme knows of its server beyond signing, it says by further interfaces:
// Ordered (its calls must keep their order), Refusals (how a timestamp or a nonce
// is refused), NonceRaiser and Rejecter (what helps then), Unsigner (what it adds, so
// that what an SDK has signed can be signed anew), KeySender (its key can be sent without
// a signature). LaneOf, RefusedTimestamp, RefusedNonce, RaiseNonce, Rejected, Unsign and
// SendKey ask any Authenticator.
//
// Every scheme signs the bytes that will be sent, never a rebuilt copy, and is
// called anew for each attempt. All are values, safe for concurrent use, and
// print without their secrets.
package auth
