package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	x "golang.org/x/oauth2"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/auth/oauth2"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/bench/hostile/secrets"
	"github.com/sluice-engine/sluice/engine"
)

// endpoint is what a server says to whoever asks it for a token, or for the time.
type endpoint struct {
	name   string
	answer string                     // whole
	says   func(now time.Time) string // instead
	hangs  bool                       // behind the answer, and otherwise closes
}

// saying is an endpoint that says a body.
func saying(body string, lines ...string) endpoint {
	return endpoint{name: fmt.Sprintf("%.60q", body), answer: answered("200 OK", body, lines...)}
}

func answered(status, body string, lines ...string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s", status, len(body), strings.Join(lines, ""), body)
}

// nonsense is what any endpoint may say.
func nonsense() []endpoint {
	all := []endpoint{
		saying(""), saying("null"), saying("[]"), saying("{}"), saying("{"), saying("0"), saying(`"text"`), saying("\xef\xbb\xbf{}"), saying("\x00\xff"), saying("<html><body>Just a moment...</body></html>"),
		saying(strings.Repeat("[", 100_000)), saying(strings.Repeat(`{"a":`, 20_000)), {name: "18 MiB", answer: answered("200 OK", `{"a":"`+strings.Repeat("x", 18<<20)+`"}`)},
		{name: "a status 204", answer: "HTTP/1.1 204 No Content\r\n\r\n"}, {name: "no HTTP", answer: "SSH-2.0\r\n"}, {name: "nothing, and closes", answer: ""}, {name: "nothing", hangs: true},
		{name: "half a head", answer: "HTTP/1.1 200 OK\r\nConte", hangs: true}, {name: "half a body, and closes", answer: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a"}, {name: "half a body", answer: "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"a", hangs: true},
		{name: "called gzip, and is not", answer: answered("200 OK", "{}", "Content-Encoding: gzip\r\n")},
	}
	for _, status := range []string{"400 Bad", "401 Unauthorized", "403 Forbidden", "404 Not Found", "429 Too Many", "500 Error", "503 Busy"} {
		all = append(all, endpoint{name: status, answer: answered(status, "<html>"+keyOfTests+"</html>")})
	}
	for _, status := range []string{"301", "302", "303", "307", "308"} {
		for _, to := range []string{"http://elsewhere.test/", "//elsewhere.test/", "/elsewhere", "http://user:pass@elsewhere.test/", ":", ""} {
			all = append(all, endpoint{name: status + " to " + to, answer: answered(status+" Moved", "", "Location: "+to+"\r\n")})
		}
	}
	return all
}

// keyOfTests is the secret that must not be seen elsewhere.
const keyOfTests = "open-sesame-0123"

// venue is a server whose endpoint is of no use until it is well.
type venue struct {
	endpoint endpoint
	healthy  string // what the endpoint says when all is well; empty tells the time
	good     func(*http.Request) bool
	well     atomic.Bool
	strayed  atomic.Int64 // requests that came to another host than they should
}

func (v *venue) converse(c net.Conn) {
	defer c.Close()
	for request := range requests(c) {
		switch {
		case strings.Contains(request.Host, "elsewhere") || strings.HasPrefix(request.URL.Path, "/elsewhere"):
			if request.Host != "token.test" && request.Host != "mem.test" {
				v.strayed.Add(1)
			}
			_, _ = io.WriteString(c, answered("200 OK", `{"access_token":"stolen","expires_in":3600,"serverTime":1}`))
		case request.URL.Path == "/endpoint":
			if !v.speak(c) {
				return
			}
		case !v.good(request):
			_, _ = io.WriteString(c, answered("401 Unauthorized", `{"code":-1021}`))
		default:
			_, _ = io.WriteString(c, trueAnswer(request.URL.Path))
		}
	}
}

// speak answers at the endpoint, and reports whether the connection goes on.
func (v *venue) speak(c net.Conn) bool {
	switch e := v.endpoint; {
	case v.well.Load() && v.healthy != "":
		_, _ = io.WriteString(c, answered("200 OK", v.healthy))
	case v.well.Load():
		_, _ = io.WriteString(c, answered("200 OK", fmt.Sprintf(`{"serverTime":%d}`, time.Now().UnixMilli())))
	case e.says != nil:
		_, _ = io.WriteString(c, e.says(time.Now()))
	default:
		_, _ = io.WriteString(c, e.answer)
		if e.hangs {
			_, _ = io.Copy(io.Discard, c)
		}
		return strings.Contains(e.answer, "Content-Length") && !strings.Contains(e.answer, "Length: 100\r\n")
	}
	return true
}

