package engine_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

const secretText = "c2VjcmV0" // is base64 too

func testKey(t testing.TB) auth.PrivateKey {
	key, err := auth.NewPrivateKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)))
	require.NoError(t, err)
	return key
}

// resigned are the schemes of package auth whose signature can be taken out again.
// key is the one that signs, so that a test can sign with another.
func resigned(t testing.TB, key auth.Secret) map[string]auth.Authenticator {
	bybit := auth.Bybit(key, secretText)
	bybit.Window = 2 * time.Second
	return map[string]auth.Authenticator{
		"Binance":            auth.Binance(key, secretText),
		"BinanceKeyPair":     auth.BinanceKeyPair(key, testKey(t)),
		"MEXC":               auth.MEXC(key, secretText),
		"in the body":        auth.HMACQuery{Key: key, Secret: secretText, Form: auth.QueryForm{InBody: true}},
		"the key twice":      auth.HMACQuery{Key: key, Secret: secretText, Form: auth.QueryForm{KeyParam: "api_key", Timestamp: "ts", Signature: "sign"}},
		"OKX":                auth.OKX(key, secretText, "pass"),
		"Bitget":             auth.Bitget(key, secretText, "pass"),
		"KuCoin":             auth.KuCoin(key, secretText, "pass"),
		"CoinbaseExchange":   auth.CoinbaseExchange(key, secretText, "pass"),
		"CoinbasePrime":      auth.CoinbasePrime(key, secretText, "pass"),
		"Bybit":              bybit,
		"BitMEX":             auth.BitMEX(key, secretText),
		"Gate":               auth.Gate(key, secretText),
		"BitfinexV2":         auth.BitfinexV2(key+"-bitfinex", secretText),
		"Deribit":            auth.Deribit(key, secretText),
		"Kraken":             auth.Kraken{Key: key + "-kraken", Secret: secretText},
		"HTX":                auth.HTX{Key: key, Secret: secretText},
		"SigV4":              auth.SigV4{AccessKey: string(key), Secret: secretText, Region: "eu-1", Service: "s3", RawPath: true, SessionToken: "session"},
		"CoinbaseCDP":        auth.CoinbaseCDP(string(key), testKey(t)),
		"HTTPSignature":      auth.HTTPSignature{KeyID: string(key), Signer: testKey(t), Components: []string{"date", "@method", "@target-uri", "content-digest"}, Lifetime: time.Minute},
		"a chain":            auth.Chain{auth.APIKey{Query: "tenant", Key: "t"}, auth.Bearer{Token: "b"}, auth.Binance(key, secretText)},
		"said to leave body": auth.WithoutBody{Authenticator: auth.HTX{Key: key, Secret: secretText}},
	}
}

// signAsAnSDK signs an http.Request when it is made, by a clock that is wrong.
func signAsAnSDK(t testing.TB, scheme auth.Authenticator, r *http.Request, clock auth.Clock) {
	call := callOf(t, r)
	require.NoError(t, scheme.Authenticate(call, clock))
	r.URL.RawQuery = call.Query
	for _, f := range call.Fields {
		r.Header[http.CanonicalHeaderKey(f.Name)] = []string{f.Value}
	}
	setBody(r, string(call.Body))
}

func callOf(t testing.TB, r *http.Request) *messages.Call {
	origin := messages.Origin{Scheme: r.URL.Scheme, Addr: r.URL.Host + ":80"}
	call := &messages.Call{Method: r.Method, Origin: origin, Host: r.URL.Host, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}
	for name, values := range r.Header {
		call.Fields = append(call.Fields, messages.Field{Name: name, Value: values[0]})
	}
	if r.GetBody != nil {
		body, err := r.GetBody()
		require.NoError(t, err)
		call.Body, err = io.ReadAll(body)
		require.NoError(t, err)
	}
	return call
}

func setBody(r *http.Request, body string) {
	if body == "" {
		r.Body, r.GetBody, r.ContentLength = nil, nil, 0
		return
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	r.ContentLength = int64(len(body))
}

// arrived is a request as the server got it.
type arrived struct {
	*http.Request
	body string
	at   time.Time
}

// asIs is a handler that notes what arrives.
func asIs() (handler http.HandlerFunc, all func() []arrived) {
	var mu sync.Mutex
	var seen []arrived
	return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, arrived{r, string(body), time.Now()})
		}, func() []arrived {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(seen)
		}
}

