package limits

import (
	"fmt"
	"strings"
	"time"
)

// Client names a limiter.
type Client string

// The clients of the grid.
const (
	Sluice    Client = "sluice"
	Reference Client = "reference"
	XTimeRate Client = "xtimerate"
	Uber      Client = "uber"
	PlainLog  Client = "plainlog"

	reckless Client = "reckless" // heeds no limit, and so shows that the referee can refuse
)

// limiter decides when requests leave. It is called at instants that never
// decrease, and hands a request to world.send when it may go.
type limiter interface {
	// submit is a wish to send r, now or later.
	submit(r *request)
	// answered is called when an answer is seen, whatever it says.
	answered(r *request, a answer)
	// lost is called when r is given up without an answer.
	lost(r *request)
	// unsent is called when nothing of r has left, although it was granted.
	unsent(r *request)
}

// answer is what a client learns from an answer.
type answer struct {
	refused    bool
	serverTime time.Duration // 0: the answer bears none
	resolution time.Duration
	used       int64 // of rule 0, by the header; -1: there is none
	costs      []charge
}

var limiters = map[Client]func(*world) limiter{
	Sluice:    func(w *world) limiter { return newSluice(w) },
	Reference: func(w *world) limiter { return newReference(w) },
	XTimeRate: func(w *world) limiter { return newXTimeRate(w) },
	Uber:      func(w *world) limiter { return newUber(w) },
	PlainLog:  func(w *world) limiter { return newPlainLog(w) },
	reckless:  func(w *world) limiter { return heedless{w: w} },
}

// Clients returns those of the grid in the order of its columns.
func Clients() []Client { return []Client{Sluice, Reference, XTimeRate, Uber, PlainLog} }

// ParseClients reads names of clients; none means all.
func ParseClients(names []string) ([]Client, error) {
	if len(names) == 0 {
		return Clients(), nil
	}
	var chosen []Client
	for _, name := range names {
		c := Client(strings.TrimSpace(name))
		if limiters[c] == nil || c == reckless {
			return nil, fmt.Errorf("unknown client %q: want %s", name, joined(Clients()))
		}
		chosen = append(chosen, c)
	}
	return chosen, nil
}

func joined[S ~string](names []S) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

// heedless sends 100 ms after it is asked to, whatever the limits.
type heedless struct {
	unaware
	w *world
}

func (h heedless) submit(r *request) { h.w.after(100*time.Millisecond, func() { h.w.send(r) }) }

// unaware is part of a client that takes no notice of how requests end.
type unaware struct{}

func (unaware) answered(*request, answer) {}
func (unaware) lost(*request)             {}
func (unaware) unsent(*request)           {}
