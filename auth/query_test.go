package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
)

const noon = 1_700_000_000_000 // ms

// texts are what parameters are made of, the awkward ones among them.
var texts = rapid.OneOf(
	rapid.SampledFrom([]string{"", " ", "+", "%", "%2F", "/", "&", "=", "?", "#", "１２３", "é", "\x00", "a b+c%2F", "timestamp", "signature=x"}),
	rapid.String(),
)

// queries are encoded as the engine does it, with repeated and empty values.
var queries = rapid.Custom(func(t *rapid.T) string {
	values := messages.Values{}
	for range rapid.IntRange(0, 4).Draw(t, "parameters") {
		values["p"+texts.Draw(t, "name")] = rapid.SliceOfN(texts, 1, 3).Draw(t, "values")
	}
	return values.Encode()
})

func hmacHex(secret string, parts ...string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestTheQuerySignatureCoversExactlyTheBytesSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		query, body := queries.Draw(t, "query"), queries.Draw(t, "body")
		call := &messages.Call{Method: "POST", Path: "/order", Query: query, Body: []byte(body)}
		scheme := HMACQuery{Key: "key", Secret: "secret", Window: 3 * time.Second}
		scheme.Form.InBody = rapid.Bool().Draw(t, "in body")
		require.NoError(t, scheme.Authenticate(call, at(noon)))

		sent := call.Query + string(call.Body)
		signed, signature := sent, ""
		if scheme.Form.InBody && body != "" {
			signed, signature, _ = cutLast(sent, "&signature=")
		} else {
			q, sig, _ := cutLast(call.Query, "&signature=")
			signed, signature = q+string(call.Body), sig
		}
		require.Equal(t, hmacHex("secret", signed), signature)
		requireKept(t, query, call.Query)
		requireKept(t, body, string(call.Body))
	})
}