// verify is the server's view of a request that it knows the unsigned form of: it is
// what that form becomes when it is signed at the instant at which it arrived.
func verify(t *testing.T, scheme auth.Authenticator, plain *messages.Call, got arrived) {
	if check, ok := numbered[fmt.Sprintf("%T", scheme)]; ok && check(t, plain, got) {
		return
	}
	want := *plain
	want.Fields = slices.Clone(plain.Fields)
	require.NoError(t, scheme.Authenticate(&want, auth.FixedClock(got.at)))
	require.Equal(t, want.Query, got.URL.RawQuery)
	require.Equal(t, string(want.Body), got.body)
	for _, f := range want.Fields {
		require.Equal(t, []string{f.Value}, got.Header.Values(f.Name), f.Name)
	}
}

// numbered are the schemes that never sign the same twice: what they sign is laid
// out here. They report whether the scheme was one of those.
var numbered = map[string]func(t *testing.T, plain *messages.Call, got arrived) bool{
	"auth.Kraken": func(t *testing.T, plain *messages.Call, got arrived) bool {
		head, rest, _ := strings.Cut(got.body, "&")
		nonce, ok := strings.CutPrefix(head, "nonce=")
		require.True(t, ok, got.body)
		require.Equal(t, string(plain.Body), rest)
		requireNow(t, got, nonce, time.Microsecond)
		digest := sha256.Sum256([]byte(nonce + got.body))
		require.Equal(t, []string{sign(t, 7, auth.Base64, plain.Path, string(digest[:]))}, got.Header.Values("API-Sign"))
		return true
	},
	"auth.Header": func(t *testing.T, plain *messages.Call, got arrived) bool {
		if nonce := got.Header.Get("Bfx-Nonce"); nonce != "" {
			requireNow(t, got, nonce, time.Microsecond)
			sig, err := auth.HMAC{Secret: secretText, SecretEncoding: auth.Raw, Hash: 6}.AppendSignature(nil, []byte("/api"+plain.Path+nonce+string(plain.Body)))
			require.NoError(t, err)
			require.Equal(t, []string{string(auth.Hex.Append(nil, sig))}, got.Header.Values("Bfx-Signature"))
			requireRest(t, plain, got)
			return true
		}
		fields, ok := strings.CutPrefix(got.Header.Get("Authorization"), "deri-hmac-sha256 ")
		if !ok {
			return false
		}
		part := map[string]string{}
		for one := range strings.SplitSeq(fields, ",") {
			name, value, _ := strings.Cut(one, "=")
			part[name] = value
		}
		requireNow(t, got, part["ts"], time.Millisecond)
		message := part["ts"] + "\n" + part["nonce"] + "\n" + plain.Method + "\n" + plain.Target() + "\n" + string(plain.Body) + "\n"
		sig, err := auth.HMAC{Secret: secretText, SecretEncoding: auth.Raw, Hash: 5}.AppendSignature(nil, []byte(message))
		require.NoError(t, err)
		require.Equal(t, string(auth.Hex.Append(nil, sig)), part["sig"])
		requireRest(t, plain, got)
		return true
	},
	"auth.JWT": func(t *testing.T, plain *messages.Call, got arrived) bool {
		require.Len(t, got.Header.Values("Authorization"), 1)
		parts := strings.Split(strings.TrimPrefix(got.Header.Get("Authorization"), "Bearer "), ".")
		require.Len(t, parts, 3)
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		require.NoError(t, err)
		var body struct {
			NBF int64  `json:"nbf"`
			URI string `json:"uri"`
		}
		require.NoError(t, json.Unmarshal(claims, &body))
		require.Equal(t, got.at.Unix(), body.NBF)
		require.Equal(t, plain.Method+" "+plain.Host+plain.Path, body.URI)
		sig, err := base64.RawURLEncoding.DecodeString(parts[2])
		require.NoError(t, err)
		require.True(t, ed25519.Verify(testKey(t).Public().(ed25519.PublicKey), []byte(parts[0]+"."+parts[1]), sig))
		requireRest(t, plain, got)
		return true
	},
}

