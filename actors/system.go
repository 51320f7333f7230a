package actors

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/permit"
	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/actors/throttler"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/actors/timesync"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Config is what a System is made of. The engine has filled in every default.
type Config struct {
	Request  request.Plan
	Limits   []throttle.Limit
	Throttle throttle.Options
	Ledger   *throttle.Ledger // of Limits and Throttle, unused so far; nil has Start make it

	Sample timesync.Sample // nil: the local clock is all there is
	Clock  clock.Config
	Trust  time.Duration // how far from the local clock Sample's times are believed at once; zero means clock.DefaultTrust

	Observers *request.Observers // who is told of requests; nil for nobody

	Halts *throttle.Halts // what is halted, for whoever looks at it outside; nil has Start make one

	Dial   pool.Dial
	Egress map[string]pool.Dial // how connections are opened by the other ways out
	Pool   pool.Config

	MaxIdleTotal int // unused connections over all pools; zero means no bound. Pool.MaxTotal bounds all connections

	CreditReturned func() // called once for every request of HandOver that has ended; it may be nil if there are none
	PermitReturned func() // called once for every permit of Acquire and TryAcquire that is done; nil calls nobody
	TracePermits   bool   // have it noted who acquires permits

	Slots int // request actors that live again at most; zero means as many as there are requests at once

	Remembering // of an engine with a memory; zero otherwise

	Logger *slog.Logger
}

// Remembering is what a memory gives to the actors, and has them wait for.
type Remembering struct {
	Epoch time.Time // instant zero of the ledger's clock, if Ledger has begun already
	// After has a granted ticket leave once that is remembered, or not at all: it says which. Nil means at
	// once.
	After func(leave func(remembered bool))
	// Silence is why nothing came of a wait that was so long, and for the memory alone for the last
	// part of that: nil if that part was not most of it. The function is nil for a memory that never
	// has anybody wait.
	Silence func(silent, waited time.Duration) error
	// LookUnremembered is for how long, until now, a look at the server's clock has waited for the
	// memory alone; zero if none does.
	LookUnremembered func(now time.Duration) time.Duration
	NonceFloor       func(lane string) auth.NonceFloor // where nonces are remembered
}

// System is a running set of actors: what engine.New starts and engine.Do
// uses. All methods are safe for concurrent use.
type System struct {
	config Config
	epoch  time.Time // instant zero of the ledger's clock

	actors     *actor.ActorSystem
	supervisor mailbox.Address
	throttler  mailbox.Address
	timesync   mailbox.Address // the zero address without a source of time

	newThrottler *throttler.Throttler // what survives the failures of these two; the supervisor's
	newTimesync  *timesync.Timesync
	clock        *timesync.Clock
	signers      auth.Clock // what signers are handed of it
	requests     *request.Carrier
	permits      *permit.Issuer // for what is no request
	exits        exits          // whose doors the supervisor writes and every request reads
	crowds       *ticket.Crowds // where many wait
	places       *pool.Places   // what all pools may have open together

	closing chan struct{} // closed by Close: nobody waits any longer
	closed  sync.Once
	ended   chan struct{} // closed by the supervisor, last of all

	deadLetters, restarts atomic.Int64 // so far
}