// requireKept checks that the caller's bytes are a prefix of what is sent.
func requireKept(t require.TestingT, before, after string) {
	require.True(t, strings.HasPrefix(after, before))
	was, err := url.ParseQuery(before)
	require.NoError(t, err)
	is, err := url.ParseQuery(after)
	require.NoError(t, err)
	for name := range was {
		require.Equal(t, was[name], is[name])
	}
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func TestAuthenticatingDoesNotWriteIntoTheCallersBody(t *testing.T) {
	array := []byte("quantity=1&price=2|beyond")
	call := &messages.Call{Method: "POST", Body: array[:18]}
	require.NoError(t, HMACQuery{Key: "k", Secret: "s", Form: QueryForm{InBody: true}}.Authenticate(call, at(noon)))
	require.Equal(t, "quantity=1&price=2|beyond", string(array))

	call = &messages.Call{Method: "POST", Body: array[:18]}
	require.NoError(t, Kraken{Key: "TestBody", Secret: "c2VjcmV0"}.Authenticate(call, at(noon)))
	require.Equal(t, "quantity=1&price=2|beyond", string(array))
}

func TestParametersOfTheSchemeAreRefusedFromTheCaller(t *testing.T) {
	scheme := HMACQuery{Key: "k", Secret: "s"}
	for _, call := range []*messages.Call{
		{Query: "a=1&timestamp=5"}, {Query: "signature=x"}, {Body: []byte("a=1&signature=")},
	} {
		require.ErrorIs(t, scheme.Authenticate(call, at(noon)), ErrReserved)
	}
	for _, call := range []*messages.Call{
		{Query: "timestamps=5"}, {Query: "x=timestamp"}, {Body: []byte(`{"timestamp":5}`)},
	} {
		require.NoError(t, scheme.Authenticate(call, at(noon)))
	}
}

// A server decodes a name before it looks for it, and would take the first of two.
func TestAReservedNameIsKnownHoweverItIsSpelt(t *testing.T) {
	keyed := HMACQuery{Key: "k", Secret: "s", Form: QueryForm{KeyParam: "api_key"}}
	post := func(body string) *messages.Call { return &messages.Call{Method: "POST", Path: "/", Body: []byte(body)} }
	for _, c := range []struct {
		scheme Authenticator
		call   *messages.Call
	}{
		{keyed, &messages.Call{Query: "%74imestamp=1"}}, {keyed, &messages.Call{Query: "a=1&timestam%70"}}, {keyed, &messages.Call{Query: "%73ignature=x"}},
		{keyed, &messages.Call{Query: "%61%70%69%5f%6B%65%79=other"}}, {keyed, post("a=1&%73ignature=x")}, {keyed, post("%74imestamp=1")},
		{Kraken{Key: "TestSpelt", Secret: "c2VjcmV0"}, post("%6eonce=1")}, {Kraken{Key: "TestSpelt", Secret: "c2VjcmV0"}, post("a=b&nonc%65=1")},
		{HTX{"k", "s"}, &messages.Call{Query: "%41ccessKeyId=other"}}, {HTX{"k", "s"}, &messages.Call{Query: "a=1&%53ignature=x"}},
	} {
		query, body := c.call.Query, string(c.call.Body)
		require.ErrorIs(t, c.scheme.Authenticate(c.call, at(noon)), ErrReserved, "%s %s", query, body)
		require.Equal(t, query+body, c.call.Query+string(c.call.Body), "as it was")
	}
	for _, call := range []*messages.Call{ // a name is what its bytes are, case and blanks included
		{Query: "Timestamp=1&+timestamp=1&%2574imestamp=1&timestamp%00=1"}, {Query: "a=%26timestamp%3D1"}, post("a=%26signature"), post(`{"%74imestamp":1}`),
	} {
		require.NoError(t, keyed.Authenticate(call, at(noon)), call.Query)
	}
	call := &messages.Call{Query: "%72ecvWindow=%32%350"}
	require.NoError(t, HMACQuery{Key: "k", Secret: "s", Window: time.Second}.Authenticate(call, at(noon)))
	require.Equal(t, "1700000000750", form(t, call.Query).Get("timestamp"), "the caller's window, however it is spelt")
	require.Equal(t, []string{"250"}, form(t, call.Query)["recvWindow"])
}

func TestAKeyInTheQueryIsThereOnce(t *testing.T) {
	for _, query := range []string{"", "api+key=other", "api%20key=a&api+key=b", "%61pi+key"} {
		call := &messages.Call{Query: query}
		require.NoError(t, APIKey{Query: "api key", Key: "k"}.Authenticate(call, nil))
		require.Equal(t, "api+key=k", call.Query)
	}
	call := &messages.Call{Query: "a=%31&api+key=other&b"}
	require.True(t, SendKey(APIKey{Query: "api key", Key: "k"}, call))
	require.Equal(t, "a=%31&b&api+key=k", call.Query)
}

func TestACallersRecvWindowWins(t *testing.T) {
	call := &messages.Call{Query: "recvWindow=250"}
	require.NoError(t, HMACQuery{Key: "k", Secret: "s", Window: time.Second}.Authenticate(call, at(noon)))
	values := form(t, call.Query)
	require.Equal(t, []string{"250"}, values["recvWindow"])
	require.Equal(t, "1700000000750", values.Get("timestamp"), "moved so that a second of delay is tolerated")
}

func TestWithoutAWindowNoneIsSent(t *testing.T) {
	call := &messages.Call{}
	require.NoError(t, HMACQuery{Key: "k", Secret: "s"}.Authenticate(call, at(noon)))
	require.Equal(t, "timestamp=1700000000000&signature="+hmacHex("s", "timestamp=1700000000000"), call.Query)
	require.Equal(t, "k", header(t, call, "X-MBX-APIKEY"))
}

func TestAnotherExchangeOfTheFamilyIsAValue(t *testing.T) {
	call := &messages.Call{Query: "a=1"}
	scheme := HMACQuery{Key: "k k", Secret: "s", Window: 2 * time.Second, Form: QueryForm{
		KeyHeader: "X-KEY", KeyParam: "api_key", Timestamp: "ts", RecvWindow: "rw", Signature: "sign", Unit: time.Second,
	}}
	require.NoError(t, scheme.Authenticate(call, at(noon)))
	require.Equal(t, "a=1&api_key=k+k&rw=2000&ts=1700000000&sign="+hmacHex("s", "a=1&api_key=k+k&rw=2000&ts=1700000000"), call.Query)
	require.Equal(t, "k k", header(t, call, "X-KEY"))
}

// serverClock is a server's clock as known at one moment. Local and server
// seconds are equally long.
type serverClock struct {
	local       time.Time
	est, lo, hi time.Time
}

func (c serverClock) Now() time.Time { return c.est }
func (c serverClock) Bound() time.Duration {
	return max(c.hi.Sub(c.est), c.est.Sub(c.lo))
}
func (c serverClock) Range(local time.Time) (lo, hi time.Time) {
	passed := local.Sub(c.local)
	return c.lo.Add(passed), c.hi.Add(passed)
}

func TestNothingIsAcceptedAfterTheDeadline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := func(name string, lo, hi int) time.Duration {
			return time.Duration(rapid.IntRange(lo, hi).Draw(t, name)) * time.Microsecond
		}
		clock := serverClock{local: time.Unix(5000, 0), est: time.UnixMilli(noon).Add(us("now", 0, 999))}
		clock.lo = clock.est.Add(-us("bound", 0, 2_000_000))
		clock.hi = clock.est.Add(clock.est.Sub(clock.lo))
		left := us("left", -100_000, 10_000_000)
		call := &messages.Call{Deadline: clock.local.Add(left)}
		if rapid.Bool().Draw(t, "own window") {
			call.Query = "recvWindow=" + strconv.Itoa(rapid.IntRange(1, 60_000).Draw(t, "ms"))
		}
		scheme := HMACQuery{Key: "k", Secret: "s", Window: us("window", 0, 60_000_000), Deadlines: true}

		err := scheme.Authenticate(call, clock)
		earliest, _ := clock.Range(call.Deadline)
		if err != nil {
			require.ErrorIs(t, err, ErrTooLate)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Less(t, left, time.Millisecond)
			return
		}
		ts, window := signedWindow(t, call)
		require.Positive(t, window)
		require.LessOrEqual(t, ts+window, earliest.UnixMilli())
		require.Less(t, ts, clock.lo.UnixMilli()+1000, "never too new")
	})
}