// sign signs for a scheme whose secret is base64.
func sign(t *testing.T, hash uint, encoding auth.Encoding, parts ...string) string {
	signer := auth.HMAC{Secret: secretText, SecretEncoding: auth.Base64, Hash: 7}
	require.EqualValues(t, 7, hash)
	sig, err := signer.AppendSignature(nil, []byte(strings.Join(parts, "")))
	require.NoError(t, err)
	return string(encoding.Append(nil, sig))
}

func requireNow(t *testing.T, got arrived, digits string, unit time.Duration) {
	n, err := strconv.ParseInt(digits, 10, 64)
	require.NoError(t, err)
	require.InDelta(t, got.at.UnixNano()/int64(unit), n, 5)
}

func requireRest(t *testing.T, plain *messages.Call, got arrived) {
	require.Equal(t, plain.Query, got.URL.RawQuery)
	require.Equal(t, string(plain.Body), got.body)
}

// The parameters' order and spelling are no encoder's.
const oddQuery, oddForm = "symbol=BTC%2dUSD&b=2&&a=1%2C2&b=+%20&empty", "side=BUY&p=%41+b&&quantity=0.01"

// cases are unsigned requests, by what is peculiar about them.
func unsignedRequests(t testing.TB) map[string]func() *http.Request {
	make := func(method, target, kind, body string) func() *http.Request {
		return func() *http.Request {
			r, err := http.NewRequest(method, "http://server.test"+target, strings.NewReader(body))
			require.NoError(t, err)
			setBody(r, body)
			r.Header.Set("X-Own", "mine")
			if kind != "" {
				r.Header.Set("Content-Type", kind)
			}
			return r
		}
	}
	form := "application/x-www-form-urlencoded"
	return map[string]func() *http.Request{
		"query":           make("GET", "/v1/account?"+oddQuery, "", ""),
		"nothing":         make("GET", "/v1/account", "", ""),
		"form":            make("POST", "/v1/order", form, oddForm),
		"query and form":  make("POST", "/v1/order?"+oddQuery, form, oddForm),
		"unlabelled form": make("DELETE", "/v1/order%2Fx", "", oddForm),
	}
}

var bubbles atomic.Int64 // of this process, which a test may run in more than once

func TestWhatAnSDKSignedTooEarlyIsSignedAnewByEveryScheme(t *testing.T) {
	for kind, unsigned := range unsignedRequests(t) {
		// A key's nonces go on in the next bubble, whose time begins anew: hence one for each.
		key := auth.Secret(fmt.Sprint("resigned ", kind, bubbles.Add(1)))
		for name, scheme := range resigned(t, key) {
			t.Run(name+", "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					handler, seen := asIs()
					eng := newServer(t, handler).newEngine(t, engine.Config{
						Auth: scheme, DefaultLimitID: "one", Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: 10 * time.Second}},
					})
					client := clientOf(eng, engine.Resign(eng))
					var all sync.WaitGroup
					for range 3 {
						all.Go(func() {
							r := unsigned()
							signAsAnSDK(t, scheme, r, auth.FixedClock(time.Now().Add(-3*time.Minute)))
							resp, err := client.Do(r)
							require.NoError(t, err)
							resp.Body.Close()
						})
					}
					all.Wait()
					require.Len(t, seen(), 3)
					require.Greater(t, seen()[2].at.Sub(seen()[0].at), 19*time.Second, "they have waited")
					for _, got := range seen() {
						verify(t, scheme, callOf(t, unsigned()), got)
						require.EqualValues(t, len(got.body), got.ContentLength)
						require.Equal(t, "mine", got.Header.Get("X-Own"))
					}
					wantNothingHeld(t, eng)
				})
			})
		}
	}
}

// Without Resign the same requests arrive as the SDK signed them, which is how the
// verifier above shows that it can fail.
func TestWithoutResignAnSDKsSignatureArrivesAsOldAsItIs(t *testing.T) {
	for name, scheme := range map[string]auth.Authenticator{"Binance": auth.Binance("k", "s"), "OKX": auth.OKX("k", "s", "p")} {
		synctest.Test(t, func(t *testing.T) {
			handler, seen := asIs()
			eng := newServer(t, handler).newEngine(t, engine.Config{Auth: scheme})
			r := unsignedRequests(t)["query"]()
			signAsAnSDK(t, scheme, r, auth.FixedClock(time.Now().Add(-3*time.Minute)))
			old := callOf(t, r)
			resp, err := clientOf(eng).Do(r)
			require.NoError(t, err)
			resp.Body.Close()
			got := seen()[0]
			require.Equal(t, old.Query, got.URL.RawQuery, name)
			fresh := callOf(t, unsignedRequests(t)["query"]())
			require.NoError(t, scheme.Authenticate(fresh, auth.FixedClock(got.at)))
			require.NotEqual(t, fmt.Sprint(fresh.Query, fresh.Fields), fmt.Sprint(old.Query, old.Fields))
		})
	}
}

