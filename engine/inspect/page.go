package inspect

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

// Config says how a page looks at engines. The zero value is the usual page. A number below
// zero counts as zero.
type Config struct {
	// Title stands above the page; empty means "Sluice".
	Title string
	// Every is how often those who look are sent a picture; zero means 1 s, and less than 100 ms
	// counts as 100 ms.
	Every time.Duration
	// Rows is how many rows a table has at most, as limits with their instances, waiting
	// requests and pools; zero means 50, and more than 1,000 counts as 1,000. It bounds what a
	// picture costs.
	Rows int
	// History is how far back the lines beside limits go, and for how long a slow request is
	// shown; zero means 5 minutes. A line has a gap where nobody looked.
	History time.Duration
	// Background is how often a picture is taken while nobody looks, so that the lines have no
	// gaps; zero means never. A sixtieth of History is enough. It runs from the first Attach
	// until Close.
	Background time.Duration
	// Viewers is how many may be sent pictures at once; zero means 16. More are refused with 503
	// and have the page without motion.
	Viewers int
	// Kept is of how many slow and of how many failed requests the observer keeps note, answers of
	// 400 and above among these; zero means 10.
	Kept int
}

func (c Config) withDefaults() Config {
	c.Title = cmp.Or(c.Title, "Sluice")
	c.Every = max(or(c.Every, time.Second), 100*time.Millisecond)
	c.Rows = min(or(c.Rows, 50), 1000)
	c.History = max(or(c.History, 5*time.Minute), buckets*time.Millisecond)
	c.Background = max(c.Background, 0)
	c.Viewers = or(c.Viewers, 16)
	c.Kept = or(c.Kept, 10)
	return c
}

func or[N int | time.Duration](n, instead N) N {
	if n > 0 {
		return n
	}
	return instead
}

// Page is an http.Handler that shows engines. Make one with New. All methods are safe for
// concurrent use.
type Page struct {
	config Config
	record *record

	looking sync.Mutex // held while a picture is taken; guards last, and the histories of engines
	last    *picture

	mu      sync.Mutex // guards what follows
	engines []*attached
	viewers map[*viewer]struct{}
	stop    chan struct{} // ends the sampler for viewers; nil if it does not run
	closed  chan struct{} // closed by Close
	ended   bool          // it was
	samples bool          // the sampler in the background runs
	running sync.WaitGroup
}

// New returns a page of no engine yet. It starts nothing.
func New(config Config) *Page {
	c := config.withDefaults()
	return &Page{
		config: c, record: newRecord(c.Kept, c.History), viewers: map[*viewer]struct{}{}, closed: make(chan struct{}),
	}
}

// Handler returns a page of one engine, for who wants no more: without slow and failed
// requests, which need an observer. It is an http.Handler; see Close for a server's Shutdown.
func Handler(eng *engine.Engine) *Page {
	p := New(Config{})
	p.Attach("Engine", eng)
	return p
}

// Observer returns hooks for Config.Observers of the engines that are to be on the page: they
// count requests, and keep note of the slowest, of the last failed and of answers of 400 and
// above. A request costs a fraction of a microsecond by it. It may be given to several engines,
// and is made before they are.
func (p *Page) Observer() engine.Observer { return p.record.observer() }

// Attach puts an engine on the page under a name, in place of one that had the name; nil takes
// that one away. An engine that has ended stays, and is shown as such.
func (p *Page) Attach(name string, eng *engine.Engine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.engines, func(a *attached) bool { return a.name == name })
	engines := slices.Clone(p.engines) // whoever takes a picture has the one before
	switch one := (&attached{name: name, engine: eng, past: newHistories(p.config.History, 4*p.config.Rows+2)}); {
	case eng == nil && at >= 0:
		engines = slices.Delete(engines, at, at+1)
	case eng == nil:
	case at >= 0:
		engines[at] = one
	default:
		engines = append(engines, one)
	}
	p.engines = engines
	if p.config.Background > 0 && len(engines) > 0 && !p.samples && !p.ended {
		p.samples = true
		p.running.Go(p.sampleInBackground)
	}
}

// Close ends what runs for the page: those who look are let go, and are refused from then on,
// and the samplers end. It waits for these, and is idempotent. What is asked for once is still
// answered. A page that nobody looks at, without Config.Background, needs no
// Close. An http.Server waits in Shutdown for those who look: RegisterOnShutdown(page.Close).
func (p *Page) Close() {
	p.mu.Lock()
	if !p.ended {
		p.ended = true
		close(p.closed)
		for v := range p.viewers {
			p.drop(v)
		}
	}
	p.mu.Unlock()
	p.running.Wait()
}

