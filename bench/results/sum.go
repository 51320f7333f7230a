package results

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"slices"
	"time"
)

// MostIntervals is how many a Run's Series has at most.
const MostIntervals = 2400

// mostHeld is how many bytes the Series of a sum holds, about, and fewestIntervals how many
// intervals it keeps however large they are: a thousand operations a second are more than a
// few seconds of one.
const (
	mostHeld        = 24 << 20
	fewestIntervals = 60
)

// Sum adds up intervals to a Run, in memory that does not grow with the time that they
// cover. It is not safe for concurrent use.
//
// Invariants: slots are every step seconds from 0 on, at most MostIntervals, and their
// histograms are compacted; held is their size; step is a power of two.
type Sum struct {
	header      Header
	warm, total map[string]*Operation
	warmCounts  Counts
	counts      Counts
	slots       []Interval
	held        int
	step        int
	end         End
	whole       bool
}

// NewSum returns a sum of nothing.
func NewSum(h Header) *Sum {
	return &Sum{header: h, warm: map[string]*Operation{}, total: map[string]*Operation{}, step: 1}
}

// Add adds an interval, of which it keeps nothing: the caller may use it again. It refuses a
// negative second, an unknown phase and an operation without a name.
func (s *Sum) Add(i Interval) error {
	if err := i.check(); err != nil {
		return err
	}
	into, counts := s.total, &s.counts
	if i.Phase == WarmUp {
		into, counts = s.warm, &s.warmCounts
	}
	counts.Add(Counts{Offered: i.Offered, Sent: i.Sent, Completed: i.Completed})
	addOperations(into, i.Operations)
	s.addToSlot(&i, (*Gauges).follow)
	return nil
}

func (s *Sum) addToSlot(i *Interval, gauges func(*Gauges, *Gauges)) {
	s.held += s.slot(i.Second).add(i, gauges)
	for s.held > mostHeld && len(s.slots) > fewestIntervals {
		s.coarsen()
	}
}

// End says how the run ended, once.
func (s *Sum) End(e End) error {
	if s.whole {
		return errors.New("the run ends twice")
	}
	s.end, s.whole = e, true
	return nil
}

// slot returns the interval that a second belongs to, and makes room for it.
func (s *Sum) slot(second int) *Interval {
	for second/s.step >= MostIntervals {
		s.coarsen()
	}
	at := second / s.step
	for len(s.slots) <= at {
		s.slots = append(s.slots, Interval{Second: len(s.slots) * s.step})
	}
	return &s.slots[at]
}

// coarsen adds up neighbours pairwise.
func (s *Sum) coarsen() {
	s.step *= 2
	for from := range s.slots {
		to := from / 2
		if from%2 == 0 {
			s.slots[to] = s.slots[from]
			s.slots[to].Second = to * s.step
			continue
		}
		s.slots[to].add(&s.slots[from], (*Gauges).follow)
	}
	kept := (len(s.slots) + 1) / 2
	clear(s.slots[kept:])
	s.slots = s.slots[:kept]
	s.held = 0
	for i := range s.slots {
		for _, o := range s.slots[i].Operations {
			s.held += o.size()
		}
	}
}

// Run returns what was added up so far. It shares nothing with the sum, which can go on.
func (s *Sum) Run() *Run {
	run := s.Totals()
	run.Series = make([]Interval, len(s.slots))
	phase := Main
	if s.header.WarmUp > 0 {
		phase = WarmUp
	}
	for at := range s.slots {
		run.Series[at] = s.slots[at].clone()
		if run.Series[at].Phase == "" { // nothing was in it
			run.Series[at].Phase = phase
		}
		phase = run.Series[at].Phase
	}
	return run
}

// Totals returns the same without a Series, for who looks often.
func (s *Sum) Totals() *Run {
	run := &Run{
		Header: s.header, Step: s.step, End: s.end, Whole: s.whole,
		Warm: copyOperations(s.warm), Total: copyOperations(s.total), WarmCounts: s.warmCounts, Counts: s.counts,
	}
	run.Warm[""], run.Total[""] = together(run.Warm), together(run.Total)
	return run
}

// All adds up the operations of an interval.
func (i *Interval) All() *Operation { return together(i.Operations) }

func together(operations map[string]*Operation) *Operation {
	all := &Operation{}
	for _, name := range slices.Sorted(maps.Keys(operations)) { // so that the first sample is always the same
		if name != "" {
			all.Add(operations[name])
		}
	}
	all.compact()
	return all
}

func (i *Interval) clone() Interval {
	c := *i
	c.Operations = copyOperations(i.Operations)
	c.Gauges = i.Gauges.clone()
	return c
}