func TestTheSDKsOwnRequestStaysAsItIs(t *testing.T) {
	for name, scheme := range resigned(t, "resign-own") {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, nil).newEngine(t, engine.Config{Auth: scheme})
			r := unsignedRequests(t)["query and form"]()
			signAsAnSDK(t, scheme, r, auth.FixedClock(time.Now()))
			target, header, before := r.URL.String(), r.Header.Clone(), callOf(t, r)
			resp, err := eng.RoundTripper(engine.Resign(eng)).RoundTrip(r)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, target, r.URL.String(), name)
			require.Equal(t, header, r.Header, name)
			require.Equal(t, string(before.Body), string(callOf(t, r).Body), name)
			require.EqualValues(t, len(before.Body), r.ContentLength)
		})
	}
}

func TestARequestThatCarriesNoSignatureIsLeftAlone(t *testing.T) {
	keyOnly := http.Header{"X-Mbx-Apikey": {"another"}, "Ok-Access-Key": {"another"}, "Authorization": {"Bearer opaque"}, "Key": {"another"}}
	for name, scheme := range resigned(t, "resign-none") {
		for _, body := range []struct{ kind, text string }{
			{"", ""}, {"application/x-www-form-urlencoded", "timestamp=5&note=signature"}, {"application/json", `{"signature":"x"}`},
			{"", "timestamp=5"}, {"text/plain", "signature=x"},
		} {
			synctest.Test(t, func(t *testing.T) {
				handler, seen := asIs()
				eng := newServer(t, handler).newEngine(t, engine.Config{Auth: scheme})
				r, err := http.NewRequest("POST", "http://server.test/api/v3/userDataStream?timestamp=7&a=1", nil)
				require.NoError(t, err)
				setBody(r, body.text)
				r.Header = keyOnly.Clone()
				if body.kind != "" {
					r.Header.Set("Content-Type", body.kind)
				}
				if strings.Contains(body.kind, "form") {
					r.GetBody = nil // it can be looked at once only
				}
				if _, is := scheme.(auth.Kraken); is {
					r.Header.Set("API-Key", "another")
				}
				resp, err := clientOf(eng, engine.Resign(eng)).Do(r)
				require.NoError(t, err, name)
				resp.Body.Close()
				got := seen()[0]
				require.Equal(t, "timestamp=7&a=1", got.URL.RawQuery, name)
				require.Equal(t, body.text, got.body, name)
				for field, values := range r.Header {
					require.Equal(t, values, got.Header[field], "%s: %s", name, field)
				}
				require.NotContains(t, fmt.Sprint(got.Header), "resign-none", name)
			})
		}
	}
}

func TestARequestToAStrangerKeepsTheSignatureItHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s *server
		handler, seen := asIs()
		s = newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/away" {
				http.Redirect(w, r, "http://stranger.test/?timestamp=1&signature=2", http.StatusFound)
				return
			}
			if r.Host == "stranger.test" && r.URL.Path == "/back" {
				http.Redirect(w, r, "http://server.test/order?timestamp=1&signature=2", http.StatusFound)
				return
			}
			handler(w, r)
		})
		eng := s.newEngine(t, engine.Config{Auth: auth.Binance("k", "s")})
		client := clientOf(eng, engine.Resign(eng))
		for _, target := range []string{"http://stranger.test/?timestamp=1&signature=2", "http://server.test/away?timestamp=1&signature=2", "http://stranger.test/back"} {
			resp, err := client.Get(target)
			require.NoError(t, err)
			resp.Body.Close()
		}
		require.Len(t, seen(), 3)
		for _, got := range seen() {
			require.Equal(t, "timestamp=1&signature=2", got.URL.RawQuery)
		}
	})
}

