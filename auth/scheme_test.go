package auth

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

// headerSchemes are all exchanges of the family, by name, with the message each
// is documented to sign.
var headerSchemes = map[string]struct {
	scheme  Header
	message func(c *messages.Call) string
}{
	"OKX": {OKX("key", "secret", "pass"), func(c *messages.Call) string {
		return "2023-11-14T22:13:20.000Z" + c.Method + c.Target() + string(c.Body)
	}},
	"Bitget": {Bitget("key", "secret", "pass"), func(c *messages.Call) string {
		return "1700000000000" + c.Method + c.Target() + string(c.Body)
	}},
	"KuCoin": {KuCoin("key", "secret", "pass"), func(c *messages.Call) string {
		return "1700000000000" + c.Method + c.Target() + string(c.Body)
	}},
	"CoinbaseExchange": {CoinbaseExchange("key", "c2VjcmV0", "pass"), func(c *messages.Call) string {
		return "1700000000" + c.Method + c.Target() + string(c.Body)
	}},
	"CoinbasePrime": {CoinbasePrime("key", "secret", "pass"), func(c *messages.Call) string {
		return "1700000000" + c.Method + c.Path + string(c.Body)
	}},
	"Bybit": {Bybit("key", "secret"), func(c *messages.Call) string {
		if c.Method == "GET" {
			return "1700000000000key" + c.Query
		}
		return "1700000000000key" + string(c.Body)
	}},
	"BitMEX": {BitMEX("key", "secret"), func(c *messages.Call) string {
		return c.Method + c.Target() + "1700000005" + string(c.Body)
	}},
	"Gate": {Gate("key", "secret"), func(c *messages.Call) string {
		plain, _ := url.QueryUnescape(c.Query)
		return fmt.Sprintf("%s\n%s\n%s\n%x\n1700000000", c.Method, c.Path, plain, sha512.Sum512(c.Body))
	}},
}

func TestAHeaderSignatureCoversExactlyTheBytesSent(t *testing.T) {
	for name, c := range headerSchemes {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, c.scheme.Validate())
			rapid.Check(t, func(t *rapid.T) {
				call := &messages.Call{
					Method: rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method"),
					Path:   "/api/" + url.PathEscape(texts.Draw(t, "path")),
					Query:  queries.Draw(t, "query"),
					Body:   []byte(texts.Draw(t, "body")),
				}
				path, query, body := call.Path, call.Query, string(call.Body)
				require.NoError(t, c.scheme.Authenticate(call, at(noon)))
				require.Equal(t, []string{path, query, body}, []string{call.Path, call.Query, string(call.Body)})

				want, err := c.scheme.Signer.AppendSignature(nil, []byte(c.message(call)))
				require.NoError(t, err)
				require.Contains(t, values(call), string(c.scheme.Form.Encoding.Append(nil, want)))
			})
		})
	}
}

func values(call *messages.Call) (all []string) {
	for _, f := range call.Fields {
		all = append(all, f.Value)
	}
	return all
}

func TestAPassphraseIsSignedWhereTheExchangeWantsIt(t *testing.T) {
	call := &messages.Call{Method: "GET", Path: "/"}
	require.NoError(t, KuCoin("key", "secret", "pass").Authenticate(call, at(noon)))
	mac, err := HMAC{Secret: "secret", SecretEncoding: Raw, Hash: 5}.AppendSignature(nil, []byte("pass"))
	require.NoError(t, err)
	require.Equal(t, base64.StdEncoding.EncodeToString(mac), header(t, call, "KC-API-PASSPHRASE"))
	require.Equal(t, "2", header(t, call, "KC-API-KEY-VERSION"))

	call = &messages.Call{Method: "GET", Path: "/"}
	require.NoError(t, OKX("key", "secret", "pass").Authenticate(call, at(noon)))
	require.Equal(t, "pass", header(t, call, "OK-ACCESS-PASSPHRASE"))
}

func TestAWindowIsSignedAndSentTogether(t *testing.T) {
	scheme := Bybit("key", "secret")
	scheme.Window = 2 * time.Second
	call := &messages.Call{Method: "GET", Path: "/v5/order", Query: "a=1"}
	require.NoError(t, scheme.Authenticate(call, at(noon)))
	require.Equal(t, "2000", header(t, call, "X-BAPI-RECV-WINDOW"))
	require.Equal(t, hmacHex("secret", "1700000000000key2000a=1"), header(t, call, "X-BAPI-SIGN"))

	call = &messages.Call{Method: "GET", Path: "/v5/order"}
	require.NoError(t, Bybit("key", "secret").Authenticate(call, at(noon)))
	_, sent := call.Header("X-BAPI-RECV-WINDOW")
	require.False(t, sent)
}