// picture is a state with its view, and what those who look are sent of it.
type picture struct {
	at    time.Time
	state *state
	view  view
	event []byte // nil if nobody has asked for it
}

// look takes a picture, or returns the last one if it is not older than that.
func (p *Page) look(fresh time.Duration) *picture {
	p.looking.Lock()
	defer p.looking.Unlock()
	if p.last != nil && time.Since(p.last.at) < fresh {
		return p.last
	}
	p.mu.Lock()
	engines := p.engines
	p.mu.Unlock()
	s := &state{Title: p.config.Title, Engines: []engineState{}}
	w := words{rows: p.config.Rows, past: map[string]*histories{}, over: lengthText(p.config.History)}
	for _, a := range engines {
		s.Engines = append(s.Engines, a.look(p.config.Rows))
		w.past[a.name] = a.past
	}
	s.At = time.Now()
	s.Requests = p.record.read(s.At)
	s.Verdict = strings.TrimSpace(answersOf(s.Requests) + " " + verdictOfAll(s.Engines))
	p.last = &picture{at: s.At, state: s, view: viewOf(s, w)}
	return p.last
}

// look may be asked by many at once: they share what is as fresh as this.
const shared = 100 * time.Millisecond

// ServeHTTP is part of http.Handler.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guard(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page is only looked at", http.StatusMethodNotAllowed)
		return
	}
	switch wanted(r) {
	case "page":
		p.servePage(w)
	case "json":
		p.serveState(w)
	case "events":
		p.serveEvents(w, r)
	default:
		http.Error(w, "there is nothing of that name", http.StatusNotFound)
	}
}

// wanted says what is asked for, wherever the page is mounted: by its format, or by the last
// name in its path.
func wanted(r *http.Request) string {
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	isPage := name == "" || isWhole(r.Pattern, name)
	switch format := r.URL.Query().Get("format"); {
	case isPage && format == "":
		return "page"
	case isPage:
		return format
	case format == "" && name == stateName:
		return "json"
	}
	return ""
}

const stateName = "state.json"

// isWhole reports whether a name is the page's own, and none in its folder. The pattern that a
// router has found says so, whatever was stripped of the path since: it leads to a folder if it
// ends in a slash, or in a wildcard for all the rest. Without a pattern whoever has called the
// handler has chosen the name.
func isWhole(pattern, name string) bool {
	if pattern == "" {
		return name != stateName
	}
	last := pattern[strings.LastIndexByte(pattern, '/')+1:]
	if own, open := strings.CutSuffix(last, "*"); open && own != "" { // "/page*" is a name, and its folder
		return name == own
	}
	return last != "" && !takesTheRest(last)
}

// takesTheRest reports whether the last part of a pattern is a wildcard for a path of any length:
// "{rest...}" of http.ServeMux, "*" of chi, "*rest" and "{rest:*}" of others.
func takesTheRest(last string) bool {
	return last[0] == '*' || strings.HasSuffix(last, "...}") || strings.HasSuffix(last, ":*}")
}

// guard sets what every answer says: the browser is to keep nothing, to run nothing but the
// page's own script, and to ask nobody else for anything.
func guard(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string

	pageTemplate = template.Must(template.New("page").Parse(pageHTML))

	policy = sync.OnceValue(func() string {
		return "default-src 'none'; style-src " + hashOf(pageCSS) + "; script-src " + hashOf(pageJS) +
			"; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	})
)

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// icon is three bars in a picture of its own, so that the browser asks nobody for one.
const icon = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cg fill='%232b6f92'%3E%3Crect x='1' y='2' width='14' height='3' rx='1'/%3E%3Crect x='1' y='7' width='9' height='3' rx='1'/%3E%3Crect x='1' y='12' width='5' height='3' rx='1'/%3E%3C/g%3E%3C/svg%3E"

func (p *Page) servePage(w http.ResponseWriter) {
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, struct {
		View   view
		Style  template.CSS
		Script template.JS
		Icon   template.URL
	}{p.look(shared).view, template.CSS(pageCSS), template.JS(pageJS), icon})
	if err != nil {
		http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes()) // whoever asked may have left
}

func (p *Page) serveState(w http.ResponseWriter) {
	text, err := json.Marshal(p.look(shared).state)
	if err != nil {
		http.Error(w, "the state cannot be told", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}