func TestARequestSignedWithAnotherKeyIsNotSent(t *testing.T) {
	ours, theirs := resigned(t, "our-key"), resigned(t, "their-key")
	for name := range ours {
		for kind, unsigned := range unsignedRequests(t) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{Auth: ours[name]})
				r := unsigned()
				signAsAnSDK(t, theirs[name], r, auth.FixedClock(time.Now()))
				_, err := clientOf(eng, engine.Resign(eng)).Do(r)
				require.ErrorIs(t, err, auth.ErrOtherKey, "%s, %s", name, kind)
				require.ErrorIs(t, err, engine.ErrInvalidRequest)
				var typed *engine.Error
				require.ErrorAs(t, err, &typed)
				require.Equal(t, engine.SentNo, typed.Sent)
				require.NotContains(t, typed.Error(), "-key")
				require.Empty(t, s.seen())
				wantNothingHeld(t, eng)
			})
		}
	}
}

func TestWhatCannotBeSignedAnewIsAnErrorThatSaysSo(t *testing.T) {
	sealed := func(header http.Header, kind, body string) *http.Request {
		r, err := http.NewRequest("POST", "http://server.test/", strings.NewReader(body))
		require.NoError(t, err)
		r.Header = header
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		return r
	}
	s3 := auth.SigV4{AccessKey: "k", Secret: "s", Region: "r", Service: "s3", RawPath: true}
	twice := http.Header{"Signature-Input": {`sig1=("@method");keyid="k", other=("@path")`}, "Signature": {"sig1=:YQ==:, other=:YQ==:"}}
	for name, c := range map[string]struct {
		scheme  auth.Authenticator
		request *http.Request
		want    error
	}{
		"Gemini's payload":   {auth.Gemini("k", "s"), sealed(http.Header{"X-Gemini-Payload": {"e30="}, "X-Gemini-Signature": {"00"}}, "", ""), auth.ErrSealed},
		"half a payload":     {auth.BitfinexV1("k", "s"), sealed(http.Header{"X-Bfx-Payload": {"e30="}}, "", ""), auth.ErrSealed},
		"inside a JSON body": {auth.Binance("k", "s"), sealed(http.Header{"X-Mbx-Apikey": {"k"}}, "application/json", `{"a":1,"timestamp":1,"signature":"x"}`), auth.ErrSealed},
		"pieces that are signed": {s3, sealed(http.Header{"Authorization": {"AWS4-HMAC-SHA256 Credential=k/1/r/s3/aws4_request, Signature=0"},
			"X-Amz-Content-Sha256": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}}, "", "x"), auth.ErrSealed},
		"two signatures":     {auth.HTTPSignature{KeyID: "k", Signer: testKey(t)}, sealed(twice, "", ""), auth.ErrSealed},
		"Kraken with JSON":   {auth.Kraken{Key: "k", Secret: secretText}, sealed(http.Header{"Api-Sign": {"x"}}, "application/json", `{"nonce":1}`), auth.ErrSealed},
		"a function":         {auth.Func(func(*messages.Call, auth.Clock) error { return nil }), sealed(http.Header{}, "", ""), auth.ErrNoUnsigner},
		"a function wrapped": {auth.WithoutBody{Authenticator: auth.Func(func(*messages.Call, auth.Clock) error { return nil })}, sealed(http.Header{}, "", ""), auth.ErrNoUnsigner},
		"one in a chain":     {auth.Chain{auth.Binance("k", "s"), auth.Func(func(*messages.Call, auth.Clock) error { return nil })}, sealed(http.Header{}, "", ""), auth.ErrNoUnsigner},
		"nobody to sign":     {nil, sealed(http.Header{}, "", ""), engine.ErrInvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{Auth: c.scheme})
				_, err := clientOf(eng, engine.Resign(eng)).Do(c.request)
				require.ErrorIs(t, err, c.want)
				require.ErrorIs(t, err, engine.ErrInvalidRequest)
				require.ErrorContains(t, err, "resign: ")
				require.NotContains(t, err.Error(), "request body", "it is not to blame")
				require.Empty(t, s.seen())
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestTheParametersOfAPayloadAreSignedAnew(t *testing.T) {
	for name, scheme := range map[string]func(key auth.Secret) auth.Payload{
		"Gemini":     func(key auth.Secret) auth.Payload { return auth.Gemini(key, "s") },
		"BitfinexV1": func(key auth.Secret) auth.Payload { return auth.BitfinexV1(key, "s") },
	} {
		for i, c := range []struct{ body, rest string }{
			{"", ""}, {"{}", ""}, {`{ "b" : 123456789012345678901.50, "a":{"nonce":1},"é\u0041":"é"}`, `"b" : 123456789012345678901.50,"a":{"nonce":1},"é\u0041":"é"`},
		} {
			synctest.Test(t, func(t *testing.T) {
				scheme := scheme(auth.Secret(fmt.Sprint(name, " resigned ", i)))
				handler, seen := asIs()
				eng := newServer(t, handler).newEngine(t, engine.Config{Auth: scheme})
				r, err := http.NewRequest("POST", "http://server.test/v1/order", nil)
				require.NoError(t, err)
				setBody(r, c.body)
				signAsAnSDK(t, scheme, r, auth.FixedClock(time.Now().Add(-time.Minute)))
				old := r.Header.Get(scheme.PayloadHeader)
				time.Sleep(time.Second)
				resp, err := clientOf(eng, engine.Resign(eng)).Do(r)
				require.NoError(t, err)
				resp.Body.Close()

				got := seen()[0]
				require.Empty(t, got.body)
				payloads := got.Header.Values(scheme.PayloadHeader)
				require.Len(t, payloads, 1)
				require.NotEqual(t, old, payloads[0])
				sig, err := auth.HMAC{Secret: "s", SecretEncoding: auth.Raw, Hash: 6}.AppendSignature(nil, []byte(payloads[0]))
				require.NoError(t, err)
				require.Equal(t, []string{string(auth.Hex.Append(nil, sig))}, got.Header.Values(scheme.SignatureHeader))
				object, err := base64.StdEncoding.DecodeString(payloads[0])
				require.NoError(t, err)
				var nonce struct{ Nonce json.Number }
				require.NoError(t, json.Unmarshal(object, &nonce))
				unit := scheme.NonceUnit
				if unit == 0 {
					unit = time.Millisecond
				}
				requireNow(t, got, nonce.Nonce.String(), unit)
				_, rest, _ := strings.Cut(string(object), nonce.Nonce.String())
				require.Equal(t, c.rest, strings.Trim(strings.TrimPrefix(strings.TrimPrefix(rest, `"`), ","), "}"))
			})
		}
	}
}

// Those that sign nothing have nothing that ages.
func TestCredentialsThatSignNothingAreLeftAlone(t *testing.T) {
	for name, scheme := range map[string]auth.Authenticator{
		"a key": auth.APIKey{Header: "X-Key", Key: "ours"}, "a parameter": auth.APIKey{Query: "key", Key: "ours"},
		"a password": auth.Basic{User: "ours", Password: "ours"}, "a token": auth.Bearer{Token: "ours"},
		"Gemini, not signed": auth.Gemini("ours", "s"),
	} {
		synctest.Test(t, func(t *testing.T) {
			handler, seen := asIs()
			eng := newServer(t, handler).newEngine(t, engine.Config{Auth: scheme})
			r, err := http.NewRequest("GET", "http://server.test/?key=theirs", nil)
			require.NoError(t, err)
			r.Header = http.Header{"X-Key": {"theirs"}, "Authorization": {"Bearer theirs"}}
			resp, err := clientOf(eng, engine.Resign(eng)).Do(r)
			require.NoError(t, err, name)
			resp.Body.Close()
			require.Equal(t, "key=theirs", seen()[0].URL.RawQuery, name)
			require.Equal(t, "theirs Bearer theirs", seen()[0].Header.Get("X-Key")+" "+seen()[0].Header.Get("Authorization"), name)
		})
	}
}

func TestParametersAreTakenOutWhereverTheSDKPutsThem(t *testing.T) {
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	for name, c := range map[string]struct{ query, kind, body, wantQuery, wantBody string }{
		"all in the query":       {"a=1&timestamp=1&signature=x&b=2", "", "", "a=1&b=2", ""},
		"all in the body":        {"", form, "a=1&timestamp=1&signature=x", "", "a=1"},
		"signature in the body":  {"timestamp=1&a=1", form, "b=2&signature=x", "a=1", "b=2"},
		"signature in the query": {"a=1&signature=x", form, "timestamp=1&b=2", "a=1", "b=2"},
		"in both":                {"timestamp=1&a=1&signature=x", form, "timestamp=1&b=2&signature=x", "a=1", "b=2"},
		"more than once":         {"timestamp=1&timestamp=2&a=1&signature=x&signature=y", "", "", "a=1", ""},
		"an escape in the name":  {"time%73tamp=1&a=1&s%69gnature=x", "", "", "a=1", ""},
		"nothing else":           {"timestamp=1&signature=x", form, "timestamp=1", "", ""},
		"a window":               {"recvWindow=250&timestamp=1&signature=x", "", "", "recvWindow=250", ""},
		"names that look alike":  {"timestamp2=1&xsignature=2&signature=x", "", "", "timestamp2=1&xsignature=2", ""},
	} {
		for _, rewindable := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				handler, seen := asIs()
				eng := newServer(t, handler).newEngine(t, engine.Config{Auth: auth.HMACQuery{Key: "k", Secret: "s", Window: 3 * time.Second}})
				r, err := http.NewRequest("POST", "http://server.test/order?"+c.query, nil)
				require.NoError(t, err)
				setBody(r, c.body)
				r.Header = http.Header{"X-Mbx-Apikey": {"k"}, "content-type": {c.kind}}
				if !rewindable {
					r.GetBody, r.ContentLength = nil, -1
				}
				if c.body == "" {
					r.ContentLength = 0
				}
				resp, err := clientOf(eng, engine.Resign(eng)).Do(r)
				require.NoError(t, err, name)
				resp.Body.Close()
				got := seen()[0]
				require.Equal(t, c.wantBody, got.body, name)
				require.EqualValues(t, len(c.wantBody), got.ContentLength, name)
				plain := &messages.Call{Method: "POST", Path: "/order", Query: c.wantQuery, Body: []byte(c.wantBody)}
				require.NoError(t, auth.HMACQuery{Key: "k", Secret: "s", Window: 3 * time.Second}.Authenticate(plain, auth.FixedClock(got.at)))
				require.Equal(t, plain.Query, got.URL.RawQuery, name)
				require.LessOrEqual(t, strings.Count(got.URL.RawQuery, "recvWindow="), 1)
			})
		}
	}
}

