package auth

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

func unsigners(t testing.TB) map[string]Authenticator {
	all := map[string]Authenticator{
		"Binance": Binance("key", "secret"), "BinanceKeyPair": BinanceKeyPair("key", newEd25519(t)), "MEXC": MEXC("key", "secret"),
		"in the body": HMACQuery{Key: "key", Secret: "secret", Form: QueryForm{InBody: true, KeyParam: "own key"}},
		"Kraken":      Kraken{Key: "TestUnsign", Secret: "c2VjcmV0"}, "BitfinexV2": BitfinexV2("TestUnsign", "secret"),
		"Gemini": Gemini("TestUnsign", "secret"), "Deribit": Deribit("TestUnsign", "secret"), "HTX": HTX{"key", "secret"},
		"SigV4":       SigV4{AccessKey: "key", Secret: "s", Region: "r", Service: "s3", RawPath: true, SessionToken: "t"},
		"CoinbaseCDP": CoinbaseCDP("key", newP256(t)), "HTTPSignature": HTTPSignature{KeyID: `k"ey`, Signer: newEd25519(t), Components: []string{"date", "@query"}},
		"chain": Chain{APIKey{Query: "k", Key: "v"}, Basic{"u", "p"}, Binance("key", "secret")}, "wrapped": WithoutBody{HTX{"key", "secret"}},
	}
	for name, c := range headerSchemes {
		all[name] = c.scheme
	}
	return all
}

func TestUnsignTakesOutWhatAuthenticatePutIn(t *testing.T) {
	all := unsigners(t)
	names := slices.Sorted(maps.Keys(all))
	rapid.Check(t, func(t *rapid.T) {
		scheme := all[rapid.SampledFrom(names).Draw(t, "scheme")]
		call := &messages.Call{
			Method: "POST", Path: "/p", Host: "h.example", Origin: messages.Origin{Scheme: "https", Addr: "h.example:443"},
			Query: queries.Draw(t, "query"), Body: []byte(queries.Draw(t, "body")),
			Fields: []messages.Field{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}, {Name: "X-Own", Value: "1"}},
		}
		plain := *call
		plain.Fields = slices.Clone(call.Fields)
		if _, sorts := scheme.(HTX); sorts {
			plain.Query = canonicalQuery(plain.Query)
		}
		if w, wraps := scheme.(WithoutBody); wraps && w.Authenticator != nil {
			plain.Query = canonicalQuery(plain.Query)
		}
		if _, ok := scheme.(Payload); ok {
			call.Body = []byte(rapid.SampledFrom([]string{"", `{"b":1.50,"a":[{"nonce":2}],"é":null}`}).Draw(t, "object"))
			call.Fields = call.Fields[1:] // the scheme has a Content-Type of its own
			plain.Body, plain.Fields = call.Body, slices.Clone(call.Fields)
		}
		require.NoError(t, scheme.Authenticate(call, at(noon)))
		body := string(call.Body)
		before := call.Body
		signed, err := Unsign(scheme, call)
		require.NoError(t, err)
		require.True(t, signed)
		require.Equal(t, plain.Query, call.Query)
		require.Equal(t, string(plain.Body), string(call.Body))
		require.Equal(t, plain.Fields, call.Fields)
		require.Equal(t, body, string(before), "the array is the caller's")

		again := *call
		signed, err = Unsign(scheme, &again)
		require.NoError(t, err)
		require.False(t, signed, "nothing is left of it")
		require.Equal(t, *call, again, "and the call stays as it is")
	})
}

func TestWhatIsTakenOutLeavesTheOthersAsTheyStand(t *testing.T) {
	pairs := rapid.OneOf(
		rapid.SampledFrom([]string{"timestamp=1", "signature=", "signature", "%73ignature=x", "", "=", "&", "a=1", "timestamps=1", "a=timestamp=1", "b=%26signature"}),
		rapid.StringMatching(`[a-c%=+]{0,6}`),
	)
	rapid.Check(t, func(t *rapid.T) {
		var all, left []string
		for _, pair := range rapid.SliceOf(pairs).Draw(t, "pairs") {
			for one := range strings.SplitSeq(pair, "&") {
				all = append(all, one)
				name, _, _ := strings.Cut(strings.ReplaceAll(one, "%73", "s"), "=")
				if name != "timestamp" && name != "signature" {
					left = append(left, one)
				}
			}
		}
		require.Equal(t, strings.Join(left, "&"), withoutParams(strings.Join(all, "&"), "timestamp", "signature"))
	})
}

