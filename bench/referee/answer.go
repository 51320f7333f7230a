package referee

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// answer is what a host says to an attempt.
type answer struct {
	of     *attempt
	host   *host
	status int
	lines  string // header lines
	body   string

	// least is for how long nothing may be sent once the head was read; zero for an
	// answer that refuses nothing. instant is when that ends, if it was told as one.
	least   time.Duration
	instant time.Duration
	why     string
	cut     bool // the connection breaks off within the body
}

// headRead is told when the client has read the head.
func (n *answer) headRead(w *world) {
	a := n.of
	a.settled = true
	a.call.heads++
	a.call.status = n.status
	a.call.doubt = a.call.doubt || a.call.leftOpen
	a.call.leftOpen = n.status == 200 || n.status == 503
	a.call.perhaps = a.call.perhaps || n.status == 307 && (n.cut || w.hurried)
	if n.least == 0 {
		return
	}
	now := w.now()
	until := now + n.least
	if n.instant > 0 {
		until = max(now+leastPause, min(until, n.instant))
	}
	scopes := w.scopes(a.call.route)
	if n.status == http.StatusTeapot {
		scopes = []string{wholeOrigin} // the address is banned
	}
	for _, scope := range scopes {
		w.pauses.add(pause{n.host, scope, now, until, fmt.Sprintf("%d, %s", n.status, n.why)})
	}
}

// leastPause is what every refusal pauses for, whatever it says.
const leastPause = time.Second

// answer decides what becomes of a request that is here.
func (h *host) answer(l *link, a *attempt, at time.Duration) {
	w := h.world
	m := &w.scene.manners
	if w.stale(a, at) {
		h.count(a, at, 400)
		a.call.askedFor++
		h.sayAll(l, &answer{of: a, host: h, status: 400, body: `{"code":-1021}`}, at)
		return
	}
	n := h.content(a, at)
	h.count(a, at, n.status)
	think := w.think()
	switch {
	case m.silent.draws(w.rng):
	case m.shuts.draws(w.rng):
		w.at(at+think, func(at time.Duration) { h.leave(l, a, at) })
	case m.cuts.draws(w.rng):
		w.at(at+think, func(at time.Duration) { h.sayPart(l, n, at) })
	case a.stream && n.status == 200:
		w.at(at+think, func(at time.Duration) { h.sayChunks(l, n, at, w.rng.IntN(6)) })
	case m.slow.draws(w.rng) && (n.least == 0 || w.scene.tardy):
		w.at(at+think, func(at time.Duration) { h.saySlowly(l, n, at) })
	default:
		w.at(at+think, func(at time.Duration) { h.sayAll(l, n, at) })
	}
}

// think is how long the host takes over an answer: for long where it counts what is
// open, so that much is.
func (w *world) think() time.Duration {
	if w.about == concurrent {
		return between(w.rng, 0, 300*time.Millisecond)
	}
	return between(w.rng, 0, 3*time.Millisecond)
}

// content draws what is answered.
func (h *host) content(a *attempt, at time.Duration) *answer {
	w := h.world
	m := &w.scene.manners
	n := &answer{of: a, host: h, status: 200}
	switch {
	case a.call.id == 0:
		n.lines = "Date: " + w.clock.date(at).Format(http.TimeFormat) + "\r\n"
		n.body = `{"t":` + strconv.FormatInt(int64(w.clock.read(at)/time.Millisecond), 10) + `}`
		if m.refuses.draws(w.rng) {
			h.refuse(n, at)
		}
		return n
	case m.refuses.draws(w.rng):
		h.refuse(n, at)
	case m.busy.draws(w.rng):
		h.busy(n)
	case m.redirects.draws(w.rng) && !a.on && !a.call.once:
		n.status = 307
		n.lines = fmt.Sprintf("Location: /%s/%d/%d/r\r\n", a.call.route.id, a.call.id, a.call.key)
		a.call.askedFor++
	case m.rejects.draws(w.rng):
		n.status = 422
	default:
		a.call.executed++
	}
	n.body = `{"id":` + strconv.Itoa(a.call.id) + `,"t":` + strconv.FormatInt(int64(w.clock.read(at)/time.Millisecond), 10) + `}`
	return n
}

// refuse makes the answer a refusal, spelled in one of the ways there are.
func (h *host) refuse(n *answer, at time.Duration) {
	w := h.world
	date := w.clock.date(at)
	n.status = []int{429, 429, 429, 418}[w.rng.IntN(4)]
	span := time.Duration(1+w.rng.IntN(4)) * time.Second
	n.least = span
	n.lines = "Date: " + date.Format(http.TimeFormat) + "\r\n"
	end := date.Truncate(time.Second).Add(span)
	switch w.rng.IntN(7) {
	case 0:
		n.why = "Retry-After in tenths"
		n.least = span + 400*time.Millisecond
		n.lines += fmt.Sprintf("Retry-After: %.1f\r\n", n.least.Seconds())
	case 1:
		n.why, n.instant = "Retry-After as a date", w.until(end, at)
		n.lines += "retry-after: " + end.Format(http.TimeFormat) + "\r\n"
	case 2:
		n.why, n.instant = "Retry-After as a Unix time", w.until(end, at)
		n.lines += fmt.Sprintf("Retry-After: %d\r\n", end.Unix())
	case 3:
		n.why, n.least = "Retry-After: 0", leastPause
		n.lines += "Retry-After: 0\r\n"
	case 4:
		n.why, n.status, n.instant = "banned until", 418, w.until(end, at)
		n.body = fmt.Sprintf(`{"code":-1003,"msg":"IP banned until %d."}`, end.UnixMilli())
	case 5:
		n.why, n.status, n.least = "nothing said", 429, leastPause
	default:
		n.why = "Retry-After in seconds"
		n.lines += fmt.Sprintf("Retry-After:%d\r\n", int(span.Seconds()))
	}
	if w.rng.IntN(8) == 0 { // a body that nobody can read changes nothing
		n.why += ", broken body"
		n.lines += "Content-Encoding: gzip\r\n"
	}
}

