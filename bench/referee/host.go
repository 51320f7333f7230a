package referee

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// host is one server: an origin in front of the counters that all hosts of a world
// share.
type host struct {
	world *world
	name  string
	grave grave // what becomes of dials to it
}

// grave is what becomes of a dial.
type grave uint8

const (
	lives grave = iota
	hangs
	refuses
	moribund // each of the other three
)

func (h *host) dead(rng *rand.Rand) grave {
	if h.grave == moribund {
		return grave(rng.IntN(3))
	}
	return h.grave
}

// take reads what was written on a link.
func (h *host) take(l *link, now time.Duration) {
	w := h.world
	if l.asked == nil {
		a := h.parse(l.out)
		if a == nil {
			w.blame("sent what is no request of the callers'", "%.200q", l.out)
			return
		}
		h.wrote(l, a, now)
		l.asked = a
	} else if l.asked.whole {
		w.blame("wrote before the answer was over", "%v", l.asked.call)
	}
	if a := l.asked; !a.whole && whole(l.out) {
		a.whole = true
		l.out = l.out[:0]
		w.at(l.up.arrives(now, w.lag()), func(at time.Duration) { h.reached(l, a, at) })
	}
}

// wrote notes that the connection took the first byte of a request, and whether a
// pause forbade it.
func (h *host) wrote(l *link, a *attempt, now time.Duration) {
	w := h.world
	a.link, a.wrote = l, now
	a.call.taken++
	scopes := w.scopes(a.call.route)
	if p, broken := w.pauses.broken(now, h, a.call.route.free, scopes); broken {
		w.blame("sent during a pause", "at %v, in %v: %v", now, p, a.call)
	}
}

// parse reads the head of a request: "POST /route/call/key/flags?query HTTP/1.1".
// It returns nil for what is none of the callers'.
func (h *host) parse(p []byte) *attempt {
	line, _, _ := bytes.Cut(p, []byte("\r\n"))
	_, rest, _ := strings.Cut(string(line), " /")
	target, version, ok := strings.Cut(rest, " ")
	if !ok || version != "HTTP/1.1" {
		return nil
	}
	path, query, _ := strings.Cut(target, "?")
	if path == "time" {
		return &attempt{call: h.world.look(), query: query}
	}
	parts := strings.Split(path, "/")
	if len(parts) < 4 {
		return nil
	}
	id, err := strconv.Atoi(parts[1])
	if err != nil || id >= len(h.world.calls) {
		return nil
	}
	flags := parts[3]
	return &attempt{
		call: h.world.calls[id], query: query,
		stream: strings.Contains(flags, "s"), on: strings.Contains(flags, "r"), signed: strings.Contains(query, "&signature="),
	}
}

// whole reports whether a request has come to its end.
func whole(p []byte) bool {
	head, body, ok := bytes.Cut(p, []byte("\r\n\r\n"))
	if !ok {
		return false
	}
	_, after, ok := bytes.Cut(head, []byte("\r\nContent-Length: "))
	if !ok {
		return true
	}
	digits, _, _ := bytes.Cut(after, []byte("\r\n"))
	length, _ := strconv.Atoi(string(digits))
	return len(body) >= length
}

// reached is told when the request is here. A front that has closed the connection
// hands nothing on any more.
func (h *host) reached(l *link, a *attempt, at time.Duration) {
	w := h.world
	l.served++
	switch {
	case l.gone && !l.closed:
		return
	case w.scene.proxied.draws(w.rng):
		// The front closes, and hands on what it has read for up to a second.
		l.shut(at, errGone(w.rng))
		w.at(at+between(w.rng, 0, time.Second), func(at time.Duration) {
			h.count(a, at, 200)
			a.call.executed++
			a.end(at)
		})
	default:
		h.answer(l, a, at)
	}
}

// count notes the arrival at every rule of its route.
func (h *host) count(a *attempt, at time.Duration, status int) {
	w, c := h.world, a.call
	a.landed = true
	c.arrived++
	w.arrived++
	for _, t := range c.route.tolls {
		r := w.rules[t.rule]
		key := 0
		if r.now().keyed {
			key = c.key
		}
		since := c.began
		if w.scene.warm || w.scene.early { // a permit is used in the instant in which it is granted
			since = a.wrote
		}
		p := &arrival{at: w.clock.read(at), since: since, wrote: a.wrote, landed: at, call: c, host: h, weight: t.weight, status: status}
		r.arrivals[key] = append(r.arrivals[key], p)
		a.places = append(a.places, p)
	}
}
