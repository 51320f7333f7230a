package panels

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

const (
	mostLivePoints = 600             // of a line while the run goes on
	mostViewers    = 16              // who are sent pictures at once
	every          = time.Second     // how often they are
	farthest       = 366 * 24 * 3600 // seconds; what claims to be later is not believed
)

// Live is a page of a run that goes on, as an http.Handler: the panels of Write, which grow. It
// is told of the run by Add and Watch, and of its end by End; from then on it serves the page
// that Write makes. It only shows, and asks browsers for nothing. Drawing is done for those who
// look, while they look; nothing that feeds it waits for them, and one who is too slow is
// dropped. Make one with NewLive; all methods are safe for concurrent use.
//
// Its memory does not grow with the run: there are at most 600 points, which come to stand for
// more seconds each, with exact percentiles.
//
// It answers those who ask this machine by an address or as localhost, and others by the names
// that NewLive was given: a page elsewhere cannot read it by a name of its own for this machine.
type Live struct {
	hosts []string

	drawing sync.Mutex // held while a page is drawn; guards drawn
	drawn   []byte     // the last page
	drawnAt time.Time

	mu       sync.Mutex // guards what follows
	header   results.Header
	snapshot results.Snapshot
	slots    []slot
	step     int // seconds of a slot, a power of two
	// total and warm are by operation, of the whole run.
	total, warm map[string]*results.Operation
	final       []byte // the page of the run that has ended; nil before
	last        []byte // the event for it
	viewers     map[*viewer]struct{}
	stop        chan struct{} // ends the sampler for viewers; nil if it does not run
	ended       bool          // Close was called
	running     sync.WaitGroup
}

// slot is what is known of a stretch of the run, with its operations together.
type slot struct {
	interval results.Interval
	point    point
	dirty    bool // the point is of before
}

// NewLive returns a page of a run that begins. Hosts are names by which browsers may ask for
// it, besides addresses and localhost.
func NewLive(header results.Header, hosts ...string) *Live {
	return &Live{
		hosts: hosts, header: header, step: 1, snapshot: results.Snapshot{Header: header},
		total: map[string]*results.Operation{}, warm: map[string]*results.Operation{}, viewers: map[*viewer]struct{}{},
	}
}

// Watch tells how the run stands: it is a load.Config's Watch.
func (l *Live) Watch(s results.Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.snapshot = s
	if s.Header.Format != "" || !s.Header.Started.IsZero() {
		l.header = s.Header // by then all that was not known at first
	}
}

