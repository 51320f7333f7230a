package telemetry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
)

// kind is how an instrument is read: what goes up and down can be added up over servers and
// processes, a gauge cannot.
type kind uint8

const (
	upDown kind = iota
	counter
	gauge
	gaugeOfSeconds // a float64, as the two below
	gaugeOfShare
)

// state is one thing that is told at each collection.
type state uint8

const (
	active state = iota
	admission
	queued
	permitsHeld
	permitsWaiting
	permitsLost
	limitUsed
	limitQuota
	limitUtilization
	limitInFlight
	limitQueued
	limitMeters
	scopePaused
	halts
	connections
	connectionsDialling
	connectionsWaiting
	clockOffset
	clockBound
	requestsEnded
	attempts
	pauses
	permitsLostEver
	connectionsOpened
	connectionsClosed
	dialsFailed
	deadLetters
	restarts
	statesEnd
)

// states are the instruments.
var states = [statesEnd]struct {
	kind              kind
	name, unit, about string
}{
	active:         {upDown, "sluice.request.active", "{request}", "Requests on their journey."},
	admission:      {upDown, "sluice.request.waiting", "{request}", "Requests that wait for a credit of Config.Admission."},
	queued:         {upDown, "sluice.request.queued", "{request}", "Requests and callers of Acquire that wait for permits."},
	permitsHeld:    {upDown, "sluice.permit.held", "{permit}", "Permits of Acquire that are not done."},
	permitsWaiting: {upDown, "sluice.permit.waiting", "{caller}", "Callers of Acquire that wait."},
	permitsLost:    {upDown, "sluice.permit.lost", "{permit}", "Permits held for requests that were given up and may still arrive."},

	limitUsed:        {gauge, "sluice.limit.used", "{weight}", "What is used of the fullest meter of a limit."},
	limitQuota:       {gauge, "sluice.limit.quota", "{weight}", "The quota of that meter."},
	limitUtilization: {gaugeOfShare, "sluice.limit.utilization", "1", "The share of its quota that is used of the fullest meter of a limit."},
	limitInFlight:    {upDown, "sluice.limit.in_flight", "{weight}", "What is in flight of all meters of a limit."},
	limitQueued:      {upDown, "sluice.limit.queued", "{request}", "Who waits for any meter of a limit."},
	limitMeters:      {upDown, "sluice.limit.meters", "{meter}", "Meters of a limit: one, or one for each account, key and egress that it is told apart by."},
	scopePaused:      {gaugeOfSeconds, "sluice.scope.pause.remaining", "s", "How long the longest pause of a scope still lasts; 0 for none."},
	halts:            {upDown, "sluice.halt.active", "{halt}", "Halts that stand."},

	connections:         {upDown, "http.client.open_connections", "{connection}", "Number of outbound HTTP connections that are currently active or idle on the client."},
	connectionsDialling: {upDown, "sluice.connection.dialling", "{connection}", "Connections that are being opened."},
	connectionsWaiting:  {upDown, "sluice.connection.waiting", "{request}", "Requests that have their permits and wait for a connection."},

	clockOffset: {gaugeOfSeconds, "sluice.clock.offset", "s", "The server's clock minus this machine's."},
	clockBound:  {gaugeOfSeconds, "sluice.clock.bound", "s", "How far the offset can be wrong, in either direction."},

	requestsEnded:     {counter, "sluice.request.ended", "{request}", "Requests that have ended, by their outcome."},
	attempts:          {counter, "sluice.request.attempts", "{attempt}", "Exchanges of requests that have ended."},
	pauses:            {counter, "sluice.scope.pauses", "{pause}", "Pauses of scopes that have begun."},
	permitsLostEver:   {counter, "sluice.permit.losses", "{permit}", "Permits whose requests were given up, and may have arrived all the same."},
	connectionsOpened: {counter, "sluice.connection.opened", "{connection}", "Connections opened."},
	connectionsClosed: {counter, "sluice.connection.closed", "{connection}", "Connections closed."},
	dialsFailed:       {counter, "sluice.connection.dial_failures", "{connection}", "Connections that could not be opened."},
	deadLetters:       {counter, "sluice.actor.dead_letters", "{message}", "Messages to an actor that had ended."},
	restarts:          {counter, "sluice.actor.restarts", "{restart}", "Restarts of actors that failed."},
}

// watched are the instruments that are read from a picture of the engine.
type watched struct {
	t      *Telemetry
	eng    *engine.Engine
	whole  [statesEnd]metric.Int64Observable
	broken [statesEnd]metric.Float64Observable // those of seconds and shares; nil otherwise, and the other way round
}

