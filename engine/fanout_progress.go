package engine

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
)

// Progress is how far a run has come, at one moment. Of the requests read from the input,
// Submitted, so many are Done; the others are Waiting, InFlight, Retrying or Ready. At the end
// of a loop that was left there are others that are none of these: they were cancelled, and
// their results handed to nobody.
type Progress struct {
	Submitted int64 // read from the input and sent
	Done      int64 // their results were handed over
	Failed    int64 // of those done; those that FanOut.StopAtFirst cancelled are among them
	// Waiting is how many wait to begin, for permits or for connections, and InFlight how many
	// others are on their way. An engine does not tell whose they are: with other callers
	// beside the run, some of theirs may be counted as waiting in place of its own in flight.
	Waiting  int64
	InFlight int64
	Retrying int64 // were refused, and wait to go again: see FanOut.RetryLater
	Ready    int64 // have ended, and wait for their turn: FanOut.InOrder
	Total    int64 // as FanOut.Total says, or all there were once the input has ended; zero while it is not known
	Elapsed  time.Duration
	// WaitingBy has the limits that requests of the run wait for. One that several limits
	// charge is counted by each.
	WaitingBy []RunWait
	// EstimatedEnd is when the run will have ended, zero if that is not known: before the
	// Total is, as long as nothing has been seen that would tell, and when the run is over.
	//
	// It is the later of two instants. By the limits: what those of the requests charge
	// that are left, against what Engine.Stats says of the limits' room, quota and Per; those
	// that are not read yet are taken to be divided among limits, accounts, egresses and keys as
	// those read so far. And by the rate of results, as it was while none waited for a limit.
	// So it assumes that nobody else spends from these limits, that none fails and is sent
	// again, that pauses are over when they now are to be, and that answers take no time beside
	// Per. Then it is wrong by one Per of the limit that binds at most, unless those that charge it
	// come behind many others, which another limit holds up: for as long as it lies idle meanwhile the
	// run takes longer. Those of one combination
	// of limit, account, egress, key and priority are taken to weigh the same, as the last of them
	// that was looked at; if those of several combinations weigh differently at one limit, they are
	// taken to fill it, and if they leave more or less of it to more urgent ones (see
	// throttle.Limit.Reserve), to leave what they do on average. By throttle.Pacing bulk work may
	// take longer. Of those with Coalesce as many are taken to share an answer as have done so until
	// then. More than 256 combinations are not told apart: what the others charge is left out.
	EstimatedEnd time.Time
}

// String is one line: "3000 of 10000 done, 12 of them failed, 40 waiting for depth, 64 in
// flight, ends about 12:00:03". What is zero is left out.
func (p Progress) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d", p.Done)
	if p.Total > 0 {
		fmt.Fprintf(&b, " of %d", p.Total)
	}
	b.WriteString(" done")
	count := func(n int64, what string) {
		if n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, what)
		}
	}
	count(p.Failed, "of them failed")
	count(p.Waiting, "waiting"+p.waitingFor())
	count(p.InFlight, "in flight")
	count(p.Retrying, "to go again")
	count(p.Ready, "ready")
	if !p.EstimatedEnd.IsZero() {
		b.WriteString(", ends about " + p.EstimatedEnd.Format("15:04:05"))
	}
	return b.String()
}

// waitingFor names the limits, each once, and no more than a line has room for.
func (p Progress) waitingFor() string {
	const room = 3
	var ids []string
	for _, w := range p.WaitingBy {
		if !slices.Contains(ids, w.ID) {
			ids = append(ids, w.ID)
		}
	}
	switch {
	case len(ids) == 0:
		return ""
	case len(ids) > room:
		return fmt.Sprintf(" for %s and %d others", strings.Join(ids[:room], ", "), len(ids)-room)
	}
	return " for " + strings.Join(ids, ", ")
}

