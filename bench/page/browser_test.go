package page

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/throttle"
)

// axeVersion is the one whose rules the page is held to: others come by choice.
const axeVersion = "4.14.1"

// missing ends a test for which the machine lacks something: with CI=true it fails, for there
// nothing may be lacking.
func missing(t *testing.T, format string, args ...any) {
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// chromium is where the browser is.
func chromium(t *testing.T) string {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "the page is not looked at in a browser: there is none of %s (apt-get install chromium)", strings.Join(names, ", "))
	return ""
}

// axe is the source of axe-core, from npm's registry.
func axe(t *testing.T) string {
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "the page is not held to the rules of axe-core: there is no npm")
	}
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "install", "--prefix", dir, "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@"+axeVersion)
	if said, err := install.CombinedOutput(); err != nil {
		missing(t, "the page is not held to the rules of axe-core: npm could not fetch it: %v\n%s", err, said)
	}
	source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
	require.NoError(t, err)
	return string(source)
}

// browser is a tab, and what it has complained of and asked for.
type browser struct {
	context.Context

	mu    sync.Mutex
	wrong []string // errors and warnings of the console, and violations of the policy
	asked []string // addresses, all of them
}

// shared is the browser of all tests, once one has needed it.
var shared struct {
	context.Context
	close func()
}

// theBrowser starts the browser with the first test that looks at a page.
func theBrowser(t *testing.T) context.Context {
	t.Helper()
	if shared.Context != nil {
		return shared.Context
	}
	folder, err := os.MkdirTemp("", "sluice-browser-*")
	require.NoError(t, err)
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(chromium(t)), chromedp.UserDataDir(folder),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	allocated, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(allocated)
	closed := func() {
		_ = chromedp.Cancel(ctx) // waits for the browser
		closeTab()
		end()
		_ = os.RemoveAll(folder)
	}
	if err := chromedp.Do(ctx); err != nil {
		closed()
		require.NoError(t, err)
	}
	shared.Context, shared.close = ctx, closed
	return ctx
}

func closeBrowser() {
	if shared.Context != nil {
		shared.close()
	}
}

// open opens a tab, in a profile of its own, that may ask for nothing but what begins with an
// address.
func open(t *testing.T, allowed string) *browser {
	ctx, closeTab := chromedp.NewContext(theBrowser(t), chromedp.WithNewBrowserContext())
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the tab
		cancel()
		closeTab()
	})
	b := &browser{Context: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(event any) { b.hear(event, allowed) }))
	b.do(t, call(network.Enable, network.EnableParams{}), call(log.Enable, cdp.Empty{}), call(fetch.Enable, fetch.EnableParams{}))
	return b
}

func (b *browser) hear(event any, allowed string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			b.wrong = append(b.wrong, fmt.Sprintf("console %s: %s", e.Type, e.Args[0].Value))
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, fmt.Sprintf("%s %s:%d", e.ExceptionDetails.Text, e.ExceptionDetails.URL, e.ExceptionDetails.LineNumber))
	case *log.EventEntryAdded: // the browser's own words: blocked by the policy, not found
		b.wrong = append(b.wrong, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, e.Request.URL)
	case *fetch.EventRequestPaused:
		go func() { // whoever hears of an event must not wait; and the tab may be closed by now
			if strings.HasPrefix(e.Request.URL, allowed) {
				_ = chromedp.Do(b.Context, call(fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID}))
				return
			}
			_ = chromedp.Do(b.Context, call(fetch.FailRequest, fetch.FailRequestParams{RequestID: e.RequestID, ErrorReason: network.ErrorReasonBlockedByClient}))
		}()
	}
}

// do has the tab do something, which must succeed.
func (b *browser) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(b.Context, steps...))
}

// call is a command of the browser's protocol.
func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, command, params)
		return err
	})
}

// until waits until an expression is true in the tab. It is asked from outside: the page's policy
// keeps what polls inside from being made.
func (b *browser) until(t *testing.T, expression string) {
	t.Helper()
	for began := time.Now(); !value[bool](t, b, expression); time.Sleep(50 * time.Millisecond) {
		require.Less(t, time.Since(began), time.Minute, "it never was so: %s", expression)
	}
}

// value is what an expression is in the tab; a promise is awaited.
func value[T any](t *testing.T, b *browser, expression string) (v T) {
	t.Helper()
	v, err := chromedp.Run(b.Context, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return v
}

// visit opens an address, and waits until the page is live.
func (b *browser) visit(t *testing.T, url string) {
	t.Helper()
	b.do(t, chromedp.Navigate(url))
	b.until(t, `document.getElementById("live").textContent === "live"`)
}

// outer is an element as HTML.
func (b *browser) outer(t *testing.T, selector string) string {
	t.Helper()
	html, err := chromedp.Run(b.Context, chromedp.OuterHTML(chromedp.CSS(selector)))
	require.NoError(t, err)
	return html
}

// wantQuiet fails if the tab has complained, or asked for anything but what it may.
func (b *browser) wantQuiet(t *testing.T, allowed string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.wrong, "what the browser says")
	require.NotEmpty(t, b.asked)
	for _, address := range b.asked {
		require.True(t, strings.HasPrefix(address, allowed) || strings.HasPrefix(address, "data:image/svg+xml"), "it asked for %s", address)
	}
}