// Watch tells the state of an engine at every collection: limits, queues, connections, the
// clock. Each takes one picture, engine.Stats, for all instruments together; between two
// it costs nothing. What is told apart by accounts, keys or egresses is told of all of
// them together; see the table of instruments for how.
//
// A Telemetry watches one engine at a time, and a second is an error: they would overwrite one
// another. stop ends it, may be called more than once, and waits for a collection that is
// under way; call it before the engine is closed. Without a MeterProvider nothing is watched, which is
// no error.
func (t *Telemetry) Watch(eng *engine.Engine) (stop func() error, err error) {
	switch {
	case eng == nil:
		return nil, fmt.Errorf("telemetry: Watch: %w", engine.ErrNoEngine)
	case t.meter == nil:
		return func() error { return nil }, nil
	case !t.watching.CompareAndSwap(false, true):
		return nil, errors.New("telemetry: Watch: an engine is being watched already: make a Telemetry for each, with Config.Attributes that tell them apart")
	}
	watches := false
	defer func() { // the provider may panic
		if !watches {
			t.watching.Store(false)
		}
	}()
	w := &watched{t: t, eng: eng}
	all, err := w.instruments()
	if err != nil {
		return nil, fmt.Errorf("telemetry: Watch: %w", err)
	}
	registration, err := t.meter.RegisterCallback(w.observe, all...)
	switch {
	case err != nil:
		return nil, fmt.Errorf("telemetry: Watch: %w", err)
	case registration == nil:
		return nil, errors.New("telemetry: Watch: the Meter registered nothing")
	}
	watches = true
	return sync.OnceValue(func() error {
		defer t.watching.Store(false)
		return registration.Unregister()
	}), nil
}

// instruments makes all of them.
func (w *watched) instruments() ([]metric.Observable, error) {
	var all []metric.Observable
	var mistakes []error
	for i, s := range states {
		unit, about := metric.WithUnit(s.unit), metric.WithDescription(s.about)
		var err error
		switch s.kind {
		case upDown:
			w.whole[i], err = w.t.meter.Int64ObservableUpDownCounter(s.name, unit, about)
		case counter:
			w.whole[i], err = w.t.meter.Int64ObservableCounter(s.name, unit, about)
		case gauge:
			w.whole[i], err = w.t.meter.Int64ObservableGauge(s.name, unit, about)
		case gaugeOfSeconds, gaugeOfShare:
			w.broken[i], err = w.t.meter.Float64ObservableGauge(s.name, unit, about)
		}
		var one metric.Observable = w.whole[i]
		if w.whole[i] == nil {
			one = w.broken[i]
		}
		mistakes = append(mistakes, unmade(s.name, one, err))
		all = append(all, one)
	}
	return all, errors.Join(mistakes...)
}

// observe is what each collection calls.
func (w *watched) observe(_ context.Context, to metric.Observer) error {
	stats := w.eng.Stats()
	if stats.At.IsZero() {
		return nil // no engine
	}
	say := teller{w, to}
	say.count(active, stats.InFlight)
	say.count(admission, stats.Waiting)
	say.count(permitsHeld, stats.Permits.Held)
	say.count(permitsWaiting, stats.Permits.Waiting)
	say.count(permitsLost, stats.Limits.Lost)
	say.count(halts, len(stats.Halts))
	say.queues(stats.Limits.Queued)
	say.limits(stats.Limits.Limits)
	say.scopes(stats.At, stats.Limits.Scopes)
	say.pools(stats.Pools)
	say.clock(w.eng.Clock())
	say.totals(&stats.Totals)
	return nil
}

// teller observes for one collection.
type teller struct {
	*watched
	to metric.Observer
}

func (s teller) with(attrs ...attribute.KeyValue) metric.ObserveOption {
	return metric.WithAttributes(s.t.with(attrs...)...)
}

func (s teller) count(of state, n int, attrs ...attribute.KeyValue) {
	s.to.ObserveInt64(s.whole[of], int64(n), s.with(attrs...))
}

func (s teller) measure(of state, x float64, attrs ...attribute.KeyValue) {
	s.to.ObserveFloat64(s.broken[of], x, s.with(attrs...))
}

// classes are the priorities that have names. All others are one series together, since there is no
// end of numbers.
var classes = [...]engine.Priority{engine.Urgent, engine.High, engine.Account, engine.Normal, engine.Background}

func (s teller) queues(all []engine.QueuedStats) {
	counts := map[string]int{other: 0} // with all of them, for who waits no more is told of too
	for _, class := range classes {
		counts[class.Name()] = 0
	}
	for _, class := range all {
		counts[cmp.Or(class.Priority.Name(), other)] += class.N
	}
	for name, n := range counts {
		s.count(queued, n, priorityKey.String(name))
	}
}

