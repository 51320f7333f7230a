package page

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/browser"
	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/engine/inspect"
	"github.com/sluice-engine/sluice/throttle"
)

// tab is one in which pages are looked at.
type tab struct{ *browser.Tab }

func open(t *testing.T, allowed string) *tab {
	t.Helper()
	return &tab{browser.Open(t, allowed)}
}

func value[T any](t *testing.T, b *tab, expression string) T {
	t.Helper()
	return browser.Value[T](t, b.Tab, expression)
}

// visit opens an address, and waits until the page is live.
func (b *tab) visit(t *testing.T, url string) {
	t.Helper()
	b.Do(t, chromedp.Navigate(url))
	b.Until(t, `document.getElementById("live").textContent === "live"`)
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
		b.Until(t, expression+` !== window.before`)
	}
	b.Until(t, `document.querySelectorAll(".waiting tbody tr").length > 1 && document.querySelectorAll(".slowest tbody tr").length > 1`)
	b.Until(t, `document.getElementById("verdict").textContent.includes("wait")`)

	// A pause stops it, and going on starts it again.
	b.Do(t, chromedp.Click(chromedp.CSS("#pause")))
	b.Until(t, `document.getElementById("live").textContent === "paused"`)
	at := value[string](t, b, `window.before = document.getElementById("at").textContent`)
	require.Equal(t, at, value[string](t, b, `new Promise((done) => setTimeout(() => done(document.getElementById("at").textContent), 2500))`))
	b.Do(t, chromedp.Click(chromedp.CSS("#pause")))
	b.Until(t, `document.getElementById("at").textContent !== window.before`)
	b.WantQuiet(t, demo.URL)
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
	source, demo := browser.Axe(t), load(t)
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
		b.Do(t,
			browser.Call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: look.width, Height: look.height, DeviceScaleFactor: 1, Mobile: look.width < 500}),
			browser.Call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}}))
		b.visit(t, demo.URL)
		b.Until(t, `[".waiting", ".pauses", ".slowest", ".failed"].every((name) => document.querySelector(name + " tbody tr"))`)
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
	b.WantQuiet(t, demo.URL)
}

func TestThePageCanBeUsedWithAKeyboardAndSpeaksSparsely(t *testing.T) {
	demo := load(t)
	b := open(t, demo.URL)
	b.visit(t, demo.URL)
	focused := func() string {
		return value[string](t, b, `document.activeElement.className + document.activeElement.id`)
	}
	b.Do(t, chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "skip", focused(), "the first stop leads past the head")
	require.True(t, value[bool](t, b, `document.activeElement.getBoundingClientRect().left >= 0`), "and can be seen")
	b.Do(t, chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "pause", focused())
	b.Do(t, chromedp.KeyEvent(kb.Enter))
	b.Until(t, `document.getElementById("live").textContent === "paused"`)
	b.Do(t, chromedp.KeyEvent(kb.Enter))
	b.Until(t, `document.getElementById("live").textContent === "live"`)
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
	b.Until(t, `window.first = window.first || document.getElementById("at").textContent, window.first !== document.getElementById("at").textContent`)
	drawn := b.Outer(t, "#main")
	b.WantQuiet(t, url)
	b.Do(t, browser.Call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("#refresh")))
	plain := b.Outer(t, "#main")
	require.Contains(t, plain, "1 of 1 used, 100 %")
	require.Contains(t, plain, "limit orders")
	require.Equal(t, shape(plain), shape(drawn))
	b.Do(t, chromedp.Click(chromedp.CSS("#refresh")), chromedp.WaitVisible(chromedp.CSS("#refresh")))
	require.Contains(t, b.Asked(), url+"?", "what is asked for again is the page itself")
}