// RunWait is a limit that requests of a run wait for.
type RunWait struct {
	ID                   string
	Account, Key, Egress string    // which of its meters
	N                    int64     // how many of the run wait for it, at most: others' may be among them
	Next                 time.Time // when a weight of 1 fits; zero if time alone will not do it
}

// mostKinds is how many kinds of request a tally tells apart, and mostAsked how many of
// them it asks the engine about again at once.
const (
	mostKinds = 256
	mostAsked = 32
)

// kind is what requests have in common that charge the same meters, and may fill them as far.
type kind struct {
	limit, account, egress, key string
	priority                    Priority
	shares                      bool // its answer, with others
}

// kindCount is how many requests of a kind there were.
type kindCount struct {
	submitted, ended int64
	held             []*item   // those that have not been handed over, and so may be looked at: each at its place
	asked            bool      // the engine was, about one of them
	charges          []Charged // of one; as they were found last
}

// tally counts what becomes of the requests of a run, if somebody wants to know. But for
// what says otherwise it is the loop's goroutine's.
type tally struct {
	run      *run
	start    time.Time
	ticker   *time.Ticker // nil if nobody wants to know
	failed   int64
	handed   int64
	joined   int64 // requests of the engine that had shared an answer when the run began
	retrying atomic.Int64

	// The time during which no limit held anybody, and what ended in it.
	freeTime  time.Duration
	freeEnded int64
	lastAt    time.Time
	lastEnded int64
	held      bool // by a limit, when last looked at

	mu    sync.Mutex
	kinds map[kind]*kindCount // guarded by mu
}

// counted is where a tally counts an item.
type counted struct {
	of    *kindCount // nil if its kind is not told apart; set before the item is sent
	place int        // in of.held; guarded by mu of the tally
}

func (t *tally) begin() {
	if t.run.how.OnProgress == nil {
		return
	}
	t.start = time.Now()
	t.lastAt = t.start
	t.kinds = map[kind]*kindCount{}
	t.joined = t.run.eng.coalescing.stats().Joined
	t.ticker = time.NewTicker(t.run.how.ProgressEvery)
}

// tick is nil, and so never ready, if nobody wants to know.
func (t *tally) tick() <-chan time.Time {
	if t.ticker == nil {
		return nil
	}
	return t.ticker.C
}

// look tells the progress if it is time.
func (t *tally) look() {
	if t.ticker == nil {
		return
	}
	select {
	case <-t.ticker.C:
		t.tell(false)
	default:
	}
}

func kindOfRequest(it *item) (kind, bool) {
	if it.request == nil {
		return kind{}, false
	}
	r := it.request
	return kind{r.LimitID, r.Account, r.Egress, r.Key, r.Priority, shares(r)}, true
}