// ofLimit is what the meters of one limit come to together. Used and quota are those of the
// fullest, the one that refuses first: a mean, or a sum, would hide one account
// at its limit among ninety that idle.
type ofLimit struct {
	used, quota, inFlight int64
	queued, meters        int
}

// add takes one more meter in.
func (l *ofLimit) add(meter *engine.LimitStats) {
	if l.meters == 0 || share(meter.Used, meter.Quota) > share(l.used, l.quota) {
		l.used, l.quota = meter.Used, meter.Quota
	}
	l.meters++
	l.inFlight += meter.InFlight
	for _, class := range meter.Queued {
		l.queued += class.N
	}
}

// share is how much of a quota is used, above 1 if it is exceeded. Of a quota of nothing
// all is used.
func share(used, quota int64) float64 {
	if quota <= 0 {
		return 1
	}
	return float64(used) / float64(quota)
}

func (s teller) limits(all []engine.LimitStats) {
	together := map[string]*ofLimit{}
	for i := range all {
		l := together[all[i].ID]
		if l == nil {
			l = new(ofLimit)
			together[all[i].ID] = l
		}
		l.add(&all[i])
	}
	for id, l := range together {
		id := limitIDKey.String(id)
		s.to.ObserveInt64(s.whole[limitUsed], l.used, s.with(id))
		s.to.ObserveInt64(s.whole[limitQuota], l.quota, s.with(id))
		s.measure(limitUtilization, share(l.used, l.quota), id)
		s.to.ObserveInt64(s.whole[limitInFlight], l.inFlight, s.with(id))
		s.count(limitQueued, l.queued, id)
		s.count(limitMeters, l.meters, id)
	}
}

// scopes tells the longest pause of each scope at each place, whoever it is for.
func (s teller) scopes(now time.Time, all []engine.ScopeStats) {
	type scopeAt struct {
		at   engine.Origin
		name string
	}
	longest := map[scopeAt]time.Duration{}
	for _, scope := range all {
		at := scopeAt{name: scope.Name}
		if origin, err := engine.ParseOrigin(scope.Origin); err == nil {
			at.at = s.t.places.of(origin).origin
		}
		longest[at] = max(longest[at], scope.PausedUntil.Sub(now), 0)
	}
	for at, remaining := range longest {
		attrs := append([]attribute.KeyValue{scopeKey.String(at.name)}, s.t.places.of(at.at).attrs...)
		s.measure(scopePaused, remaining.Seconds(), attrs...)
	}
}

// pools tells the connections to each place, by whatever egress.
func (s teller) pools(all []engine.PoolStats) {
	together := map[engine.Origin]engine.PoolStats{}
	for _, pool := range all {
		at := s.t.places.of(pool.Origin).origin
		sum := together[at]
		sum.Idle += pool.Idle
		sum.Leased += pool.Leased
		sum.Dialling += pool.Dialling
		sum.Waiting += pool.Waiting
		together[at] = sum
	}
	for at, sum := range together {
		attrs := s.t.places.of(at).attrs
		s.count(connections, sum.Idle, append([]attribute.KeyValue{semconv.HTTPConnectionStateIdle}, attrs...)...)
		s.count(connections, sum.Leased, append([]attribute.KeyValue{semconv.HTTPConnectionStateActive}, attrs...)...)
		s.count(connectionsDialling, sum.Dialling, attrs...)
		s.count(connectionsWaiting, sum.Waiting, attrs...)
	}
}

// clock tells nothing of a server's clock that is not followed: without Config.Time it is this
// machine's, which is no auth.Ranger. Of what other type it is does not tell: with a memory it is
// wrapped.
func (s teller) clock(c auth.Clock) {
	bound := c.Bound()
	if _, follows := c.(auth.Ranger); !follows || bound >= auth.NoBound {
		return
	}
	s.measure(clockOffset, time.Until(c.Now()).Seconds())
	s.measure(clockBound, bound.Seconds())
}

// totals tells what has happened since the engine began. What requests tell themselves with
// more attributes, as repetitions and what is shed, is left to them.
func (s teller) totals(t *engine.Totals) {
	for _, ended := range [...]struct {
		outcome string
		n       int64
	}{{"done", t.Done}, {"refused", t.Refused}, {"rejected", t.Rejected}, {"not_sent", t.NotSent}, {"unknown", t.Unknown}} {
		s.count(requestsEnded, int(ended.n), outcomeKey.String(ended.outcome))
	}
	s.count(attempts, int(t.Attempts))
	s.count(pauses, int(t.Pauses))
	s.count(permitsLostEver, int(t.PermitsLost))
	s.count(connectionsOpened, int(t.Opened))
	s.count(connectionsClosed, int(t.Closed))
	s.count(dialsFailed, int(t.DialsFailed))
	s.count(deadLetters, int(t.DeadLetters))
	s.count(restarts, int(t.Restarts))
}
