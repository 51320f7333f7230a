package inspect_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener in memory, for servers in fake time.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func listen() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

func (l *pipes) dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, errors.New("nobody listens")
	}
}

// serve has a handler served in memory until the test ends, and returns who dials it.
func serve(t *testing.T, handler http.Handler) *pipes {
	l := listen()
	server := &http.Server{Handler: handler}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() {
		_ = server.Close()
		running.Wait()
	})
	return l
}

func newEngine(t *testing.T, config engine.Config) *engine.Engine {
	eng, err := engine.New(config)
	require.NoError(t, err)
	t.Cleanup(func() { _ = eng.Close() })
	return eng
}

// wait has one more wait for a permit of a limit until the test ends.
func wait(t *testing.T, eng *engine.Engine, charge engine.Charge) {
	ctx, cancel := context.WithCancel(context.Background())
	var waits sync.WaitGroup
	waits.Go(func() {
		_, err := eng.Acquire(ctx, charge)
		if !errors.Is(err, context.Canceled) && !errors.Is(err, engine.ErrClosed) && !errors.Is(err, engine.ErrHalted) {
			t.Errorf("the permit ended its wait with %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		waits.Wait()
	})
}

func get(t *testing.T, handler http.Handler, method, target string) *http.Response {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w.Result()
}

func text(t *testing.T, r *http.Response) string {
	raw, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(raw)
}

// has looks for something in a long text.
func has(t *testing.T, text, wanted string, why ...any) {
	t.Helper()
	require.True(t, strings.Contains(text, wanted), "%v: it has no %s: %.2000s", why, wanted, text)
}

// within finds what stands in an HTML text after one piece and before the next.
func within(t *testing.T, html, from, to string) string {
	_, rest, found := strings.Cut(html, from)
	require.True(t, found, from)
	inside, _, found := strings.Cut(rest, to)
	require.True(t, found, to)
	return inside
}

func TestThePageShowsLimitsAndWhoWaitsWithoutAScript(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{
			BaseURL:  "http://api.test",
			Accounts: map[string]auth.Authenticator{"main": nil},
			Limits: []throttle.Limit{
				{ID: "orders", Quota: 2, Per: time.Hour, By: throttle.ByAccount},
				{ID: "weight", Quota: 1200, Per: time.Minute},
			},
		})
		for range 2 {
			_, err := eng.TryAcquire(engine.Charge{LimitID: "orders", Account: "main"})
			require.NoError(t, err)
		}
		for range 3 {
			wait(t, eng, engine.Charge{LimitID: "orders", Account: "main", Priority: engine.High})
		}
		synctest.Wait()
		_, err := eng.Halt(engine.Filter{Method: "POST", Reason: "position limit"})
		require.NoError(t, err)
		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, time.Minute))

		synctest.Wait() // those that a halt may select are looked at one by one

		page := inspect.New(inspect.Config{Title: "Desk"})
		page.Attach("trading", eng)
		answer := get(t, page, "GET", "/")
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Equal(t, "text/html; charset=utf-8", answer.Header.Get("Content-Type"))
		html := text(t, answer)
		has(t, html, "<h1>Desk</h1>")
		require.Regexp(t, `^One halt stands; one limit full; 3 wait, .*; one pause until [0-9:.]+\.$`, within(t, html, `<p class="verdict stopped" id="verdict">`, "</p>"))
		has(t, html, `<h2 id="engine-0-name">trading</h2>`)

		limits := within(t, html, "<caption>Limits", "</table>")
		has(t, limits, `<th role="rowheader" scope="row" class=" " data-name="Limit"><span>orders</span><small>sliding · account main</small></th>`)
		has(t, limits, `aria-label="2 of 2 used, 100 %, 2 of it in flight"`)
		has(t, limits, `<rect class="flight" x="0" width="1000"`)
		has(t, limits, `<span>3</span><small>3 × high</small>`)
		has(t, limits, `<span>0 / 1,200</span>`)
		has(t, limits, `aria-label="between 2 and 2 over 5 min"`)
		waiting := within(t, html, "<caption>Who waits", "</table>")
		has(t, waiting, `<span>permit</span><small>account main</small>`)
		has(t, waiting, `data-name="How many"><span>3</span>`, "those that are alike stand together")
		has(t, waiting, `<span>the end of a pause</span><small>scope the whole origin</small>`)
		pauses := within(t, html, "<caption>Pauses and halts", "</table>")
		has(t, pauses, `<span>Halt of method &#34;POST&#34;</span><small>position limit</small>`)
		has(t, pauses, `<span>Scope the whole origin</span><small>http://api.test:80</small>`)
		has(t, pauses, `in 1 m 00 s`)
		has(t, html, `<h3>Connections</h3>`)
		has(t, html, `No connection is open.`)
		has(t, html, `<a href="?" id="refresh">`, "without a script it is asked for again")

		for _, table := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(html, -1) {
			require.Contains(t, table, "<caption>")
			require.Contains(t, table, `scope="col"`)
			require.Contains(t, table, `scope="row"`)
		}
		require.Equal(t, strings.Count(html, "<svg"), strings.Count(html, `<svg class="bar" role="img" aria-label="`)+strings.Count(html, `<svg role="img" aria-label="`))
		require.NotContains(t, html, `aria-label=""`)
		require.NotRegexp(t, `<[^>]+\s(on[a-z]+|style)=`, html, "which the policy would stop")
		require.NotRegexp(t, `(src|href)="(https?:)?//`, html)
	})
}

func TestTheStateIsJSONUnderTwoNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour}}, BaseURL: "http://api.test"})
		_, err := eng.TryAcquire(engine.Charge{LimitID: "l"})
		require.NoError(t, err)
		wait(t, eng, engine.Charge{LimitID: "l"})
		synctest.Wait()
		page := inspect.New(inspect.Config{})
		page.Attach("a", eng)
		for _, target := range []string{"/?format=json", "/state.json", "/debug/state.json"} {
			answer := get(t, page, "GET", target)
			require.Equal(t, "application/json", answer.Header.Get("Content-Type"))
			var state struct {
				Title, Verdict string
				At             time.Time
				Engines        []struct {
					Name, Verdict string
					Clock         struct{ Source string }
					Stats         struct {
						Queued int
						Limits struct{ Limits []struct{ ID, Window string } }
					}
					Waiting []struct{ Subject, For string }
				}
				Requests any
			}
			require.NoError(t, json.NewDecoder(answer.Body).Decode(&state))
			require.Equal(t, "Sluice", state.Title)
			require.True(t, state.At.Equal(time.Now()))
			require.Len(t, state.Engines, 1)
			require.Equal(t, "a", state.Engines[0].Name)
			require.Equal(t, "local", state.Engines[0].Clock.Source)
			require.Equal(t, 1, state.Engines[0].Stats.Queued)
			require.Equal(t, "sliding", state.Engines[0].Stats.Limits.Limits[0].Window)
			require.Equal(t, "permit", state.Engines[0].Waiting[0].Subject)
			require.Equal(t, state.Verdict, state.Engines[0].Verdict)
			require.Nil(t, state.Requests, "no observer was handed out")
		}
	})
}

func TestWhateverIsShownIsUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const bad = "b\xff\xfed<\xc3>"
		page := inspect.New(inspect.Config{Title: "T" + bad})
		eng := newEngine(t, engine.Config{
			BaseURL: "http://api.test", Accounts: map[string]auth.Authenticator{bad: nil},
			Observers: []engine.Observer{page.Observer()},
			Limits:    []throttle.Limit{{ID: "l" + bad, Quota: 1, Per: time.Hour, By: throttle.ByAccount | throttle.ByKey, Scope: "s" + bad}},
			Dial: engine.Dial{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no way " + bad)
			}},
			Retry: engine.Retry{Max: -1},
		})
		_, err := eng.TryAcquire(engine.Charge{LimitID: "l" + bad, Account: bad, Key: bad})
		require.NoError(t, err)
		wait(t, eng, engine.Charge{LimitID: "l" + bad, Account: bad, Key: bad})
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/p", Account: bad, LimitID: engine.Unlimited})
		require.Error(t, err)
		_, err = eng.Halt(engine.Filter{Key: bad + "2", Reason: bad})
		require.NoError(t, err)
		require.NoError(t, eng.Pause(throttle.Scope{Name: "s" + bad}, time.Hour))
		synctest.Wait()
		page.Attach("n"+bad, eng)
		page.Attach("another "+bad, eng)

		html := text(t, get(t, page, "GET", "/"))
		require.True(t, utf8.ValidString(html), "%q", html)
		require.GreaterOrEqual(t, strings.Count(html, "b\uFFFDd&lt;\uFFFD&gt;"), 10, "it is all there, with a sign for what is none")
		one := look(t, serve(t, page))
		event, err := one.next()
		require.NoError(t, err)
		require.Contains(t, html, template.HTMLEscapeString(event.Verdict), "the script is sent the same")
	})
}

func TestAListInTheStateIsAListThoughItIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := inspect.New(inspect.Config{})
		page.Observer()
		has(t, text(t, get(t, page, "GET", "/state.json")), `"engines":[]`)
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test"})
		page.Attach("a", eng)
		page.Attach("never made", new(engine.Engine))
		page.Attach("none", nil)
		for range 2 { // the second time it has ended
			time.Sleep(time.Second)
			state := text(t, get(t, page, "GET", "/state.json"))
			require.NotContains(t, state, "null")
			has(t, state, `"slowest":[],"last_failed":[]`)
			require.Equal(t, 2, strings.Count(state, `"pools":[]`))
			ctx, cancel := context.WithCancel(t.Context())
			cancel() // the first picture is sent nevertheless
			events := httptest.NewRecorder()
			page.ServeHTTP(events, httptest.NewRequest("GET", "/?format=events", nil).WithContext(ctx))
			require.NotContains(t, events.Body.String(), "null")
			has(t, events.Body.String(), `"rows":[]`)
			require.NoError(t, eng.Close())
		}
	})
}

func TestWhateverIsShownIsEscaped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const evil = `<script>alert(1)</script>"'&<img src=x onerror=alert(2)>`
		page := inspect.New(inspect.Config{Title: "T" + evil})
		eng := newEngine(t, engine.Config{
			BaseURL: "http://api.test", Accounts: map[string]auth.Authenticator{evil: nil},
			Observers: []engine.Observer{page.Observer()},
			Limits:    []throttle.Limit{{ID: "l" + evil, Quota: 1, Per: time.Hour, By: throttle.ByAccount | throttle.ByKey, Scope: "s" + evil}},
			Dial: engine.Dial{DialContext: func(context.Context, string, string) (net.Conn, error) {
				return nil, errors.New("no way " + evil)
			}},
			Retry: engine.Retry{Max: -1},
		})
		_, err := eng.TryAcquire(engine.Charge{LimitID: "l" + evil, Account: evil, Key: evil})
		require.NoError(t, err)
		wait(t, eng, engine.Charge{LimitID: "l" + evil, Account: evil, Key: evil})
		_, err = eng.Do(t.Context(), &engine.Request{Path: "/p" + evil, Account: evil, LimitID: engine.Unlimited})
		require.Error(t, err)
		_, err = eng.Halt(engine.Filter{Account: evil, Key: evil, Reason: evil})
		require.NoError(t, err)
		require.NoError(t, eng.Pause(throttle.Scope{Name: "s" + evil}, time.Hour))
		synctest.Wait() // or the next one, which has room of its own, may come before the pause
		wait(t, eng, engine.Charge{LimitID: "l" + evil, Account: evil, Key: "another " + evil})
		synctest.Wait()
		page.Attach("n"+evil, eng)

		html := text(t, get(t, page, "GET", "/"))
		main := within(t, html, "<body>", "<script>")
		require.NotContains(t, main, "<img")
		require.NotContains(t, main, "alert(1)</script>")
		require.GreaterOrEqual(t, strings.Count(main, "&lt;img src=x onerror=alert(2)&gt;"), 6, "it is all there, as text")
		require.Equal(t, 1, strings.Count(html, "</script>"), "that of the page's own script")
		state := text(t, get(t, page, "GET", "/state.json"))
		require.NotContains(t, state, "<img")
	})
}

