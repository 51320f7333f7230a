package auth

import (
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

func nothing(*messages.Call, Clock) error { return nil }

func TestASchemeSaysWhetherItSignsBodies(t *testing.T) {
	private := HMAC{Secret: "s", SecretEncoding: Raw, Hash: crypto.SHA256}
	unsigned := map[string]Authenticator{
		"APIKey": APIKey{}, "Basic": Basic{}, "Bearer": Bearer{}, "JWT": JWT{}, "HTX": HTX{},
		"query only":     HMACQuery{Form: QueryForm{QueryOnly: true}},
		"query, any key": SignedQuery{Form: QueryForm{QueryOnly: true}},
		"unsigned S3":    SigV4{UnsignedPayload: true},
		"components":     HTTPSignature{Components: []string{"@method", "@path"}},
		"a header form":  Header{Form: HeaderForm{Message: []Part{Timestamp, Method, Target}, Headers: []Line{{"Sign", []Part{Signature}}}}},
		"chain":          Chain{Bearer{}, APIKey{}},
		"declared":       WithoutBody{Func(nothing)},
		"chain of those": Chain{Bearer{}, WithoutBody{Kraken{}}},
	}
	signed := map[string]Authenticator{
		"Func": Func(nothing), "HMACQuery": HMACQuery{}, "SignedQuery": SignedQuery{}, "Kraken": Kraken{}, "Payload": Payload{},
		"SigV4": SigV4{RawPath: true}, "HTTPSignature": HTTPSignature{Signer: private}, "chain": Chain{Bearer{}, HMACQuery{}}, "none": nil,
		"a digest":   HTTPSignature{Components: []string{"@method", "content-digest"}},
		"a length":   HTTPSignature{Components: []string{"content-length"}},
		"wrapped":    struct{ Authenticator }{Bearer{}},
		"in a value": Header{Form: HeaderForm{Message: []Part{Timestamp}, Headers: []Line{{"Digest", []Part{BodySHA512}}}}},
	}
	for name, exchange := range headerSchemes {
		signed[name] = exchange.scheme
	}
	for name, a := range unsigned {
		require.False(t, SignsBody(a), name)
	}
	for name, a := range signed {
		require.True(t, SignsBody(a), name)
	}
}

// What says that it leaves bodies alone adds the same whatever the body.
func TestASchemeThatLeavesBodiesAloneLooksAtNone(t *testing.T) {
	for name, a := range map[string]Authenticator{
		"query only":    HMACQuery{Key: "k", Secret: "s", Form: QueryForm{QueryOnly: true}},
		"unsigned S3":   SigV4{AccessKey: "a", Secret: "s", Region: "r", Service: "s3", RawPath: true, UnsignedPayload: true},
		"components":    HTTPSignature{KeyID: "k", Signer: HMAC{Secret: "s", SecretEncoding: Raw, Hash: crypto.SHA256}, Components: []string{"@method", "@path"}},
		"HTX":           HTX{Key: "k", Secret: "s"},
		"a header form": Header{Key: "k", Signer: HMAC{Secret: "s", SecretEncoding: Raw, Hash: crypto.SHA256}, Form: HeaderForm{Message: []Part{Timestamp, Target}, Headers: []Line{{"Sign", []Part{Signature}}}}},
	} {
		require.NoError(t, Validate(a), name)
		var results []messages.Call
		for _, body := range []string{"", "one", "two"} {
			call := messages.Call{Method: "POST", Origin: messages.Origin{Scheme: "https"}, Host: "h", Path: "/p", Query: "a=1", Body: []byte(body)}
			require.NoError(t, a.Authenticate(&call, FixedClock(time.UnixMilli(1_700_000_000_000))), name)
			require.Equal(t, body, string(call.Body))
			call.Body = nil
			results = append(results, call)
		}
		require.Equal(t, results[0], results[1], name)
		require.Equal(t, results[0], results[2], name)
	}
}

func TestAnUnsignedPayloadIsForS3OverTLSAlone(t *testing.T) {
	scheme := SigV4{AccessKey: "a", Secret: "s", Region: "r", Service: "s3", RawPath: true, UnsignedPayload: true}
	call := messages.Call{Method: "PUT", Origin: messages.Origin{Scheme: "https"}, Host: "h", Path: "/p", Reader: strings.NewReader("abc"), Length: -1}
	require.NoError(t, scheme.Authenticate(&call, FixedClock(time.UnixMilli(1_700_000_000_000))))
	said, _ := call.Header("X-Amz-Content-Sha256")
	require.Equal(t, "UNSIGNED-PAYLOAD", said)
	canonical, _ := scheme.canonical(&call, "UNSIGNED-PAYLOAD")
	require.True(t, strings.HasSuffix(canonical, "\nUNSIGNED-PAYLOAD"))

	call.Origin.Scheme = "http"
	require.Error(t, scheme.Authenticate(&call, FixedClock(time.UnixMilli(1_700_000_000_000))))
	scheme.RawPath = false
	require.ErrorContains(t, scheme.Validate(), "UnsignedPayload")
	require.Error(t, HMACQuery{Key: "k", Secret: "s", Form: QueryForm{QueryOnly: true, InBody: true}}.Validate())
}

func TestADeclarationKeepsWhatElseTheAuthenticatorSays(t *testing.T) {
	kraken := Kraken{Key: "key", Secret: "c2VjcmV0"}
	require.Equal(t, kraken.Lane(), WithoutBody{kraken}.Lane())
	require.NotEmpty(t, WithoutBody{kraken}.Lane())
	require.Empty(t, WithoutBody{Func(nothing)}.Lane())
	require.Error(t, WithoutBody{Kraken{}}.Validate())
	require.NoError(t, WithoutBody{Func(nothing)}.Validate())
}
