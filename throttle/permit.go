package throttle

import "time"

// State is where a Permit stands.
type State uint8

const (
	Idle    State = iota // not known to a ledger: new, settled, or cancelled
	Queued               // waits; Next will answer
	Granted              // in flight until Settle
	Expired              // its deadline passed in the queue; out of the ledger
	Refused              // its limit was replaced by one it cannot use; out of the ledger
)

var stateNames = [...]string{"idle", "queued", "granted", "expired", "refused"}

// String returns the state in lower case.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		return "unknown state"
	}
	return stateNames[s]
}

// Permit is leave to send one request. The caller allocates it, fills in the
// exported fields, and passes it to Acquire; between Acquire and the return of
// Settle, Cancel, or a Next that answers Expired or Refused it belongs to the
// ledger and must neither be changed nor reused.
type Permit struct {
	// Limit is the id of the limit to charge, or NoLimit.
	Limit string
	// Account, Key and Egress pick the meter of every limit on the way that is told
	// apart by them; see Limit.By.
	Account, Key, Egress string
	// Origin is where the request goes; see Scope.
	Origin string
	// Weight overrides the named limit's own weight; 0 means no override.
	// Linked limits keep the weights of their links.
	Weight int64
	// Weights override what limits on the way are charged, each by its id, zero
	// included, and win over Weight. Acquire refuses one that names a limit which is
	// not on the way, one that is negative or never fits, and two of the same limit.
	// What is charged nothing by a limit waits for no room there, and takes none. Like
	// all of the permit they belong to the ledger until it is given back: the slice
	// must not be written to meanwhile.
	Weights []Cost
	// WeighedBy are the tariffs that Weights come from, NoTariffs if the table had none; nil if
	// they come from elsewhere. See Ledger.WeighBy.
	WeighedBy *Tariffs
	// Priority orders waiting permits: the higher goes first.
	Priority Priority
	// Deadline is until when a grant is of use, on the clock of `now`; 0 means none. One that
	// happens to come at the deadline itself is in time, but a permit that nothing could grant
	// before it is refused at once.
	Deadline time.Duration
	// Owner is the caller's; the ledger does not touch it.
	Owner any

	state  State
	parked bool   // Idle, and Requeue may take it up
	seat   uint32 // among the deadlines of the queue, counted from 1; 0 means none
	err    error
	turn
	path    *path         // what is charged; kept from Acquire to the end
	table   uint32        // of the ledger's tables, the one it was granted under
	flight  uint32        // of a Recorder; valid while granted
	cost    int64         // weight charged to the named limit itself
	granted time.Duration // or, while it is queued, when that began
}

// turn is where a permit stands in the queue.
type turn struct {
	lane       *lane // set while queued in one
	next, prev *Permit
	rank       int64  // less goes first
	seq        uint64 // unique per Acquire; breaks ties of rank
}

// State returns where p stands.
func (p *Permit) State() State { return p.state }

// Err returns why p expired or was refused, as a *LimitError; otherwise nil.
func (p *Permit) Err() error { return p.err }

// Reset makes p usable again after the ledger that held it is lost. A permit
// that was granted must be adopted by the new ledger instead. One that had a rank
// keeps it, as if it had been parked: Acquire gives it a new one, Requeue of the
// lost ledger's Successor does not.
func (p *Permit) Reset() {
	*p = Permit{
		Limit: p.Limit, Account: p.Account, Key: p.Key, Egress: p.Egress, Origin: p.Origin,
		Weight: p.Weight, Weights: p.Weights, WeighedBy: p.WeighedBy, Priority: p.Priority, Deadline: p.Deadline, Owner: p.Owner,
		turn: turn{rank: p.rank, seq: p.seq}, parked: p.seq != 0,
	}
}

// weight returns what p is charged for the i-th limit on its path.
func (p *Permit) weight(i int) int64 { return p.weightOn(p.path, i) }

