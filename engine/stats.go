package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// Stats is a picture of an engine at one moment. Its parts are taken one after
// the other, so that requests on the move may be seen twice, or not at all.
//
// Each word has one meaning, wherever it stands:
//
//   - in flight: let through here, and not back yet. At the engine's door that is
//     from the credit to the answer, or to the end of its stream; at a limit or a
//     scope, from the permit until it is known what became of it.
//   - waiting: before a door, for one of those inside to leave. At the engine's
//     for a credit, at a pool's for a connection.
//   - queued: for permits, by priority; in flight at the engine's door already.
//   - held: a permit without a request, from Acquire to its Done.
//   - leased: a connection in the hands of a request, or of the stream of its
//     answer.
//
// So, of InFlight requests and Permits.Waiting callers of Acquire, Queued have no permit
// yet; those Waiting at the Pools have theirs, if they need one, and no connection. The
// others are being prepared, exchanged, or pausing before another attempt.
//
// Accounts, keys and egresses of limits are what is counted, and so Stats have them,
// in JSON, in the log and as they print; no error's text has any. They print in words, as
// String has them; what is alive is on the page of package inspect.
type Stats struct {
	At       time.Time   `json:"at"`
	InFlight int         `json:"in_flight"`        // requests on their journey
	Waiting  int         `json:"waiting"`          // requests that wait for a credit to begin it
	Queued   int         `json:"queued"`           // requests on their journey that wait for permits, and callers of Acquire that do
	Permits  PermitStats `json:"permits,omitzero"` // those without a request
	Limits   LimitsStats `json:"limits"`           // what is used of each limit, and who is queued
	Pools    []PoolStats `json:"pools"`            // one of each origin that is connected to, in no order
	Halts    []HaltStats `json:"halts,omitempty"`  // those that stand, the first of them first
	Totals   Totals      `json:"totals,omitzero"`  // what has happened since New
	Memory   MemoryStats `json:"memory,omitzero"`  // of Config.Memory; zero without one

	Coalesced CoalesceStats `json:"coalesced,omitzero"` // requests that share an answer

	PoolsWaiting int `json:"pools_waiting"`            // requests that wait for a connection, at pools that Glance leaves out too
	PoolsLeftOut int `json:"pools_left_out,omitempty"` // by Glance; zero in Stats
}

// MemoryStats says how the memory of an engine does; see Config.Memory.
type MemoryStats struct {
	Kept    bool   `json:"kept"`             // there is one
	Failed  bool   `json:"failed,omitempty"` // it could not be written, and is not any more
	Written uint64 `json:"written"`          // bytes so far
}

// CoalesceStats counts requests with Request.Coalesce that can share an answer. All callers
// of them are in flight at the engine's door, and so in Stats.InFlight; in Totals the requests are
// that are sent for them.
type CoalesceStats struct {
	InFlight int   `json:"in_flight"` // requests on their journey, one for all who share it
	Waiting  int   `json:"waiting"`   // callers that wait for their answers
	Joined   int64 `json:"joined"`    // callers so far that waited for the answer to a request which was there already
}

// PermitStats counts the permits of Acquire and TryAcquire. In LimitsStats they count like
// those of requests.
type PermitStats struct {
	Held    int `json:"held"`    // granted, and not done
	Waiting int `json:"waiting"` // callers that wait for one
}

// HaltStats is one halt that stands; see Engine.Halt.
type HaltStats struct {
	ID      uint64    `json:"id"`      // what Engine.Lift takes
	Filter  Filter    `json:"-"`       // in JSON it is told by Selects
	Selects string    `json:"selects"` // the filter in words
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since"`
	Refused int64     `json:"refused"` // requests and permits so far
}

// LimitsStats is a picture of all limits at one moment.
type LimitsStats struct {
	At     time.Time     `json:"at,omitzero"` // zero once the engine has ended
	Limits []LimitStats  `json:"limits"`      // by id, account, key and egress
	Scopes []ScopeStats  `json:"scopes"`      // by origin, name, account and egress
	Queued []QueuedStats `json:"queued"`      // over all limits, the most urgent first
	// Lost is how many permits are held for requests that were given up, and may
	// still arrive.
	Lost int `json:"lost"`
	// LeftOut is how many limits and instances Glance has left out, and ScopesLeftOut how many
	// scopes at least; PausesLeftOut is how many of these are paused or start slowly, or did
	// when the engine looked last. They are zero in Stats.
	LeftOut       int `json:"left_out,omitempty"`
	ScopesLeftOut int `json:"scopes_left_out,omitempty"`
	PausesLeftOut int `json:"pauses_left_out,omitempty"`
}

