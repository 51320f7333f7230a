package load

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/bench/results"
)

// tally makes intervals of samples. It is pure, and owned by one goroutine.
//
// Invariant: every sample that was added is in exactly one interval that flush returns, by
// its intended instant, and its sending and its end are counted in the intervals of their own
// instants, in the phase of the intended one.
type tally struct {
	names  []string // of operations, as journey.names
	warmUp time.Duration
	open   map[part]*count
	last   *count // the one that was used last: mostly the next as well
	kinds  map[int]string
	// median is told of every response, for chains; nil if there are none.
	median func(operation int, response time.Duration)

	// issued is for how long requests are issued, as far as it is known: what is sent or ends from
	// then on is the drain's.
	issued time.Duration

	// Of the main part: what the verdict is judged by.
	deadline                      time.Duration // until when an arrival is handed over in time
	handedInTime, neverHanded     uint64
	refused                       uint64 // something that they need, by this machine
	unfinished, unsent, completed uint64 // of the whole run
}

// part is what has an interval of its own.
type part struct {
	second int
	warm   bool
}

// count is an interval that is being made.
type count struct {
	at         part
	interval   results.Interval
	operations []*results.Operation // by index; nil where nothing was counted
}

func newTally(names []string, warmUp time.Duration) *tally {
	return &tally{names: names, warmUp: warmUp, open: make(map[part]*count), kinds: make(map[int]string), issued: farAway}
}

func (t *tally) of(second int, warm bool) *count {
	at := part{second, warm}
	if t.last != nil && t.last.at == at {
		return t.last
	}
	c := t.open[at]
	if c == nil {
		c = &count{at: at, operations: make([]*results.Operation, len(t.names))}
		c.interval.Second, c.interval.Phase = second, results.Main
		if warm {
			c.interval.Phase = results.WarmUp
		}
		t.open[at] = c
	}
	t.last = c
	return c
}

// latest is the count of the last second that has one; nil if all were flushed.
func (t *tally) latest() *count {
	var last *count
	for _, c := range t.open {
		if last == nil || c.at.second > last.at.second || c.at.second == last.at.second && last.at.warm {
			last = c
		}
	}
	return last
}

func secondOf(at time.Duration) int { return int(max(at, 0) / time.Second) }

// offer counts n arrivals of a second.
func (t *tally) offer(at part, n uint64) { t.of(at.second, at.warm).interval.Offered += n }

func (t *tally) add(samples []sample) {
	for i := range samples {
		t.addOne(&samples[i])
	}
}

func (t *tally) addOne(m *sample) {
	warm := m.due < t.warmUp
	at := t.of(secondOf(m.due), warm)
	if !m.announced {
		at.interval.Offered++
	}
	t.record(at.operation(m.operation), m)
	if m.sent >= 0 {
		in := &t.of(secondOf(m.sent), warm).interval
		in.Sent++
		in.SentLate += t.late(m.sent)
	}
	switch m.fate {
	case finished:
		t.completed++
		in := &t.of(secondOf(m.end), warm).interval
		in.Completed++
		in.CompletedLate += t.late(m.end)
	case neverSent:
		t.unsent++
		fallthrough
	case unfinished:
		t.unfinished++
	}
	if m.announced && !warm && m.handed <= t.deadline && !m.unhanded {
		t.handedInTime++
	}
	if m.refused && !warm {
		t.refused++
	}
	if m.unhanded && !warm {
		t.neverHanded++
	}
}

// late is one if an instant is in the drain.
func (t *tally) late(at time.Duration) uint64 {
	if at >= t.issued {
		return 1
	}
	return 0
}

func (c *count) operation(index int) *results.Operation {
	if c.operations[index] == nil {
		c.operations[index] = new(results.Operation)
	}
	return c.operations[index]
}

// record adds a sample to the operation's counts and histograms.
func (t *tally) record(o *results.Operation, m *sample) {
	o.Count++
	o.In += uint64(max(m.in, 0))
	o.Out += uint64(max(m.out, 0))
	o.Repeats += uint64(max(m.repeats, 0))
	if m.status > 0 {
		if o.Statuses == nil {
			o.Statuses = make(map[int]uint64)
		}
		o.Statuses[m.status]++
	}
	response := max(m.end-m.due, 0)
	note(&o.Response, response)
	note(&o.Lag, max(m.handed-m.ready, 0))
	if m.sent >= 0 {
		note(&o.Service, max(m.end-m.sent, 0))
		note(&o.Wait, max(m.sent-m.handed, 0))
	} else {
		note(&o.Wait, max(m.end-m.handed, 0))
	}
	if m.kind == "" {
		note(&o.Success, response)
	} else {
		if o.Errors == nil {
			o.Errors = make(map[string]uint64)
		}
		o.Errors[m.kind]++
		o.KeepSample(m.kind, m.message)
	}
	if m.connected > 0 {
		note(&o.Connect, m.connected)
	}
	addStages(&o.Stages, &m.stages)
	if t.median != nil {
		t.median(m.operation, response)
	}
}

func note(h **results.Histogram, d time.Duration) {
	if *h == nil {
		*h = results.NewHistogram()
	}
	(*h).Record(d)
}

func addStages(sum, more *results.Stages) {
	sum.Queue += more.Queue
	sum.Lease += more.Lease
	sum.Connect += more.Connect
	sum.TLS += more.TLS
	sum.Send += more.Send
	sum.Wait += more.Wait
	sum.Receive += more.Receive
}

// flush returns the intervals of seconds before a second, in order, and forgets them. What is
// added later to one of these seconds makes another interval of it.
func (t *tally) flush(before int) []results.Interval {
	var done []results.Interval
	for at, c := range t.open {
		if at.second >= before {
			continue
		}
		delete(t.open, at)
		c.interval.Operations = t.named(c.operations)
		done = append(done, c.interval)
	}
	t.last = nil
	slices.SortFunc(done, func(a, b results.Interval) int {
		return cmp.Or(cmp.Compare(a.Second, b.Second), cmp.Compare(b.Phase, a.Phase)) // warmup before main
	})
	return done
}

// named adds up operations that share a name.
func (t *tally) named(operations []*results.Operation) map[string]*results.Operation {
	var named map[string]*results.Operation
	for i, o := range operations {
		if o == nil {
			continue
		}
		if named == nil {
			named = make(map[string]*results.Operation)
		}
		named[t.names[i]] = o
	}
	return named
}

// statusKind is the kind of error that a status is, without making a text each time.
func statusKind(status int) string {
	if status >= 0 && status < len(statusKinds) {
		return statusKinds[status]
	}
	return "status " + strconv.Itoa(status)
}

var statusKinds = func() (kinds [1000]string) {
	for status := range kinds {
		kinds[status] = "status " + strconv.Itoa(status)
	}
	return kinds
}()
