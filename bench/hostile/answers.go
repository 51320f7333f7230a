package hostile

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// together is how many odd answers one engine reads.
const together = 16

func playAnswers(t *testing.T, c Config, r *Report) {
	playOddAnswers(t, c, r, oddAnswers(), strictly)
	strictly.demandAll(r)
}

func playOddAnswers(t *testing.T, c Config, r *Report, all []odd, how arrangement) {
	for i := 0; i < len(all); i += together {
		c.progress(r.Part, i/together, len(all)/together)
		playTogether(t, all[i:min(i+together, len(all))], r, how)
	}
}

// playTogether has one engine and one Transport read odd answers, one after the other,
// and true ones in between.
func playTogether(t *testing.T, some []odd, r *Report, how arrangement) {
	synctest.Test(t, func(*testing.T) {
		listener := memnet.Listen()
		s := serve(listener, func(c net.Conn, request *http.Request) bool {
			i, _ := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/odd/"))
			_, _ = io.WriteString(c, some[i].answer) // whoever has hung up does not hear it
			return !some[i].closes
		})
		theirs := netHTTP(listener.DialContext, how.proxy)
		eng := newEngine(how.config(listener.DialContext))
		for i, o := range some {
			r.Played++
			at := fmt.Sprintf("http://case%d.test", i) // nobody is to be spared by the failures of another's origin
			expected := theirs.get(o.method, fmt.Sprintf("%s/odd/%d", at, i))
			for n, door := range doors {
				ours := byDoor(eng, door)
				got := ours.get(o.method, fmt.Sprintf("%s/odd/%d", at, i))
				r.judge(difference{o, door, expected, got, shapeOf(o.answer)}, how.classes)
				synctest.Wait()
				r.next(ours, at, fmt.Sprintf("/next/%d/%d", i, n), func() string { return fmt.Sprintf("%v, %s: %v", o, door, got) })
			}
			abandon(eng, o.method, fmt.Sprintf("%s/odd/%d", at, i))
			synctest.Wait() // a server that closes has closed
			r.next(byDoor(eng, "Do"), at, fmt.Sprintf("/next/%d", i), func() string { return fmt.Sprintf("%v, abandoned", o) })
		}
		theirs.close()
		_ = eng.Close()
		s.stop()
	})
}

// arrangement is how an engine and a Transport are made, and in what they may differ.
type arrangement struct {
	lenient bool
	proxy   *url.URL
	classes []class
}

var (
	strictly  = arrangement{classes: classes}
	leniently = arrangement{lenient: true, classes: lenientClasses}
)

// config is that of an engine that says what it has seen: it repeats nothing, and does
// not pause for a 429 or 418.
func (a arrangement) config(dial dialer) engine.Config {
	return engine.Config{
		Dial: engine.Dial{DialContext: dial, Proxy: http.ProxyURL(a.proxy)}, Retry: engine.Retry{Max: -1},
		Feedback:  func(feedback.Answer) feedback.Feedback { return feedback.Feedback{} },
		Responses: engine.Responses{Lenient: func(string) bool { return a.lenient }},
	}
}

// demandAll fails for each class that nothing belonged to: what it excuses does not
// happen, and if it did, it would be something else.
func (a arrangement) demandAll(r *Report) {
	for _, c := range a.classes {
		if r.Counts[c.kind()] == 0 {
			r.fail("STALE: no answer differs in this any more: %s", c.kind())
		}
	}
}

// next asks for something else, and demands just that.
func (r *Report) next(c client, at, path string, before func() string) {
	r.demand(c.get("GET", at+path), path, before)
}

func (r *Report) demand(got outcome, path string, before func() string) {
	switch {
	case got.verdict != answers:
		r.fail("UNANSWERED: the next request got %v, after %s", got, before())
	case got.body != trueBody(path):
		r.fail("POISONED: the next request got %v, after %s", got, before())
	}
}

// abandon reads two bytes of a streamed answer, and closes it.
func abandon(eng *engine.Engine, method, url string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	response, err := eng.Do(ctx, &engine.Request{Method: method, URL: url, Stream: true})
	if err != nil || response.Stream == nil {
		return
	}
	_, _ = io.ReadFull(response.Stream, make([]byte, 2)) // there may be fewer
	_ = response.Stream.Close()
}

// difference is between what two clients make of one answer.
type difference struct {
	odd    odd
	door   string
	theirs outcome // net/http's
	ours   outcome
	shape  shape
}

func (d difference) String() string {
	return fmt.Sprintf("%v, %s: net/http %v; the engine %v", d.odd, d.door, d.theirs, d.ours)
}

// judge counts a difference in its class, or fails.
func (r *Report) judge(d difference, classes []class) {
	in := differences(d.theirs, d.ours)
	if len(in) == 0 {
		r.count("the same")
		return
	}
	for _, c := range classes {
		if c.holds(d) {
			r.count(c.kind())
			return
		}
	}
	r.fail("differs in %s: %v", strings.Join(in, ", "), d)
}
