package throttle

import "time"

// Window is the way a server counts what a limit limits. The zero value is Sliding; all of
// them, and what each costs, are listed by go doc
// github.com/sluice-engine/sluice/throttle.Sliding.
type Window uint8

const (
	// Sliding allows Quota in every span of length Per. It is the default
	// because it is safe for fixed windows of any phase and for token buckets
	// of capacity Quota too: choose it when the server's way is not known.
	// Cost: a permit comes back Per after its answer, so Per/(Per+RTT) of the
	// quota can be used; RTTFloor and server timestamps recover most of it.
	Sliding Window = iota
	// Fixed allows Quota in each window [k·Per+Offset, (k+1)·Per+Offset) of
	// the server's Unix clock. All of the quota can be used once SetClock has
	// been called, as an engine does that has a Config.Time; until then it behaves
	// as Sliding.
	Fixed
	// FixedFromFirst allows Quota in a window that opens with the first
	// request to arrive and lasts Per; the next one opens with the first
	// request after that.
	FixedFromFirst
	// Leaky is a counter that each request raises by its weight, that falls
	// by Quota every Per, and that must not pass Burst: a token bucket, GCRA,
	// or, with Tick, a counter that falls in steps.
	Leaky
	// Concurrency allows Quota in flight. It has no Per.
	Concurrency
	// Lifetime allows Quota once, and has no Per. Nothing but Adjust and Sync gives any back.
	Lifetime

	windowKinds
)

var windowNames = [windowKinds]string{"sliding", "fixed", "fixed-from-first", "leaky", "concurrency", "lifetime"}

// String returns the name that limits files use, such as "fixed-from-first".
func (w Window) String() string {
	if w >= windowKinds {
		return "unknown window"
	}
	return windowNames[w]
}

// timed reports whether time gives back what such a window counts.
func (w Window) timed() bool { return w != Concurrency && w != Lifetime }

