package panels

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"

	"github.com/sluice-engine/sluice/bench/results"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
	//go:embed uplot/uPlot.iife.min.js
	uPlotJS string
	//go:embed uplot/uPlot.min.css
	uPlotCSS string

	pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{"tied": tied}).Parse(pageHTML))
)

// errNoRun is returned by Write without runs.
var errNoRun = errors.New("a page needs at least one run: give the results of one")

// document is what page.html is filled with.
type document struct {
	Title, Policy  string
	Icon           template.URL
	Style          template.CSS
	Drawer, Script template.JS
	Runs           []section
	Overlay        panel
	Summary        *table // of several runs
	Live           bool
	Data           template.HTML // charts, gzipped and in base64
	charts         []*chart
}

// section is one run on the page.
type section struct {
	ID, Name string
	Several  bool // there are others
	Head     head
	Panels   []panel
}

// Write writes one page of HTML about one run, or several that are compared with the first of
// them. It needs nothing but itself: the browser is forbidden to ask anybody for anything. A
// line has at most 4,000 points, so that its size does not grow with the length of the run.
// It returns an error if there is no run, or w fails.
func Write(w io.Writer, runs ...*results.Run) error {
	if len(runs) == 0 {
		return errNoRun
	}
	d, err := newDocument(runs)
	if err != nil {
		return err
	}
	d.Policy = "default-src 'none'; " + sources() + "; base-uri 'none'; form-action 'none'"
	return d.write(w)
}

func newDocument(runs []*results.Run) (*document, error) {
	names := namesOf(runs)
	d := &document{Title: clipped(names[0], 80)}
	if len(runs) > 1 {
		d.Title = fmt.Sprintf("%s and %s", d.Title, many(len(runs)-1, "other run"))
	}
	for i, run := range runs {
		if run == nil {
			return nil, errNoRun
		}
		m := materialOf(fmt.Sprintf("r%d", i+1), run, mostPoints)
		d.add(m, names[i], len(runs) > 1)
	}
	d.Overlay = overlay(runs, names)
	d.charts = append(d.charts, d.Overlay.Charts...)
	if len(runs) > 1 {
		d.Summary = summary(runs, names)
	}
	return d, nil
}

func (d *document) add(m *material, name string, several bool) {
	s := section{ID: m.prefix, Name: name, Several: several, Head: m.head(), Panels: m.panels()}
	for i, p := range s.Panels {
		if several {
			s.Panels[i].Of = m.prefix
		}
		d.charts = append(d.charts, p.Charts...)
	}
	d.Runs = append(d.Runs, s)
}

// panels are those of one run, in order.
func (m *material) panels() []panel {
	return []panel{
		m.percentiles(), m.latencies(), m.rates(), m.stages(), m.errors(),
		m.againstLoad(), m.limits(), m.harness(), m.operations(),
	}
}

// namesOf has a name for each run, no two the same.
func namesOf(runs []*results.Run) []string {
	names, taken := make([]string, len(runs)), map[string]bool{}
	for i, run := range runs {
		name := "Load run"
		if run != nil && run.Header.Name != "" {
			name = clipped(run.Header.Name, 60)
		} else if len(runs) > 1 {
			name = fmt.Sprintf("Run %d", i+1)
		}
		for n, plain := 2, name; taken[name]; n++ {
			name = fmt.Sprintf("%s (%d)", plain, n)
		}
		names[i], taken[name] = name, true
	}
	return names
}

// summary is a row for each of several runs.
func summary(runs []*results.Run, names []string) *table {
	t := &table{ID: "summary", Caption: "The runs", Open: true, Columns: []column{{Name: "Run"}, {Name: "Verdict"}, {"Requests", true}, {"Failed", true}, {"p50", true}, {"p99", true}, {"max", true}, {Name: "Started"}, {Name: "Schedule"}}}
	for i, run := range runs {
		m := materialOf("", run, 1)
		tone, word, _, failed, _ := m.verdict()
		o := m.all()
		if failed != "" {
			word += ". " + failed
		}
		q := quantilesOf(o.Response)
		t.Rows = append(t.Rows, []cell{
			text(names[i]), {Text: word, Tone: tone}, number(count(o.Count), float64(o.Count)), number(share(float64(o.Failed()), float64(o.Count)), 0),
			number(millis(q.p50), q.p50), number(millis(q.p99), q.p99), number(millis(q.max), q.max), text(tied(run.Header.Started.UTC().Format("2006-01-02 15:04:05 UTC"))), text(tied(ScheduleText(run.Header))),
		})
	}
	return t
}

// write packs the charts and fills the template in.
func (d *document) write(w io.Writer) error {
	d.Style, d.Drawer, d.Script = template.CSS(uPlotCSS+pageCSS), template.JS(uPlotJS), template.JS(pageJS)
	d.Icon = icon
	packed, err := pack(d.charts)
	if err != nil {
		return err
	}
	d.Data = template.HTML(packed) // base64 has nothing that HTML would read
	return pageTemplate.Execute(w, d)
}

// pack has charts as JSON, gzipped and in base64.
func pack(charts []*chart) (string, error) {
	var b bytes.Buffer
	encoder := base64.NewEncoder(base64.StdEncoding, &b)
	zipper, err := gzip.NewWriterLevel(encoder, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if charts == nil {
		charts = []*chart{}
	}
	if err := json.NewEncoder(zipper).Encode(charts); err != nil {
		return "", err
	}
	if err := zipper.Close(); err != nil {
		return "", err
	}
	if err := encoder.Close(); err != nil {
		return "", err
	}
	return b.String(), nil
}

// sources are the scripts and the style that a browser may run: those of the page alone.
func sources() string {
	return "style-src " + hashOf(uPlotCSS+pageCSS) + "; script-src " + hashOf(uPlotJS) + " " + hashOf(pageJS) + "; img-src data:"
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// icon is a curve in a picture of its own, so that the browser asks nobody for one.
const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 14C8 13 11 11 14 2' fill='none' stroke='%232b6f92' stroke-width='2.5' stroke-linecap='round'/%3E%3C/svg%3E"
