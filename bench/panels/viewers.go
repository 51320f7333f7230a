package panels

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// viewer is one who looks, and is sent pictures.
type viewer struct {
	events chan []byte   // never waited for; End puts the last one in
	gone   chan struct{} // closed when it is dropped
}

const (
	behind     = 3                // pictures that a viewer may be behind before it is dropped
	writesIn   = 10 * time.Second // how long one may take to be written
	comesAgain = 2 * time.Second  // after which a browser that was dropped asks anew
	saysEvery  = 10 * time.Second // how often those who hear the page are told how far it is
)

// ServeHTTP is part of http.Handler.
func (l *Live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	guard(w.Header())
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "this page is only looked at", http.StatusMethodNotAllowed)
	case !l.allowed(r.Host):
		http.Error(w, "this page is not shown by that name: use the address it was given, or localhost", http.StatusMisdirectedRequest)
	case foreign(r):
		http.Error(w, "this page is not shown to other pages", http.StatusForbidden)
	case r.URL.Path != "/":
		http.Error(w, "there is nothing of that name", http.StatusNotFound)
	default:
		switch r.URL.Query().Get("format") {
		case "":
			l.servePage(w)
		case "events":
			l.serveEvents(w, r)
		default:
			http.Error(w, "there is nothing of that name", http.StatusNotFound)
		}
	}
}

// allowed is whether a browser asks for this machine by a name that nobody else can give it: a
// page from elsewhere could have the browser find this machine behind a name of its own.
func (l *Live) allowed(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	name = strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
	return net.ParseIP(name) != nil || name == "localhost" || strings.HasSuffix(name, ".localhost") ||
		slices.ContainsFunc(l.hosts, func(h string) bool { return strings.EqualFold(h, name) })
}

// foreign is whether a page of somebody else asks.
func foreign(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host {
		return true
	}
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none" && r.Header.Get("Sec-Fetch-Mode") != "navigate"
}

