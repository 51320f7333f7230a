package throttler

import (
	"cmp"
	"errors"
	"maps"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Heard is what an answer said, and to which request.
type Heard struct {
	Origin, Limit string
	Of            throttle.Parts // of the request
	Left          time.Duration  // when the request was given its permit, or was sent without one
	Said          *feedback.Feedback
	Charged       throttle.Charged // by its permit, if it had one
}

// Heed takes note of what an answer said to a request that had no permit.
func (d *Desk) Heed(now time.Duration, h Heard) {
	d.heed(now, h)
	d.grant(now)
}

// heed takes note of what an answer said. Usage corrects counters upwards only, so answers
// that overtake one another loosen nothing.
func (d *Desk) heed(now time.Duration, h Heard) {
	d.obey(now, h)
	d.correctAll(now, h.Left, &h.Of, h.Said.Usage)
}

// heedTicket takes note of what the answer said to a request that was granted at left.
// Nearly always that is usage alone. Most answers say nothing, and need not have the room
// for it on their callers' stacks.
//
//go:noinline
func (d *Desk) heedTicket(now, left time.Duration, t *ticket.Ticket) {
	said, p := &t.Said.Signals, &t.Permit
	var of throttle.Parts // written where it stays: a copy would wait for what was just written
	of.Account, of.Key, of.Egress = p.Account, p.Key, p.Egress
	if said.Refused || said.Busy {
		d.obey(now, Heard{p.Origin, p.Limit, of, left, said, t.Charged})
	}
	d.correctAll(now, left, &of, said.Usage)
}

// obey takes note of a refusal, which pauses what it speaks of, or of an overload, which
// does so for a short time and is no refusal.
func (d *Desk) obey(now time.Duration, h Heard) {
	switch f := h.Said; {
	case f.Refused && f.OwnLimit && d.holdOwn(now, h):
	case f.Refused:
		for _, scope := range d.scopesOf(h) {
			until, err := d.ledger.Refused(now, h.Left, scope, f.Pause)
			if d.couldPause(scope, err) {
				d.tellRefused(now, h.Limit, scope, until)
			}
		}
	case f.Busy:
		pause := min(f.Pause, cmp.Or(d.options.MaxBusyPause, throttle.DefaultMaxBusyPause))
		for _, scope := range d.scopesOf(h) {
			if d.couldPause(scope, d.ledger.Pause(now, scope, now+pause)) {
				d.tellBusy(now, h.Limit, scope, pause)
			}
		}
	}
}

// scopesOf returns what a refusal stops: the whole origin, the one scope that it
// names, or every scope of the limits that the request was charged to; of each the part
// of the request's own account and egress, where it is told apart so. A name that no limit
// has is as none: a server that refuses is left alone, whatever its refusal is taken for.
func (d *Desk) scopesOf(h Heard) []throttle.Scope {
	names := d.ledger.ScopesOf(h.Limit, h.Charged)
	switch {
	case h.Said.Whole || len(names) == 0: // a request without a limit speaks for all of its origin
		names = []string{throttle.WholeOrigin}
	case h.Said.Scope == "":
	case d.ledger.HasScope(h.Said.Scope):
		names = []string{h.Said.Scope}
	default:
		d.warnOnce(h.Said.Scope, "feedback names an unknown scope", "scope", h.Said.Scope)
	}
	scopes := make([]throttle.Scope, len(names))
	for i, name := range names {
		scopes[i] = d.ledger.ScopeOf(h.Origin, name, h.Of)
	}
	return scopes
}

// holdOwn holds the limit that the request named, or the fallback that was charged in its
// place, and reports false if that has no quota of its own. Of what left together a word is
// said once, as by tellRefused.
func (d *Desk) holdOwn(now time.Duration, h Heard) bool {
	limit := cmp.Or(h.Charged.Stand(), h.Limit)
	until, was, err := d.ledger.RefusedAlone(now, h.Left, limit, h.Of, h.Said.Pause)
	if err != nil {
		return false
	}
	if now >= was {
		d.counts.Pauses.Add(1)
	}
	if now >= was || until >= was+longWait {
		d.out.Warn("refused, taking the limit for full", "limit", limit, "origin", h.Origin, "pause", until-now)
	}
	return true
}

// couldPause reports whether there was no error in pausing a scope, and says so once if
// there was one.
func (d *Desk) couldPause(scope throttle.Scope, err error) bool {
	if err != nil {
		d.warnOnce(scope.Name, "scope could not be paused", "scope", scope.Name, "error", err)
	}
	return err == nil
}

// pausing is what is remembered of a scope that an answer has paused, until that is over.
type pausing struct {
	until time.Duration // when it ends
	told  time.Duration // when it was to end as it was last told of a refusal
}

// countPause counts a pause, unless it begins while another of its scope lasts.
func (d *Desk) countPause(now time.Duration, scope throttle.Scope, until time.Duration) {
	p, lasts := d.pauses[scope]
	if !lasts || now >= p.until {
		d.counts.Pauses.Add(1)
		maps.DeleteFunc(d.pauses, func(_ throttle.Scope, p pausing) bool { return now >= p.until })
		p.told = 0
	}
	p.until = max(p.until, until)
	d.pauses[scope] = p
}

// tellRefused says that a scope pauses for a refusal, and of which route's request. What left
// together is refused together: while a pause lasts of which was told, another word
// is said only of one that is a good deal longer.
func (d *Desk) tellRefused(now time.Duration, route string, scope throttle.Scope, until time.Duration) {
	d.countPause(now, scope, until)
	p := d.pauses[scope]
	if now < p.told && until < p.told+longWait {
		return
	}
	p.told = until
	d.pauses[scope] = p
	d.out.Warn("refused, pausing", "origin", scope.Origin, "scope", scope.Name, "route", route, "pause", until-now)
}

// busy is what was told of a server that is.
type busy struct{ at, pause time.Duration }

// tellBusy says that a scope pauses for an overload, and upon which route's request. Such pauses
// are short, and one follows the other: the word is said once in a while, of all accounts and
// egresses of a scope together, and in between only of a pause that is a good deal longer.
func (d *Desk) tellBusy(now time.Duration, route string, scope throttle.Scope, pause time.Duration) {
	d.countPause(now, scope, now+pause)
	scope.Account, scope.Egress = "", ""
	if b, told := d.busy[scope]; told && now < b.at+tellsEvery && pause < b.pause+longWait {
		return
	}
	maps.DeleteFunc(d.busy, func(_ throttle.Scope, b busy) bool { return now >= b.at+tellsEvery })
	d.busy[scope] = busy{now, pause}
	d.out.Warn("server is busy, pausing", "origin", scope.Origin, "scope", scope.Name, "route", route, "pause", pause)
}

// correctAll passes on what the server says of several limits in the answer to a request that
// left at left.
func (d *Desk) correctAll(now, left time.Duration, asked *throttle.Parts, all []feedback.Usage) {
	for i := range all {
		d.correct(now, left, asked, &all[i])
	}
}

// correct passes on what the server counts, and what it says the quota is: for the
// request's own account, key and egress, unless the reader names others. With a share of
// the limit's quota the server's count says nothing about ours.
func (d *Desk) correct(now, left time.Duration, asked *throttle.Parts, u *feedback.Usage) {
	of := throttle.Parts{
		Account: cmp.Or(u.Account, asked.Account), Key: cmp.Or(u.Key, asked.Key), Egress: cmp.Or(u.Egress, asked.Egress),
	}
	quota, burst, known := d.ledger.QuotaOf(u.Limit, of)
	if !known {
		d.warnOnce(u.Limit, "feedback names an unknown limit", "limit", u.Limit)
		return
	}
	if u.Quota != 0 && u.Quota != quota {
		d.adopt(now, u, of)
		_, burst, _ = d.ledger.QuotaOf(u.Limit, of)
	}
	if !d.ledger.Alone(u.Limit) || d.isOver(now, left, u) {
		return
	}
	var window time.Duration
	if !u.At.IsZero() {
		window = time.Duration(u.At.UnixNano())
	}
	if err := d.ledger.Sync(now, u.Limit, of, u.Of(burst), window); err != nil {
		d.warnOnce(u.Limit, "feedback could not be used", "limit", u.Limit, "error", err)
	}
}

// isOver reports whether a number is surely about a window that is over.
func (d *Desk) isOver(now, left time.Duration, u *feedback.Usage) bool {
	if u.EndsIn > 0 && d.ledger.EndedIn(now, u.Limit, left, u.EndsIn) {
		return true
	}
	at := u.Ends.Unix()
	return at > 0 && at < mostUnix && d.ledger.EndedAt(now, u.Limit, left, time.Duration(u.Ends.UnixNano()))
}

// mostUnix is more seconds than any clock shows, and few enough for as many nanoseconds.
const mostUnix = 1 << 32

// otherQuota is that the server has another quota than the one that counts.
const otherQuota = "server's quota is not the table's"

// adopt passes on a quota that the server announces and that is not the one that counts,
// and says what comes of it. Mostly it was said before, and costs a look then: answers go
// on saying it.
func (d *Desk) adopt(now time.Duration, u *feedback.Usage, parts throttle.Parts) {
	_, is, err := d.announce(now, u.Limit, parts, u.Quota)
	switch {
	case errors.Is(err, throttle.ErrQuota):
		d.warnOnce(u.Limit, "server's quota is not believed", "limit", u.Limit, "error", err)
	case is != u.Quota && !d.warned[warning{u.Limit, otherQuota}]:
		d.warnOnce(u.Limit, otherQuota, "limit", u.Limit, "server", u.Quota, "table", is)
	}
}

// announce has a quota adopted, and tells of it, once for each that it becomes. It has
// no text with the key, which may name an account.
func (d *Desk) announce(now time.Duration, id string, parts throttle.Parts, quota int64) (was, is int64, err error) {
	was, is, err = d.ledger.Announce(now, id, parts, quota)
	if is != was && len(d.warned) < mostWarned {
		d.warnOnce(id+" "+strconv.FormatInt(is, 10), "another quota counts, as the server announces", "limit", id, "before", was, "now", is)
	}
	return was, is, err
}

// mostWarned bounds what is remembered of a server that announces ever other quotas.
const mostWarned = 10_000

// AnnounceQuota has a quota count that the server is known to have.
func (d *Desk) AnnounceQuota(now time.Duration, id string, parts throttle.Parts, quota int64) error {
	_, _, err := d.announce(now, id, parts, quota)
	d.grant(now)
	return err
}

// warning is what is said once in the life of the engine, and of what.
type warning struct{ name, text string }

// warnOnce says a thing about a name once in the life of the engine.
func (d *Desk) warnOnce(name, text string, args ...any) {
	if once := (warning{name, text}); !d.warned[once] {
		d.warned[once] = true
		d.out.Warn(text, args...)
	}
}
