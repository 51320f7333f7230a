package request

import (
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Plan is what the engine's configuration says of every request.
type Plan struct {
	Base   Base
	Fields []messages.Field // sent with every request; never appended to in place

	// Homes are the origins that credentials and Fields are for. Without any they
	// are for every origin that a caller chooses himself. StrangerFields are sent
	// to all others.
	Homes          []messages.Origin
	StrangerFields []messages.Field

	Egress map[string]bool // the names that requests may give; nil without any

	Feedback feedback.Reader                          // what answers say about limits; nil is feedback.RetryAfter
	Costs    map[string]func(*messages.Request) int64 // what requests cost, by limit; the caller's code

	Auth           *Account            // the default one; nil signs nothing
	Accounts       map[string]*Account // the others, never changed
	PreProcessors  []messages.PreProcessor
	PostProcessors []messages.PostProcessor
	Jar            http.CookieJar // nil keeps no cookies

	Codings   messages.Codings // undone in answers; Fields ask for them
	MaxHeader int              // what connections read of an answer's header, in bytes
	MaxBody   int64            // and of its body
	Retry     Retry

	TraceStreams bool // have it noted where streamed answers are asked for
	DialValues   bool // dials run the caller's own code, which may look at the values of its contexts
}

// home reports whether credentials may go to an origin.
func (p *Plan) home(origin messages.Origin) bool {
	return len(p.Homes) == 0 || slices.Contains(p.Homes, origin)
}

// Needs are what requests are handed.
type Needs struct {
	Plan    Plan
	Epoch   time.Time          // instant zero of the ledger's clock
	Spawner *actor.RootContext // a request actor that fails is stopped by its guardian

	Supervisor protocol.Recipient
	Throttler  protocol.Recipient
	Timesync   protocol.Recipient // nil without a source of time

	// Enter enters the pool of an origin by an egress; nil means that one must be opened.
	Enter func(origin messages.Origin, egress string) protocol.Door
	// Held reports whether a request must not leave now: the origin is paused, or
	// one of the scopes that its permit is charged in, or any for one without. Gated
	// reports whether even a request without a limit needs a permit for an origin,
	// because something there is paused or has just been. Outdated reports whether the
	// limits were replaced since a permit was granted.
	Held     func(origin string, charged *throttle.Charged) bool
	Gated    func(origin string) bool
	Outdated func(charged *throttle.Charged) bool
	// Tariffs are those of the table of limits; nil without any.
	Tariffs func() *throttle.Tariffs
	// Clock is what signers are handed, and TimeKnown whether it has been
	// compared with the server's; it is not called without a source of time.
	Clock     auth.Clock
	TimeKnown func() bool

	// Silence is why nothing came of a wait that was so long, and for the memory alone for the last
	// part of that: nil if that part was not most of it. LookUnremembered is for how long, until now,
	// a look at the server's clock has waited for the memory alone. Both are nil if there is none that
	// has anybody wait.
	Silence          func(silent, waited time.Duration) error
	LookUnremembered func(now time.Duration) time.Duration

	Crowds *ticket.Crowds // where many wait; nil for nowhere
	// Returned is told that a request of HandOver has given its credit back.
	Returned func()

	Observers *Observers // who is told of requests; nil for nobody

	Halts   *throttle.Halts // what is halted; nil for nothing
	Slots   int             // how many actors live again at most; zero means as many as there are lives at once
	Closing <-chan struct{} // closed when nobody is to wait any longer
	Logger  *slog.Logger
}

// Carrier carries requests: it has the actors, and what they share. All methods
// are safe for concurrent use.
type Carrier struct {
	needs    Needs
	retries  *retryBudget
	accounts accounts
	base     *site // of Plan.Base; without a host if there is none
	sites    sites // of whole URLs
	slots    slots
	crowd    crowd  // of those that were submitted
	agenda   agenda // of those that are parked
	lender   lender // of goroutines for them
	spawner  spawner
	streams  streams
	nextID   atomic.Uint64
	noTime   sync.Once // for tellNoTime
	jar      atomic.Pointer[http.CookieJar]

	// Outside counts goroutines in what reads or opens bodies.
	Outside Outside
}

// NewCarrier returns a carrier of no request yet.
func NewCarrier(needs Needs) *Carrier {
	c := &Carrier{needs: needs, retries: newRetryBudget(needs.Plan.Retry)}
	c.accounts.prepare(needs.Plan.Auth, needs.Plan.Accounts)
	c.base = c.newSite("", needs.Plan.Base.Origin, needs.Plan.Base.Host)
	c.slots.prepare(needs.Slots)
	c.spawner.prepare(needs.Spawner)
	c.crowd.prepare(c)
	c.agenda.begun = needs.Epoch
	c.lender.step, c.lender.most = (*Parked).step, runtime.GOMAXPROCS(0)
	if needs.Plan.Jar != nil {
		c.jar.Store(&needs.Plan.Jar)
	}
	return c
}

// Auth returns what signs an account's requests that ask for it, and nil if nothing
// does. The empty name is the default account's. It is false if there is no such account.
func (c *Carrier) Auth(name string) (signer auth.Authenticator, known bool) {
	if account := c.accounts.of(name); account != nil {
		return account.signer, true
	}
	return nil, false
}

// SignsBody reports whether a request of an account that is to be signed must have its
// body in memory.
func (c *Carrier) SignsBody(name string) bool {
	account := c.accounts.of(name)
	return account == nil || account.signsBody
}

// SetAccount adds an account or replaces it. What is signed from now on is signed by
// it, whether it waits already or not.
func (c *Carrier) SetAccount(name string, account *Account) { c.accounts.set(name, account) }

// RemoveAccount takes an account away, and reports whether there was one.
func (c *Carrier) RemoveAccount(name string) bool { return c.accounts.remove(name) }

// tellNoTime warns, once, that a refused timestamp is not repeated.
func (c *Carrier) tellNoTime() {
	c.noTime.Do(func() {
		c.needs.Logger.Warn("the server refused a timestamp, and there is no Config.Time to learn its clock by")
	})
}

// Lend has a goroutine do some work, at once: one that is idle if there is any.
func (c *Carrier) Lend(w Work) { c.lender.lendTo(w) }

// Slots returns how many actors live again.
func (c *Carrier) Slots() int { return c.slots.count() }

// Close tells every request that the engine closes, and ends the streams that
// are still open. Needs.Closing is closed before.
func (c *Carrier) Close() {
	c.slots.tellClosing()
	tellAll(c.crowd.list(), newsClosing)
	c.streams.close()
}

// End stops the actors. No request may be on its journey any more.
func (c *Carrier) End() {
	c.agenda.end()
	c.lender.end()
	c.slots.close()
}

// AwaitParked returns when every submitted request has ended, and has been told so.
func (c *Carrier) AwaitParked() { c.crowd.await() }

// LeavePool has every slot that is between two lives leave a pool that would
// like to end.
func (c *Carrier) LeavePool(door protocol.Door) { c.slots.leave(door) }

func (c *Carrier) isClosing() bool { return isClosed(c.needs.Closing) }

func (c *Carrier) timeKnown() bool { return c.needs.Timesync == nil || c.needs.TimeKnown() }

// instant is a time on the ledger's clock; the zero time stays zero.
func (c *Carrier) instant(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(1, t.Sub(c.needs.Epoch)) // at the epoch itself it would read as "none"
}

func (c *Carrier) now() time.Duration { return time.Since(c.needs.Epoch) }

// cookiesFor returns what the jar has for a URL; nil without a jar.
func (c *Carrier) cookiesFor(raw string) []*http.Cookie {
	jar := c.jar.Load()
	if jar == nil {
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil
	}
	return (*jar).Cookies(u)
}

func (c *Carrier) keepCookies(raw string, header messages.Header) {
	jar := c.jar.Load()
	if jar == nil {
		return
	}
	lines := header.Values("Set-Cookie")
	if len(lines) == 0 {
		return
	}
	if u, err := url.Parse(raw); err == nil {
		fake := http.Response{Header: http.Header{"Set-Cookie": lines}} // net/http exports no other parser of these lines
		(*jar).SetCookies(u, fake.Cookies())
	}
}

// SetCookies adds cookies for a URL, making a jar if there is none.
func (c *Carrier) SetCookies(u *url.URL, cookies []*http.Cookie, newJar func() http.CookieJar) {
	if c.jar.Load() == nil {
		jar := newJar()
		c.jar.CompareAndSwap(nil, &jar)
	}
	(*c.jar.Load()).SetCookies(u, cookies)
}
