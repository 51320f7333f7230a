package auth

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

func TestSigV4EncodesThePathByItsOwnRule(t *testing.T) {
	for _, c := range []struct{ sent, s3, others string }{
		{"/a=b@c:d+e(f)", "/a%3Db%40c%3Ad%2Be%28f%29", "/a%3Db%40c%3Ad%2Be%28f%29"},
		{"/a%3Db", "/a%3Db", "/a%253Db"},
		{"/a%20b/-._~", "/a%20b/-._~", "/a%2520b/-._~"},
		{"/%e1%88%b4", "/%E1%88%B4", "/%25e1%2588%25b4"},
		{"", "/", "/"},
		{"/!$&'*,;", "/%21%24%26%27%2A%2C%3B", "/%21%24%26%27%2A%2C%3B"},
	} {
		require.Equal(t, c.s3, SigV4{RawPath: true}.canonicalPath(c.sent), c.sent)
		require.Equal(t, c.others, SigV4{}.canonicalPath(c.sent), c.sent)
	}
}

func TestS3SignsAPathAlikeHoweverItIsSpelt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := texts.Draw(t, "key")
		s3 := SigV4{RawPath: true}
		spelt := s3.canonicalPath("/" + url.PathEscape(key)) // leaves = @ : + and others as they are
		require.Equal(t, s3.canonicalPath("/"+strings.ReplaceAll(url.QueryEscape(key), "+", "%20")), spelt)
		plain, err := url.PathUnescape(spelt)
		require.NoError(t, err)
		require.Equal(t, "/"+key, plain)
	})
}

func TestTheHostThatIsSentIsTheHostThatIsSigned(t *testing.T) {
	own := func(host string) *messages.Call {
		return &messages.Call{
			Method: "GET", Path: "/p", Host: "one.example", Origin: messages.Origin{Scheme: "https", Addr: "one.example:443"},
			Fields: []messages.Field{{Name: "host", Value: host}},
		}
	}
	key := newEd25519(t)
	for name, a := range map[string]Authenticator{
		"SigV4": SigV4{AccessKey: "a", Secret: "s", Region: "r", Service: "s"}, "HTX": HTX{"k", "s"},
		"Part":          Header{Key: "k", Signer: shared("s", 5), Form: HeaderForm{Message: []Part{Host}, Headers: []Line{{"Sign", []Part{Signature}}}}},
		"HTTPSignature": HTTPSignature{KeyID: "k", Signer: key, Components: []string{"@authority", "@target-uri", "host"}},
		"JWT":           JWT{Signer: HMAC{Secret: "s", SecretEncoding: Raw, Hash: 5}, URI: true},
	} {
		sign := func(call *messages.Call) string {
			require.NoError(t, a.Authenticate(call, at(noon)), name)
			for _, h := range []string{"Authorization", "Sign", "Signature"} {
				if value, ok := call.Header(h); ok {
					return value
				}
			}
			return call.Query
		}
		plain := own("two.example")
		plain.Host, plain.Fields = "two.example", nil
		require.Equal(t, sign(plain), sign(own("two.example")), name)
		require.NotEqual(t, sign(own("one.example")), sign(own("two.example")), name)
	}
}

func TestAFormsSchemeRefusesABodyThatIsNone(t *testing.T) {
	scheme := HMACQuery{Key: "k", Secret: "s", Form: QueryForm{InBody: true}}
	typed := func(kind, body string) *messages.Call {
		return &messages.Call{Method: "POST", Body: []byte(body), Fields: []messages.Field{{Name: "Content-Type", Value: kind}}}
	}
	for _, call := range []*messages.Call{
		{Method: "POST", Body: []byte(`{"a":1}`)}, {Method: "POST", Body: []byte(" \n[1]")}, {Method: "POST", Body: []byte(`"a=1"`)},
		typed("application/json; charset=utf-8", "1"), typed("text/plain", "a=1"), typed("multipart/form-data; boundary=x", "--x"),
	} {
		before := string(call.Body)
		require.ErrorIs(t, scheme.Authenticate(call, at(noon)), ErrBody, before)
		require.Equal(t, before, string(call.Body))
		require.ErrorIs(t, Kraken{Key: "TestForm", Secret: "c2VjcmV0"}.Authenticate(call, at(noon)), ErrBody, before)
	}
	for _, call := range []*messages.Call{
		{Method: "POST", Body: []byte(`a=1`)}, {Method: "GET"}, typed("application/x-www-form-urlencoded; charset=utf-8", "{=1"),
	} {
		require.NoError(t, scheme.Authenticate(call, at(noon)), string(call.Body))
	}
}