// LimitStats is one limit, or its instance for an account, key and egress. Numbers are
// weights.
type LimitStats struct {
	ID string `json:"id"`
	// What the instance is for, as far as throttle.Limit.By names it; an empty Account or
	// Egress is the default one, or not looked at.
	Account string          `json:"account,omitempty"`
	Key     string          `json:"key,omitempty"`
	Egress  string          `json:"egress,omitempty"`
	Window  throttle.Window `json:"-"`     // in JSON it is told by its name
	Quota   int64           `json:"quota"` // after share, margin and tick; the capacity of a Leaky one
	// Refill is the weight that comes back in every Per: Quota, but for a Leaky one. Both are
	// zero for a Concurrency and a Lifetime one; by the calendar Per is the longest of its
	// windows.
	Refill   int64         `json:"refill"`
	Per      time.Duration `json:"-"`    // in JSON it is told as a text, such as "1m0s"
	Used     int64         `json:"used"` // what is in flight included; above Quota if the server, AdjustLimit or another table says so
	InFlight int64         `json:"in_flight"`
	Room     int64         `json:"room"` // what fits now, the queue apart; below zero if too much is used
	// Kept is what of Quota and Room is kept for requests of a priority and above, by
	// throttle.Limit.Reserve; the most urgent first.
	Kept []throttle.Kept `json:"kept,omitempty"`
	// Next is when a weight of 1 fits, as for HeldBy.Until, the queue and what is kept apart: At or
	// before if it fits now, and zero if time alone will not do it.
	Next   time.Time     `json:"next,omitzero"`
	Queued []QueuedStats `json:"queued,omitempty"` // the most urgent first
}

// ScopeStats is one scope: the limits that pause together.
type ScopeStats struct {
	Origin string `json:"origin"` // as a URL
	Name   string `json:"name"`
	// Whose part of the scope it is, where that is told apart: throttle.DefaultAccount and
	// throttle.DefaultEgress are the default ones. Empty is the whole of it.
	Account     string    `json:"account,omitempty"`
	Egress      string    `json:"egress,omitempty"`
	PausedUntil time.Time `json:"paused_until,omitzero"` // zero if it is not paused
	PausedSince time.Time `json:"paused_since,omitzero"` // likewise
	// PausedByHand says that Engine.Pause paused it, or made the pause longer last; otherwise
	// an answer did.
	PausedByHand bool `json:"paused_by_hand,omitempty"`
	InFlight     int  `json:"in_flight"` // requests
	// Allowance is how many may be in flight while the scope starts slowly after a
	// pause; zero if it does not.
	Allowance int `json:"allowance,omitempty"`
}

// name is the scope, and whose part of it it is: "account/main".
func (s ScopeStats) name() string {
	name := cmp.Or(s.Name, "default")
	for _, part := range []string{s.Account, s.Egress} {
		if part != "" {
			name += "/" + part
		}
	}
	return name
}

// QueuedStats counts the requests of one priority that wait for permits.
type QueuedStats struct {
	Priority Priority `json:"priority"`
	N        int      `json:"n"`
}

// PoolStats is a picture of one origin's connections by one egress: how many there are at
// this moment, and what has happened since the origin's pool began. A pool that
// is not used for a minute ends, and the next begins to count anew.
//
// Over HTTP/2 what is counted are places for a stream, of which a TCP connection has as
// many as the server allows: Dialled, Retired and Broken then say how many places were
// opened and closed, and nothing of how many connections there were.
type PoolStats struct {
	Origin Origin `json:"-"`                // what the connections lead to; in JSON it is told as a URL
	Egress string `json:"egress,omitempty"` // by which way; empty is the default one

	Idle     int `json:"idle"`     // connections open and unused; over HTTP/2, streams
	Leased   int `json:"leased"`   // connections in use by a request
	Streams  int `json:"streams"`  // of those leased, held by answers whose Stream is not closed yet
	Dialling int `json:"dialling"` // connections being opened
	AtLimit  int `json:"at_limit"` // of those, waiting for Connections.LimitID
	Waiting  int `json:"waiting"`  // requests waiting for a connection

	Dialled     int64 `json:"dialled"`      // connections opened; over HTTP/2, places for a stream
	DialsFailed int64 `json:"dials_failed"` // connections that could not be opened
	Retired     int64 `json:"retired"`      // connections closed for their idleness or age
	Broken      int64 `json:"broken"`       // connections closed because an exchange left a doubt
	Refused     int64 `json:"refused"`      // requests sent away without a connection
}