func TestADeadlineBecomesTheExpiry(t *testing.T) {
	start, now := time.Unix(5000, 0), time.UnixMilli(noon)
	clock := serverClock{start, now, now.Add(-8 * time.Millisecond), now.Add(8 * time.Millisecond)}
	mex, bybit := BitMEX("key", "secret"), Bybit("key", "secret")
	mex.Deadlines, bybit.Deadlines = true, true

	call := &messages.Call{Method: "GET", Path: "/", Deadline: start.Add(3 * time.Second)}
	require.NoError(t, mex.Authenticate(call, clock))
	require.Equal(t, "1700000002", header(t, call, "api-expires"), "2.992 s by the lower bound")

	require.NoError(t, bybit.Authenticate(call, clock))
	require.Equal(t, "1700000000000", header(t, call, "X-BAPI-TIMESTAMP"))
	require.Equal(t, "2992", header(t, call, "X-BAPI-RECV-WINDOW"))

	call.Deadline = start.Add(-time.Second)
	require.ErrorIs(t, mex.Authenticate(call, clock), ErrTooLate)
	require.ErrorIs(t, bybit.Authenticate(call, clock), ErrTooLate)
}

func TestDeribitSignsLinesAndSendsOneHeader(t *testing.T) {
	call := &messages.Call{Method: "GET", Path: "/api/v2/private/get", Query: "a=1"}
	require.NoError(t, Deribit("id", "secret").Authenticate(call, at(noon)))
	var nonce, sig string
	for field := range strings.SplitSeq(header(t, call, "Authorization"), ",") {
		name, value, _ := strings.Cut(field, "=")
		switch name {
		case "nonce":
			nonce = value
		case "sig":
			sig = value
		}
	}
	require.NotEmpty(t, nonce)
	require.Equal(t, hmacHex("secret", "1700000000000\n"+nonce+"\nGET\n/api/v2/private/get?a=1\n\n"), sig)
	require.Empty(t, Deribit("id", "secret").Lane(), "its nonces need no order")
}

func TestNoncesOfAKeyRiseStrictlyAcrossSchemesAndGoroutines(t *testing.T) {
	forgetNonces()
	const callers, each = 8, 500
	given := make(chan uint64, callers*each)
	var wait sync.WaitGroup
	for range callers {
		wait.Go(func() {
			last := uint64(0)
			for range each {
				n := mustNonce(t, "TestNonces", at(noon), time.Microsecond)
				require.Greater(t, n, last)
				last = n
				given <- n
			}
		})
	}
	wait.Wait()
	close(given)
	seen := make(map[uint64]bool)
	for n := range given {
		require.False(t, seen[n])
		seen[n] = true
	}
	require.True(t, seen[noon*1000], "the first is the time itself")
}

func TestANonceFollowsTheClockButNeverBack(t *testing.T) {
	forgetNonces()
	require.EqualValues(t, noon, mustNonce(t, "TestBack", at(noon), time.Millisecond))
	require.EqualValues(t, noon+1, mustNonce(t, "TestBack", at(noon-5000), time.Millisecond))
	require.EqualValues(t, noon+9, mustNonce(t, "TestBack", at(noon+9), time.Millisecond))
}

// forgetNonces has a test begin as in a process that is new.
func forgetNonces() {
	nonces.mu.Lock()
	defer nonces.mu.Unlock()
	clear(nonces.sources)
	clear(nonces.forgotten)
}

func mustNonce(t *testing.T, key Secret, clock Clock, unit time.Duration) uint64 {
	n, err := nextNonce(new(messages.Call), key, clock, unit, NonceRule{})
	require.NoError(t, err)
	return n
}

func TestALaneNamesAKeyWithoutDisclosingIt(t *testing.T) {
	var _ Ordered = Kraken{}
	a, b := Kraken{Key: "sesame", Secret: "x"}, Kraken{Key: "sesame", Secret: "y"}
	require.Equal(t, a.Lane(), b.Lane())
	require.NotEqual(t, a.Lane(), Kraken{Key: "other"}.Lane())
	require.NotContains(t, a.Lane(), "sesame")
	require.Equal(t, a.Lane(), BitfinexV2("sesame", "s").Lane())
	require.Equal(t, a.Lane(), Gemini("sesame", "s").Lane())
	require.Equal(t, a.Lane(), Chain{Bearer{"t"}, a}.Lane())
	require.Empty(t, OKX("k", "s", "p").Lane())
	require.Empty(t, Chain{Bearer{"t"}}.Lane())
}

