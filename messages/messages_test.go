package messages

import (
	"encoding/json"
	"maps"
	"math"
	"math/big"
	"net/http"
	"net/netip"
	"net/textproto"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTheFirstLineOfANameIsTheOneThatAllLinesHave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"a", "A", "ab", "aB", ":", " ", "\t", "\r", "\n", "\r\n", "a:", "ab: 1", "é", ""})
		h := NewHeader(strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "lines"), ""))
		name := strings.Join(rapid.SliceOfN(piece, 0, 3).Draw(t, "name"), "")
		want := ""
		for n, v := range h.All() {
			if strings.EqualFold(n, name) {
				want = v
				break
			}
		}
		require.Equal(t, want, h.Get(name), "%q in %q", name, h.lines)
	})
}

func TestNamesThatAreLookedUpTogetherHaveTheValuesThatEachHas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"", "a", "A", "ab", "date", "a:"})
		line := rapid.Custom(func(t *rapid.T) string {
			return name.Draw(t, "name") + rapid.SampledFrom([]string{":\r\n", ": 1\r\n", ":2\n", "\r\n", ": 3"}).Draw(t, "value")
		})
		h := NewHeader(strings.Join(rapid.SliceOfN(line, 0, 8).Draw(t, "lines"), ""))
		names := [5]string(rapid.SliceOfN(name, 5, 5).Draw(t, "names"))
		for i, value := range h.Lookup(&names) {
			want := ""
			if names[i] != "" {
				want = h.Get(names[i])
			}
			require.Equal(t, want, value, "%q of %q in %q", names[i], names, h.lines)
		}
	})
}

func TestALookUpOfSeveralNamesTakesNoMemory(t *testing.T) {
	h := NewHeader("Date: today\r\nServer: s\r\nx-used: 7\r\n")
	names := [5]string{"X-Used", "Age", "Date"}
	require.Equal(t, [5]string{"7", "", "today"}, h.Lookup(&names))
	require.Zero(t, testing.AllocsPerRun(100, func() { h.Lookup(&names) }))
}

func TestHeaderLinesAreFoundWhateverTheirCase(t *testing.T) {
	h := NewHeader("Content-Type: text/plain\r\nset-cookie: a=1\r\nSet-Cookie:b=2 \r\nEmpty:\r\n")
	require.Equal(t, "text/plain", h.Get("content-TYPE"))
	require.Equal(t, []string{"a=1", "b=2"}, h.Values("Set-Cookie"))
	require.Empty(t, h.Get("Empty"))
	require.Empty(t, h.Get("Missing"))
	require.Equal(t, http.Header{"Content-Type": {"text/plain"}, "Set-Cookie": {"a=1", "b=2"}, "Empty": {""}}, h.HTTP())
	require.Empty(t, Header{}.HTTP())
}

func TestValuesAreEncodedAsTheyAreMeant(t *testing.T) {
	seven := 7
	var none *int
	type side string
	require.Equal(t, "a=7&b=x+y&c=1&c=2&d=BUY&e=1.5&f=2026-11-23T12%3A00%3A00Z&g=0.1", Values{
		"a": &seven, "b": "x y", "c": []any{1, nil, 2}, "d": side("BUY"), "e": float32(1.5),
		"f": time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), "g": 0.1, "h": nil, "i": none,
	}.Encode())
	require.Empty(t, Values(nil).Encode())
}

func TestNumbersKeepAllTheirDigits(t *testing.T) {
	type price float64
	float, _, err := big.ParseFloat("0.00000000000000000000123456789012345678901234567891", 10, 200, big.ToNearestEven)
	require.NoError(t, err)
	huge, _ := new(big.Int).SetString("123456789012345678901234567890", 10)
	eighth := big.NewRat(-1, 8)
	large, small := 1e21, float32(1e-7)
	pointer := &large
	for _, c := range []struct {
		value         any
		query, object string
	}{
		{1e21, "1000000000000000000000", "1000000000000000000000"},
		{&pointer, "1000000000000000000000", "1000000000000000000000"},
		{1e-9, "0.000000001", "0.000000001"},
		{small, "0.0000001", "0.0000001"},
		{&small, "0.0000001", "0.0000001"},
		{price(0.1), "0.1", "0.1"},
		{float32(16777216), "16777216", "16777216"},
		{uint64(math.MaxUint64), "18446744073709551615", "18446744073709551615"},
		{int8(-7), "-7", "-7"},
		{float, "0.00000000000000000000123456789012345678901234567891", "0.00000000000000000000123456789012345678901234567891"},
		{new(big.Float).SetInt(huge), huge.String(), huge.String()},
		{huge, huge.String(), huge.String()},
		{eighth, "-0.125", "-0.125"},
		{big.NewRat(6, 2), "3", "3"},
		{json.Number("1.50"), "1.50", "1.50"},
		{json.Number("1.5e-8"), "0.000000015", "0.000000015"},
		{[]any{1e-8}, "0.00000001", "[0.00000001]"},
		{[]*big.Float{float}, "0.00000000000000000000123456789012345678901234567891", "[0.00000000000000000000123456789012345678901234567891]"},
		{1500 * time.Millisecond, "1.5s", "1500000000"},
		{math.Copysign(0, -1), "-0", "-0"},
	} {
		values := Values{"v": c.value}
		query, err := url.ParseQuery(values.Encode())
		require.NoError(t, err)
		require.Equal(t, c.query, query.Get("v"), "%T", c.value)
		object, err := values.JSON()
		require.NoError(t, err)
		require.Equal(t, `{"v":`+c.object+`}`, string(object), "%T", c.value)
	}
}