// Origin is what a connection leads to: scheme, host and port.
//
// Its fields: go doc github.com/sluice-engine/sluice/messages.Origin
type Origin = messages.Origin

// ParseOrigin returns what an absolute http or https URL leads to, as the engine tells requests
// apart by it, in one spelling: the scheme and a name in lower case, an IPv6 address as RFC
// 5952 has it with its zone as it is, and the port, which is 80 or 443 if the URL names none.
// The error says what a request to that URL would be refused for, a user in it as well, and
// quotes nothing but the scheme. It is safe for concurrent use.
func ParseOrigin(rawURL string) (Origin, error) { return request.OriginOf(rawURL) }

// Stats returns a picture of the engine. It waits for the actors, not for any
// request.
func (e *Engine) Stats() Stats {
	if e.made() != nil {
		return Stats{}
	}
	return e.picture(0)
}

// Glance is Stats for whoever looks again and again: of at most n limits and their
// instances, n scopes and n pools, in a time that does not grow with how many instances,
// requests or pools there are. An n below 1 counts as 1. With as few as n it says what Stats
// does. Of more, the limits come first that have few instances, and of the others the
// instances that requests wait for and then the fullest of some: those of the last Glance, and
// others by chance, so that what one misses a later one finds. Scopes that are paused come
// first. LimitsStats.LeftOut, LimitsStats.ScopesLeftOut and PoolsLeftOut say how much is
// missing; the counts of priorities are of the most urgent 4,096 queues. Waiting, Queued and
// PoolsWaiting are of everything.
func (e *Engine) Glance(n int) Stats {
	if e.made() != nil {
		return Stats{}
	}
	return e.picture(max(n, 1))
}

// picture is Stats with most limits, scopes and pools at most; zero is all of them.
func (e *Engine) picture(most int) Stats {
	inFlight, waiting := e.admission.credits()
	limits, queued := e.limitsStats(most)
	pools, left := e.system.GlanceAtPools(most)
	return Stats{
		At: time.Now(), InFlight: inFlight, Waiting: waiting, Queued: queued, Permits: e.permits.stats(),
		Limits: limits, Pools: poolStats(pools), PoolsWaiting: e.system.WaitAtPools(), PoolsLeftOut: left,
		Halts: haltStats(e.halts.Standing()), Memory: e.memoryStats(), Totals: e.totals(), Coalesced: e.coalescing.stats(),
	}
}

func (e *Engine) memoryStats() MemoryStats {
	if e.journal == nil {
		return MemoryStats{}
	}
	return MemoryStats{Kept: true, Failed: e.journal.Lost(), Written: e.journal.Written()}
}

func haltStats(standing []*throttle.Halt) []HaltStats {
	var all []HaltStats
	for _, h := range standing {
		all = append(all, HaltStats{
			ID: h.ID, Filter: h.Filter, Selects: h.Filter.String(), Reason: h.Filter.Reason, Since: h.Since, Refused: h.Refused(),
		})
	}
	return all
}

// limitsStats asks the throttler, of which an engine that has ended has none: its picture has no
// instant. The ledger's clock is no sign of that, for it begins at zero.
func (e *Engine) limitsStats(most int) (told LimitsStats, queued int) {
	snapshot, alive := e.system.GlanceAtLimits(most)
	told = limitsStats(snapshot, e.system.Epoch())
	if !alive {
		told.At = time.Time{}
	}
	return told, snapshot.Waiting
}

