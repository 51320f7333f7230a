package inspect

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

// record is what an observer has seen: counts, and the slowest and the last failed requests of
// late. Requests add to it, each on its own goroutine; most of them touch but four numbers.
type record struct {
	keeps int           // slow ones, and failed ones
	late  time.Duration // how long a slow one is kept

	ended, failed, retried atomic.Int64
	errorAnswers           atomic.Int64 // answers of 400 and above; none of these has failed

	// lately has a bit for each of the last requests, the last one's lowest: whether it was an error
	// answer. While there are none it is only looked at.
	lately atomic.Uint64

	// What is no slower than floor need not take the lock, until the first of those that are kept
	// is to be forgotten, as a Unix time. Both are zero while there is room.
	floor, until atomic.Int64

	mu       sync.Mutex // guards what follows
	slow     []slowOne  // the slowest first
	failures []failure  // a ring
	next     int        // where the next failure goes
	answered failure    // the last of those that were error answers
	seen     bool       // an observer was handed out
}

// slowOne is a request that took long.
type slowOne struct {
	At       time.Time     `json:"at"` // when it ended
	Request  string        `json:"request"`
	Limit    string        `json:"limit,omitempty"`
	Origin   string        `json:"origin,omitempty"`
	Attempts int           `json:"attempts"`
	Status   int           `json:"status,omitempty"` // zero without an answer
	Timing   engine.Timing `json:"timing"`
}

// failure is a request that came to nothing, or to an answer of 400 and above.
type failure struct {
	At       time.Time      `json:"at"`
	Request  string         `json:"request"`
	Origin   string         `json:"origin,omitempty"`
	Error    string         `json:"error"`            // of an answer its status, and nothing of what it says
	Status   int            `json:"status,omitempty"` // zero without an answer
	Outcome  engine.Outcome `json:"outcome"`
	Took     time.Duration  `json:"took"`
	Attempts int            `json:"attempts"`
}

func newRecord(keeps int, late time.Duration) *record { return &record{keeps: keeps, late: late} }

// observer returns hooks that add to the record.
func (r *record) observer() engine.Observer {
	r.mu.Lock()
	r.seen = true
	r.mu.Unlock()
	return engine.Observer{
		Attempt: func(_ context.Context, a engine.Attempted) {
			if a.Again {
				r.retried.Add(1)
			}
		},
		End: func(_ context.Context, d engine.Ended) { r.end(time.Now(), &d) },
	}
}

// end takes note of a request. What it keeps of it are texts that have no query, no header, no
// key and no account.
func (r *record) end(now time.Time, d *engine.Ended) {
	r.ended.Add(1)
	isError := isErrorAnswer(d)
	r.addLately(isError)
	switch {
	case d.Err != nil:
		r.failed.Add(1)
		r.addFailure(now, d)
	case isError:
		r.errorAnswers.Add(1)
		r.addFailure(now, d)
	}
	if int64(d.Timing.Total) > r.floor.Load() || now.UnixNano() > r.until.Load() {
		r.addSlow(now, d)
	}
}

// isErrorAnswer reports whether a request was answered, by a status that is no success: the
// engine has done its part, and whoever asked has nothing of it.
func isErrorAnswer(d *engine.Ended) bool { return d.Response != nil && d.Response.StatusCode >= 400 }

// addLately takes note of whether one more was an error answer. Behind 64 of the same nothing
// changes, so that what goes well writes nothing.
func (r *record) addLately(isError bool) {
	for {
		was := r.lately.Load()
		is := was << 1
		if isError {
			is |= 1
		}
		if is == was || r.lately.CompareAndSwap(was, is) {
			return
		}
	}
}

func (r *record) addFailure(now time.Time, d *engine.Ended) {
	one := failure{
		At: now, Request: clip(d.Request.String()), Origin: originText(d.Origin), Outcome: d.Outcome(),
		Took: d.Timing.Total, Attempts: d.Attempts,
	}
	if d.Err != nil {
		one.Error = clip(d.Err.Error())
	} else {
		one.Status = d.Response.StatusCode
		one.Error = fmt.Sprintf("status %d", one.Status)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if one.Status != 0 {
		r.answered = one
	}
	if len(r.failures) < r.keeps {
		r.failures = append(r.failures, one)
		return
	}
	r.failures[r.next] = one
	r.next = (r.next + 1) % r.keeps
}

func (r *record) addSlow(now time.Time, d *engine.Ended) {
	one := slowOne{
		At: now, Request: clip(d.Request.String()), Limit: d.LimitID, Origin: originText(d.Origin),
		Attempts: d.Attempts, Timing: d.Timing,
	}
	if d.Response != nil {
		one.Status = d.Response.StatusCode
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	at, _ := slices.BinarySearchFunc(r.slow, one, func(a, b slowOne) int { return cmp.Compare(b.Timing.Total, a.Timing.Total) })
	r.slow = slices.Insert(r.slow, at, one)
	r.slow = r.slow[:min(len(r.slow), r.keeps)]
	r.setFloor()
}

// forget drops slow requests of long ago. It requires that mu is held.
func (r *record) forget(now time.Time) {
	r.slow = slices.DeleteFunc(r.slow, func(s slowOne) bool { return now.Sub(s.At) > r.late })
	r.setFloor()
}

func (r *record) setFloor() {
	floor, until := int64(0), int64(0)
	if len(r.slow) == r.keeps {
		floor = int64(r.slow[len(r.slow)-1].Timing.Total)
		first := slices.MinFunc(r.slow, func(a, b slowOne) int { return a.At.Compare(b.At) })
		until = first.At.Add(r.late).UnixNano()
	}
	r.floor.Store(floor)
	r.until.Store(until)
}

// recorded is a copy of a record.
type recorded struct {
	Ended        int64     `json:"ended"`
	Failed       int64     `json:"failed"`        // with an error, and no answer
	ErrorAnswers int64     `json:"error_answers"` // answers of 400 and above, which have not failed
	Retried      int64     `json:"retried"`       // attempts that another was meant to follow, which may have come to nothing
	Slowest      []slowOne `json:"slowest"`
	Last         []failure `json:"last_failed"` // the last first, error answers among them

	lately lately
}

// lately is how many of the last requests were error answers, and the status of the last of
// these; zero if that was long ago.
type lately struct{ of, errors, status int }

// read returns a copy, or nil if no observer was handed out.
func (r *record) read(now time.Time) *recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.seen {
		return nil
	}
	r.forget(now)
	all := &recorded{
		Ended: r.ended.Load(), Failed: r.failed.Load(), ErrorAnswers: r.errorAnswers.Load(), Retried: r.retried.Load(),
		Slowest: list(slices.Clone(r.slow)), Last: []failure{},
	}
	if now.Sub(r.answered.At) <= r.late {
		all.lately = lately{int(min(all.Ended, 64)), bits.OnesCount64(r.lately.Load()), r.answered.Status}
	}
	for i := range r.failures { // from the one before next on, backwards
		all.Last = append(all.Last, r.failures[(r.next-1-i+2*len(r.failures))%len(r.failures)])
	}
	return all
}

func originText(o engine.Origin) string {
	if o.Addr == "" {
		return ""
	}
	return clip(o.String())
}

// valid replaces what is no UTF-8: labels and ids may be any bytes, and the page says that it is UTF-8.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// clip shortens what is too long for a line, and makes it valid.
func clip(text string) string {
	const most = 240
	runes := 0
	for i := range text {
		if runes++; runes > most {
			return valid(text[:i]) + "…"
		}
	}
	return valid(text)
}
