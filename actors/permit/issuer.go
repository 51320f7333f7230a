package permit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/actors/mailbox"
	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Needs are what an issuer is handed.
type Needs struct {
	Throttler protocol.Recipient
	Epoch     time.Time // instant zero of the ledger's clock
	// Held reports whether what a permit is charged in is paused, and Outdated whether
	// the limits were replaced since it was granted.
	Held     func(origin string, charged *throttle.Charged) bool
	Outdated func(charged *throttle.Charged) bool
	// Silence is why nothing came of a wait that was so long, and for the memory alone for the last
	// part of that: nil if that part was not most of it. The function is nil if there is no memory
	// that has anybody wait.
	Silence func(silent, waited time.Duration) error
	// Returned is called once for each permit that was issued, when it is done, unless
	// its Ask is Uncounted; nil calls nobody.
	Returned func()
	Closing  <-chan struct{} // closed when nobody is to wait any longer
	Trace    bool            // have it noted who asks for permits
	Logger   *slog.Logger
}

// Issuer asks the throttler for permits on behalf of callers that send no request. All
// methods are safe for concurrent use.
type Issuer struct {
	needs   Needs
	bearers sync.Pool // of *bearer: those that hold nothing
	dropped dropped
}

// NewIssuer returns an issuer of no permit yet.
func NewIssuer(needs Needs) *Issuer { return &Issuer{needs: needs} }

// Ask is what a permit is asked for.
type Ask struct {
	Limit                string // or messages.Unlimited
	Origin               string // as the throttler knows it
	Account, Key, Egress string
	Weight               int64            // zero means the limit's own
	Weights              map[string]int64 // by limit; nil means none
	Priority             messages.Priority
	Deadline             time.Time // zero means never
	Uncounted            bool      // Needs.Returned does not hear of the permit
	Errand               bool      // the engine asks for itself: no halt selects what waits for the permit
}

// Acquire waits for a permit, on the caller's goroutine, and makes it that of p, which must
// be new. The error is a *messages.Error, and then nothing is held.
func (i *Issuer) Acquire(ctx context.Context, ask *Ask, p *Permit) error {
	granted, err := i.Await(ctx, ask)
	if err == nil {
		granted.Into(p)
	}
	return err
}

// Granted is a permit that nobody holds yet: Into hands it over, at once.
type Granted struct{ bearer *bearer }

// Into makes p, which nobody has had before, the permit.
func (g Granted) Into(p *Permit) { g.bearer.issuer.issue(g.bearer, p) }

// Await is Acquire for whoever makes the Permit once there is one. A Permit that waits for
// its grant would keep those from being found that were forgotten beside it.
func (i *Issuer) Await(ctx context.Context, ask *Ask) (Granted, error) {
	i.settleDropped()
	b := i.bearer(ask)
	b.ctx.Hold(ctx)
	b.turn.WakeAt = ask.Deadline
	i.needs.Throttler.Tell(ticket.AcquirePermit{Ticket: b.ticket})
	for replaced := 0; ; {
		if err := b.await(i.needs.Closing); err != nil {
			return Granted{}, b.refuse(err)
		}
		outdated := i.needs.Outdated(&b.ticket.Charged) && replaced < mostReplaced
		if !outdated && !i.needs.Held(ask.Origin, &b.ticket.Charged) {
			return Granted{b}, nil
		}
		if outdated {
			replaced++
		}
		b.asked = b.turn.Parked
		b.ticket.Reopen() // it keeps its rank, and not its permit
		i.needs.Throttler.Tell(ticket.RequeuePermit{Ticket: b.ticket})
	}
}

const (
	// mostReplaced bounds how often a wait begins anew because limits are replaced, or one was
	// refused alone; as a request's.
	mostReplaced = 8
	// tryPatience is how long TryAcquire leaves a throttler that is busy with others to
	// look at it.
	tryPatience = time.Millisecond
	// memoryPatience is how long it waits for a memory to take what it was granted.
	memoryPatience = time.Second
)

// TryAcquire takes a permit if it can be had at once. The throttler mostly runs on the
// caller's own goroutine, and decides there and then; while it is busy with others it has
// tryPatience, and whoever is not answered by then is refused. What was granted is waited for until
// it is remembered, for memoryPatience at most.
func (i *Issuer) TryAcquire(ask *Ask, p *Permit) error {
	i.settleDropped()
	b := i.bearer(ask)
	b.ctx.Hold(context.Background())
	b.tries = true
	for again := true; ; again = false {
		b.turn.WakeAt = time.Now().Add(tryPatience)
		i.needs.Throttler.Tell(ticket.TryPermit{Ticket: b.ticket})
		if err := b.await(i.needs.Closing); err != nil {
			return b.refuse(err)
		}
		if !i.needs.Held(ask.Origin, &b.ticket.Charged) && !i.needs.Outdated(&b.ticket.Charged) {
			i.issue(b, p)
			return nil
		}
		b.ticket.Fate = throttle.NeverSent
		i.needs.Throttler.Tell(ticket.SettlePermit{Ticket: b.ticket})
		if !again { // twice in a row something was paused between the grant and here
			return b.refuse(b.crossed())
		}
		b.renewTicket()
		b.open(ask)
	}
}

// bearer returns one that holds nothing, with a ticket that says what is asked for.
func (i *Issuer) bearer(ask *Ask) *bearer {
	b, _ := i.bearers.Get().(*bearer)
	if b == nil {
		b = newBearer(i)
	}
	b.renewTicket()
	b.wait = wait{}
	b.counted = !ask.Uncounted && i.needs.Returned != nil
	b.open(ask)
	if i.needs.Trace {
		b.note()
	}
	return b
}

// issue makes a granted permit that of p.
func (i *Issuer) issue(b *bearer, p *Permit) {
	b.ctx.Hold(context.Background()) // the caller's is not to be pinned
	p.origin, p.charged = b.ticket.Permit.Origin, b.ticket.Charged
	p.bearer.Store(b)
	i.dropped.watch(i)
}

// rest keeps a bearer that holds nothing for the next who asks.
func (i *Issuer) rest(b *bearer) { i.bearers.Put(b) }

// instant is a time on the ledger's clock; the zero time stays zero.
func (i *Issuer) instant(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return max(1, t.Sub(i.needs.Epoch))
}

// Close has forgotten permits not looked for any more.
func (i *Issuer) Close() { i.dropped.close() }

// newBearer returns a bearer that nobody uses yet.
func newBearer(i *Issuer) *bearer {
	b := &bearer{Caller: mailbox.NewCaller(nil), issuer: i}
	b.RegisterHandlers(b, nil) // it is run by its caller, and by no actor system
	b.ticket = &b.first
	b.ticket.Close()
	return b
}
