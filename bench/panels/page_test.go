package panels

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/browser"
	"github.com/sluice-engine/sluice/bench/results"
)

// text is a page of runs.
func textOf(t *testing.T, runs ...*results.Run) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, runs...))
	return b.String()
}

func TestUPlotIsWhatItsReadmeSaysItIs(t *testing.T) {
	readme, err := os.ReadFile("uplot/README.md")
	require.NoError(t, err)
	for name, text := range map[string]string{"uPlot.iife.min.js": uPlotJS, "uPlot.min.css": uPlotCSS} {
		sum := sha256.Sum256([]byte(text))
		require.Contains(t, string(readme), hex.EncodeToString(sum[:])+"  "+name)
	}
	licence, err := os.ReadFile("uplot/LICENSE")
	require.NoError(t, err)
	require.Contains(t, string(licence), "MIT")
}

func TestEveryPanelIsDrawnAndNothingIsAskedOfAnybody(t *testing.T) {
	address, _ := writtenTo(t, usual().run())
	b := open(t, address)
	for _, l := range []look{wide, dark, phone, paper} {
		b.look(t, l)
		b.visit(t, address)
		require.Equal(t, 10, value[int](t, b, `document.querySelectorAll(".plot canvas").length`), l.name)
		require.Empty(t, value[[]string](t, b, blank), l.name)
		require.LessOrEqual(t, value[int64](t, b, `document.documentElement.scrollWidth`), l.width+1, "%s: it is wider than its window", l.name)
		b.picture(t, "run-"+l.name)
	}
	b.WantQuiet(t, address)
}

// What is counted as blank is: else no test of a chart could fail.
func TestAChartOfWhichNothingIsToBeSeenIsFound(t *testing.T) {
	address, _ := writtenTo(t, usual().run())
	b := open(t, address)
	b.look(t, wide)
	b.visit(t, address)
	value[any](t, b, `(() => {
		const canvas = document.querySelector("#r1-latency-chart canvas");
		canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
		document.querySelector("#r1-stages-chart").replaceChildren();
	})()`)
	require.Equal(t, []string{"r1-latency-chart", "r1-stages-chart"}, value[[]string](t, b, blank))
}

func TestPaperHasLightChartsOfFixedSizeAndEveryNumber(t *testing.T) {
	address, _ := writtenTo(t, usual().run())
	b := open(t, address)
	b.look(t, dark)
	b.visit(t, address)
	ink := `getComputedStyle(document.documentElement).getPropertyValue("--q1").trim()`
	shut := `[...document.querySelectorAll("details")].filter((d) => !d.open).length`
	onScreen := value[string](t, b, ink)
	require.NotZero(t, value[int](t, b, shut))
	b.look(t, paper)
	b.Until(t, `document.documentElement.classList.contains("printing")`)
	require.Zero(t, value[int](t, b, shut))
	require.NotEqual(t, onScreen, value[string](t, b, ink))
	require.True(t, value[bool](t, b, `[...document.querySelectorAll(".plot .uplot")].every((p) => p.clientWidth === 660)`))
	require.Empty(t, value[[]string](t, b, blank))
	b.look(t, dark)
	b.Until(t, `!document.documentElement.classList.contains("printing")`)
	require.NotZero(t, value[int](t, b, shut), "what was shut is so again")
	require.Equal(t, onScreen, value[string](t, b, ink))

	// A print from the menu does the same, in time.
	value[any](t, b, `addEventListener("beforeprint", () => queueMicrotask(() => {
		window.printed = [...document.querySelectorAll(".plot .uplot")].filter((p) => p.clientWidth === 660).length + " " + `+shut+` + " " + `+blank+`.length;
	}))`)
	b.Do(t, browser.Call(page.PrintToPDF, page.PrintToPDFParams{}))
	require.Equal(t, "10 0 0", value[string](t, b, `window.printed`))
	b.Until(t, `!document.documentElement.classList.contains("printing")`)
	b.WantQuiet(t, address)
}

