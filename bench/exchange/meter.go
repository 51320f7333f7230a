package exchange

import (
	"slices"
	"time"
)

// keptWindows is how many windows of a limit a report lists; totals cover all.
const keptWindows = 1_000

// meter counts one limit for one client or account, and keeps the books.
type meter struct {
	limit   Limit
	label   string // of the limit's interval
	scope   string // the client's address, or the account's masked key
	counter Counter
	penalty penalty // of an account: what this limit has told it

	peak          int64
	accepted      int64 // weight
	refused       int64 // requests
	refusedWeight int64

	windows []Window // those with an arrival, in order, the last keptWindows
	seen    int64    // how many there were
	first   Window   // the first of all
	firstAt int64    // number of the first and of the latest window
	lastAt  int64
}

func newMeter(l Limit, scope string) *meter {
	c, err := NewCounter(l)
	if err != nil {
		panic(err) // New has checked every limit
	}
	return &meter{limit: l, label: l.label(), scope: scope, counter: c}
}

// clockOf picks the clock the limit runs in: windows of policy Fixed are
// aligned to the exchange's wall clock, all others are set by nothing.
func (m *meter) clockOf(now instant) time.Duration {
	if m.limit.Policy == Fixed {
		return now.wall
	}
	return now.elapsed
}

// wait returns how long until weight would be admitted; zero is now. A weight
// that never fits is told to wait a whole period.
func (m *meter) wait(now instant, weight int64) time.Duration {
	wait := m.counter.Wait(m.clockOf(now), weight)
	if wait == Never {
		return m.limit.Per
	}
	return wait
}

// burden counts weight without an entry in the books.
func (m *meter) burden(now instant, weight int64) { m.counter.Charge(m.clockOf(now), weight) }

// charge counts an admitted arrival.
func (m *meter) charge(now instant, weight int64) {
	m.burden(now, weight)
	w := m.window(now)
	used := m.used(now)
	m.accepted += weight
	m.peak = max(m.peak, used)
	w.Weight += weight
	w.Peak = max(w.Peak, used)
}

// refuse counts a refused arrival; charged says that it counts all the same.
func (m *meter) refuse(now instant, weight int64, charged bool) {
	if charged {
		m.burden(now, weight)
	}
	w := m.window(now)
	m.refused++
	m.refusedWeight += weight
	w.Refused++
	w.Overrun += weight
	w.Peak = max(w.Peak, m.used(now))
	m.peak = max(m.peak, m.used(now))
}

func (m *meter) used(now instant) int64 { return m.counter.Used(m.clockOf(now)) }

// window returns the window of now, a stretch of one period of the exchange's
// wall clock, whatever the policy.
func (m *meter) window(now instant) *Window {
	at := int64(floorDiv(now.wall, m.limit.Per))
	if n := len(m.windows); n > 0 && m.lastAt == at {
		return &m.windows[n-1]
	}
	if m.seen == 0 {
		m.firstAt = at
	} else if m.seen == 1 {
		m.first = m.windows[0]
	}
	if len(m.windows) == keptWindows {
		m.windows = m.windows[:copy(m.windows, m.windows[1:])]
	}
	m.seen++
	m.lastAt = at
	m.windows = append(m.windows, Window{Start: instant{wall: time.Duration(at) * m.limit.Per}.time()})
	return &m.windows[len(m.windows)-1]
}

// utilisation is the weight accepted in the windows between the first and the
// last, idle ones included, over what they allow. With fewer than three
// windows it is that of all of them. A Budget has none.
func (m *meter) utilisation() float64 {
	if m.seen == 0 || m.limit.Policy == Budget { // a budget allows nothing by the window
		return 0
	}
	weight, windows := m.accepted, m.lastAt-m.firstAt+1
	if windows > 2 {
		weight -= m.first.Weight + m.windows[len(m.windows)-1].Weight
		windows -= 2
	}
	if windows <= 0 {
		return 0 // the clock was set back
	}
	return float64(weight) / float64(windows) / float64(m.limit.Quota)
}

func (m *meter) report() LimitReport {
	return LimitReport{
		Limit:         m.limit.String(),
		Scope:         m.scope,
		Quota:         m.limit.Quota,
		Weight:        m.accepted,
		Peak:          m.peak,
		PeakFill:      float64(m.peak) / float64(m.limit.capacity()),
		Utilisation:   m.utilisation(),
		Refused:       m.refused,
		RefusedWeight: m.refusedWeight,
		Seen:          m.seen,
		Windows:       m.shares(),
	}
}

// shares are the windows, each with how much of the quota it used.
func (m *meter) shares() []Window {
	windows := slices.Clone(m.windows)
	for i := range windows {
		windows[i].Share = float64(windows[i].Weight) / float64(m.limit.Quota)
	}
	return windows
}