func TestAnswersKeepTheBrowserFromRunningOrAskingAnythingElse(t *testing.T) {
	page := inspect.New(inspect.Config{})
	for _, target := range []string{"/", "/state.json", "/nowhere"} {
		h := get(t, page, "GET", target).Header
		policy := h.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "img-src data:"} {
			require.Contains(t, policy, part)
		}
		require.Regexp(t, `script-src 'sha256-[A-Za-z0-9+/=]{44}';`, policy)
		require.Regexp(t, `style-src 'sha256-[A-Za-z0-9+/=]{44}';`, policy)
		require.NotContains(t, policy, "unsafe")
		require.Equal(t, "no-store", h.Get("Cache-Control"))
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		require.Equal(t, "DENY", h.Get("X-Frame-Options"))
		require.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"))
		require.Empty(t, h.Get("Access-Control-Allow-Origin"))
	}
}

func TestThePageIsOnlyLookedAt(t *testing.T) {
	page := inspect.New(inspect.Config{})
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"} {
		answer := get(t, page, method, "/")
		require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode, method)
		require.Equal(t, "GET, HEAD", answer.Header.Get("Allow"))
	}
	for target, status := range map[string]int{
		"/": 200, "/?format=json": 200, "/state.json": 200, "/?format=events": 200, "/?format=xml": 404, "/state.json?format=events": 404,
	} {
		server := serve(t, page)
		conn, err := server.dial(t.Context(), "", "")
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "HEAD %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", target)
		require.NoError(t, err)
		raw, err := io.ReadAll(conn)
		require.NoError(t, err)
		require.Contains(t, string(raw), fmt.Sprintf("HTTP/1.1 %d ", status), target)
		_, body, _ := strings.Cut(string(raw), "\r\n\r\n")
		require.Empty(t, body, target)
	}
}

func TestThePageWorksUnderAnyPath(t *testing.T) {
	page := inspect.New(inspect.Config{})
	mux := http.NewServeMux()
	mux.Handle("/whole/path/", page)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", page))
	mux.Handle("GET /name", page)
	mux.Handle("GET host.test/x/name", page)
	mux.Handle("/debug/cut", http.StripPrefix("/debug", page))
	mux.Handle("/debug/whole", http.StripPrefix("/debug/whole", page))
	mux.Handle("GET teams.test/{team}/of/page", page)
	mux.Handle("GET teams.test/{team}/folder/{$}", page)
	mux.Handle("/rest/{all...}", page)
	mux.Handle("/the%20page", page)
	inner := http.NewServeMux()
	inner.Handle("/page", page)
	mux.Handle("/outer/", http.StripPrefix("/outer", inner))
	mux.HandleFunc("/router/", func(w http.ResponseWriter, r *http.Request) { // one that has no patterns
		r.Pattern = ""
		page.ServeHTTP(w, r)
	})
	for target, status := range map[string]int{
		"/whole/path/": 200, "/whole/path/?format=json": 200, "/whole/path/state.json": 200, "/whole/path/other": 404,
		"/stripped/": 200, "/stripped/?format=json": 200, "/stripped/state.json": 200, "/stripped/other": 404,
		"/name": 200, "/name?format=json": 200, "http://host.test/x/name": 200, "/name?format=other": 404,
		"/debug/cut": 200, "/debug/cut?format=json": 200, "/debug/whole": 200, "/debug/whole?format=json": 200,
		"http://teams.test/a/of/page": 200, "http://teams.test/a/of/page?format=json": 200, "http://teams.test/a/folder/": 200, "http://teams.test/a/folder/?format=json": 200,
		"/rest/": 200, "/rest/?format=json": 200, "/rest/state.json": 200, "/rest/other": 404,
		"/the%20page": 200, "/the%20page?format=json": 200, "/outer/page": 200, "/outer/page?format=json": 200,
		"/router/page": 200, "/router/page?format=json": 200, "/router/": 200, "/router/state.json": 200,
	} {
		answer := get(t, mux, "GET", target)
		require.Equal(t, status, answer.StatusCode, target)
		isJSON := strings.HasSuffix(target, "json")
		require.Equal(t, isJSON, answer.Header.Get("Content-Type") == "application/json", target)
		if place, asks := strings.CutSuffix(target, "?format=json"); asks {
			events := get(t, mux, "HEAD", place+"?format=events")
			require.Equal(t, "text/event-stream", events.Header.Get("Content-Type"), target)
		}
		if html := text(t, answer); strings.Contains(html, "<html") {
			for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(html, -1) {
				require.Regexp(t, `^(\?|#|data:)`, link[1], "relative to wherever it is")
			}
			has(t, html, `new EventSource("?format=events")`)
		}
	}
}