func TestANumberThatHasNoDecimalsIsNamed(t *testing.T) {
	infinity := float32(math.Inf(-1))
	for _, value := range []any{math.NaN(), math.Inf(1), &infinity, new(big.Float).SetInf(false), big.NewRat(1, 3), []any{1, math.NaN()}} {
		values := Values{"fine": 1, "stop price": value}
		_, err := values.JSON()
		require.ErrorContains(t, err, `"stop price"`, "%v", value)
		_, err = values.Encoded()
		require.ErrorContains(t, err, `"stop price"`, "%v", value)
		require.NotContains(t, values.Encode(), "N", "and what cannot be sent is not sent as something else")
	}
	_, err := Values{"stop price": json.Number("x")}.JSON()
	require.Error(t, err)
}

func TestWhatHasNoTextIsNamed(t *testing.T) {
	for _, value := range []any{map[string]int{"a": 1}, struct{ A int }{1}, &struct{ A int }{1}, make(chan int), func() {}, []any{1, map[string]int{}}, complex(1, 2)} {
		_, err := Values{"symbol": "BTCUSDT", "filter": value}.Encoded()
		require.ErrorContains(t, err, `parameter "filter"`, "%T", value)
		require.ErrorContains(t, err, "AsJSON", "%T", value)
		_, err = Form{"filter": value}.Encoded()
		require.Error(t, err)
	}
	endless := []any{nil}
	endless[0] = endless
	_, err := Values{"filter": endless}.Encoded()
	require.ErrorContains(t, err, "too deep")

	type named bool
	text, err := Values{
		"batch": AsJSON{[]any{map[string]any{"price": 1e-8}}}, "ip": netip.MustParseAddr("10.0.0.1"), "on": named(true),
		"text": &textOnly{}, "none": (*textOnly)(nil),
	}.Encoded()
	require.NoError(t, err)
	query, err := url.ParseQuery(text)
	require.NoError(t, err)
	require.Equal(t, url.Values{"batch": {`[{"price":0.00000001}]`}, "ip": {"10.0.0.1"}, "on": {"true"}, "text": {"as text"}}, query)
	object, err := Values{"batch": AsJSON{[]int{1}}}.JSON()
	require.NoError(t, err)
	require.Equal(t, `{"batch":[1]}`, string(object))
}

// textOnly says how it is written as text, and nothing else.
type textOnly struct{ A int }

func (*textOnly) MarshalText() ([]byte, error) { return []byte("as text"), nil }

// secret is auth.Secret, which this package cannot know.
type secret string

func (secret) Undisclosed()                 {}
func (secret) String() string               { return "***" }
func (secret) MarshalText() ([]byte, error) { return []byte("***"), nil }

func TestASecretIsNeverSentAsItPrints(t *testing.T) {
	type account struct {
		Name string
		Key  secret
	}
	type hidden struct {
		Key secret `json:"-"`
		key secret
	}
	mine := secret("sesame")
	for _, value := range []any{mine, &mine, []any{1, mine}, []secret{mine}, AsJSON{mine}} {
		_, err := Values{"api key": value}.Encoded()
		require.ErrorContains(t, err, `"api key"`, "%T", value)
		require.ErrorContains(t, err, "secret", "%T", value)
	}
	for _, value := range []any{
		mine, &mine, []any{1, mine}, map[string]any{"a": []secret{mine}}, account{Key: mine}, &account{Key: mine},
		[]*account{{Key: mine}}, AsJSON{account{Key: mine}}, map[string]account{"x": {}},
	} {
		_, err := Values{"api key": value}.JSON()
		require.ErrorContains(t, err, `"api key"`, "%T", value)
		require.NotContains(t, err.Error(), "sesame")
		require.Error(t, Disclosed(value), "%T", value)
	}
	for _, value := range []any{nil, 1, "text", hidden{key: mine}, &struct{ Next *account }{}, []string{"a"}, (*secret)(nil)} {
		require.NoError(t, Disclosed(value), "%T", value)
	}
	require.ErrorContains(t, Disclosed(map[string]any{"login": &account{Key: mine}}), "login: Key: it is a secret")
	_, err := Values{"api key": string(mine)}.Encoded()
	require.NoError(t, err, "converted, it is meant")
}

// viaPointer is written by a method that needs its address.
type viaPointer struct{}

func (v *viaPointer) MarshalJSON() ([]byte, error) { return []byte(`"via pointer"`), nil }