func TestKrakenSignsWhatItSends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := queries.Draw(t, "body")
		call := &messages.Call{Method: "POST", Path: "/0/private/AddOrder", Body: []byte(body)}
		scheme := Kraken{Key: "TestKraken", Secret: "c2VjcmV0"}
		require.NoError(t, scheme.Authenticate(call, at(noon)))
		sent := form(t, string(call.Body))
		require.True(t, strings.HasSuffix(string(call.Body), body))
		digest := sha256.Sum256([]byte(sent.Get("nonce") + string(call.Body)))
		want, err := scheme.signer().AppendSignature(nil, []byte(call.Path), digest[:])
		require.NoError(t, err)
		sig, _ := call.Header("API-Sign")
		require.Equal(t, base64.StdEncoding.EncodeToString(want), sig)
	})
}

func TestKrakenRefusesABodyItCannotSign(t *testing.T) {
	scheme := Kraken{Key: "k", Secret: "c2VjcmV0"}
	require.ErrorIs(t, scheme.Authenticate(&messages.Call{Body: []byte(`{"a":1}`)}, at(noon)), ErrBody)
	require.ErrorIs(t, scheme.Authenticate(&messages.Call{Body: []byte(`a=1&nonce=2`)}, at(noon)), ErrReserved)
	require.ErrorIs(t, Kraken{Key: "k", Secret: "not base64!"}.Authenticate(&messages.Call{}, at(noon)), ErrKey)
	require.ErrorIs(t, scheme.Authenticate(&messages.Call{}, nil), ErrNoClock)
	require.ErrorContains(t, Validate(Kraken{NonceUnit: -1}), "NonceUnit")
}

func TestAPayloadHoldsPathNonceAndTheBodysFields(t *testing.T) {
	forgetNonces()
	call := &messages.Call{Method: "POST", Path: "/v1/order/status", Body: []byte(` { "order_id": 18834, "note": "é\"}" } `)}
	scheme := Gemini("TestPayload", "1234abcd")
	require.NoError(t, scheme.Authenticate(call, at(noon)))
	require.Empty(t, call.Body)
	payload := header(t, call, "X-GEMINI-PAYLOAD")
	require.Equal(t, hmac384Hex("1234abcd", payload), header(t, call, "X-GEMINI-SIGNATURE"))
	text, err := base64.StdEncoding.DecodeString(payload)
	require.NoError(t, err)
	require.JSONEq(t, `{"request":"/v1/order/status","nonce":1700000000000,"order_id":18834,"note":"é\"}"}`, string(text))
}

func hmac384Hex(secret, message string) string {
	sig, _ := HMAC{Secret: Secret(secret), SecretEncoding: Raw, Hash: 6}.AppendSignature(nil, []byte(message))
	return string(Hex.Append(nil, sig))
}

func TestAPayloadRefusesABodyItCannotCarry(t *testing.T) {
	scheme := BitfinexV1("TestRefuses", "s")
	for body, want := range map[string]error{
		`[1]`: ErrBody, `{"a":}`: ErrBody, `a=1`: ErrBody, `{"nonce":1}`: ErrReserved, `{"re\u0071uest":1}`: ErrReserved,
	} {
		require.ErrorIs(t, scheme.Authenticate(&messages.Call{Body: []byte(body)}, at(noon)), want, body)
	}
	for _, body := range []string{"", "{}", `{"a":{"nonce":1}}`} {
		require.NoError(t, scheme.Authenticate(&messages.Call{Body: []byte(body)}, at(noon)), body)
	}
}

func FuzzPayload(f *testing.F) {
	f.Add([]byte(`{"a":1}`), "/v1/x")
	f.Add([]byte(`{}`), "/\xff\"")
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		call := &messages.Call{Path: path, Body: body}
		if Gemini("FuzzPayload", "s").Authenticate(call, at(noon)) != nil {
			return
		}
		text, err := base64.StdEncoding.DecodeString(header(t, call, "X-GEMINI-PAYLOAD"))
		require.NoError(t, err)
		require.True(t, json.Valid(text), "%s", text)
	})
}

