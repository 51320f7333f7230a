package throttle

import ordered "container/list"

// announcements are the quotas that a server announced for the meters of one rule, those
// that change nothing apart. One outlives its meter: to a key that comes back the server
// may still grant no more. It is let go of only once mostForgotten others have lost their
// meters after it, so that a server which announces something for ever other keys fills
// no memory.
//
// Invariant: of has every announcement once. Those whose meter is not there stand in
// forgotten, by when that came to be so, and are never more than mostForgotten. A tier is there for each quota that is among of, and its users are how
// many announcements call for it.
type announcements struct {
	of        map[Parts]*announcement
	forgotten ordered.List // of *announcement

	tiers    map[int64]*tier // by quota
	roomiest int64           // no tier ever had room for more, since there were none
}

type announcement struct {
	at    Parts
	quota int64
	place *ordered.Element // among those that are forgotten; nil if there is a meter
}

// tier is the terms of all meters that have a quota other than the declared one.
type tier struct {
	terms *terms
	users int
}

// mostForgotten is how many announcements are kept of one limit whose meters are not there.
const mostForgotten = 4096

// put notes a quota, of which these are the terms; used says that there is a meter for it.
func (as *announcements) put(at Parts, quota int64, t *terms, used bool) {
	if as.of == nil {
		as.of, as.tiers = make(map[Parts]*announcement), make(map[int64]*tier)
	}
	of := as.tiers[quota]
	if of == nil {
		of = &tier{terms: t}
		as.tiers[quota] = of
		as.roomiest = max(as.roomiest, t.quota)
	}
	of.users++
	a := as.of[at]
	if a == nil {
		a = &announcement{at: at}
		as.of[at] = a
	} else {
		as.leave(a)
	}
	a.quota = quota
	as.rank(a, !used)
}

// remove forgets what was announced for a meter.
func (as *announcements) remove(at Parts) {
	a := as.of[at]
	if a == nil {
		return
	}
	as.leave(a)
	as.rank(a, false)
	if delete(as.of, at); len(as.of) == 0 {
		*as = announcements{}
	}
}

// leave has an announcement call for its tier no longer.
func (as *announcements) leave(a *announcement) {
	t := as.tiers[a.quota]
	if t.users--; t.users == 0 {
		delete(as.tiers, a.quota)
	}
}

// meterMade and meterGone are told of the meters.
func (as *announcements) meterMade(at Parts) {
	if a := as.of[at]; a != nil {
		as.rank(a, false)
	}
}

func (as *announcements) meterGone(at Parts) {
	if a := as.of[at]; a != nil {
		as.rank(a, true)
	}
}

// rank puts a behind all whose meters are not there, or takes it out from among them.
func (as *announcements) rank(a *announcement, forgotten bool) {
	if a.place != nil {
		as.forgotten.Remove(a.place)
		a.place = nil
	}
	if !forgotten {
		return
	}
	a.place = as.forgotten.PushBack(a)
	if as.forgotten.Len() > mostForgotten {
		as.remove(as.forgotten.Front().Value.(*announcement).at)
	}
}

// each calls do for every announcement: first for those whose meters are not there, the
// oldest of them first.
func (as *announcements) each(do func(*announcement)) {
	for e := as.forgotten.Front(); e != nil; e = e.Next() {
		do(e.Value.(*announcement))
	}
	for _, a := range as.of {
		if a.place == nil {
			do(a)
		}
	}
}
