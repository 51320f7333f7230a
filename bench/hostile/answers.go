package hostile

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

func playAnswers(t *testing.T, c Config, r *Report) {
	all := oddAnswers()
	step := 1
	if c.Cases > 0 {
		step = max(1, len(all)/2/c.Cases)
	}
	for i := 0; i < len(all); i++ {
		if i/2%step != 0 {
			continue
		}
		c.progress("answers", i, len(all))
		r.Played++
		play(t, all[i], r)
	}
}

// play has an odd answer read by net/http and by the engine at each of its doors, and
// then asks each engine for something else.
func play(t *testing.T, o odd, r *Report) {
	synctest.Test(t, func(*testing.T) {
		theirs, _ := meet(o, netHTTP)
		for _, door := range doors {
			ours, next := meet(o, func(dial dialer) client { return byDoor(door, configOver(dial)) })
			r.judge(difference{o, door, theirs, ours})
			if next.verdict != answers || next.body != trueBody("/next") {
				r.fail("POISONED: %v, %s: the next request got %v (the odd one: %v)", o, door, next, ours)
			}
		}
	})
}

func configOver(dial dialer) engine.Config {
	return engine.Config{Dial: engine.Dial{DialContext: dial}, Retry: engine.Retry{Max: -1}}
}

// meet has a client of its own read an odd answer, and then a true one.
func meet(o odd, make func(dialer) client) (first, next outcome) {
	listener := memnet.Listen()
	s := serve(listener, func(c net.Conn, _ *http.Request) bool {
		_, _ = io.WriteString(c, o.answer) // whoever has hung up does not hear it
		return !o.closes
	})
	cl := make(listener.DialContext)
	first = cl.get(o.method, "http://mem.test/odd")
	synctest.Wait()
	next = cl.get("GET", "http://mem.test/next")
	cl.close()
	s.stop()
	return first, next
}

// difference is between what two clients make of one answer.
type difference struct {
	odd    odd
	door   string
	theirs outcome // net/http's
	ours   outcome
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
