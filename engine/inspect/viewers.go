package inspect

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// viewer is one who looks, and is sent pictures.
type viewer struct {
	events chan []byte              // written by the sampler, which never waits
	gone   chan struct{}            // closed when it is dropped
	out    *http.ResponseController // its deadline is set under the page's lock, and as long as it is among the viewers
	writes bool                     // guarded by the page's lock: a write to it is under way
}

const (
	behind     = 3                // events that a viewer may be behind before it is dropped
	writesIn   = 10 * time.Second // how long one event may take to be written
	comesAgain = 3 * time.Second  // after which a browser that was dropped asks anew
)

// serveEvents sends pictures until the viewer leaves, is too slow, or the page is closed.
func (p *Page) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // what stands between must pass it on at once
	if r.Method == http.MethodHead {
		return
	}
	v := p.join(http.NewResponseController(w))
	if v == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many look at this page already, or it has ended", http.StatusServiceUnavailable)
		return
	}
	defer p.leave(v)
	// The head alone comes first: without Flush no event would ever arrive, and that can be said as
	// long as nothing is written.
	err := p.write(w, v, nil)
	if errors.Is(err, http.ErrNotSupported) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		http.Error(w, "the live page needs a ResponseWriter that can flush: something that wraps it has neither Flush nor Unwrap", http.StatusNotImplemented)
		return
	}
	if err != nil || p.write(w, v, []byte("retry: "+millis(comesAgain)+"\n\n")) != nil || p.write(w, v, p.event(p.config.Every/2)) != nil {
		return
	}
	for {
		select {
		case event := <-v.events:
			if p.write(w, v, event) != nil {
				return
			}
		case <-v.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// errDropped is why nothing is written to a viewer any more.
var errDropped = errors.New("dropped")

// write writes to a viewer, in the time that it has for one event.
func (p *Page) write(w http.ResponseWriter, v *viewer, event []byte) error {
	if !p.mayWrite(v) {
		return errDropped
	}
	defer p.hasWritten(v)
	if len(event) > 0 { // or the head would be written, whatever Flush says
		if _, err := w.Write(event); err != nil {
			return err
		}
	}
	return v.out.Flush()
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// event returns a picture as an event.
func (p *Page) event(fresh time.Duration) []byte {
	pic := p.look(fresh)
	p.looking.Lock()
	defer p.looking.Unlock()
	if pic.event == nil {
		text, err := json.Marshal(pic.view) // on one line
		if err != nil {
			text = []byte("{}")
		}
		pic.event = append(append([]byte("data: "), text...), "\n\n"...)
	}
	return pic.event
}

// join adds a viewer, and starts the sampler for the first of them; nil if there are too many,
// or the page was closed.
func (p *Page) join(out *http.ResponseController) *viewer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.viewers) >= p.config.Viewers {
		return nil
	}
	v := &viewer{events: make(chan []byte, behind), gone: make(chan struct{}), out: out}
	p.viewers[v] = struct{}{}
	if p.stop == nil {
		stop := make(chan struct{})
		p.stop = stop
		p.running.Go(func() { p.sample(stop) })
	}
	return v
}

// mayWrite gives a viewer its time for one event, unless it was dropped: then its deadline stays
// as drop has set it.
func (p *Page) mayWrite(v *viewer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.viewers[v]; !there {
		return false
	}
	// Unsupported, it is no loss: then whoever serves the page bounds its writes, or nobody.
	_ = v.out.SetWriteDeadline(time.Now().Add(writesIn))
	v.writes = true
	return true
}

func (p *Page) hasWritten(v *viewer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	v.writes = false
	if _, there := p.viewers[v]; there { // until the next event: a stream of HTTP/2 ends with its deadline, written to or not
		_ = v.out.SetWriteDeadline(time.Time{}) // as above
	}
}

// leave is called once for every viewer that joined; it may have been dropped.
func (p *Page) leave(v *viewer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, there := p.viewers[v]; there {
		p.drop(v)
	}
}

// drop takes a viewer away, and ends the sampler behind the last of them. A write to one that
// reads nothing ends at once: an http.Server would wait for it in Shutdown. It requires that mu
// is held, and that the viewer's handler has not returned, as it has not while it is
// among the viewers.
func (p *Page) drop(v *viewer) {
	delete(p.viewers, v)
	close(v.gone)
	if v.writes { // a stream that is idle ends as any answer does
		_ = v.out.SetWriteDeadline(time.Now())
	}
	if len(p.viewers) == 0 && p.stop != nil {
		close(p.stop)
		p.stop = nil
	}
}

// sample takes a picture for all who look, again and again.
func (p *Page) sample(stop <-chan struct{}) {
	tick := time.NewTicker(p.config.Every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			p.tell(p.event(p.config.Every / 2))
		}
	}
}

// tell hands an event to all who look, and drops those that are too far behind.
func (p *Page) tell(event []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for v := range p.viewers {
		select {
		case v.events <- event:
		default:
			p.drop(v)
		}
	}
}

// sampleInBackground keeps the histories without gaps while nobody looks.
func (p *Page) sampleInBackground() {
	tick := time.NewTicker(p.config.Background)
	defer tick.Stop()
	for {
		select {
		case <-p.closed:
			return
		case <-tick.C:
			p.look(p.config.Background / 2)
		}
	}
}