// Start checks the limits and starts the actors.
func Start(config Config) (*System, error) {
	if config.Ledger == nil {
		var err error
		if config.Ledger, err = throttle.New(config.Limits, config.Throttle); err != nil {
			return nil, err
		}
	}
	if config.Halts == nil {
		config.Halts = new(throttle.Halts)
	}
	s := &System{
		config:     config,
		epoch:      config.begun(),
		supervisor: mailbox.NewAddress(),
		throttler:  mailbox.NewAddress(),
		exits:      newExits(config),
		crowds:     ticket.NewCrowds(),
		places:     pool.NewPlaces(config.MaxIdleTotal, config.Pool.MaxTotal),
		closing:    make(chan struct{}),
		ended:      make(chan struct{}),
	}
	s.followTime(config)
	s.newThrottler = throttler.New(throttler.Needs{
		DeskNeeds: throttler.DeskNeeds{
			Ledger: config.Ledger, Limits: config.Limits, Tariffs: s.tariffsOf(config.Limits), Options: config.Throttle, Halts: config.Halts, Crowds: s.crowds,
		},
		Epoch: s.epoch, Clock: s.clock.Published(),
		Timesync: s.timesyncOrNobody(), Logger: config.Logger, Address: s.throttler, After: config.After,
	})
	s.actors = newActorSystem()
	s.actors.EventStream.Subscribe(s.noteDeadLetter)
	s.requests = request.NewCarrier(s.requestNeeds())
	s.permits = permit.NewIssuer(permit.Needs{
		Throttler: s.throttler, Epoch: s.epoch, Held: s.newThrottler.Held, Outdated: s.newThrottler.Outdated,
		Silence: config.Silence, Returned: config.PermitReturned, Closing: s.closing, Trace: config.TracePermits, Logger: config.Logger,
	})
	startSupervisor(s)
	return s, nil
}

// followTime prepares what is known of the server's clock, and who reads it.
func (s *System) followTime(config Config) {
	config.Clock.Epoch = s.epoch
	s.clock = timesync.NewClock(config.Clock, config.Trust, config.Sample != nil)
	s.signers = s.clock.ForSigners()
	if config.NonceFloor != nil {
		s.signers = auth.Remember(s.signers, config.NonceFloor)
	}
	if config.Sample != nil {
		s.timesync = mailbox.NewAddress()
		s.newTimesync = timesync.New(timesync.Needs{
			Sample: config.Sample, Clock: s.clock, Epoch: s.epoch, Logger: config.Logger,
			Address: s.timesync, Told: s.throttler,
		})
	}
}

// begun is instant zero.
func (c *Config) begun() time.Time {
	if c.Epoch.IsZero() {
		return time.Now()
	}
	return c.Epoch
}

// tariffsOf returns the tariffs of a table; nil if no weight in it depends on the
// request.
func (s *System) tariffsOf(limits []throttle.Limit) *throttle.Tariffs {
	costs := s.config.Request.Costs
	tariffs := throttle.TariffsOf(limits, func(id string) bool { return costs[id] != nil })
	if tariffs == nil {
		return nil
	}
	return &tariffs
}

func (s *System) requestNeeds() request.Needs {
	return request.Needs{
		Plan: s.config.Request, Epoch: s.epoch, Spawner: s.actors.Root.Copy().WithGuardian(stopFailed{}),
		Supervisor: s.supervisor, Throttler: s.throttler, Timesync: s.timesyncOrNobody(),
		Enter: s.enterPool, Held: s.newThrottler.Held, Gated: s.newThrottler.Gated, Outdated: s.newThrottler.Outdated, Tariffs: s.newThrottler.Tariffs,
		Clock: s.signers, TimeKnown: s.clock.Known,
		Crowds: s.crowds, Returned: s.config.CreditReturned, Observers: s.config.Observers, Halts: s.config.Halts,
		Silence: s.config.Silence, LookUnremembered: s.config.LookUnremembered, Slots: s.config.Slots, Closing: s.closing, Logger: s.config.Logger,
	}
}

func (s *System) poolNeeds(origin messages.Origin, by *exit, door *pool.Door) pool.Needs {
	return pool.Needs{
		Origin: origin, Egress: by.name, Config: s.config.Pool, Dial: by.dial, Epoch: s.epoch,
		Throttler: s.throttler, Supervisor: s.supervisor, Logger: s.config.Logger, Crowds: s.crowds, Places: s.places, Door: door, Leave: s.leave(),
	}
}

// timesyncOrNobody is nil without a source of time, and not an address of
// nobody's.
func (s *System) timesyncOrNobody() protocol.Recipient {
	if s.config.Sample == nil {
		return nil
	}
	return s.timesync
}

// stopFailed is the strategy for request actors: they have answered their
// caller, and end.
type stopFailed struct{}