func TestThePageIsAccessibleInLightAndDarkAndOnAPhone(t *testing.T) {
	source := browser.Axe(t)
	other := usual()
	other.name, other.invalid = "Checkout, release 43", []string{"achieved 91.2 % of the rate"}
	one, _ := writtenTo(t, usual().run())
	several, _ := writtenTo(t, usual().run(), other.run())
	b := open(t, "file://")
	for _, l := range []look{wide, dark, phone} {
		b.look(t, l)
		b.visit(t, map[string]string{"light": several}[l.name]+map[string]string{"dark": one, "phone": one}[l.name])
		value[any](t, b, `document.querySelectorAll("details").forEach((d) => { d.open = true; })`)
		value[any](t, b, source+`; null`)
		found := value[string](t, b, `axe.run(document, { resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }).then((r) =>
			JSON.stringify(r.violations.map((v) => v.id + ": " + v.help + " " + v.nodes.slice(0, 3).map((n) => n.html + " " + n.failureSummary).join(" | "))))`)
		require.Equal(t, "[]", found, l.name)
	}
	b.WantQuiet(t, "file://")
}

func TestAKeyboardReachesTheValuesTheScaleAndTheOrderOfRows(t *testing.T) {
	address, _ := writtenTo(t, usual().run())
	b := open(t, address)
	b.look(t, wide)
	b.visit(t, address)
	require.Equal(t, "auto", value[string](t, b, `getComputedStyle(document.documentElement).scrollBehavior`), "nothing glides for who wants no motion")
	b.Do(t, chromedp.KeyEvent(kb.Tab))
	require.Equal(t, "skip", value[string](t, b, `document.activeElement.className`), "the first stop leads past the head")

	focus := func(selector string) {
		require.True(t, value[bool](t, b, `(() => { const e = document.querySelector('`+selector+`'); e.focus(); return document.activeElement === e; })()`), selector)
	}
	focus(`[data-chart="r1-latency-chart"] .reach input`)
	b.Do(t, chromedp.KeyEvent(kb.End))
	spoken := `document.activeElement.getAttribute("aria-valuetext")`
	b.Until(t, `(`+spoken+` || "").startsWith("119 s, ")`)
	require.Regexp(t, `^119 s, max [\d.]+ ms, p99 [\d.]+ ms, p90 [\d.]+ ms, p50 [\d.]+ ms$`, value[string](t, b, spoken))
	require.Equal(t, "119 s", value[string](t, b, `document.querySelector('[data-chart="r1-rates-chart"] .when').textContent`), "the other charts over time follow")
	b.Do(t, chromedp.KeyEvent(kb.ArrowLeft))
	b.Until(t, spoken+`.startsWith("118 s, ")`)

	focus(`[data-chart="r1-latency-chart"] [data-name="scale"]`)
	b.Do(t, chromedp.KeyEvent(kb.Enter))
	b.Until(t, `document.activeElement.textContent === "Logarithmic scale"`)
	focus(`[data-chart="r1-latency-chart"] [data-name="line p90"]`)
	b.Do(t, chromedp.KeyEvent(kb.Enter))
	b.Until(t, `document.activeElement.getAttribute("aria-pressed") === "false"`)
	focus(`[data-chart="r1-stages-chart"] [data-name="shares"]`)
	b.Do(t, chromedp.KeyEvent(kb.Enter))
	b.Until(t, `document.activeElement.textContent === "As times"`)

	names := `[...document.querySelectorAll("#r1-operations-table tbody th")].map((th) => th.textContent).join()`
	before := value[string](t, b, names)
	focus(`#r1-operations-table th:nth-child(6) button`)
	b.Do(t, chromedp.KeyEvent(kb.Enter))
	require.Equal(t, "descending", value[string](t, b, `document.activeElement.parentElement.getAttribute("aria-sort")`))
	require.Equal(t, "GET /account,POST /order,GET /depth,GET /price", value[string](t, b, names), "by p99, and not by text")
	require.NotEqual(t, before, value[string](t, b, names))
	b.Do(t, chromedp.KeyEvent(kb.Enter))
	require.Equal(t, "ascending", value[string](t, b, `document.activeElement.parentElement.getAttribute("aria-sort")`))
	require.Equal(t, "GET /price,GET /depth,POST /order,GET /account", value[string](t, b, names))
	b.WantQuiet(t, address)
}