func TestResignGoesAlongWithOtherAdjustFunctionsInAnyOrder(t *testing.T) {
	limit := func(r *http.Request, asked *engine.Request) {
		asked.LimitID, asked.Priority = map[string]string{"/order": "orders"}[r.URL.Path], engine.High
	}
	broker := func(_ *http.Request, asked *engine.Request) {
		asked.URL += "&broker=b"
		asked.Header = maps.Clone(asked.Header)
		asked.Header.Set("X-Broker", "b")
	}
	for _, resignAt := range []int{0, 1, 2} {
		synctest.Test(t, func(t *testing.T) {
			handler, seen := asIs()
			scheme := auth.Binance("k", "s")
			eng := newServer(t, handler).newEngine(t, engine.Config{Auth: scheme, Limits: []throttle.Limit{{ID: "orders", Quota: 1, Per: time.Minute}}})
			adjust := slices.Insert([]func(*http.Request, *engine.Request){limit, broker}, resignAt, engine.Resign(eng))
			resp, err := clientOf(eng, adjust...).Get("http://server.test/order?a=1&timestamp=1&signature=2")
			require.NoError(t, err)
			resp.Body.Close()
			got := seen()[0]
			plain := &messages.Call{Method: "GET", Path: "/order", Query: "a=1&broker=b"}
			require.NoError(t, scheme.Authenticate(plain, auth.FixedClock(got.at)))
			require.Equal(t, plain.Query, got.URL.RawQuery)
			require.Equal(t, "b", got.Header.Get("X-Broker"))
		})
	}
}