// HandleFailure is part of actor.SupervisorStrategy.
func (stopFailed) HandleFailure(_ *actor.ActorSystem, supervisor actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, _, _ any) {
	supervisor.StopChildren(child)
}

// Carry carries one request from here to its single answer, on this goroutine. If
// the answer came with a stream, that is returned beside it: in the answer a
// post-processor may have wrapped it, or put another body in its place.
func (s *System) Carry(ctx context.Context, asked *messages.Request, terms *request.Terms) (*messages.Response, *request.Stream, error) {
	return s.requests.Carry(ctx, asked, terms)
}

// HandsOver reports whether a request that is to be carried is one for HandOver.
func (s *System) HandsOver(asked *messages.Request, terms *request.Terms) bool {
	return s.requests.HandsOver(asked, terms)
}

// HandOver is Carry for a request whose caller is one of very many that wait; see
// request.Carrier.
func (s *System) HandOver(ctx context.Context, asked *messages.Request, terms *request.Terms) (*messages.Response, error) {
	return s.requests.HandOver(ctx, asked, terms)
}

// Park makes a request that is submitted, and is told by nobody's goroutine how it ended. It
// is still to begin, or to await a credit; see request.Parked. The context is asked for its
// channel, which may panic.
func (s *System) Park(ctx context.Context, by request.Submitter, deadline time.Time, limitID string, watch *request.Watch) *request.Parked {
	return s.requests.Park(ctx, by, deadline, limitID, watch)
}

// Lend has a goroutine do some work, at once: one that is idle if there is any.
func (s *System) Lend(w request.Work) { s.requests.Lend(w) }

// AwaitParked returns when every request of Park has ended, and has been told so.
func (s *System) AwaitParked() { s.requests.AwaitParked() }

// Acquire waits for a permit without a request; permit.Granted.Into hands it over. The error is
// a *messages.Error.
func (s *System) Acquire(ctx context.Context, ask *permit.Ask) (permit.Granted, error) {
	return s.permits.Await(ctx, ask)
}

// TryAcquire takes a permit for p, which must be new, if it can be had at once. The error is a
// *messages.Error.
func (s *System) TryAcquire(ask *permit.Ask, p *permit.Permit) error {
	return s.permits.TryAcquire(ask, p)
}

// Begin has the server's clock read ahead of all requests if a limit needs it:
// the reading itself may be charged to that limit.
func (s *System) Begin() {
	switch {
	case !throttler.NeedsClock(s.config.Limits):
	case s.config.Sample != nil:
		s.timesync.Tell(protocol.ResampleTime{})
	default:
		s.config.Logger.Warn("limits in windows of the server's clock are taken as sliding, which uses less of them: there is no Config.Time")
	}
}

// AwaitTime returns once the server's clock is known, or could not be learned.
func (s *System) AwaitTime(ctx context.Context) error {
	if s.config.Sample == nil || s.clock.Known() {
		return nil
	}
	var asked protocol.Recipient
	var deadline time.Duration
	if at, ends := ctx.Deadline(); ends {
		deadline = max(1, at.Sub(s.epoch))
	}
	ready, err := ask[protocol.TimeReady](ctx, s.timesync, s.closing, func(owner protocol.Recipient) any {
		asked = owner
		return protocol.AwaitTime{Owner: owner, Deadline: deadline}
	})
	if err != nil && asked != nil {
		s.timesync.Tell(protocol.LeaveTime{Owner: asked}) // or it would be kept for as long as there is no time
	}
	return cmp.Or(err, ready.Err)
}

// Clock returns the server's time as it is known; without a source of it, the
// local clock, taken at its word.
func (s *System) Clock() auth.Clock { return s.signers }

// Auth returns what signs an account's requests that ask for it, and nil if nothing
// does. The empty name is the default account's. It is false if there is no such account.
func (s *System) Auth(account string) (signer auth.Authenticator, known bool) {
	return s.requests.Auth(account)
}