// limitsStats tells the ledger's picture in times of day.
func limitsStats(s throttle.Snapshot, epoch time.Time) LimitsStats {
	told := LimitsStats{
		At: epoch.Add(s.At), Limits: make([]LimitStats, 0, len(s.Limits)), Scopes: make([]ScopeStats, 0, len(s.Scopes)),
		Queued: queuedStats(s.Queued), Lost: s.Lost,
		LeftOut: s.LeftOut.Limits, ScopesLeftOut: s.LeftOut.Scopes, PausesLeftOut: s.LeftOut.Troubled,
	}
	for _, l := range s.Limits {
		one := LimitStats{
			ID: l.ID, Account: l.Account, Key: l.Key, Egress: l.Egress, Window: l.Window,
			Quota: l.Quota, Refill: l.Refill, Per: l.Per, Used: l.Used, InFlight: l.InFlight, Room: l.Room,
			Kept: l.Kept, Queued: queuedStats(l.Queued),
		}
		if l.Next != throttle.Never {
			one.Next = epoch.Add(l.Next)
		}
		told.Limits = append(told.Limits, one)
	}
	for _, sc := range s.Scopes {
		one := ScopeStats{Origin: sc.Origin, Name: sc.Name, Account: sc.Account, Egress: sc.Egress, InFlight: sc.InFlight, Allowance: sc.Allowance}
		if sc.PausedUntil > s.At {
			one.PausedUntil, one.PausedSince, one.PausedByHand = epoch.Add(sc.PausedUntil), epoch.Add(sc.PausedSince), sc.ByHand
		}
		told.Scopes = append(told.Scopes, one)
	}
	return told
}

func queuedStats(classes []throttle.Class) []QueuedStats {
	all := make([]QueuedStats, 0, len(classes)) // never nil, which JSON would tell from an empty list
	for _, c := range classes {
		all = append(all, QueuedStats{Priority: Priority(c.Priority), N: c.N})
	}
	return all
}

// poolStats tells the pools' own pictures in the engine's words.
func poolStats(pools []protocol.PoolStats) []PoolStats {
	all := make([]PoolStats, 0, len(pools))
	for _, s := range pools {
		all = append(all, PoolStats{
			Origin: s.Origin, Egress: s.Egress, Idle: s.Idle, Leased: s.Leased, Streams: s.Streams, Dialling: s.Dialling, AtLimit: s.AtLimit, Waiting: s.Waiting,
			Dialled: s.Dialled, DialsFailed: s.DialsFailed, Retired: s.Retired, Broken: s.Broken, Refused: s.Refused,
		})
	}
	return all
}

// name is the limit, and what the instance is for: "orders/main/BTCUSDT".
func (l LimitStats) name() string {
	name := l.ID
	for _, part := range []string{l.Account, l.Key, l.Egress} {
		if part != "" {
			name += "/" + part
		}
	}
	return name
}

// String is one line: "orders/BTCUSDT: 512 of 1200 used, 3 in flight, 7 queued, room at
// 12:00:03.5".
func (l LimitStats) String() string { return l.name() + ": " + l.use() }

func (l LimitStats) use() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d used", l.Used, l.Quota)
	if l.InFlight > 0 {
		fmt.Fprintf(&b, ", %d in flight", l.InFlight)
	}
	queued := 0
	for _, class := range l.Queued {
		queued += class.N
	}
	if queued > 0 {
		fmt.Fprintf(&b, ", %d queued", queued)
		for _, kept := range l.Kept {
			fmt.Fprintf(&b, ", %v", kept)
		}
	}
	switch {
	case l.Room >= 1:
	case !l.Next.IsZero():
		b.WriteString(", room at " + l.Next.Format("15:04:05.999"))
	case l.InFlight > 0:
		b.WriteString(", room when an answer comes")
	}
	return b.String()
}

// MarshalJSON writes the fields, the window by its name and Per as a text.
func (l LimitStats) MarshalJSON() ([]byte, error) {
	type fields LimitStats
	return json.Marshal(struct {
		fields
		Window string `json:"window"`
		Per    string `json:"per"`
	}{fields(l), l.Window.String(), l.Per.String()})
}

// String is one line: "2 leased (1 by streams), 3 idle, 1 dialling (1 at their limit), 5 waiting".
func (p PoolStats) String() string {
	text := fmt.Sprintf("%d leased", p.Leased)
	if p.Streams > 0 {
		text += fmt.Sprintf(" (%d by streams)", p.Streams)
	}
	text += fmt.Sprintf(", %d idle", p.Idle)
	if p.Dialling > 0 {
		text += fmt.Sprintf(", %d dialling", p.Dialling)
	}
	if p.AtLimit > 0 {
		text += fmt.Sprintf(" (%d at their limit)", p.AtLimit)
	}
	if p.Waiting > 0 {
		text += fmt.Sprintf(", %d waiting", p.Waiting)
	}
	return text
}

