package panels

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/browser"
	"github.com/sluice-engine/sluice/bench/results"
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

// drawn is when a page has drawn what it has.
const drawn = `document.documentElement.dataset.drawn !== undefined`

// visit opens an address, and waits until every chart is drawn.
func (b *tab) visit(t *testing.T, address string) {
	t.Helper()
	b.Do(t, chromedp.Navigate(address))
	b.Until(t, drawn)
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

func (b *tab) look(t *testing.T, l look) {
	t.Helper()
	b.Do(t,
		browser.Call(emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.width < 500}),
		browser.Call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: l.medium, Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}))
}

// picture makes one for somebody to look at: of the whole page in the folder SLUICE_SHOTS, if that
// is set. Otherwise it is of what is in the window and goes with the test: all of a page takes seconds.
func (b *tab) picture(t *testing.T, name string) {
	t.Helper()
	shot, dir := chromedp.CaptureScreenshot(), os.Getenv("SLUICE_SHOTS")
	if dir == "" {
		dir = t.TempDir()
	} else {
		shot = chromedp.FullScreenshot(100)
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	picture, err := chromedp.Run(b.Context, shot)
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
func (b *tab) beforeScripts(t *testing.T, script string) {
	t.Helper()
	b.Do(t, browser.Call(page.Enable, page.EnableParams{}), browser.Call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script}))
}