func TestAZoomIsThatOfEveryChartOverTimeUntilAllIsShown(t *testing.T) {
	address, _ := writtenTo(t, usual().run())
	b := open(t, address)
	b.look(t, wide)
	b.visit(t, address)
	shown := `[...document.querySelectorAll("[data-name=all]")].filter((e) => !e.hidden).length`
	at := value[[]float64](t, b, `(() => {
		const over = document.querySelector("#r1-latency-chart .u-over");
		over.scrollIntoView({ block: "center" });
		const at = over.getBoundingClientRect();
		return [at.left, at.top];
	})()`)
	b.Do(t, chromedp.DragAndDropXY(at[0]+200, at[1]+40, at[0]+500, at[1]+40))
	over := value[int](t, b, `document.querySelectorAll("#r1-latency-chart, #r1-rates-chart, #r1-rates-open, #r1-stages-chart, #r1-errors-chart, #r1-limits-chart, #r1-harness-chart, #r1-harness-use").length`)
	require.Equal(t, 8, over)
	b.Until(t, shown+` === 8`)
	b.Do(t, chromedp.KeyEvent(kb.Escape))
	b.Until(t, shown+` === 0`)
}

// What users call their things is text, whatever it looks like.
func TestNamesAreTextWhateverTheyLookLike(t *testing.T) {
	hostile := []string{
		`</script><script>window.ran = 1</script>`, `"><img src=x onerror="window.ran = 2">`, `'-(window.ran = 3)-'`, "{{.}} ${window.ran = 4} <!-- --> ]]> \u2028",
		`</div><div id=data>x</div>`, `javascript:window.ran=5`, `</title></style><svg onload="window.ran = 6">`, `</main><base href="http://evil.test/">`,
	}
	m := usual()
	m.name, m.names, m.kinds, m.limits = hostile[0], hostile, hostile, hostile[:7]
	m.invalid, m.verdicts = hostile, []results.Verdict{{Objective: hostile[1], Measured: hostile[0]}}
	run := m.run()
	for _, name := range hostile {
		run.Total[""].Errors[name] += 5
		run.Total[""].KeepSample(name, name)
	}
	run.End.Notes, run.End.Reason, run.Header.Client, run.Header.Machines = hostile, hostile[1], hostile[1], hostile
	e := &run.Header.Environment
	e.Host, e.CPU, e.Go, e.Commit, e.Governor, run.Header.ID = hostile[0], hostile[1], hostile[0], hostile[6], hostile[7], hostile[1]
	address, _ := writtenTo(t, run, run)
	b := open(t, address)
	b.look(t, wide)
	b.visit(t, address)
	require.True(t, value[bool](t, b, `window.ran === undefined`))
	require.Zero(t, value[int](t, b, `document.querySelectorAll("main script, main img, main base, main svg[onload], #data > *").length`))
	require.Equal(t, hostile[0]+" and 1 other run", value[string](t, b, `document.title`))
	require.Equal(t, hostile[0], value[string](t, b, `document.querySelector("#r1 h2.name").textContent`))
	for _, name := range hostile {
		require.True(t, value[bool](t, b, `[...document.querySelectorAll("#r1-operations-table tbody th")].some((th) => th.textContent === `+quoted(name)+`)`), name)
		require.True(t, value[bool](t, b, `[...document.querySelectorAll("#r1-errors-table tbody th")].some((th) => th.textContent === `+quoted(name)+`)`), name)
	}
	require.Empty(t, value[[]string](t, b, blank))
	b.WantQuiet(t, address)
}