// load is a demo at an exchange whose limits are quickly full, and free again.
func load(t *testing.T) *Demo {
	config := exchange.Config{
		Skew: 2 * time.Second, Accounts: []exchange.Account{{Name: "main", Key: "a", Secret: "b"}, {Name: "hedge", Key: "c", Secret: "d"}},
		Limits: []exchange.Limit{
			{Kind: exchange.Weight, Quota: 300, Per: 3 * time.Second}, {Kind: exchange.Raw, Quota: 6000, Per: time.Minute},
			{Kind: exchange.Orders, Quota: 10, Per: 10 * time.Second, Policy: exchange.Sliding},
		},
	}
	ex, err := exchange.New(config)
	require.NoError(t, err)
	t.Cleanup(func() {
		ex.Close()
		require.Zero(t, ex.Report().Violations(), "%v", ex.Report())
	})
	url, err := ex.Start("127.0.0.1:0")
	require.NoError(t, err)
	demo, err := Start(Config{Exchange: url, Limits: config.Limits, Accounts: config.Accounts})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, demo.Close()) })
	return demo
}

func TestThePageMovesInABrowserAndAsksNobodyElse(t *testing.T) {
	demo := load(t)
	b := open(t, demo.URL)
	b.visit(t, demo.URL)
	require.False(t, value[bool](t, b, `document.getElementById("pause").hidden`))

	// What is drawn changes by itself: bars, lines, numbers.
	for _, expression := range []string{
		`[...document.querySelectorAll(".limits .bar")].map((b) => b.innerHTML).join()`,
		`[...document.querySelectorAll(".limits .spark path")].map((p) => p.getAttribute("d")).join()`,
		`document.querySelector(".limits tbody").textContent`,
	} {
		require.NotEmpty(t, value[string](t, b, `window.before = `+expression))
		b.until(t, expression+` !== window.before`)
	}
	b.until(t, `document.querySelectorAll(".waiting tbody tr").length > 1 && document.querySelectorAll(".slowest tbody tr").length > 1`)
	b.until(t, `document.getElementById("verdict").textContent.includes("wait")`)

	// A pause stops it, and going on starts it again.
	b.do(t, chromedp.Click(chromedp.CSS("#pause")))
	b.until(t, `document.getElementById("live").textContent === "paused"`)
	at := value[string](t, b, `window.before = document.getElementById("at").textContent`)
	require.Equal(t, at, value[string](t, b, `new Promise((done) => setTimeout(() => done(document.getElementById("at").textContent), 2500))`))
	b.do(t, chromedp.Click(chromedp.CSS("#pause")))
	b.until(t, `document.getElementById("at").textContent !== window.before`)
	b.wantQuiet(t, demo.URL)
}

// The browser keeps the policy: what is put into the page does not run, and says so.
func TestThePolicyStopsAScriptThatIsPutIntoThePage(t *testing.T) {
	demo := load(t)
	b := open(t, demo.URL)
	b.visit(t, demo.URL)
	stopped := value[[]string](t, b, `new Promise((done) => {
		const stopped = [];
		document.addEventListener("securitypolicyviolation", (e) => { stopped.push(e.effectiveDirective); if (stopped.length === 3) done(stopped.sort()); });
		const script = document.createElement("script"); script.textContent = "window.ran = true"; document.body.append(script);
		const style = document.createElement("style"); style.textContent = "body { display: none }"; document.body.append(style);
		fetch("http://127.0.0.2/").catch(() => {});
		setTimeout(() => done(stopped.sort()), 5000);
	})`)
	require.Equal(t, []string{"connect-src", "script-src-elem", "style-src-elem"}, stopped)
	require.False(t, value[bool](t, b, `window.ran === true`))
}