func TestACallSignedWithAnotherKeyStaysAsItIs(t *testing.T) {
	for _, c := range []struct{ ours, theirs Authenticator }{
		{Binance("ours", "s"), Binance("theirs", "s")},
		{HMACQuery{Key: "ours", Secret: "s", Form: QueryForm{KeyParam: "k", KeyHeader: "Other"}}, HMACQuery{Key: "theirs", Secret: "s", Form: QueryForm{KeyParam: "k"}}},
		{OKX("ours", "s", "p"), OKX("theirs", "s", "p")}, {Deribit("ours", "s"), Deribit("theirs", "s")},
		{Kraken{Key: "ours", Secret: "cw=="}, Kraken{Key: "theirs", Secret: "cw=="}}, {HTX{"ours", "s"}, HTX{"theirs", "s"}},
		{SigV4{AccessKey: "k", Secret: "s", Region: "ours", Service: "s"}, SigV4{AccessKey: "k", Secret: "s", Region: "theirs", Service: "s"}},
		{CoinbaseCDP("ours", newEd25519(t)), CoinbaseCDP("theirs", newEd25519(t))},
		{HTTPSignature{KeyID: "ours", Signer: newEd25519(t)}, HTTPSignature{KeyID: "theirs", Signer: newEd25519(t)}},
		{Gemini("ours", "s"), Gemini("theirs", "s")}, {Chain{Bearer{"t"}, Binance("ours", "s")}, Binance("theirs", "s")},
	} {
		call := &messages.Call{Method: "POST", Path: "/", Host: "h", Query: "a=1", Body: []byte("b=2")}
		if _, ok := c.ours.(Payload); ok {
			call.Body = []byte(`{"b":2}`)
		}
		require.NoError(t, c.theirs.Authenticate(call, at(noon)))
		before := *call
		before.Fields = slices.Clone(call.Fields)
		signed, err := Unsign(c.ours, call)
		require.ErrorIs(t, err, ErrOtherKey, "%T", c.ours)
		require.False(t, signed)
		require.Equal(t, before, *call)
		require.NotContains(t, err.Error(), "ours")
		require.NotContains(t, err.Error(), "theirs")
	}
}

func FuzzUnsign(f *testing.F) {
	f.Add("a=1&timestamp=5&signature=x", "b=2&signature=y", "AWS4-HMAC-SHA256 Credential=k/1/r/s/aws4_request, Signature=0", `sig1=("@method");keyid="k"`)
	f.Add("&", "=&%", "Bearer e30.e30.", `sig1=("a";x="\"`)
	f.Add("", "", "eyJyZXF1ZXN0IjoiLyIsIm5vbmNlIjoxLCJhIjoyfQ==", "x") // {"request":"/","nonce":1,"a":2}
	f.Add("", "nonce=1", "deri-hmac-sha256 id=k,ts=1,sig=2,nonce=3", "")
	schemes := unsigners(f)
	f.Fuzz(func(t *testing.T, query, body, authorization, input string) {
		for name, scheme := range schemes {
			call := &messages.Call{Method: "POST", Path: "/", Query: query, Body: []byte(body), Fields: []messages.Field{
				{Name: "Authorization", Value: authorization}, {Name: "Signature-Input", Value: input}, {Name: "Signature", Value: input}, {Name: "API-Sign", Value: input},
				{Name: "X-GEMINI-PAYLOAD", Value: authorization}, {Name: "X-GEMINI-SIGNATURE", Value: input},
			}}
			before := *call
			before.Fields = slices.Clone(call.Fields)
			signed, err := Unsign(scheme, call)
			if err != nil || !signed {
				require.Equal(t, before, *call, name)
				continue
			}
			again, err := Unsign(scheme, call)
			require.NoError(t, err, name)
			require.False(t, again, "%s: a signature was left", name)
		}
	})
}