// begun is called by whoever reads the input.
func (t *tally) begun(it *item) {
	if t.ticker == nil {
		return
	}
	of, known := kindOfRequest(it)
	if !known {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	count := t.kinds[of]
	if count == nil {
		if len(t.kinds) == mostKinds {
			return
		}
		count = &kindCount{}
		t.kinds[of] = count
	}
	count.submitted++
	it.counted = counted{count, len(count.held)}
	count.held = append(count.held, it)
}

// letGo takes out one that is being handed over. It requires that mu of the tally is held.
func (c *kindCount) letGo(it *item) {
	last := len(c.held) - 1
	c.held[it.counted.place], c.held[last].counted.place = c.held[last], it.counted.place
	c.held[last], c.held = nil, c.held[:last]
}

// ended is called when a result is there, which may have to wait for its turn.
func (t *tally) ended(it *item) {
	t.count(it, func(of *kindCount) { of.ended++ })
}

// done is called before the result is handed over.
func (t *tally) done(it *item) {
	t.handed++
	if it.failed {
		t.failed++
	}
	t.count(it, func(of *kindCount) { of.letGo(it) }) // its owner may change it from now on
}

// count has what there is of an item's kind changed, if somebody wants to know, and the kind is
// one of those that are told apart.
func (t *tally) count(it *item, change func(*kindCount)) {
	if it.counted.of == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	change(it.counted.of)
}

// undecoded counts a result as failed that only the body of the loop has found to be: what its
// answer says is no T.
func (t *tally) undecoded(result Result) {
	if result.Err == nil && !unwanted(result.Request, result.Response) {
		t.failed++
	}
}

// end tells the last of it, unless the loop's goroutine is being unwound.
func (t *tally) end(returned bool) {
	if t.ticker == nil {
		return
	}
	t.ticker.Stop()
	if returned {
		t.tell(true)
	}
}

// tell calls OnProgress.
func (t *tally) tell(last bool) {
	r := t.run
	now := time.Now()
	// In this order: what was read is counted after the parts of it, and after its end.
	whole := r.source.isGone() && !r.source.cut.Load()
	p := Progress{
		Done: t.handed, Failed: t.failed, Retrying: t.retrying.Load(), Ready: int64(t.run.turns.held),
		Total: r.how.Total, Elapsed: now.Sub(t.start),
	}
	p.Submitted = r.source.pulled.Load()
	if whole {
		p.Total = p.Submitted
	}
	if !last {
		t.lookAtLimits(now, &p)
	}
	r.how.OnProgress(p)
}

// lookAtLimits finds out who waits, and for how long the run will last.
func (t *tally) lookAtLimits(now time.Time, p *Progress) {
	stats := t.run.eng.Stats()
	waiting := t.run.crews.waiting() + int64(stats.Waiting+stats.Queued-stats.Permits.Waiting)
	for _, pool := range stats.Pools {
		waiting += int64(pool.Waiting)
	}
	pending := max(0, p.Submitted-p.Done-p.Retrying-p.Ready)
	p.Waiting = max(0, min(waiting, pending))
	p.InFlight = pending - p.Waiting
	rest := int64(-1)
	if p.Total > 0 {
		rest = max(0, p.Total-p.Done-p.Ready)
	}
	demands := t.demands(now, stats, rest, p)
	t.measure(now, p.Done+p.Ready, len(p.WaitingBy) > 0)
	if rest >= 0 {
		p.EstimatedEnd = estimatedEnd(now, demands, rest, t.rate())
	}
}

// measure takes the time since the last look into the rate, if no limit held anybody.
func (t *tally) measure(now time.Time, ended int64, held bool) {
	if !held && !t.held {
		t.freeTime += now.Sub(t.lastAt)
		t.freeEnded += ended - t.lastEnded
	}
	t.lastAt, t.lastEnded, t.held = now, ended, held
}

func (t *tally) rate() float64 {
	if t.freeTime <= 0 {
		return 0
	}
	return float64(t.freeEnded) / t.freeTime.Seconds()
}

// meterID tells the meters of limits apart.
type meterID struct{ id, account, key, egress string }

// use is what the run does to one meter. What is not read yet is counted in parts of requests, so
// that those of many kinds add up to as many as there are.
type use struct {
	pending               int64
	weight, pendingWeight float64
	kept                  float64 // for more urgent ones than those that are left, by their weight
	each                  int64   // weight of one, if all weigh the same; otherwise 1
}

// add adds what a kind charges of which so many are left, and are pending.
func (u *use) add(c *Charged, left, pending float64) {
	weight := float64(c.Weight) * left
	u.weight += weight
	u.pendingWeight += float64(c.Weight) * pending
	u.kept += float64(c.Kept) * weight
	switch {
	case weight <= 0:
	case u.each == 0:
		u.each = c.Weight
	case u.each != c.Weight:
		u.each = 1
	}
}

// left is the weight that is still to be charged, and of the quota what those who charge it leave
// to more urgent ones, on average. Those in flight are charged already.
func (u *use) left(inFlight int64) (weight, kept int64) {
	if u.weight > 0 {
		kept = int64(math.Round(u.kept / u.weight))
	}
	return int64(math.Round(min(u.weight-min(float64(inFlight), u.pendingWeight), mostWeight))), kept
}

// mostWeight is more than any run gets through, and far from overflow.
const mostWeight = 1 << 60

// demands adds up what is left to charge, and tells p who waits for what.
func (t *tally) demands(now time.Time, stats Stats, rest int64, p *Progress) (all []demand) {
	uses := t.uses(rest, p, stats.Coalesced.Joined-t.joined)
	for _, l := range stats.Limits.Limits {
		u, used := uses[meterID{l.ID, l.Account, l.Key, l.Egress}]
		if !used {
			continue
		}
		delete(uses, meterID{l.ID, l.Account, l.Key, l.Egress})
		queued := int64(0)
		for _, class := range l.Queued {
			queued += int64(class.N)
		}
		if n := min(queued, u.pending); n > 0 {
			p.WaitingBy = append(p.WaitingBy, RunWait{ID: l.ID, Account: l.Account, Key: l.Key, Egress: l.Egress, N: n, Next: l.Next})
		}
		weight, kept := u.left(l.InFlight)
		all = append(all, demand{l.without(kept, now), weight, u.each})
	}
	return all
}

// uses adds up the kinds by what they charge. Without a rest that is known, it is of those
// that were read. So many have joined the request of another, which alone is charged.
func (t *tally) uses(rest int64, p *Progress, joined int64) map[meterID]use {
	t.ask()
	t.mu.Lock()
	defer t.mu.Unlock()
	unread := 0.0
	if rest > 0 && p.Submitted > 0 {
		unread = float64(max(0, p.Total-p.Submitted)) / float64(p.Submitted)
	}
	alone := t.alone(joined)
	uses := map[meterID]use{}
	for of, count := range t.kinds {
		pending := count.submitted - count.ended
		charged := float64(pending)
		left := charged + unread*float64(count.submitted)
		if of.shares {
			left, charged = left*alone, charged*alone
		}
		for i := range count.charges {
			c := &count.charges[i]
			u := uses[meterID{c.ID, c.Account, c.Key, c.Egress}]
			u.pending += pending
			u.add(c, left, charged)
			uses[meterID{c.ID, c.Account, c.Key, c.Egress}] = u
		}
	}
	return uses
}

// alone is what part of the requests that would share an answer was sent. It requires that mu is
// held.
func (t *tally) alone(joined int64) float64 {
	share := int64(0)
	for of, count := range t.kinds {
		if of.shares {
			share += count.submitted
		}
	}
	return float64(max(1, share-max(0, joined))) / float64(max(1, share))
}

// ask finds out what kinds of requests charge, by those that are there to be looked at: at once of
// kinds that are new, and of some others again, for limits and what costs are may have changed.
// They are on their way, and this is the goroutine that would hand them over, so that
// nobody changes them meanwhile.
func (t *tally) ask() {
	type sampled struct {
		count   *kindCount
		request *Request
	}
	var samples []sampled
	again := 0
	t.mu.Lock()
	for _, count := range t.kinds {
		switch {
		case len(count.held) == 0:
			continue
		case !count.asked:
			count.asked = true
		case again < mostAsked: // the map begins anywhere: others come next time
			again++
		default:
			continue
		}
		samples = append(samples, sampled{count, count.held[len(count.held)-1].request})
	}
	t.mu.Unlock()
	for _, s := range samples {
		var x Explanation
		var err error
		// Functions of costs and methods of values are the caller's own code, and this goroutine is
		// that of the loop.
		cut := wire.Apart(Preparing, func() { x, err = t.run.eng.Explain(s.request) })
		if cut != nil || err != nil {
			continue // it will be refused, and charges nothing
		}
		t.mu.Lock()
		s.count.charges = x.Charges
		t.mu.Unlock()
	}
}