// Other routers than http.ServeMux set Request.Pattern as well, in words of their own, and strip
// nothing of the path: chi's Mount and Handle both say "/debug/sluice/*".
func TestAPatternOfAnotherRouterThatTakesAllTheRestIsAFolder(t *testing.T) {
	page := inspect.New(inspect.Config{})
	asked := func(pattern, target string) *http.Response {
		w, r := httptest.NewRecorder(), httptest.NewRequest("HEAD", target, nil)
		r.Pattern = pattern
		page.ServeHTTP(w, r)
		return w.Result()
	}
	want := func(pattern, target string, status int, kind string) {
		t.Helper()
		answer := asked(pattern, target)
		require.Equal(t, status, answer.StatusCode, "%s under %s", target, pattern)
		require.Equal(t, kind, answer.Header.Get("Content-Type"), "%s under %s", target, pattern)
	}
	const isPage, isJSON, isEvents, isText = "text/html; charset=utf-8", "application/json", "text/event-stream", "text/plain; charset=utf-8"
	for _, pattern := range []string{"/debug/sluice/*", "/debug/sluice/*rest", "/debug/sluice/{rest:*}", "/debug/sluice*", "/{team}/sluice/*"} {
		want(pattern, "/debug/sluice/", 200, isPage)
		want(pattern, "/debug/sluice/?format=json", 200, isJSON)
		want(pattern, "/debug/sluice/?format=events", 200, isEvents)
		want(pattern, "/debug/sluice/state.json", 200, isJSON)
		want(pattern, "/debug/sluice/nope", 404, isText)
		want(pattern, "/debug/sluice/events", 404, isText)
	}
	for _, pattern := range []string{"/debug/sluice", "/debug/sluice*", "/debug/{name}", "/debug/{name:[a-z]*}"} { // a name
		want(pattern, "/debug/sluice", 200, isPage)
		want(pattern, "/debug/sluice?format=json", 200, isJSON)
		want(pattern, "/debug/sluice?format=events", 200, isEvents)
	}
}

func TestAPageWithoutAnEngineAndOneWhoseEngineHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := inspect.New(inspect.Config{})
		has(t, text(t, get(t, page, "GET", "/")), "No engine is attached to this page.")
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test"})
		page.Attach("a", eng)
		page.Attach("b", newEngine(t, engine.Config{BaseURL: "http://api.test"}))
		time.Sleep(time.Second)
		has(t, text(t, get(t, page, "GET", "/")), "Nothing waits at any of 2 engines.")
		require.NoError(t, eng.Close())
		time.Sleep(time.Second)
		has(t, text(t, get(t, page, "GET", "/")), "a: The engine has ended.")
		page.Attach("a", nil)
		page.Attach("never", nil)
		time.Sleep(time.Second)
		has(t, text(t, get(t, page, "GET", "/")), `id="verdict">Nothing waits, and nothing is in flight.`)
		has(t, text(t, get(t, inspect.Handler(eng), "GET", "/")), "The engine has ended.")
		has(t, text(t, get(t, inspect.Handler(new(engine.Engine)), "GET", "/")), "The engine has ended.")
	})
}

// looker is one who looks, over a connection of its own.
type looker struct {
	conn   net.Conn
	reader *bufio.Reader
	status string
}

func look(t *testing.T, server *pipes) *looker {
	conn, err := server.dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET /?format=events HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	l := &looker{conn: conn, reader: bufio.NewReader(conn)}
	answer, err := http.ReadResponse(l.reader, nil)
	require.NoError(t, err)
	l.status = answer.Status
	l.reader = bufio.NewReader(answer.Body)
	return l
}