func signedWindow(t require.TestingT, call *messages.Call) (ts, window int64) {
	values, err := url.ParseQuery(call.Query)
	require.NoError(t, err)
	ts, err = strconv.ParseInt(values.Get("timestamp"), 10, 64)
	require.NoError(t, err)
	if !values.Has("recvWindow") {
		return ts, 5000
	}
	window, err = strconv.ParseInt(values.Get("recvWindow"), 10, 64)
	require.NoError(t, err)
	return ts, window
}

func TestADeadlineIsMetToTheMillisecondByTheLowerBound(t *testing.T) {
	start := time.Unix(5000, 0)
	now := time.UnixMilli(noon)
	clock := serverClock{start, now, now.Add(-8 * time.Millisecond), now.Add(8 * time.Millisecond)}
	call := &messages.Call{Deadline: start.Add(100 * time.Millisecond)}
	require.NoError(t, HMACQuery{Key: "k", Secret: "s", Deadlines: true}.Authenticate(call, clock))
	ts, window := signedWindow(t, call)
	require.EqualValues(t, noon+100-8, ts+window)
	require.EqualValues(t, noon, ts)
}

func TestADeadlineBeyondTheWindowChangesNothing(t *testing.T) {
	start, now := time.Unix(5000, 0), time.UnixMilli(noon)
	call := &messages.Call{Deadline: start.Add(time.Hour)}
	scheme := HMACQuery{Key: "k", Secret: "s", Deadlines: true}
	require.NoError(t, scheme.Authenticate(call, serverClock{start, now, now, now}))
	require.NotContains(t, call.Query, "recvWindow")
}

func TestAClockWithoutARangeStillMeetsDeadlines(t *testing.T) {
	call := &messages.Call{Deadline: time.Now().Add(2 * time.Second)}
	require.NoError(t, HMACQuery{Key: "k", Secret: "s", Deadlines: true}.Authenticate(call, at(noon)))
	ts, window := signedWindow(t, call)
	require.LessOrEqual(t, ts+window, int64(noon+2000))
	require.Greater(t, ts+window, int64(noon))
}

func TestEveryMistakeInAQuerySchemeIsNamedAtOnce(t *testing.T) {
	err := Validate(HMACQuery{Window: 2 * time.Minute, Delay: -1})
	for _, field := range []string{"Key", "Secret", "Window", "Delay"} {
		require.ErrorContains(t, err, field)
	}
	require.ErrorIs(t, err, ErrMissing)
	require.ErrorContains(t, Validate(SignedQuery{Key: "k"}), "Signer")
	require.NoError(t, Validate(HMACQuery{Key: "k", Secret: "s", Window: time.Minute}))
	require.Error(t, HMACQuery{}.Authenticate(&messages.Call{}, at(noon)))
	require.ErrorIs(t, HMACQuery{Key: "k", Secret: "s"}.Authenticate(&messages.Call{}, nil), ErrNoClock)
}

