package inspect

import (
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
)

// state is what is known at one moment, as ?format=json tells it.
type state struct {
	Title   string        `json:"title"`
	At      time.Time     `json:"at"`
	Verdict string        `json:"verdict"`
	Engines []engineState `json:"engines"`
	// Requests are those of all engines that have the page's observer; nil if none can.
	Requests *recorded `json:"requests,omitempty"`
}

type engineState struct {
	Name    string          `json:"name"`
	Verdict string          `json:"verdict"`
	Ended   bool            `json:"ended,omitempty"`
	Clock   clockState      `json:"clock"`
	Stats   engine.Stats    `json:"stats"` // as Engine.Glance returns them
	Waiting []engine.Waiter `json:"waiting"`
}

// clockState is what the engine knows of its server's clock.
type clockState struct {
	Source string        `json:"source"` // "server", "unknown" as long as there was no answer, or "local" without a source
	Ahead  time.Duration `json:"ahead"`  // of this machine's clock
	Bound  time.Duration `json:"bound"`  // how wrong that may be
}

// attached is an engine on the page.
type attached struct {
	name   string
	engine *engine.Engine
	past   *histories // the page's, under its lock
}

// waitersFor is of how many who wait the state tells at most, for each row of a table: the page
// puts those together that are alike.
const waitersFor = 4

// look asks an engine, and remembers how full it was.
func (a *attached) look(rows int) engineState {
	stats := a.engine.Glance(rows)
	s := engineState{Name: a.name, Stats: withLists(stats), Ended: stats.Limits.At.IsZero(), Waiting: list(a.engine.Waiting(waitersFor * rows)), Clock: clockOf(a.engine)}
	s.Verdict = verdictOf(&s)
	a.remember(&stats)
	return s
}

// list is a list that JSON has as one, and not as null, if it is empty.
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// withLists has a list for each, also of an engine that New has not made.
func withLists(s engine.Stats) engine.Stats {
	s.Limits.Limits, s.Limits.Scopes, s.Limits.Queued = list(s.Limits.Limits), list(s.Limits.Scopes), list(s.Limits.Queued)
	s.Pools = list(s.Pools)
	return s
}

// The names of histories that are no limit's: none is the name of one, for a limit's begins
// otherwise.
const (
	pastInFlight = "in flight"
	pastWaiting  = "waiting"
)

// limitPast is the name of a limit's history.
func limitPast(l *engine.LimitStats) string {
	return "limit\x00" + l.ID + "\x00" + l.Account + "\x00" + l.Key + "\x00" + l.Egress
}

func (a *attached) remember(stats *engine.Stats) {
	a.past.add(stats.At, pastInFlight, int64(stats.InFlight))
	a.past.add(stats.At, pastWaiting, int64(waitingOf(stats)))
	for i := range stats.Limits.Limits {
		l := &stats.Limits.Limits[i]
		a.past.add(stats.At, limitPast(l), l.Used)
	}
}

// waitingOf is how many wait for a credit, a permit or a connection, also at limits and pools that
// a glance leaves out.
func waitingOf(s *engine.Stats) int { return s.Waiting + s.Queued + s.PoolsWaiting }

func clockOf(eng *engine.Engine) clockState {
	clock := eng.Clock()
	ahead := time.Until(clock.Now())
	_, follows := clock.(auth.Ranger)
	switch bound := clock.Bound(); {
	case !follows:
		return clockState{Source: "local"}
	case bound >= auth.NoBound:
		return clockState{Source: "unknown"}
	default:
		return clockState{Source: "server", Ahead: ahead, Bound: bound}
	}
}