func TestTheRestOfAJSONObjectIsAsEncodingJSONWritesIt(t *testing.T) {
	var none *int
	var nobody *viaPointer
	var noTime *time.Time
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	rest := map[string]any{
		"a": "x<y>&\u2028", "list": []any{1.5, nil, 1e21}, "object": map[string]float64{"b": 1e-9}, "bytes": []byte("ab"),
		"pointer": &viaPointer{}, "field": &struct{ V viaPointer }{}, "time": at, "bool": true, "raw": json.RawMessage(`{"z":1}`),
		"empty list": []int(nil), "": "no name",
	}
	want, err := json.Marshal(rest)
	require.NoError(t, err)
	want = []byte(strings.NewReplacer("1e+21", "1000000000000000000000", "1e-9", "0.000000001").Replace(string(want)))
	values := maps.Clone(Values(rest))
	values["nil"], values["none"], values["nobody"], values["noTime"] = nil, none, nobody, noTime
	values["inside"] = &none
	got, err := values.JSON()
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))

	got, err = Values(nil).JSON()
	require.NoError(t, err)
	require.Equal(t, "{}", string(got))
	_, err = Values{"f": func() {}}.JSON()
	require.Error(t, err)
}

func TestAFloatIsTheSameNumberInQueryAndJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.Float64().Draw(t, "number")
		values := Values{"v": want}
		fromQuery, err := strconv.ParseFloat(strings.TrimPrefix(values.Encode(), "v="), 64)
		require.NoError(t, err)
		require.Equal(t, want, fromQuery)
		object, err := values.JSON()
		require.NoError(t, err)
		require.Equal(t, `{"v":`+strings.TrimPrefix(values.Encode(), "v=")+`}`, string(object))
	})
}

func TestEncodingDoesNotDependOnTheMapsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.String(), 0, 8, rapid.ID[string]).Draw(t, "names")
		v, w := Values{}, Values{}
		for i, name := range names {
			v[name], w[names[len(names)-1-i]] = name, names[len(names)-1-i]
		}
		require.Equal(t, v.Encode(), w.Encode())
	})
}

func TestACallKeepsItsLinesInOrder(t *testing.T) {
	c := Call{Path: "/p", Fields: []Field{{"A", "1"}, {"b", "2"}, {"a", "3"}}}
	c.SetHeader("a", "4")
	require.Equal(t, []Field{{"b", "2"}, {"a", "4"}}, c.Fields)
	c.AddCookies([]*http.Cookie{{Name: "x", Value: "1"}, {Name: "y", Value: "2"}})
	cookies, ok := c.Header("cookie")
	require.True(t, ok)
	require.Equal(t, "x=1; y=2", cookies)
	c.AddQuery("q", "ü &")
	c.AddQuery("r", "")
	require.Equal(t, "/p?q=%C3%BC+%26&r=", c.Target())
}

func TestAResponseKnowsItsMediaType(t *testing.T) {
	r := &Response{StatusCode: 200, Header: NewHeader("Content-Type: application/problem+json; charset=utf-8\r\n"), Body: []byte(`{"a":1}`)}
	require.NoError(t, r.Require("application/json"))
	require.Error(t, r.Require("text/html"))
	var into struct{ A int }
	require.NoError(t, r.JSON(&into))
	require.Equal(t, 1, into.A)
	var syntax *json.SyntaxError
	require.ErrorAs(t, (&Response{Body: []byte("{")}).JSON(&into), &syntax)
}

func TestAFloodOfCookiesIsLaidOutInOnePass(t *testing.T) {
	var flood []*http.Cookie
	for range 25_000 {
		flood = append(flood, &http.Cookie{Name: "name", Value: "some value of some length"})
	}
	var c Call
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.AddCookies(flood)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(50<<20), "a line that is copied for each cookie takes gigabytes")
}

// It is built by an oracle that knows net/textproto and nothing of how lines are walked.
func TestAHeaderAsMapIsWhatItsLinesSay(t *testing.T) {
	names := []string{
		"Date", "Server", "Content-Type", "Content-Length", "Connection", "Vary", "Cache-Control", "Transfer-Encoding", "Set-Cookie",
		"Etag", "Expires", "Last-Modified", "Content-Encoding", "Strict-Transport-Security", "ETag", "date", "x-MBX-used-weight", "CONTENT-LENGTH",
		"a", "b", "c", "d", "e", "f",
	}
	rapid.Check(t, func(t *rapid.T) {
		var lines strings.Builder
		want := make(http.Header)
		for range rapid.IntRange(0, 40).Draw(t, "lines") {
			name := rapid.SampledFrom(names).Draw(t, "name")
			value := rapid.StringMatching(`[ \t]{0,2}([a-z:=;][a-z:=; \t]{0,8})?[ \t]{0,2}`).Draw(t, "value")
			lines.WriteString(name + ":" + value + "\r\n")
			want.Add(textproto.CanonicalMIMEHeaderKey(name), strings.Trim(value, " \t"))
		}
		have := NewHeader(lines.String())
		require.Equal(t, want, have.HTTP())
		for name, values := range want {
			require.Equal(t, values, have.Values(name))
			require.Equal(t, values[0], have.Get(name))
		}
	})
}