// next reads one event; the error is that of a connection that ended.
func (l *looker) next() (event struct {
	Verdict string
	Parts   []struct{ Tables []struct{ ID string } }
}, err error) {
	for {
		line, err := l.reader.ReadString('\n')
		if err != nil {
			return event, err
		}
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			return event, json.Unmarshal([]byte(data), &event)
		}
	}
}

func TestThoseWhoLookAreSentPicturesOfOneSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test", Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour}}})
		page := inspect.New(inspect.Config{Viewers: 2})
		page.Attach("a", eng)
		server := serve(t, page)
		one := look(t, server)
		require.Equal(t, "200 OK", one.status)
		first, err := one.next()
		require.NoError(t, err)
		require.Equal(t, "Nothing waits, and nothing is in flight.", first.Verdict)
		require.Len(t, first.Parts[0].Tables, 5)
		began := time.Now()
		_, err = eng.TryAcquire(engine.Charge{LimitID: "l"})
		require.NoError(t, err)
		second, err := one.next()
		require.NoError(t, err)
		require.Equal(t, "One limit full.", second.Verdict)
		require.Equal(t, time.Second, time.Since(began), "once a second")

		two := look(t, server)
		_, err = two.next()
		require.NoError(t, err)
		three := look(t, server)
		require.Equal(t, "503 Service Unavailable", three.status, "they are bounded")
		_ = three.conn.Close()
		_ = one.conn.Close()
		go func() {
			for {
				if _, err := two.next(); err != nil {
					return
				}
			}
		}()
		time.Sleep(3 * time.Second)
		require.Equal(t, "200 OK", look(t, server).status, "one left, and another may come")
		page.Close()
		page.Close()
		require.Equal(t, "503 Service Unavailable", look(t, server).status, "the page has ended")
		has(t, text(t, get(t, page, "GET", "/")), "One limit full.", "but for who asks once")
	})
}

func TestOneWhoReadsNothingIsDroppedAndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test", Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour, By: throttle.ByKey}}})
		for i := range 60 { // so that a picture is more than a buffer
			_, err := eng.TryAcquire(engine.Charge{LimitID: "l", Key: fmt.Sprint(i)})
			require.NoError(t, err)
		}
		page := inspect.New(inspect.Config{})
		page.Attach("a", eng)
		handlers := make(chan string, 10)
		server := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			page.ServeHTTP(w, r)
			handlers <- r.RemoteAddr
		}))
		slow, quick := look(t, server), look(t, server)
		for range 30 {
			began := time.Now()
			_, err := quick.next()
			require.NoError(t, err)
			require.LessOrEqual(t, time.Since(began), time.Second)
		}
		require.Len(t, handlers, 1, "the slow one's, which has ended")
		_, err := io.Copy(io.Discard, slow.reader)
		require.Error(t, err, "it was cut off")
	})
}

func TestOneWhoReadsNothingDoesNotHoldUpTheEndOfTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := inspect.New(inspect.Config{})
		page.Attach("a", newEngine(t, engine.Config{BaseURL: "http://api.test"}))
		l := listen()
		server := &http.Server{Handler: page}
		ended := make(chan struct{})
		server.RegisterOnShutdown(func() {
			page.Close()
			close(ended)
		})
		var running sync.WaitGroup
		running.Go(func() { _ = server.Serve(l) })
		stuck := look(t, l) // the pictures are not read, and the pipe takes nothing that nobody reads
		require.Equal(t, "200 OK", stuck.status)
		synctest.Wait()
		began := time.Now()
		require.NoError(t, server.Shutdown(t.Context()))
		<-ended
		running.Wait()
		require.Less(t, time.Since(began), time.Second)
	})
}

// deadlines notes those that a handler's writes are given, and who looks is dropped between two.
type deadlines struct {
	*httptest.ResponseRecorder
	page *inspect.Page
	last time.Time
}

func (d *deadlines) SetWriteDeadline(until time.Time) error { d.last = until; return nil }

func (d *deadlines) Write(event []byte) (int, error) {
	d.page.Close()
	return len(event), nil
}