// askedWell asks while the endpoint is of no use, and again when it is.
func (r *Report) askedWell(v *venue, eng *engine.Engine, where string) {
	ask := func(path string) outcome {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		response, err := eng.Do(ctx, &engine.Request{Path: path, Auth: true})
		if err != nil {
			return failed(err)
		}
		return outcome{verdict: answers, status: response.StatusCode, body: string(response.Body)}
	}
	began := time.Now()
	got := ask("/own/1")
	took := time.Since(began)
	r.count("while the endpoint is odd: " + string(got.verdict))
	var typed *engine.Error
	switch {
	case took > 21*time.Second:
		r.fail("LATE: %s took %v: %v", where, took, got)
	case got.err != nil && !errors.As(got.err, &typed):
		r.fail("UNTYPED: %s: %v", where, got)
	case got.err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", got.err, got.err, got.err), keyOfTests):
		r.fail("LEAKED: %s: %v", where, got)
	}
	v.well.Store(true)
	time.Sleep(2 * time.Minute)
	if got := ask("/own/2"); got.verdict != answers || got.body != trueBody("/own/2") {
		r.fail("NOT RECOVERED: %s: %v", where, got)
	}
	if n := v.strayed.Load(); n > 0 {
		r.fail("STRAYED: %s: %d requests went to another host", where, n)
	}
}

// tokenAnswers are what token endpoints may say besides.
func tokenAnswers() (all []endpoint) {
	for _, expiry := range []string{"3600", `"3600"`, "3600.5", "-1", "0", "1", "1e300", "1e3", "99999999999999999999", "NaN", "null", "true", `"never"`, "{}", "-9223372036854775808", "9223372036854775807", `""`} {
		all = append(all, saying(`{"access_token":"odd","token_type":"bearer","expires_in":`+expiry+`}`))
	}
	for _, token := range []string{`""`, "null", "5", "{}", `"a b"`, `"a\r\nX-Injected: y"`, `"a\u0000b"`, `"\u00e4"`, `"a\u001bb"`, `"` + strings.Repeat("x", 100_000) + `"`} {
		all = append(all, saying(`{"access_token":`+token+`,"token_type":"bearer","expires_in":3600}`))
	}
	for _, kind := range []string{`""`, "null", `"mac"`, "5", `"bearer\r\nX-Injected: y"`, `"` + strings.Repeat("x", 100_000) + `"`} {
		all = append(all, saying(`{"access_token":"odd","token_type":`+kind+`,"expires_in":3600}`))
	}
	for _, problem := range []string{
		`{"error":"invalid_client","error_description":"` + keyOfTests + `"}`, `{"error":"no client has ` + keyOfTests + `"}`, `{"error":5}`, `{"error":"` + strings.Repeat("x", 100_000) + `"}`,
		`{"error":"a\r\nb"}`, `{"error":"x","error_uri":"http://` + keyOfTests + `"}`, "error=invalid_client&error_description=" + keyOfTests, keyOfTests,
	} {
		all = append(all, saying(problem), endpoint{name: fmt.Sprintf("400 %.60q", problem), answer: answered("400 Bad", problem)})
	}
	return all
}

func playTokens(t *testing.T, c Config, r *Report) {
	all := append(nonsense(), tokenAnswers()...)
	for i, e := range all {
		c.progress("tokens", i, len(all))
		for _, refreshed := range []bool{false, true} {
			synctest.Test(t, func(*testing.T) { playToken(e, refreshed, r) })
		}
	}
}

func playToken(e endpoint, refreshed bool, r *Report) {
	r.Played++
	listener := memnet.Listen()
	v := &venue{endpoint: e, healthy: `{"access_token":"good","token_type":"bearer","expires_in":3600,"refresh_token":"` + keyOfTests + `-2"}`, good: func(request *http.Request) bool {
		if request.Header.Get("X-Injected") != "" {
			r.fail("INJECTED: token endpoint %s", e.name)
		}
		return request.Header.Get("Authorization") == "Bearer good"
	}}
	server := serveRaw(listener, v.converse)
	transport := &http.Transport{DialContext: listener.DialContext}
	const at = "http://me:" + keyOfTests + "@token.test/endpoint?key=" + keyOfTests
	options := oauth2.Options{Client: &http.Client{Transport: transport}}
	tokens := oauth2.ClientCredentials(clientcredentials.Config{ClientID: "me", ClientSecret: keyOfTests, TokenURL: at}, options)
	if refreshed {
		config := x.Config{ClientID: "me", ClientSecret: keyOfTests, Endpoint: x.Endpoint{TokenURL: at}}
		tokens = oauth2.Refresh(config, keyOfTests, nil, options)
	}
	eng := newEngine(engine.Config{BaseURL: "http://mem.test", Auth: tokens, Dial: engine.Dial{DialContext: listener.DialContext}})
	r.askedWell(v, eng, "token endpoint says "+e.name)
	r.closing(eng, e.name)
	tokens.Close()
	transport.CloseIdleConnections()
	server.stop()
}

