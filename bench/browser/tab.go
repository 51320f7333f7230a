package browser

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// Tab is a tab, and what it has complained of and asked for.
type Tab struct {
	context.Context

	mu    sync.Mutex
	wrong []string // errors and warnings of the console, and violations of the policy
	asked []string // addresses, all of them
}

// Asked are the addresses that the tab has asked for.
func (b *Tab) Asked() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.asked)
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

// Tests runs a package's tests, and closes the browser that they have shared before anybody
// looks for what they left behind: goleak.VerifyTestMain(browser.Tests{M: m}).
type Tests struct{ M *testing.M }

// Run is part of goleak.TestingM.
func (r Tests) Run() int {
	defer func() {
		if shared.Context != nil {
			shared.close()
		}
	}()
	return r.M.Run()
}

// Open opens a tab, in a profile of its own, that may ask for nothing but what begins with an
// address.
func Open(t *testing.T, allowed string) *Tab {
	ctx, closeTab := chromedp.NewContext(theBrowser(t), chromedp.WithNewBrowserContext())
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits for the tab
		cancel()
		closeTab()
	})
	b := &Tab{Context: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(event any) { b.hear(event, allowed) }))
	b.Do(t, Call(network.Enable, network.EnableParams{}), Call(log.Enable, cdp.Empty{}), Call(fetch.Enable, fetch.EnableParams{}))
	return b
}

func (b *Tab) hear(event any, allowed string) {
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
				_ = chromedp.Do(b.Context, Call(fetch.ContinueRequest, fetch.ContinueRequestParams{RequestID: e.RequestID}))
				return
			}
			_ = chromedp.Do(b.Context, Call(fetch.FailRequest, fetch.FailRequestParams{RequestID: e.RequestID, ErrorReason: network.ErrorReasonBlockedByClient}))
		}()
	}
}

// Do has the tab do something, which must succeed.
func (b *Tab) Do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(b.Context, steps...))
}

// Call is a command of the browser's protocol.
func Call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, command, params)
		return err
	})
}

// Until waits until an expression is true in the tab. It is asked from outside: the page's policy
// keeps what polls inside from being made.
func (b *Tab) Until(t *testing.T, expression string) {
	t.Helper()
	for began := time.Now(); !Value[bool](t, b, expression); time.Sleep(50 * time.Millisecond) {
		require.Less(t, time.Since(began), time.Minute, "it never was so: %s", expression)
	}
}

// Value is what an expression is in the tab; a promise is awaited.
func Value[T any](t *testing.T, b *Tab, expression string) (v T) {
	t.Helper()
	v, err := chromedp.Run(b.Context, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return v
}

// Outer is an element as HTML.
func (b *Tab) Outer(t *testing.T, selector string) string {
	t.Helper()
	html, err := chromedp.Run(b.Context, chromedp.OuterHTML(chromedp.CSS(selector)))
	require.NoError(t, err)
	return html
}

// WantQuiet fails if the tab has complained, or asked for anything but what it may.
func (b *Tab) WantQuiet(t *testing.T, allowed string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	require.Empty(t, b.wrong, "what the browser says")
	require.NotEmpty(t, b.asked)
	for _, address := range b.asked {
		require.True(t, strings.HasPrefix(address, allowed) || strings.HasPrefix(address, "data:image/svg+xml"), "it asked for %s", address)
	}
}