func TestATextInsideAJSONBodyIsNoParameter(t *testing.T) {
	for _, body := range []string{
		`{"note":"a&recvWindow=250&b"}`, `["x&timestamp=5&"]`, `"&signature=1"`, ` {"a":"&recvWindow=250"}`,
	} {
		call := &messages.Call{Method: "POST", Body: []byte(body)}
		require.NoError(t, HMACQuery{Key: "k", Secret: "s"}.Authenticate(call, at(noon)), body)
		ts, _ := signedWindow(t, call)
		require.EqualValues(t, noon, ts, "not moved for a window that nobody set: %s", body)
	}
	call := &messages.Call{Method: "POST", Body: []byte("a=1&recvWindow=250")}
	require.NoError(t, HMACQuery{Key: "k", Secret: "s"}.Authenticate(call, at(noon)))
	ts, _ := signedWindow(t, call)
	require.EqualValues(t, noon+750, ts, "a form's parameter counts")
}

func TestALengthThatIsNotSentIsNotSigned(t *testing.T) {
	scheme := HTTPSignature{KeyID: "k", Signer: newEd25519(t), Components: []string{"content-length"}}
	for _, method := range []string{"GET", "HEAD", "DELETE"} {
		require.ErrorIs(t, scheme.Authenticate(&messages.Call{Method: method}, at(noon)), ErrMissing, method)
	}
	for call, want := range map[*messages.Call]string{
		{Method: "POST"}:                     "0",
		{Method: "GET", Body: []byte("abc")}: "3",
		{Method: "PUT", Reader: strings.NewReader("abcd"), Length: 4}: "4",
	} {
		got, ok := component(call, "content-length", 0)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok := component(&messages.Call{Method: "POST", Reader: strings.NewReader("a"), Length: -1}, "content-length", 0)
	require.False(t, ok, "a body in chunks")
}

func TestASecretThatWasCopiedWithSomethingAroundItIsRefused(t *testing.T) {
	for odd, why := range map[Secret]string{
		"sesame\n": "line feed", "sesame\r\n": "line feed", "ses\name": "line feed", " sesame": "blank", "sesame\t": "blank", "sesame\u00a0": "blank",
		`"sesame"`: "quotes", "'sesame'": "quotes", "`sesame`": "quotes", "ses\x00ame": "cannot be seen", "\ufeffsesame": "cannot be seen",
	} {
		err := CheckSecret(odd)
		require.ErrorIs(t, err, ErrOdd, "%q", string(odd))
		require.ErrorContains(t, err, why)
		for _, a := range []Authenticator{
			APIKey{Header: "x", Key: odd}, Basic{"u", odd}, Bearer{odd}, Binance(odd, "s"), Binance("k", odd), MEXC("k", odd),
			BinanceKeyPair(odd, newEd25519(t)), OKX("k", "s", odd), OKX("k", odd, "p"), OKX(odd, "s", "p"), Bybit("k", odd), Gate(odd, "s"),
			CoinbaseExchange("k", odd, "p"), Kraken{Key: odd, Secret: "c2VjcmV0"}, Kraken{Key: "k", Secret: odd}, Gemini("k", odd), HTX{"k", odd},
			SigV4{AccessKey: "a", Secret: odd, Region: "r", Service: "s"},
			SigV4{AccessKey: "a", Secret: "s", SessionToken: odd, Region: "r", Service: "s"},
			JWT{Signer: HMAC{Secret: odd, SecretEncoding: Raw, Hash: 5}},
			CoinbaseCDP(string(odd), newEd25519(t)), HTTPSignature{KeyID: string(odd), Signer: newEd25519(t)}, Chain{Bearer{odd}}, WithoutBody{Bearer{odd}},
		} {
			err := Validate(a)
			require.ErrorIs(t, err, ErrOdd, "%T %q", a, string(odd))
			require.ErrorContains(t, err, why)
			require.NotContains(t, err.Error(), "same")
		}
	}
	for _, fine := range []Secret{"", "sesame", "open sesame", `it's "here"`, "pässwort", "'", "\xff\x00\n", "c2VjcmV0=="} {
		require.NoError(t, CheckSecret(fine), "%q", string(fine))
	}
}

func TestOnlyA401IsARejection(t *testing.T) {
	told := 0
	a := rejecter{Bearer{"t"}, &told}
	for status, want := range map[int]bool{200: false, 401: true, 403: false, 500: false} {
		require.Equal(t, want, Rejected(a, &messages.Call{}, &messages.Response{StatusCode: status}))
		require.Equal(t, want, Rejected(Chain{Bearer{"t"}, WithoutBody{a}}, &messages.Call{}, &messages.Response{StatusCode: status}))
	}
	require.Equal(t, 2, told)
	require.False(t, Rejected(Bearer{"t"}, &messages.Call{}, &messages.Response{StatusCode: 401}))
}

type rejecter struct {
	Authenticator
	told *int
}

func (r rejecter) Rejected(*messages.Call, *messages.Response) bool { *r.told++; return true }
