package messages

import (
	"io"
	"log"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// net/http logs what it leaves out.
func TestCookiesAreLaidOutAsNetHTTPDoes(t *testing.T) {
	before := log.Writer()
	log.SetOutput(io.Discard)
	defer log.SetOutput(before)
	rapid.Check(t, func(t *rapid.T) {
		var cookies []*http.Cookie
		other := &http.Request{Header: http.Header{}}
		for range rapid.IntRange(0, 4).Draw(t, "cookies") {
			cookie := &http.Cookie{
				Name:   rapid.StringMatching("[a-zA-Z0-9_.!-]{1,5}").Draw(t, "name"),
				Value:  rapid.StringOf(rapid.RuneFrom([]rune("ab ,;\"\\\r\n\x00\x7fü="))).Draw(t, "value"),
				Quoted: rapid.Bool().Draw(t, "quoted"),
			}
			cookies = append(cookies, cookie)
			other.AddCookie(cookie)
		}
		var call Call
		call.AddCookies(cookies)
		line, _ := call.Header("Cookie")
		require.Equal(t, other.Header.Get("Cookie"), line)
	})
}

func TestACookieIsNoWayToAnother(t *testing.T) {
	var call Call
	call.AddCookies([]*http.Cookie{{Name: "a", Value: "1; b=2"}, {Name: "c=3; d", Value: "4"}, {Name: "", Value: "5"}, {Name: "é\r\n", Value: "6"}})
	line, _ := call.Header("Cookie")
	require.Equal(t, `a="1 b=2"`, line)
	call = Call{}
	call.AddCookies([]*http.Cookie{{Name: "", Value: "5"}})
	require.Empty(t, call.Fields, "no empty line")
}

func TestCookiesThatAreAddedLoseNoneThatWereThere(t *testing.T) {
	lines := []Field{{"Cookie", "a=1"}, {"X", "y"}, {"cookie", "b=2; c=3"}}
	call := Call{Fields: slices.Clone(lines)}
	call.AddCookies(nil)
	require.Equal(t, lines, call.Fields)
	call.AddCookies([]*http.Cookie{{Name: "d", Value: "4"}})
	require.Equal(t, []Field{{"X", "y"}, {"Cookie", "a=1; b=2; c=3; d=4"}}, call.Fields)
}
