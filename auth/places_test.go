package auth

import (
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What is accepted here would have every request refused, by a connection or by a server.
func TestWhatCannotStandWhereASchemePutsItIsAMistake(t *testing.T) {
	hash := shared("s", crypto.SHA256)
	query := func(f QueryForm) Authenticator { return HMACQuery{Key: "k", Secret: "s", Form: f} }
	form := func(f HeaderForm) Authenticator {
		f.Message = []Part{Timestamp}
		f.Headers = append(f.Headers, Line{"Sign", []Part{Signature}})
		return Header{Key: "k", Signer: hash, Form: f}
	}
	const binary = "\xff\n" // no text, and so not odd by itself
	for want, a := range map[string]Authenticator{
		"APIKey: Header: is no name of a header":                 APIKey{Header: "a b\r\n", Key: "k"},
		"APIKey: Header: is a header of the connection's":        APIKey{Header: "Content-length", Key: "k"},
		"APIKey: Query: is not as it was handed out":             APIKey{Query: "key\n", Key: "k"},
		"APIKey: Prefix: has a control character":                APIKey{Header: "a", Key: "k", Prefix: "x\r\n"},
		"APIKey: Key: has a control character":                   APIKey{Header: "a", Key: binary},
		"Bearer: Token: has a control character":                 Bearer{binary},
		"Kraken: Key: has a control character":                   Kraken{Key: binary, Secret: "c2VjcmV0"},
		"SigV4: AccessKey: has a control character":              SigV4{AccessKey: binary, Secret: "s", Region: "r", Service: "s"},
		"SigV4: SessionToken: has a control character":           SigV4{AccessKey: "k", Secret: "s", SessionToken: binary, Region: "r", Service: "s"},
		"SigV4: Region, Service: must have no slash":             SigV4{AccessKey: "k", Secret: "s", Region: "eu/west", Service: "s"},
		"HMACQuery: Key: has a control character":                HMACQuery{Key: binary, Secret: "s"},
		"HMACQuery: Form.KeyHeader: is no name of a header":      query(QueryForm{KeyHeader: "bad header"}),
		"HMACQuery: Form.KeyParam: has a character":              query(QueryForm{KeyParam: "a b"}),
		"HMACQuery: Form.Timestamp: has a character":             query(QueryForm{Timestamp: "a&c="}),
		"HMACQuery: Form.RecvWindow: has a character":            query(QueryForm{RecvWindow: "rw#"}),
		"HMACQuery: Form.RecvWindow: is there twice":             query(QueryForm{RecvWindow: "t%73", Timestamp: "ts"}),
		"HMACQuery: Form.Signature: is there twice":              query(QueryForm{Signature: "ts", Timestamp: "ts"}),
		"HMACQuery: Form.Rule: must not be negative":             query(QueryForm{Rule: Window{Past: -1}}),
		"HMACQuery: Form.Unit, Form.Max: must not be negative":   query(QueryForm{Max: -1}),
		"HMACQuery: Form.Encoding: is none of the constants":     query(QueryForm{Encoding: 99}),
		"HMACQuery: Form.Codes.Field: missing":                   query(QueryForm{Codes: Codes{Timestamp: []string{"1"}}}),
		"HMACQuery: Form.Codes.Field: has an empty name":         query(QueryForm{Codes: Codes{Field: "a..b"}}),
		"HMACQuery: Window: must be zero, or at least 1 ms":      HMACQuery{Key: "k", Secret: "s", Window: 5},
		"SignedQuery: Form.KeyHeader: is no name of a header":    SignedQuery{Key: "k", Signer: hash, Form: QueryForm{KeyHeader: "é"}},
		"Header: Key: has a control character":                   Header{Key: binary, Signer: hash, Form: BitMEX("k", "s").Form},
		"Header: Passphrase: has a control character":            OKX("k", "s", binary),
		"Header: Window: must be zero, or at least 1 ms":         Header{Key: "k", Signer: hash, Window: 5, Form: BitMEX("k", "s").Form},
		"Header: Form.Headers[0].Name: is no name of a header":   form(HeaderForm{Headers: []Line{{"a b\n", []Part{KeyName}}}}),
		"Header: Form.Headers[1].Name: is there twice":           form(HeaderForm{Headers: []Line{{"sign", []Part{KeyName}}}}),
		"Header: Form.Headers[0].Value: has a control character": form(HeaderForm{Headers: []Line{{"A", []Part{"a\n", KeyName}}}}),
		"Header: Form.Time: is none of the constants":            form(HeaderForm{Time: 77}),
		"Header: Form.Encoding: is none of the constants":        form(HeaderForm{Encoding: 99}),
		"Header: Form.Encoding: is auth.Raw":                     form(HeaderForm{Encoding: Raw}),
		"Header: Form.Rule: must not be negative":                form(HeaderForm{Rule: Window{Future: -1}}),
		"Header: Form.Codes.Field: has an empty name":            form(HeaderForm{Codes: Codes{Field: ".code"}}),
		"HMAC: SecretEncoding: missing":                          SignedQuery{Key: "k", Signer: HMAC{Secret: "aa", SecretEncoding: 99, Hash: crypto.SHA256}},
		"Payload: KeyHeader: is no name of a header":             Payload{Key: "k", Secret: "s", KeyHeader: "a b", PayloadHeader: "p", SignatureHeader: "s"},
		"Payload: SignatureHeader: is there twice":               Payload{Key: "k", Secret: "s", KeyHeader: "k", PayloadHeader: "p", SignatureHeader: "P"},
		"Payload: Codes.Field: missing":                          Payload{Key: "k", Secret: "s", KeyHeader: "k", PayloadHeader: "p", SignatureHeader: "s", Codes: Codes{Nonce: []string{"1"}}},
		"JWT: Subject: must be UTF-8":                            JWT{Subject: "\xff", Signer: hash},
		"JWT: Lifetime: must be at least 2 s":                    JWT{Lifetime: time.Second, Signer: hash},
		"HTTPSignature: Lifetime: must be at least 2 s":          HTTPSignature{KeyID: "k", Signer: hash, Lifetime: 900 * time.Millisecond},
		"HTTPSignature: Tag: must be printable ASCII":            HTTPSignature{KeyID: "k", Signer: hash, Tag: "\t"},
		"Chain[1] is a nil *auth.pointed":                        Chain{Bearer{"t"}, (*pointed)(nil)},
		"WithoutBody: Authenticator: is a nil *auth.pointed":     WithoutBody{(*pointed)(nil)},
		"WithoutBody: Authenticator: is a nil auth.Func":         WithoutBody{Func(nil)},
		"SignedQuery: Signer: missing":                           SignedQuery{Key: "k", Signer: (*HMAC)(nil)},
	} {
		want = strings.Replace(want, "HMAC: SecretEncoding", "SignedQuery: SecretEncoding", 1)
		require.ErrorContains(t, Validate(a), want)
	}
	for _, a := range []Authenticator{
		APIKey{Query: "api key", Key: binary, Prefix: "Token "}, APIKey{Header: "X-Key", Key: "k", Prefix: "Token "},
		query(QueryForm{KeyParam: "api_key", Timestamp: "$ts", Signature: "a.sig", Encoding: Raw, Codes: Codes{Field: "data.0.code", Timestamp: []string{"1"}}}),
		query(QueryForm{KeyParam: "auth[key]", Timestamp: "auth%5Btime%5D"}), Header{Key: "k", Signer: writer{}, Form: HeaderForm{Encoding: Raw, Message: []Part{Body}, Headers: []Line{{"Sign", []Part{Signature}}}}},
		form(HeaderForm{Encoding: Base64URL, Time: ISOMilli}), KuCoin("k", "s", binary), Gemini("k", "s"), BitfinexV2("k", "s"), Deribit("k", "s"), OKX("k", "s", "p"),
		HTTPSignature{KeyID: "k", Signer: hash, Lifetime: 2 * time.Second}, SigV4{AccessKey: "a/b", Secret: "s", Region: "eu-west-1", Service: "s3"},
	} {
		require.NoError(t, Validate(a), "%v", a)
	}
}

// pointed is an authenticator by pointer, whose every answer panics if that is nil.
type pointed struct{ Bearer }

func (p *pointed) Lane() string { return string(p.Token) }

func TestEveryMistakeOfFixedCredentialsIsToldAtOnce(t *testing.T) {
	require.EqualError(t, Validate(Basic{"a:b", "sesame\n"}),
		"auth: Basic: User: must not hold a colon\nauth: Basic: Password: is not as it was handed out: it has a line feed")
	require.EqualError(t, Validate(APIKey{Header: "a b", Key: "k\n", Prefix: "\r"}),
		"auth: APIKey: Header: is no name of a header\nauth: APIKey: Key: is not as it was handed out: it has a line feed\nauth: APIKey: Prefix: has a control character, which no header can have")
}

func TestASignerThatIsANilPointerSignsNothingAndDoesNotPanic(t *testing.T) {
	for _, a := range []Authenticator{SignedQuery{Key: "k", Signer: (*HMAC)(nil)}, Header{Key: "k", Signer: (*HMAC)(nil)}} {
		require.ErrorIs(t, a.Authenticate(callOf("GET"), at(noon)), ErrMissing)
	}
	require.ErrorIs(t, SignedQuery{Key: "k", Signer: (*HMAC)(nil)}.SignParams(map[string]string{}, at(noon)), ErrMissing)
}

// writer is a signer whose signatures are text.
type writer struct{}

func (writer) AppendSignature(dst []byte, parts ...[]byte) ([]byte, error) {
	return append(dst, "C0FFEE"...), nil
}
func (writer) Validate() error { return nil }

func TestASignatureThatIsTextStandsInAHeaderAsItIs(t *testing.T) {
	call := callOf("GET")
	scheme := Header{Key: "k", Signer: writer{}, Form: HeaderForm{Encoding: Raw, Message: []Part{Body}, Headers: []Line{{"Sign", []Part{Signature}}}}}
	require.NoError(t, scheme.Authenticate(call, at(noon)))
	require.Equal(t, "C0FFEE", header(t, call, "Sign"))
}

func TestANameThatIsWrittenEncodedIsKnownHoweverTheCallerSpellsIt(t *testing.T) {
	for _, name := range []string{"auth[key]", "auth%5Bkey%5D", "auth%5bkey]"} {
		scheme := HMACQuery{Key: "k", Secret: "s", Form: QueryForm{KeyParam: name}}
		call := callOf("GET")
		require.NoError(t, scheme.Authenticate(call, at(noon)))
		require.Contains(t, call.Query, name+"=k")
		for _, theirs := range []string{"auth[key]=x", "auth%5bkey%5d=x", "%61uth[key]=x"} {
			call := callOf("GET")
			call.Query = theirs
			require.ErrorIs(t, scheme.Authenticate(call, at(noon)), ErrReserved, "%s beside %s", theirs, name)
		}
	}
}