// timeAnswers are what time endpoints may say besides.
func timeAnswers() (all []endpoint) {
	for _, value := range []string{"0", "-1", "1", "NaN", "Infinity", "null", "true", "{}", "[]", `""`, `"now"`, "1e30", "-1e30", "1e-30", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "99999999999999999999999", "253402300800000", `"9999-12-31T23:59:59Z"`, `"0000-01-01T00:00:00Z"`, `"2010-13-45T99:99:99Z"`, strings.Repeat("1", 100_000)} {
		all = append(all, saying(`{"serverTime":`+value+`}`))
	}
	all = append(all, saying(`{"servertime":1}`), saying(`{"serverTime":{"serverTime":1}}`), saying(`{"serverTime":1,"serverTime":2}`))
	telling := func(name string, shift func(n int) time.Duration, lines func(now time.Time) string) {
		n := 0
		all = append(all, endpoint{name: name, says: func(now time.Time) string {
			n++
			return answered("200 OK", fmt.Sprintf(`{"serverTime":%d}`, now.Add(shift(n)).UnixMilli()), lines(now))
		}})
	}
	none := func(time.Time) string { return "" }
	for _, by := range []time.Duration{-time.Hour, time.Hour, -24 * time.Hour, 365 * 24 * time.Hour, 4 * time.Minute, -4 * time.Minute, 6 * time.Minute} {
		telling(fmt.Sprint("off by ", by), func(int) time.Duration { return by }, none)
	}
	telling("another hour each time", func(n int) time.Duration { return time.Duration(n) * time.Hour }, none)
	telling("to and fro", func(n int) time.Duration { return time.Duration(math.Pow(-1, float64(n))) * 2 * time.Minute }, none)
	telling("from a cache, by its Age", func(int) time.Duration { return -time.Minute }, func(time.Time) string { return "Age: 60\r\n" })
	telling("from a cache, by its Date", func(int) time.Duration { return -time.Minute }, func(now time.Time) string {
		return "Date: " + now.Add(-time.Minute).UTC().Format(http.TimeFormat) + "\r\n"
	})
	telling("a Date of its own", func(int) time.Duration { return 0 }, func(now time.Time) string {
		return "Date: " + now.Add(10*time.Hour).UTC().Format(http.TimeFormat) + "\r\n"
	})
	telling("no Date that can be read", func(int) time.Duration { return 0 }, func(time.Time) string { return "Date: yesterday\r\n" })
	telling("an Age that is none", func(int) time.Duration { return 0 }, func(time.Time) string { return "Age: -1\r\n" })
	return all
}

func playTime(t *testing.T, c Config, r *Report) {
	all := len(nonsense()) + len(timeAnswers())
	for i := range all {
		c.progress("time", i, all)
		synctest.Test(t, func(*testing.T) {
			time.Sleep(10 * 365 * 24 * time.Hour) // a bubble begins in 2000, and what is known as a Unix time in 2001
			playClock(append(nonsense(), timeAnswers()...)[i], r)
		})
	}
}

func playClock(e endpoint, r *Report) {
	r.Played++
	listener := memnet.Listen()
	v := &venue{endpoint: e, good: func(request *http.Request) bool {
		stamp, err := strconv.ParseInt(request.URL.Query().Get("timestamp"), 10, 64)
		return err == nil && time.Since(time.UnixMilli(stamp)).Abs() < 5*time.Second
	}}
	server := serveRaw(listener, v.converse)
	eng := newEngine(engine.Config{
		BaseURL: "http://mem.test", Header: http.Header{"X-Key": {keyOfTests}}, Auth: auth.HMACQuery{Key: keyOfTests, Secret: keyOfTests},
		Time: engine.TimeFrom("/endpoint", "serverTime"), Dial: engine.Dial{DialContext: listener.DialContext},
	})
	r.askedWell(v, eng, "time endpoint says "+e.name)
	r.closing(eng, e.name)
	server.stop()
}

func playSecrets(_ *testing.T, _ Config, r *Report) {
	looked, err := secrets.Look()
	if err != nil {
		r.fail("%v", err)
	}
	r.Played = looked.Texts
	for _, leak := range looked.Leaks {
		r.fail("LEAKED: %s", leak)
	}
	for _, name := range looked.Stale {
		r.fail("STALE: %s is public by nature, and held by nothing", name)
	}
	r.Counts[fmt.Sprintf("types looked at: %d", looked.Types)] = looked.Texts
}