func TestOneWhoWasDroppedIsGivenNoMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := inspect.New(inspect.Config{})
		w := &deadlines{ResponseRecorder: httptest.NewRecorder(), page: page}
		page.ServeHTTP(w, httptest.NewRequest("GET", "/?format=events", nil))
		require.Equal(t, time.Now(), w.last)
	})
}

func TestNothingRunsWhenNobodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looks sync.Map
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test", Time: engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
			return engine.TimeReading{}, errors.New("none")
		})})
		looks.Store("a", eng)
		page := inspect.New(inspect.Config{})
		page.Attach("a", eng)
		server := serve(t, page)
		one := look(t, server)
		_, err := one.next()
		require.NoError(t, err)
		synctest.Wait() // or the sampler may not have begun yet
		require.Equal(t, 1, strings.Count(stacks(), "(*Page).sample("))
		_ = one.conn.Close()
		time.Sleep(5 * time.Second)
		require.Zero(t, strings.Count(stacks(), "(*Page).sample"), "the sampler has ended")
	})
}

func TestTheBackgroundFillsTheLinesWhileNobodyLooks(t *testing.T) {
	for background, want := range map[time.Duration]string{0: "M120 ", 5 * time.Second: "M0 "} {
		synctest.Test(t, func(t *testing.T) {
			eng := newEngine(t, engine.Config{BaseURL: "http://api.test", Limits: []throttle.Limit{{ID: "l", Quota: 10, Per: time.Minute}}})
			page := inspect.New(inspect.Config{Background: background})
			defer page.Close()
			page.Attach("a", eng)
			time.Sleep(10 * time.Minute)
			html := text(t, get(t, page, "GET", "/"))
			line := within(t, within(t, html, "<caption>Limits", "</table>"), `<path class="line" d="`, `"`)
			require.True(t, strings.HasPrefix(line, want), line)
			require.Equal(t, 1, strings.Count(line, "M"))
		})
	}
}

func TestManyWhoAskAtOnceShareOnePicture(t *testing.T) {
	page := inspect.New(inspect.Config{})
	page.Attach("a", newEngine(t, engine.Config{BaseURL: "http://api.test"}))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				if answer := get(t, page, "GET", "/state.json"); answer.StatusCode != http.StatusOK {
					t.Errorf("status %d", answer.StatusCode)
				}
			}
		})
		all.Go(func() { page.Attach("b", nil) })
	}
	all.Wait()
}

func TestATableHasABoundedNumberOfRowsAndSaysHowManyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test", Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour, By: throttle.ByKey}}})
		for i := range 2_000 {
			_, err := eng.TryAcquire(engine.Charge{LimitID: "l", Key: fmt.Sprint(i)})
			require.NoError(t, err)
		}
		for i := range 300 {
			wait(t, eng, engine.Charge{LimitID: "l", Key: fmt.Sprint(i)})
		}
		synctest.Wait()
		page := inspect.New(inspect.Config{Rows: 10})
		page.Attach("a", eng)
		html := text(t, get(t, page, "GET", "/"))
		limits := within(t, html, "<caption>Limits", "</section>")
		require.Equal(t, 10, strings.Count(within(t, limits, "<tbody", "</tbody>"), "<tr"))
		has(t, limits, `<p class="more">and 1,990 more</p>`)
		waiting := within(t, html, "<caption>Who waits", "</div>")
		has(t, waiting, `<p class="more">and 290 more</p>`)
		require.Less(t, len(html), 100_000)
	})
}