// place is the origin, and the egress if it is not the default one.
func (p PoolStats) place() string {
	if p.Egress == "" {
		return p.Origin.String()
	}
	return p.Origin.String() + " by " + p.Egress
}

// MarshalJSON writes the fields, and the origin as a URL.
func (p PoolStats) MarshalJSON() ([]byte, error) {
	type fields PoolStats
	return json.Marshal(struct {
		Origin string `json:"origin"`
		fields
	}{p.Origin.String(), fields(p)})
}

// String is for people, of several lines: who is where, each limit that is in use, each scope
// that pauses, each pool, each halt. What is zero is left out, and so are totals.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d in flight", s.InFlight)
	for _, n := range []struct {
		n    int
		what string
	}{
		{s.Waiting, "waiting to begin"}, {s.Queued, "queued for permits"}, {s.Permits.Held, "permits held"},
		{s.Permits.Waiting, "waiting for permits without a request"}, {s.Limits.Lost, "lost"},
	} {
		if n.n > 0 {
			fmt.Fprintf(&b, ", %d %s", n.n, n.what)
		}
	}
	for _, l := range s.Limits.Limits {
		if l.Used > 0 || len(l.Queued) > 0 || l.Room < 1 {
			b.WriteString("\nlimit " + l.String())
		}
	}
	for _, scope := range s.Limits.Scopes {
		if !scope.PausedUntil.IsZero() {
			fmt.Fprintf(&b, "\nscope %s: paused until %s", scope.name(), scope.PausedUntil.Format("15:04:05.999"))
		}
	}
	for _, p := range s.Pools {
		b.WriteString("\npool " + p.place() + ": " + p.String())
	}
	for _, h := range s.Halts {
		fmt.Fprintf(&b, "\nhalt of %s since %s: %d refused", h.Selects, h.Since.Format("15:04:05.999"), h.Refused)
	}
	if out := s.Limits.LeftOut + s.Limits.ScopesLeftOut + s.PoolsLeftOut; out > 0 {
		fmt.Fprintf(&b, "\nand %d limits, scopes and pools that are left out", out)
	}
	return b.String()
}

// LogValue returns a group that fits into a line of a log: in_flight, waiting,
// queued, and as groups the permits if there are any, those limits that are in use, the
// scopes that pause, the pools, and the halts that stand, if there are any. Totals are left out.
func (s Stats) LogValue() slog.Value {
	var limits, paused, pools []slog.Attr
	for _, l := range s.Limits.Limits {
		if l.Used != 0 || l.InFlight != 0 || len(l.Queued) > 0 {
			limits = append(limits, slog.String(l.name(), l.use()))
		}
	}
	for _, sc := range s.Limits.Scopes {
		if !sc.PausedUntil.IsZero() {
			paused = append(paused, slog.Time(sc.name(), sc.PausedUntil))
		}
	}
	for _, p := range s.Pools {
		pools = append(pools, slog.String(p.place(), p.String()))
	}
	var permits, halts, coalesced []slog.Attr // an empty group is left out
	if c := s.Coalesced; c != (CoalesceStats{}) {
		coalesced = []slog.Attr{slog.Int("in_flight", c.InFlight), slog.Int("waiting", c.Waiting), slog.Int64("joined", c.Joined)}
	}
	if s.Permits != (PermitStats{}) {
		permits = []slog.Attr{slog.Int("held", s.Permits.Held), slog.Int("waiting", s.Permits.Waiting)}
	}
	for _, h := range s.Halts {
		halts = append(halts, slog.String(strconv.FormatUint(h.ID, 10), h.Selects))
	}
	return slog.GroupValue(
		slog.Int("in_flight", s.InFlight), slog.Int("waiting", s.Waiting), slog.Int("queued", s.Queued),
		slog.Attr{Key: "permits", Value: slog.GroupValue(permits...)},
		slog.Attr{Key: "limits", Value: slog.GroupValue(limits...)},
		slog.Attr{Key: "paused_until", Value: slog.GroupValue(paused...)},
		slog.Attr{Key: "pools", Value: slog.GroupValue(pools...)},
		slog.Attr{Key: "halts", Value: slog.GroupValue(halts...)},
		slog.Attr{Key: "coalesced", Value: slog.GroupValue(coalesced...)},
	)
}
