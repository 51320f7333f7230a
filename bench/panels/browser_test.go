package panels

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
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
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/results"
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

// drawn is when a page has drawn what it has.
const drawn = `document.documentElement.dataset.drawn !== undefined`

// visit opens an address, and waits until every chart is drawn.
func (b *browser) visit(t *testing.T, address string) {
	t.Helper()
	b.do(t, chromedp.Navigate(address))
	b.until(t, drawn)
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

// look is how a page is looked at.
type look struct {
	name, scheme, medium string
	width, height        int64
}

var (
	wide  = look{"light", "light", "screen", 1280, 900}
	dark  = look{"dark", "dark", "screen", 1280, 900}
	phone = look{"phone", "light", "screen", 320, 640}
	paper = look{"print", "dark", "print", 760, 1000}
)

func (b *browser) look(t *testing.T, l look) {
	t.Helper()
	b.do(t,
		call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 500}),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: l.medium, Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}))
}

// shots is the folder for pictures: SLUICE_SHOTS, or one that goes with the test.
func shots(t *testing.T) string {
	if dir := os.Getenv("SLUICE_SHOTS"); dir != "" {
		require.NoError(t, os.MkdirAll(dir, 0o755))
		return dir
	}
	return t.TempDir()
}

func (b *browser) picture(t *testing.T, dir, name string) {
	t.Helper()
	picture, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.Greater(t, len(picture), 10_000)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o644))
}

// written has a page of runs as a file, and its address.
func writtenTo(t *testing.T, runs ...*results.Run) (address string, size int64) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "run.html")
	file, err := os.Create(name)
	require.NoError(t, err)
	require.NoError(t, Write(file, runs...))
	require.NoError(t, file.Close())
	about, err := os.Stat(name)
	require.NoError(t, err)
	return (&url.URL{Scheme: "file", Path: name}).String(), about.Size()
}

// blank lists the charts of which nothing is to be seen: each canvas has more than its axes'
// two colours, and is as wide as its place.
const blank = `[...document.querySelectorAll(".plot")].filter((p) => {
	const canvas = p.querySelector("canvas");
	if (!canvas || canvas.width < 150 || canvas.height < 80) return true;
	const copy = document.createElement("canvas"), read = copy.getContext("2d", { willReadFrequently: true });
	[copy.width, copy.height] = [canvas.width, canvas.height];
	read.drawImage(canvas, 0, 0);
	const pixels = new Uint32Array(read.getImageData(0, 0, canvas.width, canvas.height).data.buffer), colors = new Map();
	for (const p of pixels) colors.set(p, (colors.get(p) || 0) + 1);
	return [...colors].filter(([color, n]) => color !== 0 && n > 20).length < 4;
}).map((p) => p.id)`

// beforeScripts has a script run in every page before its own do.
func (b *browser) beforeScripts(t *testing.T, script string) {
	t.Helper()
	b.do(t, call(page.Enable, page.EnableParams{}), call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}))
}
