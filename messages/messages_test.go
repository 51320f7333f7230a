package messages

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

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

func TestAnErrorSaysWhereAndKeepsItsCause(t *testing.T) {
	cause := errors.New("cause")
	err := error(&Error{Stage: Exchanging, Sent: SentMaybe, Err: &PanicError{Stage: Signing, Value: cause}})
	require.ErrorIs(t, err, cause)
	require.Contains(t, err.Error(), "exchanging (sent: maybe, outcome unknown)")
	status := &StatusError{StatusCode: 400, Method: "GET", Body: []byte("secret"), Header: NewHeader("A: secret\r\n")}
	require.NotContains(t, status.Error(), "secret")
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
