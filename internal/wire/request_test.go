package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
)

// withField adds a header line to a call.
func withField(name, value string) func(*messages.Call) {
	return func(c *messages.Call) { c.Fields = append(c.Fields, messages.Field{Name: name, Value: value}) }
}

// unfit are the ways in which a call could be read in two ways.
var unfit = map[string]struct {
	spoil func(*messages.Call)
	want  CallError
}{
	"no method":               {func(c *messages.Call) { c.Method = "" }, CallError{Part: "method"}},
	"method with a space":     {func(c *messages.Call) { c.Method = "GET /x" }, CallError{Part: "method"}},
	"method with a line end":  {func(c *messages.Call) { c.Method = "GET\r\nX:" }, CallError{Part: "method"}},
	"CONNECT":                 {func(c *messages.Call) { c.Method = "CONNECT" }, CallError{Part: "method"}},
	"no path":                 {func(c *messages.Call) { c.Path = "" }, CallError{Part: "target"}},
	"relative path":           {func(c *messages.Call) { c.Path = "x" }, CallError{Part: "target"}},
	"asterisk for GET":        {func(c *messages.Call) { c.Path = "*" }, CallError{Part: "target"}},
	"path with a space":       {func(c *messages.Call) { c.Path = "/ HTTP/1.1" }, CallError{Part: "target"}},
	"path with a line end":    {func(c *messages.Call) { c.Path = "/\r\n" }, CallError{Part: "target"}},
	"query with a space":      {func(c *messages.Call) { c.Query = "a=b c" }, CallError{Part: "target"}},
	"query with a tab":        {func(c *messages.Call) { c.Query = "a=\t" }, CallError{Part: "target"}},
	"query with DEL":          {func(c *messages.Call) { c.Query = "a=\x7f" }, CallError{Part: "target"}},
	"no host":                 {func(c *messages.Call) { c.Host = "" }, CallError{Part: "host"}},
	"host with a line end":    {func(c *messages.Call) { c.Host = "h\r\nX: y" }, CallError{Part: "host"}},
	"host with a path":        {func(c *messages.Call) { c.Host = "h/x" }, CallError{Part: "host"}},
	"host with a user":        {func(c *messages.Call) { c.Host = "u@h" }, CallError{Part: "host"}},
	"Host header with a list": {withField("Host", "a,b"), CallError{Part: "host"}},
	"Host header twice": {func(c *messages.Call) { withField("Host", "a")(c); withField("hOST", "a")(c) },
		CallError{Part: "header", Name: "hOST"}},
	"empty name":             {withField("", "x"), CallError{Part: "header"}},
	"name with a colon":      {withField("X:", "x"), CallError{Part: "header", Name: "X:"}},
	"name with a space":      {withField("X ", "x"), CallError{Part: "header", Name: "X "}},
	"name with a line end":   {withField("X\r\nY", "x"), CallError{Part: "header", Name: "X\r\nY"}},
	"value with CR LF":       {withField("X", "s3cret\r\nY: z"), CallError{Part: "header", Name: "X"}},
	"value with LF":          {withField("X", "s3cret\n"), CallError{Part: "header", Name: "X"}},
	"value with CR":          {withField("X", "s3cret\r"), CallError{Part: "header", Name: "X"}},
	"value with NUL":         {withField("X", "s3cret\x00"), CallError{Part: "header", Name: "X"}},
	"value with ESC":         {withField("X", "s3cret\x1b[2J"), CallError{Part: "header", Name: "X"}},
	"value with DEL":         {withField("X", "s3cret\x7f"), CallError{Part: "header", Name: "X"}},
	"value with BEL":         {withField("X", "\x07s3cret"), CallError{Part: "header", Name: "X"}},
	"value with VT":          {withField("X", "s3cret\x0by"), CallError{Part: "header", Name: "X"}},
	"Content-Length":         {withField("content-length", "0"), CallError{Part: "header", Name: "content-length"}},
	"Transfer-Encoding":      {withField("Transfer-Encoding", "chunked"), CallError{Part: "header", Name: "Transfer-Encoding"}},
	"Connection":             {withField("CONNECTION", "close"), CallError{Part: "header", Name: "CONNECTION"}},
	"Upgrade":                {withField("Upgrade", "h2c"), CallError{Part: "header", Name: "Upgrade"}},
	"option with a line end": {func(c *messages.Call) { c.Connection = "X\r\nY" }, CallError{Part: "header", Name: "Connection"}},
	"option with no name":    {func(c *messages.Call) { c.Connection = "X,,Y" }, CallError{Part: "header", Name: "Connection"}},
	"hiding its end":         {func(c *messages.Call) { c.Connection = "X, Close" }, CallError{Part: "header", Name: "Connection"}},
	"taking the host away":   {func(c *messages.Call) { c.Connection = "host" }, CallError{Part: "header", Name: "Connection"}},
	"taking framing away":    {func(c *messages.Call) { c.Connection = "X , content-length" }, CallError{Part: "header", Name: "Connection"}},
	"upgrade with no stream": {func(c *messages.Call) { c.Upgrade = "x" }, CallError{Part: "header", Name: "Upgrade"}},
	"upgrade with a line end": {func(c *messages.Call) { c.Upgrade, c.Stream = "s3cret\r\nY: z", true },
		CallError{Part: "header", Name: "Upgrade"}},
	"upgrade with a body": {func(c *messages.Call) { c.Upgrade, c.Stream, c.Body = "x", true, []byte("x") },
		CallError{Part: "header", Name: "Upgrade"}},
	"the last of many lines": {func(c *messages.Call) { withField("X", "y")(c); withField("Z", "\n")(c) }, CallError{Part: "header", Name: "Z"}},
}