// Limit is one rule of a server. The zero values of the optional fields mean
// what their comments say.
type Limit struct {
	// ID is what requests and links name the limit by. It must not be empty, nor another's.
	ID string
	// Quota is the weight admitted per Per. Zero together with links makes the
	// limit a route: a name for its links, without a quota of its own. A route has
	// nothing but ID and Linked; what its requests weigh is the weight of the links.
	Quota int64
	// Per is the span of the window, a millisecond at least: a number without a unit is in
	// nanoseconds. Concurrency and Lifetime limits have none, and a Fixed one by Months.
	Per time.Duration
	// Window is how the server counts; default Sliding.
	Window Window
	// Weight is what a request that names this limit is charged; default 1.
	Weight int64
	// Tariff says what a request is charged by what it asks for, wherever the limit is
	// named or linked without a weight. Where it says nothing, that is Weight.
	Tariff Tariff
	// Linked limits are charged with every request, all or nothing. Links of
	// linked limits are followed; a limit reached on several ways is charged
	// the sum. All together they are MostCharged limits at most, this one included.
	// Nil means none.
	Linked []Link
	// By says by which parts of a request the meters of the limit are told apart:
	// each combination has a quota of its own. A permit without a key is refused by a
	// limit that looks at keys; an account and an egress of "" are the default ones. One
	// that is unused again is forgotten within two of its windows, and where no window says
	// when that is, as with Concurrency, within two minutes of its last use, together with
	// those that the same requests charge.
	By By
	// Keyed is ByKey in By, written shorter: every Permit.Key has its own quota.
	Keyed bool
	// Keys are those that a limit by key knows; any other is refused. Without any
	// list every key is known.
	Keys []string

	// Burst is the capacity of a Leaky limit; default Quota.
	Burst int64
	// Tick, for a Leaky limit, says that the server lets the counter fall once
	// every Tick instead of continuously. One step is kept free for it, because
	// a counter that falls in steps lies up to one step above the line. Zero means that it
	// falls continuously.
	Tick time.Duration
	// Offset shifts the windows of a Fixed limit from the Unix epoch, or from the
	// beginnings that Location and Months give them: whole days of it by the
	// calendar, the rest by the clock. Zero shifts nothing.
	Offset time.Duration
	// Location has a Fixed limit whose Per is a number of whole days count by the
	// days of a place, from midnight to midnight there, whatever its clocks are set
	// to meanwhile. Nil means UTC. A day begins when clocks there have first reached
	// its midnight.
	Location *time.Location
	// Months has a Fixed limit count by so many months of the calendar, counted from
	// a January, at Location or in UTC; Per is 0 then.
	Months int
	// RTTFloor is a round trip that no answer can beat. A Sliding permit comes
	// back that much earlier. Too large a value breaks the limit; 0 assumes nothing.
	RTTFloor time.Duration
	// MaxDelay is how long after giving a request up the server may still
	// receive it; default 10 s. A lost permit is held at least that long. It is
	// an assumption about what lies between here and the place where the server
	// counts: queues of proxies, retransmissions, a backlog of connections not
	// yet accepted. Raise it for a server known to take requests later than that.
	MaxDelay time.Duration
	// CloseDelay is how long after the server's side closed the connection a
	// request without an answer may still be counted; default 1 s. A server that
	// counts where it closes needs none; a proxy in front of it may pass on what
	// it has read for a moment after it closed.
	CloseDelay time.Duration
	// Reserve keeps parts of the quota for urgent requests. Nil keeps none.
	Reserve []Reserve
	// Shared says that others spend from the same quota, and which part of it
	// at first, in (0, 1); Fixed windows only. Room is left for them; how much
	// is learned from what Ledger.Sync is told. That is an estimate: unlike
	// everything else here it makes a refusal unlikely, and does not rule it out.
	// What weighs more than is left beside them goes first in a window, or not in it.
	Shared float64
	// Share is the part of the quota this process may use, in (0, 1]; 0 means
	// Options.Share. With less than all of it what the server counts says nothing of
	// our part: an engine then takes no note of it. See Ledger.SetShare.
	Share float64
	// SafetyMargin is the part of the share left unused, in [0, 1); 0 means
	// Options.SafetyMargin, and NoMargin none at all.
	SafetyMargin float64
	// Adopt says what becomes of a quota that the server announces; the default,
	// AdoptLower, takes over a lower one.
	Adopt Adopt
	// Fallback is the id of a limit that takes over from this one, a Lifetime one, when
	// it is spent. A request that the budget has no room for, whatever becomes of what
	// is in flight, is charged the fallback in its place: the fallback's own Weight,
	// for the parts that the fallback's By names. It waits there with the rank and the
	// deadline it has; whoever is queued when the budget is spent goes over in order,
	// and comes back in order once the budget can pay again, by Adjust, Sync, SetShare
	// or AnnounceQuota. Without a fallback such a request is refused with ErrSpent. The
	// server counts a request at the budget for as long as there is room: so one that
	// falls back because all that is left is kept by a Reserve counts at both. No request
	// is refused by such a server if all weigh the same there; where weights differ, and
	// room is given or a request is lost at just that time, one may be.
	//
	// A fallback has a quota of its own and no links. It may be a budget with a fallback
	// in turn, MostCharged in a row at most, but not lead back here; several may fall back on
	// the same one.
	Fallback string
	// Scope names the limits that pause together, usually an address or an
	// account at one exchange; see the type Scope. All limits without a name are
	// one scope. WholeOrigin is no name for one. Limits of one name are best told apart
	// by the same accounts and egresses: only by what all of them are is the scope.
	Scope string
}

// MostCharged is the most limits that a request may be charged at once: by the limit that it
// names, and by all that this one's links lead to. It is far more than any server counts a request
// by, and few enough that a table costs no more than its limits.
const MostCharged = 256

// Link charges another limit.
type Link struct {
	ID     string
	Weight int64  // 0 means the linked limit's own weight
	Tariff Tariff // says what it is instead, where one of its fees applies
}

// Reserve keeps Weight of a limit's quota for requests whose priority is at
// least Priority. Several reserves add up for whoever is below all of them.
type Reserve struct {
	Priority Priority
	Weight   int64
}

const (
	maxWeight         = 1 << 40                   // keeps every sum and 2^20 fractions of it in an int64
	maxPer            = 10 * 366 * 24 * time.Hour // keeps instants far from overflow
	defaultMaxDelay   = 10 * time.Second
	defaultCloseDelay = time.Second
	mostMonths        = 118 // of at most 31 days: below maxPer
	never             = time.Duration(1<<63 - 1)
)
