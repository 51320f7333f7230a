package results

import (
	"maps"
	"slices"
	"time"
)

// Meter follows a run for live views: it takes the intervals that go into its file, and says
// how it stands. It has no clock: now is the time since the run started, and does not go
// back. It is not safe for concurrent use; a Snapshot shares nothing with it.
//
// Invariant: told[s%len(told)] is what was told in second s of now, and counts[s%len(counts)]
// what counts in second s of the run, if their second is s; else they are of an older one.
type Meter struct {
	snapshot Snapshot
	total    *Histogram // of the main part once it has begun, of the warm-up before
	seconds  int
	told     []told
	counts   []counts
	last     int // second of the run that an interval was of
}

// told are latencies by when they were told, whenever the requests were due: during a stall
// the newest answers are of seconds long past.
type told struct {
	second                 int
	response, service, lag *Histogram
}

type counts struct {
	second                   int
	offered, sent, completed uint64
}

// NewMeter returns a meter whose rates and quantiles are of so many last seconds, at least 1.
func NewMeter(h Header, seconds int) *Meter {
	seconds = max(seconds, 1)
	m := &Meter{
		total: NewHistogram(), seconds: seconds, last: -1,
		told: make([]told, seconds), counts: make([]counts, seconds+2),
	}
	for i := range m.told {
		m.told[i] = told{second: -1, response: NewHistogram(), service: NewHistogram(), lag: NewHistogram()}
	}
	for i := range m.counts {
		m.counts[i].second = -1
	}
	m.snapshot = Snapshot{Header: h, Phase: Main, Errors: map[string]uint64{}}
	if h.WarmUp > 0 {
		m.snapshot.Phase = WarmUp
	}
	return m
}

// Add takes an interval that became known now, and keeps nothing of it.
func (m *Meter) Add(now time.Duration, i Interval) {
	s := &m.snapshot
	if i.Phase == Main && s.Phase == WarmUp && len(i.Operations) > 0 {
		s.Phase = Main
		m.total.Reset()
	}
	s.Offered, s.Sent, s.Completed = plus(s.Offered, i.Offered), plus(s.Sent, i.Sent), plus(s.Completed, i.Completed)
	m.addOperations(m.toldIn(int(now/time.Second)), &i)
	if g := i.Gauges; g != nil {
		s.InFlight, s.Waiting, s.Connections = g.InFlight, g.Waiting, g.Connections
		s.Limits = slices.Clone(g.Limits)
	}
	if i.Second < 0 {
		return
	}
	m.last = max(m.last, i.Second)
	c := &m.counts[i.Second%len(m.counts)]
	if c.second < i.Second {
		*c = counts{second: i.Second}
	}
	if c.second == i.Second { // else it is too late to matter
		c.offered, c.sent, c.completed = c.offered+i.Offered, c.sent+i.Sent, c.completed+i.Completed
	}
}

func (m *Meter) addOperations(t *told, i *Interval) {
	s := &m.snapshot
	for _, o := range i.Operations {
		if o == nil {
			continue
		}
		t.response.Merge(o.Response)
		t.service.Merge(o.Service)
		t.lag.Merge(o.Lag)
		if i.Phase == s.Phase { // answers to the warm-up may come later
			m.total.Merge(o.Response)
		}
		for kind, n := range o.Errors {
			s.Errors[kind] = plus(s.Errors[kind], n)
			s.Failed = plus(s.Failed, n)
		}
	}
}

// toldIn returns the place of a second of now, emptied if it was an older one's.
func (m *Meter) toldIn(second int) *told {
	t := &m.told[max(second, 0)%len(m.told)]
	if t.second != second {
		t.second = second
		t.response.Reset()
		t.service.Reset()
		t.lag.Reset()
	}
	return t
}

// Snapshot says how the run stands. Draining, Invalid, Verdicts and Ended are the caller's to
// fill in.
func (m *Meter) Snapshot(now time.Duration) Snapshot {
	s := m.snapshot
	s.Elapsed = now
	s.Errors = maps.Clone(s.Errors)
	s.Limits = slices.Clone(s.Limits)
	s.Total = m.total.Quantiles()
	s.Response = m.lately(now, func(t *told) *Histogram { return t.response })
	s.Service = m.lately(now, func(t *told) *Histogram { return t.service })
	s.Lag = m.lately(now, func(t *told) *Histogram { return t.lag })
	s.OfferedRate, s.SentRate, s.CompletedRate = m.rates(now)
	return s
}

func (m *Meter) lately(now time.Duration, of func(*told) *Histogram) Quantiles {
	all := NewHistogram()
	for i := range m.told {
		t := &m.told[i]
		if age := int(now/time.Second) - t.second; t.second >= 0 && age >= 0 && age < m.seconds {
			all.Merge(of(t))
		}
	}
	return all.Quantiles()
}

// rates are of seconds that are over and told of. In the first second there is none, and
// what is known of it counts.
func (m *Meter) rates(now time.Duration) (offered, sent, completed float64) {
	at := int(now / time.Second)
	// The interval of a second may come a little after its end, but not for ever: then it
	// is that nothing happened.
	through := max(min(m.last, at-1), at-2)
	from := max(0, through-m.seconds+1)
	over := float64(through - from + 1)
	if at == 0 {
		through, from, over = 0, 0, now.Seconds()
	}
	if over <= 0 {
		return 0, 0, 0
	}
	var sum counts
	for i := range m.counts {
		if c := &m.counts[i]; c.second >= from && c.second <= through {
			sum.offered, sum.sent, sum.completed = sum.offered+c.offered, sum.sent+c.sent, sum.completed+c.completed
		}
	}
	return float64(sum.offered) / over, float64(sum.sent) / over, float64(sum.completed) / over
}
