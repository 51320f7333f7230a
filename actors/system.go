package actors

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	cmap "github.com/orcaman/concurrent-map"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Config is what a System is made of. The engine has filled in every default.
type Config struct {
	Base           Base
	Fields         []messages.Field // sent with every request; never appended to in place
	DefaultLimitID string           // messages.Unlimited, or the id of a limit
	Limits         []throttle.Limit
	Throttle       throttle.Options
	Feedback       feedback.Reader // what answers say about limits; nil is feedback.RetryAfter

	Auth           auth.Authenticator
	PreProcessors  []messages.PreProcessor
	PostProcessors []messages.PostProcessor
	Jar            http.CookieJar // nil keeps no cookies

	Codings messages.Codings // undone in answers; Fields ask for them

	Sample SampleTime // nil: the local clock is all there is
	Clock  clock.Config

	Dial  Dial
	Pool  PoolConfig
	Retry Retry

	Logger *slog.Logger
}

// Dial opens a connection to an origin.
type Dial func(ctx context.Context, origin messages.Origin) (messages.Connection, error)

// System is a running set of actors: what engine.New starts and engine.Do
// uses. All methods are safe for concurrent use.
type System struct {
	config Config
	epoch  time.Time // instant zero of every ledger

	actors     *actor.ActorSystem
	requests   *actor.RootContext // spawns request actors: a failed one is stopped
	supervisor address
	throttler  address
	timesync   address // zero without a source of time

	pools     atomic.Pointer[map[messages.Origin]*poolDoor] // written by the supervisor only
	clock     *serverClock
	retries   *retryBudget
	lane      lane
	signsBody bool // the authenticator's
	slots     slots
	streams   streams
	nextID    atomic.Uint64
	jar       atomic.Pointer[http.CookieJar]

	closing chan struct{} // closed by Close: nobody waits any longer
	closed  sync.Once
	ended   chan struct{} // closed by the supervisor, last of all
}

// address is where a service actor is told something: its mailbox, for the
// actor library's registry would only look up the same one.
type address struct{ mailbox *inlineMailbox }

func newAddress() address { return address{new(inlineMailbox)} }

// Tell is part of messages.Recipient. An actor that has ended is told nothing.
func (a address) Tell(message any) { a.mailbox.PostUserMessage(message) }

// props are those of the actor that lives here.
func (a address) props(producer actor.Producer, more ...actor.PropsOption) *actor.Props {
	at := actor.WithMailbox(func() actor.Mailbox { return a.mailbox })
	return actor.PropsFromProducer(producer, append(more, at)...)
}

// Start checks the limits and starts the actors.
func Start(config Config) (*System, error) {
	if _, err := throttle.New(config.Limits, config.Throttle); err != nil {
		return nil, err
	}
	s := &System{
		config:    config,
		epoch:     time.Now(),
		retries:   newRetryBudget(config.Retry),
		lane:      laneOf(config.Auth),
		signsBody: auth.SignsBody(config.Auth),
		closing:   make(chan struct{}),
		ended:     make(chan struct{}),
	}
	config.Clock.Epoch = s.epoch
	s.clock = newServerClock(config.Clock, config.Sample != nil)
	s.slots.most = maxSlots
	s.pools.Store(new(map[messages.Origin]*poolDoor))
	if config.Jar != nil {
		s.jar.Store(&config.Jar)
	}
	s.actors = actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }), // it would log messages whole, secrets included
		actor.WithDeadLetterThrottleInterval(5*time.Millisecond),
	)
	shrinkRegistry(s.actors.ProcessRegistry)
	s.requests = s.actors.Root.Copy().WithGuardian(stopFailed{})
	startSupervisor(s)
	return s, nil
}

// shrinkRegistry gives the actor library's process registry 16 buckets instead
// of 1,024, which together hold 32,768 maps: those cost 3 MB that every garbage
// collection walks, and a cache miss for every actor spawned or stopped.
func shrinkRegistry(registry *actor.ProcessRegistryValue) {
	const buckets = 16
	old := registry.LocalPIDs.LocalPIDs
	registry.LocalPIDs.LocalPIDs = make([]cmap.ConcurrentMap, buckets)
	for i := range buckets {
		registry.LocalPIDs.LocalPIDs[i] = cmap.New()
	}
	for _, bucket := range old {
		if bucket.IsEmpty() {
			continue
		}
		for entry := range bucket.IterBuffered() {
			registry.LocalPIDs.GetBucket(entry.Key).Set(entry.Key, entry.Val)
		}
	}
}

// stopFailed is the strategy for request actors: they have answered their
// caller, and end.
type stopFailed struct{}

// HandleFailure is part of actor.SupervisorStrategy.
func (stopFailed) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	supervisor.StopChildren(child)
}

// Do carries one request from here to its single answer, on this goroutine.
func (s *System) Do(ctx context.Context, asked *messages.Request, deadline time.Time) (*messages.Response, error) {
	r := s.slot()
	r.ctx, r.asked, r.deadline = ctx, asked, deadline
	if !r.spawned {
		r.spawned = true
		if _, err := s.requests.SpawnNamed(r.props, r.id); err != nil {
			return nil, &messages.Error{Stage: messages.Admitting, Err: err}
		}
	}
	r.begin()
	s.retries.count(r)
	r.run(ctx, s.closingFor(r))
	response, err := r.response, r.err
	s.release(r)
	return response, err
}

