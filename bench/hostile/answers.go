package hostile

import (
	"fmt"
	"io"
	"net"
	"net/http"
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
	all := oddAnswers()
	if c.Cases > 0 {
		step := max(1, len(all)/c.Cases) | 1 // odd, so that servers that stay and servers that close take turns
		var some []odd
		for i := int(c.Seed) % step; i < len(all); i += step {
			some = append(some, all[i])
		}
		all = some
	}
	for i := 0; i < len(all); i += together {
		c.progress("answers", i/together, len(all)/together)
		playTogether(t, all[i:min(i+together, len(all))], r)
	}
}

// playTogether has one engine and one Transport read odd answers, one after the other,
// and true ones in between.
func playTogether(t *testing.T, some []odd, r *Report) {
	synctest.Test(t, func(*testing.T) {
		listener := memnet.Listen()
		s := serve(listener, func(c net.Conn, request *http.Request) bool {
			i, _ := strconv.Atoi(strings.TrimPrefix(request.URL.Path, "/odd/"))
			_, _ = io.WriteString(c, some[i].answer) // whoever has hung up does not hear it
			return !some[i].closes
		})
		theirs := netHTTP(listener.DialContext)
		eng := newEngine(configOver(listener.DialContext))
		for i, o := range some {
			r.Played++
			at := fmt.Sprintf("http://case%d.test", i) // nobody is to be spared by the failures of another's origin
			expected := theirs.get(o.method, fmt.Sprintf("%s/odd/%d", at, i))
			for n, door := range doors {
				ours := byDoor(eng, door)
				got := ours.get(o.method, fmt.Sprintf("%s/odd/%d", at, i))
				r.judge(difference{o, door, expected, got, shapeOf(o.answer)})
				synctest.Wait()
				path := fmt.Sprintf("/next/%d/%d", i, n)
				if next := ours.get("GET", at+path); next.verdict != answers || next.body != trueBody(path) {
					r.fail("POISONED: %v, %s: the next request got %v (the odd one: %v)", o, door, next, got)
				}
			}
		}
		theirs.close()
		_ = eng.Close()
		s.stop()
	})
}

// configOver is an engine that says what it has seen: it repeats nothing, and does not
// pause for a 429 or 418.
func configOver(dial dialer) engine.Config {
	return engine.Config{
		Dial: engine.Dial{DialContext: dial}, Retry: engine.Retry{Max: -1},
		Feedback: func(feedback.Answer) feedback.Feedback { return feedback.Feedback{} },
	}
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
func (r *Report) judge(d difference) {
	in := differences(d.theirs, d.ours)
	if len(in) == 0 {
		r.count("the same")
		return
	}
	for _, c := range classes {
		if c.holds(d) {
			r.count(c.name + ": " + c.reason)
			return
		}
	}
	r.fail("differs in %s: %v", strings.Join(in, ", "), d)
}