// guard sets what every answer says: the browser is to keep nothing, to run nothing but the
// page's own scripts, and to ask nobody else for anything.
func guard(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", livePolicy()+"; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

func livePolicy() string {
	return "default-src 'none'; " + sources() + "; connect-src 'self'; base-uri 'none'; form-action 'none'"
}

func (l *Live) servePage(w http.ResponseWriter) {
	l.mu.Lock()
	final := l.final
	l.mu.Unlock()
	if final == nil {
		var err error
		if final, err = l.page(); err != nil {
			http.Error(w, "the page cannot be shown", http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(final) // whoever asked may have left
}

// page draws the page, or returns the last one if it is not old: whoever asks in a loop takes
// nothing from the run.
func (l *Live) page() ([]byte, error) {
	l.drawing.Lock()
	defer l.drawing.Unlock()
	if l.drawn != nil && time.Since(l.drawnAt) < every {
		return l.drawn, nil
	}
	d, err := l.look()
	if err != nil {
		return nil, err
	}
	d.Policy = livePolicy()
	var b bytes.Buffer
	if err := d.write(&b); err != nil {
		return nil, err
	}
	l.drawn, l.drawnAt = b.Bytes(), time.Now()
	return l.drawn, nil
}

// serveEvents sends pictures until the viewer leaves, is too slow, or the run has ended.
func (l *Live) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // what stands between must pass it on at once
	if r.Method == http.MethodHead {
		return
	}
	v := l.join()
	if v == nil {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Retry-After", "10")
		http.Error(w, "too many look at this page already, or it is closed", http.StatusServiceUnavailable)
		return
	}
	defer l.leave(v)
	out := http.NewResponseController(w)
	send := func(event []byte) bool {
		// Unsupported, it is no loss: then whoever serves the page bounds its writes, or nobody.
		_ = out.SetWriteDeadline(time.Now().Add(writesIn))
		if _, err := w.Write(event); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if !send([]byte("retry: " + strconv.FormatInt(comesAgain.Milliseconds(), 10) + "\n\n")) {
		return
	}
	v.follow(r.Context().Done(), send)
}

// follow sends pictures until sending fails, the viewer leaves, or it is dropped: then what it
// was sent before, the last picture among it, is sent yet.
func (v *viewer) follow(left <-chan struct{}, send func([]byte) bool) {
	for {
		select {
		case event := <-v.events:
			if !send(event) {
				return
			}
		case <-v.gone:
			for {
				select {
				case event := <-v.events:
					if !send(event) {
						return
					}
				default:
					return
				}
			}
		case <-left:
			return
		}
	}
}

// join adds a viewer, and starts the sampler for the first of them; nil if there are too many,
// or the page was closed. One who comes after the end is sent the last picture.
func (l *Live) join() *viewer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || len(l.viewers) >= mostViewers {
		return nil
	}
	v := &viewer{events: make(chan []byte, behind), gone: make(chan struct{})}
	l.viewers[v] = struct{}{}
	if l.final != nil {
		l.tellLast(v)
		return v
	}
	if l.stop == nil {
		stop := make(chan struct{})
		l.stop = stop
		l.running.Go(func() { l.sample(stop) })
	}
	return v
}

// tellLast sends a viewer the picture of the end in place of those it has not taken yet, and
// lets it go. It requires that mu is held.
func (l *Live) tellLast(v *viewer) {
	for len(v.events) > 0 {
		select {
		case <-v.events:
		default:
		}
	}
	v.events <- l.last // only who holds mu sends, so there is room
	l.drop(v)
}

// leave is called once for every viewer that joined; it may have been dropped.
func (l *Live) leave(v *viewer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.viewers[v]; there {
		l.drop(v)
	}
}

// drop takes a viewer away, and ends the sampler behind the last of them. It requires that mu
// is held.
func (l *Live) drop(v *viewer) {
	delete(l.viewers, v)
	close(v.gone)
	if len(l.viewers) == 0 && l.stop != nil {
		close(l.stop)
		l.stop = nil
	}
}

// sample takes a picture for all who look, at once and then again and again.
func (l *Live) sample(stop <-chan struct{}) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var said string
	var saidAt time.Time
	for {
		if d, err := l.look(); err == nil {
			if head := d.Runs[0].Head; time.Since(saidAt) >= saysEvery || head.Word != strings.SplitN(said, ":", 2)[0] {
				said, saidAt = head.Word+": "+head.Verdict+" "+head.Failed, time.Now()
			}
			if event, err := d.event("message", said); err == nil {
				l.tell(event)
			}
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// tell hands an event to all who look, and drops those that are too far behind. One who joined
// since the last has it too.
func (l *Live) tell(event []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for v := range l.viewers {
		select {
		case v.events <- event:
		default:
			l.drop(v)
		}
	}
}

// Close lets those who look go, and refuses who comes to be sent pictures; the page itself is
// still served. It waits for what runs for them, and is idempotent.
func (l *Live) Close() {
	l.mu.Lock()
	l.ended = true
	for v := range l.viewers {
		l.drop(v)
	}
	l.mu.Unlock()
	l.running.Wait()
}

// Serve serves a page at an address until the function it returns is called, which lets those
// who look take what they were sent, for 3 s at most. An address without a host is one of this
// machine alone; port 0 is any that is free. It returns where the page is.
func Serve(address string, live *Live) (url string, end func() error, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", nil, errors.New("panels: the address of the page is to be HOST:PORT, such as 127.0.0.1:8080, and is " + strconv.Quote(address))
	}
	if host == "" {
		host = "127.0.0.1"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: live, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // until it is shut down
	}()
	return "http://" + listener.Addr().String() + "/", func() error {
		live.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		err := server.Shutdown(ctx)
		if err != nil {
			err = server.Close()
		}
		<-done
		return err
	}, nil
}