// add adds another interval's counts, and says by how much the interval has grown; gauges says
// how its gauges go together.
func (i *Interval) add(other *Interval, gauges func(*Gauges, *Gauges)) (grown int) {
	if i.Phase != Main && other.Phase != "" {
		i.Phase = other.Phase
	}
	i.Offered = plus(i.Offered, other.Offered)
	i.Sent = plus(i.Sent, other.Sent)
	i.Completed = plus(i.Completed, other.Completed)
	i.SentLate, i.CompletedLate = plus(i.SentLate, other.SentLate), plus(i.CompletedLate, other.CompletedLate)
	for name, o := range other.Operations {
		if o == nil {
			continue
		}
		if i.Operations == nil {
			i.Operations = map[string]*Operation{}
		}
		mine := i.Operations[name]
		if mine == nil {
			mine = &Operation{}
			i.Operations[name] = mine
		} else {
			grown -= mine.size()
		}
		mine.add(o, (*Histogram).mergeCompactly)
		mine.share()
		grown += mine.size()
	}
	switch {
	case other.Gauges == nil:
	case i.Gauges == nil:
		i.Gauges = other.Gauges.clone()
	default:
		gauges(i.Gauges, other.Gauges)
	}
	return grown
}

func addOperations(to, from map[string]*Operation) {
	for name, o := range from {
		if o == nil {
			continue
		}
		if to[name] == nil {
			to[name] = &Operation{}
		}
		to[name].Add(o)
	}
}

func copyOperations(from map[string]*Operation) map[string]*Operation {
	to := make(map[string]*Operation, len(from))
	for name, o := range from {
		to[name] = o.Clone()
	}
	return to
}

// Add adds another's counts; nil adds none. It keeps nothing of the other.
func (o *Operation) Add(other *Operation) {
	if other != nil {
		o.add(other, (*Histogram).Merge)
	}
}

func (o *Operation) add(other *Operation, merge func(h, other *Histogram)) {
	o.Count = plus(o.Count, other.Count)
	o.In, o.Out, o.Repeats = plus(o.In, other.In), plus(o.Out, other.Out), plus(o.Repeats, other.Repeats)
	for status, n := range other.Statuses {
		if o.Statuses == nil {
			o.Statuses = map[int]uint64{}
		}
		o.Statuses[status] = plus(o.Statuses[status], n)
	}
	for kind, n := range other.Errors {
		if o.Errors == nil {
			o.Errors = map[string]uint64{}
		}
		o.Errors[kind] = plus(o.Errors[kind], n)
	}
	o.keepSamples(other)
	theirs := other.histograms()
	for i, mine := range o.histograms() {
		if (*theirs[i]).Count() == 0 {
			continue
		}
		if *mine == nil {
			*mine = NewHistogram()
		}
		merge(*mine, *theirs[i])
	}
	o.Stages.Add(other.Stages)
}

// Clone returns a copy with compacted histograms; of nil, an empty one.
func (o *Operation) Clone() *Operation {
	if o == nil {
		return &Operation{}
	}
	c := *o
	c.Statuses, c.Errors, c.Samples = maps.Clone(o.Statuses), maps.Clone(o.Errors), maps.Clone(o.Samples)
	for _, h := range c.histograms() {
		*h = (*h).Clone()
	}
	return &c
}

// Failed is how many ended with an error.
func (o *Operation) Failed() uint64 {
	var n uint64
	for _, kind := range o.Errors {
		n = plus(n, kind)
	}
	return n
}

// NoneSucceeded reports whether there were requests, and all have failed.
func (o *Operation) NoneSucceeded() bool { return o.Count > 0 && o.Failed() == o.Count }

// Mostly is the kind of error that there was most of, with a message of it if one was kept; empty
// if there was none.
func (o *Operation) Mostly() string {
	kind := ""
	for k, n := range o.Errors {
		if most := o.Errors[kind]; n > most || n == most && k < kind {
			kind = k
		}
	}
	if text := o.Samples[kind]; text != "" {
		return kind + ": " + text
	}
	return kind
}

func (o *Operation) histograms() [6]**Histogram {
	return [6]**Histogram{&o.Response, &o.Service, &o.Lag, &o.Wait, &o.Success, &o.Connect}
}

func (o *Operation) compact() {
	for _, h := range o.histograms() {
		(*h).Compact()
	}
}

// share has Success hold the same bytes as Response where nothing has failed.
func (o *Operation) share() {
	if o.Success != nil && o.Response != nil && bytes.Equal(o.Success.packed, o.Response.packed) {
		o.Success.packed = o.Response.packed
	}
}

// size is about how many bytes an operation with compacted histograms holds.
func (o *Operation) size() int {
	n := 256 + 48*(len(o.Statuses)+len(o.Errors)+len(o.Samples))
	for _, message := range o.Samples {
		n += len(message)
	}
	for _, h := range o.histograms() {
		if *h != nil {
			n += 48 + len((*h).packed)
		}
	}
	if o.Success.Count() > 0 && o.Success.Count() == o.Response.Count() {
		n -= len(o.Success.packed) // shared
	}
	return n
}

// Add adds another's times.
func (s *Stages) Add(other Stages) {
	s.Queue = longer(s.Queue, other.Queue)
	s.Lease = longer(s.Lease, other.Lease)
	s.Connect = longer(s.Connect, other.Connect)
	s.TLS = longer(s.TLS, other.TLS)
	s.Send = longer(s.Send, other.Send)
	s.Wait = longer(s.Wait, other.Wait)
	s.Receive = longer(s.Receive, other.Receive)
}

// plus adds up to the most there can be.
func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// longer adds up to the longest there can be; a negative one adds nothing.
func longer(a, b time.Duration) time.Duration {
	a, b = max(a, 0), max(b, 0)
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