func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\u2028", `\u2028`).Replace(text) + `"`
}

func TestWithoutScriptsThePageSaysInWordsWhatItWouldDraw(t *testing.T) {
	address, _ := writtenTo(t, usual().run())
	b := open(t, address)
	b.look(t, wide)
	b.Do(t, browser.Call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}), chromedp.Navigate(address), chromedp.WaitVisible(chromedp.CSS("#r1-errors-table")))
	html, err := chromedp.Run(b.Context, chromedp.OuterHTML(chromedp.CSS("main")))
	require.NoError(t, err)
	require.Contains(t, html, "The chart needs JavaScript, which is off.")
	require.Contains(t, html, "half were answered within")
	b.WantQuiet(t, address)
}

func TestABrowserThatCannotUnpackSaysSo(t *testing.T) {
	text := textOf(t, usual().run())
	for name, broken := range map[string]string{
		"it lacks the function": text,
		"the data are damaged":  regexp.MustCompile(`(<div id="data" hidden>H4sI)[A-Za-z0-9+/]{400}`).ReplaceAllString(text, "$1"),
	} {
		file := t.TempDir() + "/run.html"
		require.NoError(t, os.WriteFile(file, []byte(broken), 0o644))
		b := open(t, "file://"+file)
		if name == "it lacks the function" {
			b.beforeScripts(t, `delete window.DecompressionStream`)
		}
		b.Do(t, chromedp.Navigate("file://"+file))
		b.Until(t, `document.querySelectorAll(".plot .empty").length === 10`)
		require.Contains(t, value[string](t, b, `document.querySelector(".plot").textContent`), "The chart cannot be drawn: ", name)
	}
}

func TestARunWithoutAnythingSaysWhyEachPanelIsEmpty(t *testing.T) {
	run := &results.Run{Header: results.Header{Model: "open"}, Step: 1}
	address, _ := writtenTo(t, run)
	b := open(t, address)
	b.visit(t, address)
	require.Equal(t, 10, value[int](t, b, `[...document.querySelectorAll(".panel")].filter((p) => p.querySelector(".empty").textContent.length > 20).length`))
	require.Equal(t, "INCOMPLETE", value[string](t, b, `document.querySelector(".verdict strong").textContent`))
	b.WantQuiet(t, address)
}

// tenMillion is an hour and more of four operations.
func tenMillion() made {
	m := usual()
	m.name, m.seconds, m.step, m.stall, m.rate = "Ten million", 4800, 2, 3000, steady(2100)
	return m
}

func TestARunOfTenMillionRequestsIsASmallPage(t *testing.T) {
	run := tenMillion().run()
	require.GreaterOrEqual(t, run.Total[""].Count+run.Warm[""].Count, uint64(1e7))
	began := time.Now()
	address, size := writtenTo(t, run)
	t.Logf("%d bytes, made in %v", size, time.Since(began))
	require.LessOrEqual(t, size, int64(3_000_000))
	b := open(t, address)
	b.look(t, wide)
	b.visit(t, address)
	require.Empty(t, value[[]string](t, b, blank))
	b.picture(t, "ten-million")
	b.WantQuiet(t, address)
}

func TestThePageWithoutDataIsAtMost200KB(t *testing.T) {
	text := textOf(t, &results.Run{Header: results.Header{Model: "open"}, Step: 1, Whole: true})
	require.LessOrEqual(t, len(text), 200_000)
	t.Logf("%d bytes", len(text))
}

func TestSeveralRunsLieOverOneAnotherWithTheirPairedDifference(t *testing.T) {
	first, second, third := usual(), usual(), usual()
	first.name, second.name, third.name = "release 41", "release 42", "release 42 on a tenth of the load"
	second.slower, second.seed = 1.25, 8
	third.rate, third.seed = steady(60), 9
	address, _ := writtenTo(t, first.run(), second.run(), third.run())
	b := open(t, address)
	for _, l := range []look{wide, dark, phone, paper} {
		b.look(t, l)
		b.visit(t, address)
		require.Empty(t, value[[]string](t, b, blank), l.name)
		b.picture(t, "runs-"+l.name)
	}
	says := value[string](t, b, `document.querySelector("#overlay-says").textContent`)
	require.Regexp(t, `release 42 against release 41, in blocks of 2.s: response p50 2\d(\.\d)?.% higher`, says)
	require.Contains(t, says, "no difference is given: their schedules differ.")
	require.Equal(t, 3, value[int](t, b, `document.querySelectorAll("[data-chart=overlay-curves] .tools button[data-name^=line]").length`))
	require.Equal(t, value[int](t, b, `document.querySelectorAll("#overlay-table tbody tr").length`), value[int](t, b, `document.querySelectorAll(".forest circle").length`))
	b.WantQuiet(t, address)
}

func TestAPageNeedsARunAndAWriterThatWorks(t *testing.T) {
	require.ErrorContains(t, Write(&bytes.Buffer{}), "at least one run")
	require.ErrorContains(t, Write(&bytes.Buffer{}, nil), "at least one run")
	require.ErrorContains(t, Write(&bytes.Buffer{}, usual().run(), nil), "at least one run")
	require.ErrorIs(t, Write(full{}, usual().run()), os.ErrClosed)
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, os.ErrClosed }