func TestACallThatCouldBeReadInTwoWaysIsRefusedBeforeItsFirstByte(t *testing.T) {
	for name, test := range unfit {
		t.Run(name, func(t *testing.T) {
			tape := play(ok)
			c := over(tape, Limits{})
			call := get("/")
			test.spoil(call)
			resp, sent, err := c.Exchange(call, never)

			var refused *CallError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, test.want.Part, refused.Part)
			require.Equal(t, test.want.Name, refused.Name)
			require.NotContains(t, err.Error(), "s3cret")
			require.NotContains(t, err.Error(), "\n")
			require.Nil(t, resp)
			require.Equal(t, messages.SentNo, sent)
			require.Zero(t, tape.written.Len())
			require.True(t, c.Reusable(), "nothing happened to the connection")
			require.Equal(t, "ok", exchange(t, c, get("/")).Text())
		})
	}
}

func TestTheHeadIsWrittenAsTheCallSays(t *testing.T) {
	cases := map[string]struct {
		call messages.Call
		want string
	}{
		"GET":              {messages.Call{Method: "GET", Path: "/"}, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
		"query":            {messages.Call{Method: "GET", Path: "/x", Query: "a=%20"}, "GET /x?a=%20 HTTP/1.1\r\nHost: h\r\n\r\n"},
		"empty POST":       {messages.Call{Method: "POST", Path: "/"}, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		"empty PUT":        {messages.Call{Method: "PUT", Path: "/"}, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		"empty PATCH":      {messages.Call{Method: "PATCH", Path: "/"}, "PATCH / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"},
		"empty DELETE":     {messages.Call{Method: "DELETE", Path: "/"}, "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n"},
		"DELETE with body": {messages.Call{Method: "DELETE", Path: "/", Body: []byte("x")}, "DELETE / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"},
		"OPTIONS":          {messages.Call{Method: "OPTIONS", Path: "*"}, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
		"the last request": {messages.Call{Method: "GET", Path: "/", Close: true}, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
		"for the next hop": {messages.Call{Method: "GET", Path: "/", Connection: "X, keep-alive", Fields: []messages.Field{{Name: "X", Value: "1"}}},
			"GET / HTTP/1.1\r\nHost: h\r\nConnection: X, keep-alive\r\nX: 1\r\n\r\n"},
		"all options": {messages.Call{Method: "GET", Path: "/", Connection: "X", Close: true, Upgrade: "a, b/2", Stream: true},
			"GET / HTTP/1.1\r\nHost: h\r\nConnection: X, close, Upgrade\r\nUpgrade: a, b/2\r\n\r\n"},
		"own Host": {messages.Call{Method: "GET", Path: "/", Fields: []messages.Field{{Name: "A", Value: "1"}, {Name: "host", Value: "other:8080"}, {Name: "B", Value: ""}}},
			"GET / HTTP/1.1\r\nHost: other:8080\r\nA: 1\r\nB: \r\n\r\n"},
		"a tab and UTF-8 in a value": {messages.Call{Method: "GET", Path: "/", Fields: []messages.Field{{Name: "A", Value: "1\t\u00e9"}}},
			"GET / HTTP/1.1\r\nHost: h\r\nA: 1\t\u00e9\r\n\r\n"},
		"repeated lines": {messages.Call{Method: "GET", Path: "/", Fields: []messages.Field{{Name: "b", Value: "1"}, {Name: "a", Value: "2"}, {Name: "B", Value: "3"}}},
			"GET / HTTP/1.1\r\nHost: h\r\nb: 1\r\na: 2\r\nB: 3\r\n\r\n"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			test.call.Host = "h"
			head, rest, err := appendRequest(nil, &test.call, nil)
			require.NoError(t, err)
			require.Equal(t, test.want, string(head)+string(rest))
		})
	}
}

func TestALargeBodyIsNotCopied(t *testing.T) {
	call := post(strings.Repeat("x", joinedBody+1))
	head, rest, err := appendRequest(nil, call, nil)
	require.NoError(t, err)
	require.Same(t, &call.Body[0], &rest[0])
	require.Less(t, len(head), 200)
}