func TestAFormThatDoesNotComeIsNotWaitedForBeyondTheRequestsTime(t *testing.T) {
	request := func(ctx context.Context, body io.Reader) *http.Request {
		r, err := http.NewRequestWithContext(ctx, "POST", "http://server.test/", body)
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Auth: auth.Binance("k", "s"), Timeout: time.Minute})
		trip := eng.RoundTripper(engine.Resign(eng))

		start := time.Now()
		silent, writer := io.Pipe()
		_, err := trip.RoundTrip(request(t.Context(), silent))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))
		_, err = writer.Write([]byte("x"))
		require.ErrorIs(t, err, io.ErrClosedPipe, "the body is closed")

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		silent, _ = io.Pipe()
		_, err = trip.RoundTrip(request(ctx, silent))
		require.ErrorIs(t, err, context.Canceled)

		var panicked *engine.PanicError
		_, err = trip.RoundTrip(request(t.Context(), panicky{}))
		require.ErrorAs(t, err, &panicked)

		r := request(t.Context(), once("a=1&signature=x"))
		r.ContentLength = 99
		_, err = trip.RoundTrip(r)
		require.ErrorIs(t, err, engine.ErrInvalidRequest, "shorter than it says")
		require.Empty(t, s.seen())
		wantNothingHeld(t, eng)

		closed := make(chan error)
		time.AfterFunc(time.Second, func() { closed <- eng.Close() })
		start = time.Now()
		silent, _ = io.Pipe()
		ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = trip.RoundTrip(request(ctx, silent))
		require.ErrorIs(t, err, engine.ErrClosed)
		require.Equal(t, time.Second, time.Since(start))
		require.NoError(t, <-closed)
	})
}