// SignsBody reports whether a request of an account that is to be signed must have its
// body in memory.
func (s *System) SignsBody(account string) bool { return s.requests.SignsBody(account) }

// SetAccount adds an account or replaces it, for every attempt that is yet to be signed.
func (s *System) SetAccount(name string, account *request.Account) {
	s.requests.SetAccount(name, account)
}

// RemoveAccount takes an account away, and reports whether there was one.
func (s *System) RemoveAccount(name string) bool { return s.requests.RemoveAccount(name) }

// SetCookies adds cookies for a URL, making a jar if there is none.
func (s *System) SetCookies(u *url.URL, cookies []*http.Cookie, newJar func() http.CookieJar) {
	s.requests.SetCookies(u, cookies, newJar)
}

// Epoch is instant zero of the ledger's clock.
func (s *System) Epoch() time.Time { return s.epoch }

// Now is an instant on the ledger's clock.
func (s *System) Now() time.Duration { return time.Since(s.epoch) }

// Warm is WarmEgress by the default one.
func (s *System) Warm(ctx context.Context, rawURL string, n int) error {
	return s.WarmEgress(ctx, "", rawURL, n)
}

// WarmEgress opens connections to an origin by an egress until n are open, or as many as
// their pool may have, and returns then or with the first error. The origin is that of
// a URL, or of the base URL if that is "".
func (s *System) WarmEgress(ctx context.Context, egress, rawURL string, n int) error {
	origin := s.config.Request.Base.Origin
	if rawURL != "" {
		var err error
		if origin, err = request.OriginOf(rawURL); err != nil {
			return err
		}
	} else if origin.Addr == "" {
		return fmt.Errorf("%w: no URL is given, and the engine has no base URL", messages.ErrInvalidRequest)
	}
	door, err := s.openPool(ctx, origin, egress)
	if err != nil {
		return err
	}
	defer door.Leave()
	answer, err := ask[protocol.PoolWarmed](ctx, door, s.closing, func(owner protocol.Recipient) any {
		return protocol.WarmPool{N: n, Owner: owner}
	})
	return cmp.Or(err, answer.Err)
}

// CloseIdle closes every connection that is not in use.
func (s *System) CloseIdle() {
	for door := range s.exits.doors() {
		if door.Enter() {
			door.Tell(protocol.DropIdle{})
			door.Leave()
		}
	}
}

// openPool enters the pool of an origin by an exit, which is opened if there is none.
func (s *System) openPool(ctx context.Context, origin messages.Origin, egress string) (protocol.Door, error) {
	for {
		if door := s.enterPool(origin, egress); door != nil {
			return door, nil
		}
		answer, err := ask[protocol.PoolOpened](ctx, s.supervisor, s.closing, func(owner protocol.Recipient) any {
			return protocol.OpenPool{Origin: origin, Egress: egress, Owner: owner}
		})
		if err := cmp.Or(err, answer.Err); err != nil {
			return nil, err
		}
	}
}

// Closing is closed when Close is called: nobody waits any longer.
func (s *System) Closing() <-chan struct{} { return s.closing }

// Close answers everyone who waits, aborts every exchange, and returns. It
// does not wait; Wait does. It is idempotent.
func (s *System) Close() {
	s.closed.Do(func() {
		close(s.closing)
		s.requests.Close()
		s.permits.Close()
		s.supervisor.Tell(protocol.CloseSystem{})
	})
}

// Outside counts who is in code of the callers' that reads or opens bodies.
func (s *System) Outside() *request.Outside { return &s.requests.Outside }

// Wait returns when every service actor has ended, or the context has. Close
// comes before, and nobody may be in Do.
func (s *System) Wait(ctx context.Context) error {
	select {
	case <-s.ended:
		return nil
	default:
	}
	s.supervisor.Tell(protocol.EndSystem{})
	select {
	case <-s.ended:
		return nil
	case <-ctx.Done():
		return messages.ContextError(ctx)
	}
}

// end is the supervisor's last act.
func (s *System) end() {
	s.requests.End()
	close(s.ended)
}