func TestThePageIsAccessibleInLightAndDarkAndOnAPhone(t *testing.T) {
	source, demo := axe(t), load(t)
	b := open(t, demo.URL)
	pictures, err := os.MkdirTemp("", "sluice-page-")
	require.NoError(t, err)
	t.Logf("pictures of the page are in %s", pictures)
	_, err = demo.engine.Halt(engine.Filter{Account: "main", Method: "POST", Reason: "position limit reached"})
	require.NoError(t, err)
	require.NoError(t, demo.engine.Pause(throttle.Scope{Name: "account", Account: "hedge"}, time.Hour))
	for _, look := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1280, 900}, {"dark", "dark", 1280, 900}, {"phone-light", "light", 320, 640}, {"phone-dark", "dark", 390, 800}} {
		b.do(t,
			call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: look.width, Height: look.height, DeviceScaleFactor: 1, Mobile: look.width < 500}),
			call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}}))
		b.visit(t, demo.URL)
		b.until(t, `[".waiting", ".pauses", ".slowest", ".failed"].every((name) => document.querySelector(name + " tbody tr"))`)
		value[any](t, b, source+`; null`)
		found := value[string](t, b, `axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then((r) =>
			JSON.stringify(r.violations.map((v) => v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map((n) => n.html + " " + n.failureSummary).join(" | "))))`)
		require.Equal(t, "[]", found, look.name)
		require.LessOrEqual(t, value[int64](t, b, `document.documentElement.scrollWidth`), look.width, "%s: it is wider than its window", look.name)
		require.True(t, value[bool](t, b, `getComputedStyle(document.querySelector(".bar rect.used, .bar rect.idle")).transitionDuration === "0s"`), "nothing slides for who wants no motion")
		light := value[string](t, b, `getComputedStyle(document.body).backgroundColor`) == "rgb(251, 251, 250)"
		require.Equal(t, look.scheme == "light", light, look.name)
		picture, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(pictures, look.name+".png"), picture, 0o644))
	}
	b.wantQuiet(t, demo.URL)
}

func TestThePageCanBeUsedWithAKeyboardAndSpeaksSparsely(t *testing.T) {
	demo := load(t)
	b := open(t, demo.URL)
	b.visit(t, demo.URL)
	focused := func() string {
		return value[string](t, b, `document.activeElement.className + document.activeElement.id`)
	}
	b.do(t, chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "skip", focused(), "the first stop leads past the head")
	require.True(t, value[bool](t, b, `document.activeElement.getBoundingClientRect().left >= 0`), "and can be seen")
	b.do(t, chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "pause", focused())
	b.do(t, chromedp.KeyEvent(kb.Enter))
	b.until(t, `document.getElementById("live").textContent === "paused"`)
	b.do(t, chromedp.KeyEvent(kb.Enter))
	b.until(t, `document.getElementById("live").textContent === "live"`)
	require.Equal(t, "pause", focused(), "what moves takes no focus away")
	require.Equal(t, 1, value[int](t, b, `document.querySelectorAll("[aria-live], [role=status], [role=alert]").length`))
	spoken := value[int](t, b, `new Promise((done) => {
		let n = 0;
		new MutationObserver((all) => n += all.length).observe(document.getElementById("said"), { childList: true, characterData: true, subtree: true });
		setTimeout(() => done(n), 5000);
	})`)
	require.LessOrEqual(t, spoken, 1, "a screen reader is not told of every picture")
	require.True(t, value[bool](t, b, `[...document.querySelectorAll("main svg")].every((s) => s.getAttribute("role") === "img" && s.getAttribute("aria-label"))`))
}

// still has an engine on a page of which nothing moves: two that wait for a limit that is full.
func still(t *testing.T) string {
	eng, err := engine.New(engine.Config{BaseURL: "http://api.test", Limits: []throttle.Limit{{ID: "orders", Quota: 1, Per: time.Hour}}})
	require.NoError(t, err)
	_, err = eng.TryAcquire(engine.Charge{LimitID: "orders"})
	require.NoError(t, err)
	var waits sync.WaitGroup
	for i := range 2 {
		waits.Go(func() {
			_, _ = eng.Acquire(context.Background(), engine.Charge{LimitID: "orders", Priority: engine.Priority(i)})
		})
	}
	page := inspect.New(inspect.Config{Title: "Still"})
	page.Attach("still", eng)
	server := httptest.NewServer(page)
	t.Cleanup(func() {
		page.Close()
		require.NoError(t, eng.Close())
		waits.Wait()
		server.Close()
	})
	return server.URL + "/"
}

var (
	digits = regexp.MustCompile(`[0-9]+`)
	blanks = regexp.MustCompile(`\s*\n\s*`)
	lines  = regexp.MustCompile(` d="[^"]*"`)
)

// shape is an HTML text without what moves from one second to the next.
func shape(html string) string {
	return digits.ReplaceAllString(lines.ReplaceAllString(blanks.ReplaceAllString(html, ""), ` d=""`), "0")
}

func TestTheScriptDrawsWhatTheTemplateDoesAndThePageNeedsNoScript(t *testing.T) {
	url := still(t)
	b := open(t, url)
	b.visit(t, url)
	b.until(t, `window.first = window.first || document.getElementById("at").textContent, window.first !== document.getElementById("at").textContent`)
	drawn := b.outer(t, "#main")
	b.wantQuiet(t, url)
	b.do(t, call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("#refresh")))
	plain := b.outer(t, "#main")
	require.Contains(t, plain, "1 of 1 used, 100 %")
	require.Contains(t, plain, "limit orders")
	require.Equal(t, shape(plain), shape(drawn))
	b.do(t, chromedp.Click(chromedp.CSS("#refresh")), chromedp.WaitVisible(chromedp.CSS("#refresh")))
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Contains(t, b.asked, url+"?", "what is asked for again is the page itself")
}