type panicky struct{}

func (panicky) Read([]byte) (int, error) { panic("no body") }

func TestAnAdjustFunctionMayReplaceTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, seen := asIs()
		eng := newServer(t, handler).newEngine(t, engine.Config{})
		for _, replace := range []func(*engine.Request){
			func(asked *engine.Request) { asked.Body = "another" },
			func(asked *engine.Request) { asked.Body, asked.Upload.Stream = once("another"), true },
		} {
			silent, writer := io.Pipe()
			client := clientOf(eng, func(_ *http.Request, asked *engine.Request) { replace(asked) })
			resp, err := client.Post("http://server.test/", "text/plain", silent)
			require.NoError(t, err)
			resp.Body.Close()
			_, err = writer.Write([]byte("x"))
			require.ErrorIs(t, err, io.ErrClosedPipe, "the request's own is closed")
		}
		require.Equal(t, "another another", seen()[0].body+" "+seen()[1].body)
	})
}

func TestALargeBodyThatIsNoFormIsStillStreamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, seen := asIs()
		eng := newServer(t, handler).newEngine(t, engine.Config{Auth: auth.Binance("k", "s")})
		r, err := http.NewRequest("POST", "http://server.test/", once(strings.Repeat("signature=x&", 1000)))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "text/csv")
		resp, err := clientOf(eng, engine.Resign(eng)).Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, []string{"chunked"}, seen()[0].TransferEncoding)
		require.Len(t, seen()[0].body, 12_000)
	})
}

func TestAFormWithTrailersKeepsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, seen := asIs()
		eng := newServer(t, handler).newEngine(t, engine.Config{Auth: auth.Binance("k", "s")})
		r, err := http.NewRequest("POST", "http://server.test/", once("a=1"))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Trailer = http.Header{"Sum": {"1"}}
		resp, err := clientOf(eng, engine.Resign(eng)).Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, "a=1", seen()[0].body)
		require.Equal(t, http.Header{"Sum": {"1"}}, seen()[0].Trailer)
	})
}

func TestEveryAttemptOfAnSDKsRequestIsSignedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stamps []string
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			query, err := url.ParseQuery(r.URL.RawQuery)
			require.NoError(t, err)
			require.Len(t, query["timestamp"], 1)
			require.Len(t, query["signature"], 1)
			if stamps = append(stamps, query.Get("timestamp")); len(stamps) < 3 {
				panic(http.ErrAbortHandler)
			}
		}).newEngine(t, engine.Config{
			Auth:  auth.Binance("k", "s"),
			Retry: engine.Retry{Base: time.Hour, Cap: time.Hour}, // a pause is any part of that, and stamps tell milliseconds
		})
		resp, err := clientOf(eng, engine.Resign(eng)).Get("http://server.test/order?timestamp=1&signature=2")
		require.NoError(t, err)
		resp.Body.Close()
		require.Len(t, stamps, 3)
		require.Less(t, stamps[0], stamps[1])
		require.Less(t, stamps[1], stamps[2])
	})
}