// Add adds an interval, of which it keeps nothing. It refuses one whose second cannot be.
func (l *Live) Add(i results.Interval) error {
	if i.Second < 0 || i.Second > farthest {
		return fmt.Errorf("panels: an interval of second %d is none of a run", i.Second)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	into := l.total
	if i.Phase == results.WarmUp {
		into = l.warm
	}
	for name, o := range i.Operations {
		if o == nil {
			continue
		}
		if into[name] == nil {
			into[name] = &results.Operation{}
		}
		into[name].Add(o)
	}
	l.slot(i.Second).add(i)
	return nil
}

// Write takes the lines of a results.Writer, so that one that writes a file can feed the page
// as well, by io.MultiWriter. It never fails: what it cannot read it leaves out.
func (l *Live) Write(lines []byte) (int, error) {
	for one := range bytes.Lines(lines) {
		var line struct {
			Interval *results.Interval `json:"interval"`
		}
		if json.Unmarshal(one, &line) == nil && line.Interval != nil {
			_ = l.Add(*line.Interval)
		}
	}
	return len(lines), nil
}

// slot returns the one that a second belongs to, and makes room for it. It requires that mu is
// held.
func (l *Live) slot(second int) *slot {
	for second/l.step >= mostLivePoints {
		l.coarsen()
	}
	for len(l.slots) <= second/l.step {
		at := len(l.slots) * l.step
		l.slots = append(l.slots, slot{interval: results.Interval{Second: at}, dirty: true})
	}
	return &l.slots[second/l.step]
}

// coarsen adds up neighbours pairwise.
func (l *Live) coarsen() {
	l.step *= 2
	for from := range l.slots {
		to := from / 2
		if from%2 == 0 {
			l.slots[to] = l.slots[from]
			l.slots[to].interval.Second = to * l.step
			l.slots[to].dirty = true
		} else {
			l.slots[to].add(l.slots[from].interval)
		}
	}
	kept := (len(l.slots) + 1) / 2
	clear(l.slots[kept:])
	l.slots = l.slots[:kept]
}

// add adds what an interval has to a slot; of its operations only what points are made of.
func (s *slot) add(i results.Interval) {
	in := &s.interval
	s.dirty = true
	if in.Phase != results.Main && i.Phase != "" {
		in.Phase = i.Phase
	}
	in.Offered, in.Sent, in.Completed = in.Offered+i.Offered, in.Sent+i.Sent, in.Completed+i.Completed
	if i.Gauges != nil {
		in.Gauges = highest(in.Gauges, copied(i.Gauges))
	}
	if len(i.Operations) == 0 {
		return
	}
	if in.Operations == nil {
		in.Operations = map[string]*results.Operation{"": {}}
	}
	for _, o := range i.Operations {
		if o != nil {
			needed := *o
			needed.Wait, needed.Success, needed.Connect = nil, nil, nil
			in.Operations[""].Add(&needed)
		}
	}
}

// copied has the gauges of somebody who uses them again.
func copied(g *results.Gauges) *results.Gauges {
	c := *g
	c.Limits = slices.Clone(g.Limits)
	return &c
}

// look makes what the page shows of what is known now. Those who feed the page wait no longer
// than it takes to copy that.
func (l *Live) look() (*document, error) {
	l.mu.Lock()
	snapshot := l.snapshot
	m := &material{prefix: "r1", header: l.header, running: &snapshot, total: cloned(l.total), points: make([]point, len(l.slots))}
	if len(l.warm) > 0 {
		m.warm = all(cloned(l.warm))
	}
	for i := range l.slots {
		m.points[i] = l.slots[i].look(float64(l.step))
	}
	l.mu.Unlock()
	name := "Load run"
	if m.header.Name != "" {
		name = clipped(m.header.Name, 60)
	}
	d := &document{Title: clipped(name, 80), Live: true}
	d.add(m, name, false)
	d.Overlay = panel{ID: "overlay", Number: 10, Title: "Runs compared", Empty: "Runs are compared when they have ended: sluice report --html FILE A B."}
	return d, nil
}

// look returns the point of a slot; it is made anew only if something came since.
func (s *slot) look(length float64) point {
	if s.dirty {
		s.point, s.dirty = pointOf([]results.Interval{s.interval}, length), false
		s.point.errors = maps.Clone(s.point.errors) // that of the interval grows
		if o := s.interval.Operations[""]; o != nil {
			for _, h := range []*results.Histogram{o.Response, o.Service, o.Lag} {
				h.Compact()
			}
		}
	}
	return s.point
}

func cloned(from map[string]*results.Operation) map[string]*results.Operation {
	to := make(map[string]*results.Operation, len(from))
	for name, o := range from {
		to[name] = o.Clone()
	}
	return to
}

// End shows the run as it ended, to those who look and to those who come. It returns an error
// if there is nothing to show, or if it was called before.
func (l *Live) End(run *results.Run) error {
	if run == nil {
		return errNoRun
	}
	var page bytes.Buffer
	if err := Write(&page, run); err != nil {
		return err
	}
	d, err := newDocument([]*results.Run{run})
	if err != nil {
		return err
	}
	_, word, sentence, failed, _ := materialOf("", run, 1).verdict()
	last, err := d.event("end", word+" "+sentence+" "+failed)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.final != nil {
		return errors.New("panels: the run on this page has ended already")
	}
	l.final, l.last = page.Bytes(), last
	l.slots, l.total, l.warm = nil, map[string]*results.Operation{}, map[string]*results.Operation{}
	for v := range l.viewers {
		l.tellLast(v)
	}
	return nil
}

// event is a picture as an event for browsers: the same as the page itself has.
func (d *document) event(kind, said string) ([]byte, error) {
	var html bytes.Buffer
	if err := pageTemplate.ExecuteTemplate(&html, "main", d); err != nil {
		return nil, err
	}
	charts := d.charts
	if charts == nil {
		charts = []*chart{}
	}
	event := bytes.NewBufferString("event: " + kind + "\ndata: ")
	encoder := json.NewEncoder(event) // on one line, which it ends
	encoder.SetEscapeHTML(false)      // nobody reads it but JSON.parse
	err := encoder.Encode(struct {
		HTML   string   `json:"html"`
		Said   string   `json:"said"` // to those who hear the page
		Charts []*chart `json:"charts"`
	}{html.String(), said, charts})
	event.WriteByte('\n')
	return event.Bytes(), err
}