func TestAJWTNamesTheRequestAndVerifies(t *testing.T) {
	for _, key := range []PrivateKey{newEd25519(t), newP256(t), newRSA(t)} {
		call := &messages.Call{Method: "POST", Host: "api.coinbase.com", Path: "/api/v3/orders", Query: "a=1"}
		require.NoError(t, CoinbaseCDP("organizations/1/apiKeys/2", key).Authenticate(call, at(noon)))
		head, claims, signed, sig := splitJWT(t, strings.TrimPrefix(header(t, call, "Authorization"), "Bearer "))
		require.Equal(t, key.Algorithm(), head["alg"])
		require.Equal(t, "organizations/1/apiKeys/2", head["kid"])
		require.Len(t, head["nonce"], 32)
		require.Equal(t, map[string]any{
			"iss": "cdp", "sub": "organizations/1/apiKeys/2", "nbf": 1.7e9, "exp": 1.7e9 + 120,
			"uri": "POST api.coinbase.com/api/v3/orders",
		}, claims)
		requireVerifies(t, key, signed, sig)
	}
}

func splitJWT(t *testing.T, token string) (head, claims map[string]any, signed string, sig []byte) {
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, into := range []*map[string]any{&head, &claims} {
		text, err := Base64URL.Decode(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	sig, err := Base64URL.Decode(parts[2])
	require.NoError(t, err)
	return head, claims, parts[0] + "." + parts[1], sig
}

func TestAJWTIsNeverValidOnlyInTheFuture(t *testing.T) {
	now := time.UnixMilli(noon)
	clock := serverClock{now, now, now.Add(-1500 * time.Millisecond), now.Add(1500 * time.Millisecond)}
	token, err := JWT{Signer: HMAC{Secret: "s", SecretEncoding: Raw, Hash: 5}}.Token("", clock)
	require.NoError(t, err)
	head, claims, _, _ := splitJWT(t, string(token))
	require.Equal(t, "HS256", head["alg"])
	require.Equal(t, map[string]any{"nbf": 1.7e9 - 2, "exp": 1.7e9 + 118}, claims)
}

func TestASignatureBaseIsFilledFromTheCall(t *testing.T) {
	key := newEd25519(t)
	scheme := HTTPSignature{KeyID: `a"b\c`, Signer: key, Lifetime: time.Minute, Algorithm: "ed25519", Tag: "t",
		Components: []string{"@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query",
			"date", "content-digest", "content-length", "x-many", "host"}}
	call := &messages.Call{Method: "POST", Path: "/p", Query: "q=%20", Host: "Example.com:443",
		Origin: messages.Origin{Scheme: "https", Addr: "example.com:443"}, Body: []byte(`{"hello": "world"}`),
		Fields: []messages.Field{{Name: "X-Many", Value: " a "}, {Name: "x-many", Value: "b"}}}
	require.NoError(t, scheme.Authenticate(call, at(noon)))
	params := strings.TrimPrefix(header(t, call, "Signature-Input"), "sig1=")
	require.True(t, strings.HasSuffix(params, `;created=1700000000;expires=1700000060;alg="ed25519";keyid="a\"b\\c";tag="t"`))
	base := `"@method": POST
"@target-uri": https://example.com/p?q=%20
"@authority": example.com
"@scheme": https
"@request-target": /p?q=%20
"@path": /p
"@query": ?q=%20
"date": Tue, 14 Nov 2023 22:13:20 GMT
"content-digest": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
"content-length": 18
"x-many": a, b
"host": Example.com:443
"@signature-params": ` + params
	sig, err := Base64.Decode(strings.Trim(strings.TrimPrefix(header(t, call, "Signature"), "sig1="), ":"))
	require.NoError(t, err)
	requireVerifies(t, key, base, sig)
}

func TestEveryMistakeInASignatureIsNamedAtOnce(t *testing.T) {
	err := HTTPSignature{Components: []string{"@nope", "Date", "x", "x"}, Label: "1", Lifetime: -1, Tag: "\n"}.Validate()
	for _, want := range []string{"Signer", "KeyID", `"@nope"`, `"Date"`, "twice", "Label", "Lifetime", "printable"} {
		require.ErrorContains(t, err, want)
	}
	scheme := HTTPSignature{KeyID: "k", Signer: newEd25519(t), Components: []string{"x-absent"}}
	require.ErrorContains(t, scheme.Authenticate(&messages.Call{}, at(noon)), "x-absent")
}

func TestFixedCredentialsStandWhereTheyBelong(t *testing.T) {
	call := &messages.Call{Query: "a=1"}
	require.NoError(t, APIKey{Query: "api key", Key: "k k"}.Authenticate(call, nil))
	require.Equal(t, "a=1&api+key=k+k", call.Query)
	require.NoError(t, APIKey{Header: "X-Key", Prefix: "Token ", Key: "k"}.Authenticate(call, nil))
	require.Equal(t, "Token k", header(t, call, "X-Key"))
	require.NoError(t, Basic{"Aladdin", "open sesame"}.Authenticate(call, nil))
	require.Equal(t, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", header(t, call, "Authorization"))
	require.NoError(t, Bearer{"token"}.Authenticate(call, nil))
	require.Equal(t, "Bearer token", header(t, call, "Authorization"))
}

func TestMistakesInFixedCredentialsAreFoundBeforehand(t *testing.T) {
	for _, a := range []Authenticator{APIKey{Key: "k"}, APIKey{Header: "a", Query: "b", Key: "k"}, APIKey{Header: "a"},
		Basic{"a:b", "p"}, Basic{}, Bearer{}, Chain{Bearer{}}, JWT{}, SigV4{}, Header{}, Payload{}, Kraken{}, HTTPSignature{}, HTX{}} {
		require.Error(t, Validate(a), "%T", a)
		require.Error(t, a.Authenticate(&messages.Call{}, at(noon)), "%T", a)
	}
	require.NoError(t, Validate(Func(func(*messages.Call, Clock) error { return nil })), "a Func cannot tell")
	require.NoError(t, Validate(Chain{Bearer{"t"}, Basic{"u", ""}}))
}

func TestAChainWithoutMembersIsAMistakeWhereverItStands(t *testing.T) {
	for _, empty := range []Authenticator{Chain(nil), Chain{}, &Chain{}, Chain{Bearer{"t"}, Chain{}}, WithoutBody{Chain{}}} {
		require.ErrorContains(t, Validate(empty), "Chain has no members")
		require.ErrorContains(t, empty.Authenticate(&messages.Call{}, at(noon)), "Chain has no members")
	}
}

func TestAChainAppliesItsMembersInOrder(t *testing.T) {
	add := func(text string) Func {
		return func(call *messages.Call, _ Clock) error { call.Query += text; return nil }
	}
	call := &messages.Call{}
	require.NoError(t, Chain{add("a"), add("b")}.Authenticate(call, nil))
	require.Equal(t, "ab", call.Query)
}

func TestSigV4SortsAndEncodesTheQuery(t *testing.T) {
	require.Equal(t, "A=&a=%20%2F&a=b&b=1", canonicalQuery("b=1&a=b&a=+%2f&A"))
	call := &messages.Call{Method: "GET", Path: "/a%20b", Host: "h"}
	canonical, signed := SigV4{}.canonical(call, "hash")
	require.Equal(t, "GET\n/a%2520b\n\nhost:h\n\nhost\nhash", canonical)
	require.Equal(t, "host", signed)
	s3 := SigV4{AccessKey: "a", Secret: "s", SessionToken: "t", Region: "r", Service: "s3", RawPath: true}
	require.NoError(t, s3.Authenticate(call, at(noon)))
	require.Contains(t, header(t, call, "Authorization"), "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,")
}

func TestALocalClockReadsTheMachines(t *testing.T) {
	before := time.Now()
	require.False(t, LocalClock(0).Now().Before(before.Round(0)))
	require.Equal(t, time.Second, LocalClock(time.Second).Bound())
	require.Equal(t, strconv.Itoa(noon), strconv.FormatInt(at(noon).Now().UnixMilli(), 10))
}

func TestASortedQueryIsSignedAsItIsSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		query := queries.Draw(t, "query")
		call := &messages.Call{Method: "GET", Host: "API.huobi.pro", Path: "/v1/order/orders", Query: query}
		require.NoError(t, HTX{"the key", "secret"}.Authenticate(call, at(noon)))
		signed, text, _ := cutLast(call.Query, "&Signature=")
		sig, err := url.QueryUnescape(text)
		require.NoError(t, err)
		want, err := shared("secret", 5).AppendSignature(nil, []byte("GET\napi.huobi.pro\n/v1/order/orders\n"+signed))
		require.NoError(t, err)
		require.Equal(t, base64.StdEncoding.EncodeToString(want), sig)
		require.True(t, slices.IsSorted(strings.Split(signed, "&")) || strings.Contains(query, "&"))
		sent, before := form(t, signed), form(t, query)
		require.Equal(t, "2023-11-14T22:13:20", sent.Get("Timestamp"))
		require.Equal(t, "the key", sent.Get("AccessKeyId"))
		for name, values := range before {
			require.ElementsMatch(t, values, sent[name])
		}
	})
}