func TestAHeavyRequestHoldsUpTheLightOneBehindIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{BaseURL: "http://api.test", Limits: []throttle.Limit{{ID: "l", Quota: 10, Per: 100 * time.Second, Window: throttle.Leaky}}})
		page := inspect.New(inspect.Config{})
		page.Attach("main", eng)
		permit, err := eng.TryAcquire(engine.Charge{LimitID: "l", Weight: 10})
		require.NoError(t, err)
		permit.Done(engine.Done)
		opens := time.Now().Add(90 * time.Second)
		for _, weight := range []int64{9, 1} {
			wait(t, eng, engine.Charge{LimitID: "l", Weight: weight})
			synctest.Wait()
		}
		at := opens.Local().Format("15:04:05.0")
		time.Sleep(5 * time.Second) // a half is free
		has(t, text(t, get(t, page, http.MethodGet, "/")), "One limit full; 2 wait, the next leaves at "+at+".")
		time.Sleep(10 * time.Second) // one and a half: enough for the light one
		html := text(t, get(t, page, http.MethodGet, "/"))
		has(t, html, "One limit full; 2 wait, the next leaves at "+at+".")
		has(t, within(t, html, "<caption>Limits", "</table>"), `<span>`+at+`</span><small>room for 1, too little for who waits</small>`)
		time.Sleep(time.Until(opens) - time.Second)
		require.Equal(t, 2, eng.Stats().Queued, "neither went before")
	})
}

func TestThePageSaysOfAnEngineInItsFirstInstantThatItIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "l", Quota: 1, Per: time.Hour}}})
		page := inspect.New(inspect.Config{})
		page.Attach("main", eng)
		require.True(t, eng.Stats().Limits.At.Equal(time.Now()))
		state := text(t, get(t, page, http.MethodGet, "/?format=json"))
		has(t, state, "Nothing waits, and nothing is in flight.")
		require.NotContains(t, state, `"ended"`)
		require.NoError(t, eng.Close())
		page = inspect.New(inspect.Config{})
		page.Attach("main", eng)
		has(t, text(t, get(t, page, http.MethodGet, "/?format=json")), "The engine has ended.")
	})
}

func TestWhoWaitsIsCountedAtPoolsThatThePageHasNoRowFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		eng := newEngine(t, engine.Config{Connections: engine.Connections{Max: 1}, Dial: engine.Dial{DialContext: served.dial}})
		page := inspect.New(inspect.Config{Rows: 10})
		page.Attach("main", eng)
		ctx, cancel := context.WithCancel(t.Context())
		var all []*engine.Pending
		for i := range 30 {
			for range 3 {
				all = append(all, eng.Submit(ctx, &engine.Request{URL: fmt.Sprintf("http://host-%d.test/", i)}))
			}
		}
		time.Sleep(time.Second)
		html := text(t, get(t, page, http.MethodGet, "/"))
		has(t, html, "60 wait, for an answer, or for somebody to leave.")
		has(t, html, "<dt>Waiting</dt><dd><b>60</b><small>60 for connections</small>")
		has(t, within(t, html, "Connections", "</section>"), "and 20 more")
		cancel()
		for _, one := range all {
			_, err := one.Result()
			require.ErrorIs(t, err, context.Canceled)
		}
		synctest.Wait()
		require.Zero(t, eng.Stats().PoolsWaiting)
	})
}

func TestLimitsAndPausesThatThePageHasNoRowForAreNotDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "k", Quota: 1, Per: time.Hour, Keyed: true}}})
		page := inspect.New(inspect.Config{Rows: 10})
		page.Attach("main", eng)
		for i := range 30 {
			_, err := eng.TryAcquire(engine.Charge{LimitID: "k", Key: fmt.Sprint(i), Origin: fmt.Sprintf("http://host-%d.test", i%12)})
			require.NoError(t, err)
		}
		time.Sleep(2 * time.Second)
		has(t, text(t, get(t, page, http.MethodGet, "/")), "At least 10 limits full.")
		require.NoError(t, eng.Pause(throttle.Scope{Origin: "http://host-1.test:80"}, time.Hour))
		time.Sleep(2 * time.Second)
		html := text(t, get(t, page, http.MethodGet, "/"))
		has(t, html, "; one pause until ", "of scopes the paused ones are told of first, and there is but one")
		require.NotContains(t, within(t, html, "Pauses and halts", "Connections"), "more", "the others are not paused")
		require.NoError(t, eng.Pause(throttle.Scope{Origin: throttle.AnyOrigin}, time.Hour))
		time.Sleep(2 * time.Second)
		html = text(t, get(t, page, http.MethodGet, "/"))
		has(t, html, "; at least 10 pauses, one of them until ")
		has(t, within(t, html, "Pauses and halts", "Connections"), "and 2 more")
	})
}