// until is the instant of the world at which the server's clock reads t, less what
// the client may be wrong about that clock.
func (w *world) until(t time.Time, now time.Duration) time.Duration {
	return now + t.Sub(w.clock.date(now)) - 200*time.Millisecond
}

// busy makes the answer an overload.
func (h *host) busy(n *answer) {
	n.status = 503
	n.least, n.why = 200*time.Millisecond, "nothing said"
	if h.world.rng.IntN(2) == 0 {
		n.least, n.why = time.Second, "Retry-After: 1"
		n.lines = "Retry-After: 1\r\n"
	}
}

// head returns the head of an answer whose body has a length, and the body.
func (n *answer) head(more string) (head []byte) {
	head = make([]byte, 0, 192)
	head = append(head, "HTTP/1.1 "...)
	head = strconv.AppendInt(head, int64(n.status), 10)
	head = append(head, " X\r\nContent-Length: "...)
	head = strconv.AppendInt(head, int64(len(n.body)), 10)
	head = append(head, "\r\n"...)
	head = append(head, n.lines...)
	head = append(head, more...)
	return append(head, "\r\n"...)
}

// sayAll says everything at once, and then the connection rests or ends.
func (h *host) sayAll(l *link, n *answer, at time.Duration) {
	w := h.world
	more, then := h.farewell(l)
	head := n.head(more)
	l.say(at, append(head, n.body...), len(head), n)
	h.over(l, n.of, at)
	if then != 0 {
		w.closeAfter(l, at, then)
	}
}

// farewell draws how the connection goes on: what is said of that, and when the
// host closes it; zero means that it does not.
func (h *host) farewell(l *link) (line string, then time.Duration) {
	w := h.world
	m := &w.scene.manners
	switch {
	case m.lastAnswer.draws(w.rng):
		return "Connection: close\r\n", 1
	case m.hints.draws(w.rng):
		seconds := 1 + w.rng.IntN(3)
		return fmt.Sprintf("Keep-Alive: timeout=%d\r\n", seconds), time.Duration(seconds) * time.Second
	case m.tires.draws(w.rng):
		return "", between(w.rng, time.Millisecond, 500*time.Millisecond)
	}
	return "", 0
}

// closeAfter closes a connection unless another request has come by then.
func (w *world) closeAfter(l *link, at, then time.Duration) {
	served := l.served
	w.at(at+then, func(at time.Duration) {
		if l.served == served {
			l.shut(at, errGone(w.rng))
		}
	})
}

// over notes that the host is done with a request.
func (h *host) over(l *link, a *attempt, at time.Duration) {
	a.end(at)
	if l.asked == a {
		l.asked = nil
	}
}

// leave closes the connection without an answer.
func (h *host) leave(l *link, a *attempt, at time.Duration) {
	l.shut(at, errGone(h.world.rng))
	a.end(at)
}

// sayPart breaks off within the head, or within the body.
func (h *host) sayPart(l *link, n *answer, at time.Duration) {
	head := n.head("")
	if n.body == "" || h.world.rng.IntN(2) == 0 {
		l.say(at, head[:len(head)/2], 0, nil)
	} else {
		n.cut = true
		l.say(at, append(head, n.body[:len(n.body)/2]...), len(head), n)
	}
	if n.least > 0 && !h.world.scene.tardy {
		l.shutWithin(at, 0, errGone(h.world.rng))
	}
	h.leave(l, n.of, at)
}

// saySlowly says the head, and the body in two parts with some time between.
func (h *host) saySlowly(l *link, n *answer, at time.Duration) {
	w := h.world
	head := n.head("")
	l.say(at, head, len(head), n)
	half := len(n.body) / 2
	w.at(at+between(w.rng, 0, time.Second), func(at time.Duration) { l.say(at, []byte(n.body[:half]), 0, nil) })
	w.at(at+between(w.rng, time.Second, 3*time.Second), func(at time.Duration) {
		l.say(at, []byte(n.body[half:]), 0, nil)
		if !l.gone {
			h.over(l, n.of, at)
		}
	})
}

// sayChunks streams n more chunks, and the head before them.
func (h *host) sayChunks(l *link, n *answer, at time.Duration, chunks int) {
	head := []byte("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n")
	l.say(at, head, len(head), n)
	h.sayChunk(l, n.of, at, chunks)
}

func (h *host) sayChunk(l *link, a *attempt, at time.Duration, left int) {
	w := h.world
	if l.gone {
		return
	}
	if left == 0 {
		l.say(at, []byte("0\r\n\r\n"), 0, nil)
		h.over(l, a, at)
		return
	}
	l.say(at, []byte("4\r\ndata\r\n"), 0, nil)
	w.at(at+between(w.rng, time.Millisecond, 300*time.Millisecond), func(at time.Duration) { h.sayChunk(l, a, at, left-1) })
}

// errGone is an end of the host's, polite or not.
func errGone(rng *rand.Rand) error {
	if rng.IntN(2) == 0 {
		return io.EOF
	}
	return errReset
}