// weightOn returns what p is charged for the i-th limit on a path that it may take.
func (p *Permit) weightOn(at *path, i int) int64 {
	c := &at.charges[i]
	switch {
	case i == int(at.own):
		return p.cost
	case len(p.Weights) > 0:
		return overridden(p.Weights, c.meter.rule.ID, c.weight)
	}
	return c.weight
}

// spent returns what the i-th limit really charged p, if the answer told these costs.
func (p *Permit) spent(i int, costs []Cost) int64 {
	return overridden(costs, p.path.charges[i].meter.rule.ID, p.weight(i))
}

// spentIn reports whether a limit of a scope charged p anything. The whole origin counts whatever
// goes there.
func (p *Permit) spentIn(scope string, costs []Cost) bool {
	if scope == WholeOrigin {
		return true
	}
	for i := range p.path.charges {
		if p.path.charges[i].meter.rule.Scope == scope && p.spent(i, costs) > 0 {
			return true
		}
	}
	return false
}

// overridden returns the weight that a list has for a limit, or else its own one. They
// are gone through each time: there are few, and nothing else has to be kept of them,
// whatever becomes of the path.
func overridden(weights []Cost, id string, own int64) int64 {
	for i := range weights {
		if weights[i].ID == id {
			return weights[i].Weight
		}
	}
	return own
}

// before reports whether p goes ahead of q.
func (p *Permit) before(q *Permit) bool {
	if p.rank != q.rank {
		return p.rank < q.rank
	}
	return p.seq < q.seq
}

// Fate says what became of a granted permit.
type Fate uint8

const (
	// Answered: the server answered, whatever the status. It has arrived.
	Answered Fate = iota
	// NeverSent: not one byte left, provably. Everything is given back at once.
	NeverSent
	// Lost: it may still arrive. It counts as in flight until MaxDelay after the
	// Settle, which must not come before the connection is closed or the exchange
	// is given up.
	Lost
	// Closed: the peer closed or reset the connection before an answer came. So
	// the request had arrived by then, or never will, give or take a proxy in front
	// of the server that goes on for a while. It counts as in flight until
	// CloseDelay after the Settle, which must not come before that close was seen.
	Closed
)

// Outcome is what is known when a granted permit is settled.
type Outcome struct {
	Fate Fate
	// Refused says that the answer was a refusal: 429, 418 and their like. It
	// counts as answered, and as no sign that a pause is over.
	Refused bool
	// ServerTime is a Unix time that the server read at or after the request's
	// arrival, as found in the answer; 0 means none.
	ServerTime time.Duration
	// Resolution is the step of ServerTime: 1 s for a Date header. Add to it
	// how far the clocks of a server's machines disagree.
	Resolution time.Duration
	// Costs are what the request really cost, for the limits of which the
	// answer tells. Other limits cost what was reserved. Not kept.
	Costs []Cost
}

// Cost is a weight that was really charged to a limit. A request that cost
// nothing is taken to have opened no FixedFromFirst window.
type Cost struct {
	ID     string
	Weight int64
}

// list is a queue of permits, linked through the permits themselves.
type list struct{ head, tail *Permit }

func (q *list) push(p *Permit) {
	p.prev, p.next = q.tail, nil
	if q.tail == nil {
		q.head = p
	} else {
		q.tail.next = p
	}
	q.tail = p
}

// insert puts p behind every permit that goes ahead of it, in a list that is in
// order. It looks from `near` on, a permit of the list.
func (q *list) insert(p, near *Permit) {
	for near != nil && p.before(near) {
		near = near.prev
	}
	if near == nil {
		near = q.head
		if near == nil || p.before(near) { // at the front
			p.prev, p.next = nil, near
			q.head = p
			if near == nil {
				q.tail = p
			} else {
				near.prev = p
			}
			return
		}
	}
	for near.next != nil && near.next.before(p) {
		near = near.next
	}
	if near == q.tail {
		q.push(p)
		return
	}
	p.prev, p.next = near, near.next
	near.next.prev, near.next = p, p
}

func (q *list) remove(p *Permit) {
	if p.prev == nil {
		q.head = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		q.tail = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}