// closingFor is what a request must watch to learn that the engine closes. One in
// a slot of the list is told, if the engine closes from now on: an earlier life
// may have had the slot's message.
func (s *System) closingFor(r *request) <-chan struct{} {
	if r.kept && !s.isClosing() {
		return nil
	}
	return s.closing
}

// instant is a time in the ledger's terms; the zero time stays zero.
func (s *System) instant(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(1, t.Sub(s.epoch))
}

func (s *System) now() time.Duration { return time.Since(s.epoch) }

// Begin has the server's clock read ahead of all requests if a limit needs it:
// the reading itself may be charged to that limit.
func (s *System) Begin() {
	if s.config.Sample != nil && needClock(s.config.Limits) {
		s.timesync.Tell(messages.ResampleTime{})
	}
}

func (s *System) timeKnown() bool { return s.config.Sample == nil || s.clock.known() }

// Clock returns the server's time as it is known; without a source of it, the
// local clock, taken at its word.
func (s *System) Clock() auth.Clock {
	if s.config.Sample == nil {
		return auth.LocalClock(0)
	}
	return s.clock
}

// SignsBody reports whether a request that is to be signed must have its body
// in memory.
func (s *System) SignsBody() bool { return s.signsBody }

func (s *System) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

func (s *System) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// cookiesFor returns what the jar has for a URL; nil without a jar.
func (s *System) cookiesFor(raw string) []*http.Cookie {
	jar := s.jar.Load()
	if jar == nil {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil
	}
	return (*jar).Cookies(u)
}

func (s *System) keepCookies(raw string, header messages.Header) {
	jar := s.jar.Load()
	if jar == nil {
		return
	}
	lines := header.Values("Set-Cookie")
	if len(lines) == 0 {
		return
	}
	if u, err := url.Parse(raw); err == nil {
		fake := http.Response{Header: http.Header{"Set-Cookie": lines}}
		(*jar).SetCookies(u, fake.Cookies())
	}
}

// SetCookies adds cookies for a URL, making a jar if there is none.
func (s *System) SetCookies(u *url.URL, cookies []*http.Cookie, newJar func() http.CookieJar) {
	if s.jar.Load() == nil {
		jar := newJar()
		s.jar.CompareAndSwap(nil, &jar)
	}
	(*s.jar.Load()).SetCookies(u, cookies)
}

// ReplaceLimits swaps the table of limits; what is in flight stays counted.
func (s *System) ReplaceLimits(limits []throttle.Limit) error {
	done := make(chan error, 1)
	return s.ask(messages.ReplaceLimits{Limits: limits, Done: done}, done)
}

// AdjustLimit adds delta to what a limit counts as used.
func (s *System) AdjustLimit(id, key string, delta int64) error {
	done := make(chan error, 1)
	return s.ask(messages.AdjustLimit{ID: id, Key: key, Delta: delta, Done: done}, done)
}

// ask tells the throttler something that it answers with an error or nil.
func (s *System) ask(message any, done <-chan error) error {
	if s.hasEnded() {
		return messages.ErrClosed
	}
	s.throttler.Tell(message)
	select {
	case err := <-done:
		return err
	case <-s.ended:
		return messages.ErrClosed
	}
}

// Limits returns a picture of the ledger; an empty one once everything ended.
func (s *System) Limits() throttle.Snapshot {
	if s.hasEnded() {
		return throttle.Snapshot{}
	}
	done := make(chan throttle.Snapshot, 1)
	s.throttler.Tell(messages.DescribeLimits{Done: done})
	select {
	case snapshot := <-done:
		return snapshot
	case <-s.ended:
		return throttle.Snapshot{}
	}
}

// Pools returns a picture of every pool; of none once the system closes.
func (s *System) Pools() []PoolStats {
	var all []PoolStats
	if s.isClosing() {
		return nil
	}
	for _, pool := range *s.pools.Load() {
		if !pool.enter() {
			continue
		}
		done := make(chan PoolStats, 1)
		pool.Tell(describePool{done})
		select {
		case stats := <-done:
			all = append(all, stats)
		case <-s.closing: // the pool may have ended
		}
		pool.leave()
	}
	return all
}

// Close answers everyone who waits, aborts every exchange, and returns. It
// does not wait; Wait does. It is idempotent.
func (s *System) Close() {
	s.closed.Do(func() {
		close(s.closing)
		s.slots.tell(engineClosing{})
		s.streams.close()
		s.supervisor.Tell(closeAll{})
	})
}

// Wait returns when every service actor has ended, or the context has. Close
// comes before, and nobody may be in Do.
func (s *System) Wait(ctx context.Context) error {
	if s.hasEnded() {
		return nil
	}
	s.supervisor.Tell(endAll{})
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return ContextError(ctx)
	}
}

// end is the supervisor's last act.
func (s *System) end() {
	s.slots.close()
	s.actors.Shutdown()
	close(s.ended)
}

// ContextError is the error of a context that ended: the cause and the plain
// error are both reachable with errors.Is.
func ContextError(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if err == nil || errors.Is(cause, err) {
		return cause
	}
	return &causeError{cause: cause, err: err}
}

// causeError reads as the cause, and matches both.
type causeError struct{ cause, err error }

func (e *causeError) Error() string   { return e.cause.Error() }
func (e *causeError) Unwrap() []error { return []error{e.cause, e.err} }