func TestABase64SignatureIsPercentEncodedInTheQuery(t *testing.T) {
	key, err := ParsePrivateKey(testEd25519)
	require.NoError(t, err)
	for i := range 50 {
		call := &messages.Call{Query: "i=" + strconv.Itoa(i)}
		require.NoError(t, BinanceKeyPair("k", key).Authenticate(call, at(noon)))
		payload, sent, _ := strings.Cut(call.Query, "&signature=")
		require.False(t, strings.ContainsAny(sent, "+/="))
		text, err := url.QueryUnescape(sent)
		require.NoError(t, err)
		sig, err := Base64.Decode(text)
		require.NoError(t, err)
		requireVerifies(t, key, payload, sig)
	}
}

func TestAWebSocketPayloadIsSortedByNameAndNotEncoded(t *testing.T) {
	params := map[string]string{"b": "2", "a": "１ +", "a1": "x", "signature": "stale"}
	require.NoError(t, HMACQuery{Key: "k", Secret: "s"}.SignParams(params, at(noon)))
	require.Equal(t, hmacHex("s", "a=１ +&a1=x&apiKey=k&b=2&timestamp=1700000000000"), params["signature"])
}

type unsure struct{ FixedClock }

func (unsure) Bound() time.Duration { return 100 * 365 * 24 * time.Hour }

func TestNothingIsSignedByAClockThatKnowsNothing(t *testing.T) {
	params := map[string]string{"a": "1"}
	require.ErrorIs(t, HMACQuery{Key: "k", Secret: "s"}.SignParams(params, unsure{at(noon)}), messages.ErrNoTime)
	require.Equal(t, map[string]string{"a": "1"}, params)
}

func TestTheSamePayloadIsSignedAlikeByConcurrentCallers(t *testing.T) {
	want := hmacHex("concurrent", "a=1&timestamp=1700000000000")
	done := make(chan string)
	for range 8 {
		go func() {
			for range 200 {
				call := &messages.Call{Query: "a=1"}
				_ = HMACQuery{Key: "k", Secret: "concurrent"}.Authenticate(call, at(noon))
				done <- call.Query
			}
		}()
	}
	for range 8 * 200 {
		require.Equal(t, "a=1&timestamp=1700000000000&signature="+want, <-done)
	}
}

func TestMoreKeysThanThePoolHoldsStillSignRight(t *testing.T) {
	for i := range maxPools + 100 {
		secret := "rotating " + strconv.Itoa(i)
		sig, err := HMAC{Secret: Secret(secret), SecretEncoding: Raw, Hash: 5}.AppendSignature(nil, []byte("x"))
		require.NoError(t, err)
		require.Equal(t, hmacHex(secret, "x"), hex.EncodeToString(sig))
	}
	require.LessOrEqual(t, len(*macPools.Load()), maxPools)
}

func TestOneSignatureAllocatesAtMostFourTimes(t *testing.T) {
	scheme, clock := Authenticator(HMACQuery{Key: "key", Secret: "secret"}), Clock(at(noon))
	fields, call := make([]messages.Field, 0, 8), new(messages.Call)
	least := 100.0
	for range 100 { // the race detector empties pools now and then
		least = min(least, testing.AllocsPerRun(1, func() {
			*call = messages.Call{Method: "GET", Query: query200, Fields: fields}
			_ = scheme.Authenticate(call, clock)
		}))
	}
	require.LessOrEqual(t, least, 4.0)
}

func form(t require.TestingT, text string) url.Values {
	values, err := url.ParseQuery(text)
	require.NoError(t, err)
	return values
}

func TestAppendEscapedAgreesWithTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := texts.Draw(t, "text")
		require.Equal(t, url.QueryEscape(s), string(percent.AppendForm(nil, []byte(s))))
		require.Equal(t, s, string(percent.AppendDecoded(nil, url.QueryEscape(s))))
	})
}

func TestLookupAgreesWithTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.SampledFrom([]string{"a", "ab", "b", ""})).Draw(t, "names")
		var pairs []string
		for i, n := range names {
			pairs = append(pairs, n+"="+strconv.Itoa(i))
		}
		got, ok := lookup(strings.Join(pairs, "&"), "a")
		i := slices.Index(names, "a")
		require.Equal(t, i >= 0, ok)
		if ok {
			require.Equal(t, strconv.Itoa(i), got)
		}
	})
}
