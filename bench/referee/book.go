package referee

import (
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

// call is one call of Do: what became of it in truth, and what the engine said.
// Both are guarded by the world's lock.
type call struct {
	id    int
	first *call // of those that are for the same thing; itself if it is not a repetition
	route *route
	key   int
	once  bool // not idempotent

	began, bound time.Duration // it must return soon after the latter; zero means that nothing bounds it

	taken    int // attempts of which the connection took a byte
	arrived  int
	executed int // arrivals that the server carried out
	askedFor int // arrivals that were answered so that another attempt may follow
	heads    int // attempts whose answer's head was read
	status   int // of the answer whose head was read last

	leftOpen bool // that answer does not say that nothing was carried out
	doubt    bool // one before it did not, and yet there was another attempt
	perhaps  bool // there was one of which that is a matter of taste

	returned   bool
	returnedAt time.Duration
	processed  int // times the post-processor saw an answer
	attempts   int
	sent       engine.Sent
	outcome    engine.Outcome
	err        error
	told       int // the status that the engine told; zero with an error
}

// attempt is one try of a call, of which the connection took at least a byte.
type attempt struct {
	call    *call
	link    *link
	stream  bool
	on      bool // redirected once
	wrote   time.Duration
	whole   bool
	query   string
	signed  bool
	landed  bool
	settled bool // its head was read
	places  []*arrival
}

// end notes that the request is open no longer.
func (a *attempt) end(at time.Duration) {
	server := a.link.world.clock.read(at)
	for _, p := range a.places {
		if p.ended == 0 {
			p.ended = server
		}
	}
}

// grace is what a call may take to return beyond its bound: the engine gives its
// parts 20 ms to say what it waited for.
const grace = 25 * time.Millisecond

// faults returns what is wrong with a call, once nothing can arrive any more.
func (c *call) faults(grace time.Duration) (list []string) {
	complain := func(bad bool, format string, args ...any) {
		if bad {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	if !c.returned {
		return []string{"never returned"}
	}
	complain(c.bound > 0 && c.returnedAt > c.bound+grace, "returned at %v, which is %v too late", c.returnedAt, c.returnedAt-c.bound)
	complain(c.processed > 1, "was answered %d times", c.processed)
	complain(c.sent == engine.SentNo && c.taken > 0, "is said not to be sent, and bytes of it were taken")
	complain(c.sent == engine.SentNo && c.arrived > 0, "is said not to be sent, and has arrived")
	complain(c.sent == engine.SentMaybe && c.taken == c.heads && !c.doubt && !c.perhaps, "is said to be in doubt, and every attempt was answered or not sent")
	complain(c.sent == engine.SentYes && c.doubt, "is said to be answered, and an attempt before may have been carried out")
	complain(c.sent == engine.SentYes && c.taken != c.heads, "is said to be answered, and %d of %d attempts were not", c.taken-c.heads, c.taken)
	complain(c.attempts < c.taken, "is said to have been attempted %d times, and %d attempts were written", c.attempts, c.taken)
	complain(c.told != 0 && c.told != c.status, "has status %d, and was answered with %d", c.told, c.status)
	complain(c.once && c.arrived-c.askedFor > 1, "may not be repeated, and arrived %d times", c.arrived)
	complain(c.once && c.executed > 1, "may not be repeated, and was carried out %d times", c.executed)
	complain(c.outcome == engine.NotSent && c.arrived > 0, "came out as not sent, and has arrived")
	complain(c.outcome != engine.NotSent && c.taken == 0, "came out as %v, and nothing of it was sent", c.outcome)
	complain((c.outcome == engine.Refused || c.outcome == engine.Rejected) && c.executed > 0, "came out as %v, and was carried out", c.outcome)
	complain(c.outcome == engine.Done && c.executed == 0, "came out as done, and was not carried out")
	return list
}

// twice reports whether what a call is for was done twice without anybody's having
// been told that it was in doubt.
func twice(repetitions []*call) bool {
	done, doubt := 0, false
	for _, c := range repetitions {
		if done += c.executed; done > 1 && !doubt {
			return true
		}
		doubt = doubt || c.outcome == engine.Unknown
	}
	return false
}

// String says which call it is, and what is known of it.
func (c *call) String() string {
	text := fmt.Sprintf("call %d on %q began at %v, until %v: %d attempts taken, %d arrived, %d carried out, %d answered; said: attempts %d, sent %v, %v",
		c.id, c.route.id, c.began, c.bound, c.taken, c.arrived, c.executed, c.heads, c.attempts, c.sent, c.outcome)
	if c.err != nil {
		text += ": " + c.err.Error()
	}
	return text
}
