package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

func TestAFailedHandshakeSaysWhatWasWrong(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	for _, name := range ClientNames() {
		t.Run(name, func(t *testing.T) {
			run, err := Run(context.Background(), Config{
				Closed: &Closed{Callers: 2, Requests: 20}, Plan: planOf(server.URL + "/?key=secret"),
				Client: open(t, ClientConfig{Client: name}),
			})
			require.NoError(t, err)
			all := run.Total[""]
			require.EqualValues(t, 20, all.Errors["tls"])
			require.Contains(t, all.Samples["tls"], "x509: certificate signed by unknown authority")
			require.NotContains(t, all.Samples["tls"], "secret")
			require.Len(t, all.Samples, 1)
		})
	}
}

func TestATimeoutSaysWhoseTimeWasUp(t *testing.T) {
	hangs := ClientFunc(func(ctx context.Context, _ *targets.Request, a *Answer) {
		<-ctx.Done()
		a.Err = ctx.Err()
	})
	run, err := Run(context.Background(), Config{
		Closed: &Closed{Callers: 1, Requests: 1}, Plan: planOf("http://x/"), Client: hangs, Timeout: 20 * time.Millisecond,
	})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"timeout": "its time of 20ms was up: context canceled"}, run.Total[""].Samples)
}

func TestAMessageHoldsNothingSecret(t *testing.T) {
	const address = "https://user:s3cret@host:8443/path?key=s3cret&b=s3cret#s3cret"
	for name, c := range map[string]struct {
		err  error
		kind string
		want string
	}{
		"a URL error":        {&url.Error{Op: "Get", URL: address, Err: errors.New("connection closed")}, kindTLS, `Get "https://host:8443/path": connection closed`},
		"one with blanks":    {&url.Error{Op: "Get", URL: "http://host/path?q=s3cret s3cret", Err: errors.New("EOF")}, kindTLS, `Get "http://host/path": EOF`},
		"a URL in the text":  {fmt.Errorf("no way to %s today", address), kindOther, "no way to https://host:8443/path today"},
		"a path":             {errors.New("GET /path?key=s3cret failed"), kindOther, "GET /path failed"},
		"a quoted answer":    {errors.New(`malformed HTTP response "s3cret \" s3cret" and "s3cret`), kindOther, `malformed HTTP response "…" and "…"`},
		"a head":             {fmt.Errorf("net/http: %w", textproto.ProtocolError("malformed MIME header line: Set-Cookie s3cret s3cret")), kindTLS, "net/http: malformed MIME header line: …"},
		"control characters": {errors.New("a\x1b[31mb\nc\td\u202e\x00"), kindOther, "a [31mb c d"},
		"a certificate":      {errors.New(`x509: while trying to verify "Acme Co"`), kindTLS, `x509: while trying to verify "Acme Co"`},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, messageOf(c.err, c.kind)) })
	}
}

func TestAMessageIsALineWhateverTheErrorSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		said := rapid.StringOfN(rapid.RuneFrom([]rune("ab/:?=@&\"'\\ \n\x1b\u202e%é")), 0, 600, -1).Draw(t, "said")
		query := rapid.StringMatching(`[a-z]{3,8}=SECRET`).Draw(t, "query")
		var o results.Operation
		o.KeepSample("k", messageOf(fmt.Errorf("%s http://u:SECRET@h/p?%s", said, query), kindOther))
		message := o.Samples["k"]
		if strings.Contains(message, "SECRET") || utf8.RuneCountInString(message) > results.LongestSample || strings.ContainsFunc(message, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Fatalf("%q", message)
		}
	})
}

func TestAnEndlessMessageIsCut(t *testing.T) {
	long := strings.Repeat("word ", 800) + strings.Repeat("x", 97) + "http://user:SECRET" + strings.Repeat("y", 1<<20)
	require.NotContains(t, messageOf(errors.New(long), kindTLS), "SECRET")
	require.Empty(t, messageOf(errors.New(strings.Repeat("x", 1<<20)), kindTLS))
}

// A run may fail in as many ways as there are requests: what is made of them does not grow.
func TestOnlyTheFirstOfAKindIsAsked(t *testing.T) {
	m := firstMessages{warmUp: time.Second}
	asked := 0
	for i := range 10_000 {
		s := sample{operation: 1, kind: fmt.Sprint("kind ", i%100), due: 2 * time.Second}
		m.tell(&s, askedError{&asked})
	}
	require.Equal(t, results.MostSamples, asked)
	warm := sample{operation: 1, kind: "kind 1"}
	m.tell(&warm, askedError{&asked})
	require.Equal(t, "asked", warm.message, "the warm-up is kept apart, and has its own")
	require.Len(t, m.told, results.MostSamples+1)
}

type askedError struct{ times *int }

func (e askedError) Error() string { *e.times++; return "asked" }
