package limitfile

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/strictjson"
	"github.com/sluice-engine/sluice/throttle"
)

// An entry that cannot be read as a whole is checked all the same: as what was read of it, and
// for the rest as whatever suits that best. So what is found is wrong whatever was meant.

const (
	mostQuota = 1 << 40                   // of any limit: whatever is charged to it fits
	longest   = 10 * 366 * 24 * time.Hour // of any window; whole days
)

// unread is what an entry does not say, because what it says there cannot be read.
type unread struct {
	anything bool // what an unknown name stands for may be whatever is not there
	paths    []string
}

// entryNames are those that an entry may have.
var entryNames = func() (names []string) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[entry]()) {
		if name := field.Tag.Get("json"); name != "" { // that of a part has none, and its fields have
			names = append(names, name)
		}
	}
	return names
}()

func unreadOf(err error) (u unread) {
	var wrong *strictjson.Error
	if !errors.As(err, &wrong) {
		return unread{anything: err != nil}
	}
	for _, m := range wrong.Mistakes {
		name, _, within := strings.Cut(m.Path, "[")
		known := slices.Contains(entryNames, name) && (within || name == m.Path)
		u.anything = u.anything || !known
		u.paths = append(u.paths, m.Path)
	}
	return u
}

// has reports whether what is at a path, or something in it, was not read.
func (u *unread) has(path string) bool {
	return u.anything || u.hasWithin(path)
}

func (u *unread) hasWithin(path string) bool {
	return slices.ContainsFunc(u.paths, func(p string) bool {
		rest, at := strings.CutPrefix(p, path)
		return at && (rest == "" || rest[0] == '[' || rest[0] == '.')
	})
}

// suppose fills in what suits the rest.
func (u *unread) suppose(l *throttle.Limit) {
	u.leaveOut(l)
	per := u.has("per") || u.has("months")
	supposed := l.Quota == 0 && (u.has("quota") || u.has("links") && len(l.Linked) == 0)
	if supposed {
		l.Quota = mostQuota
		per = per || u.has("links") // it may be a route, which has none
	}
	if l.Quota == 0 {
		return
	}
	if l.Window == throttle.Sliding && u.has("window") {
		l.Window = windowFor(l, per)
	}
	if l.Window == throttle.Leaky && l.Burst == 0 && u.has("burst") {
		l.Burst = mostQuota
	}
	if l.Window == throttle.Leaky && l.Burst != 0 && supposed {
		l.Quota = 1 // what falls in a tick takes room of the burst
	}
	if untimed := l.Window == throttle.Concurrency || l.Window == throttle.Lifetime; l.Per == 0 && l.Months == 0 && per && !untimed {
		l.Per = longest
	}
	if len(l.Keys) > 0 && (u.has("by") || u.has("keyed")) {
		l.By |= throttle.ByKey
	}
}

// leaveOut takes away what was read in part, and so may say something else.
func (u *unread) leaveOut(l *throttle.Limit) {
	if u.hasWithin("tariff") {
		l.Tariff = nil
	}
	if u.hasWithin("reserve") {
		l.Reserve = nil
	}
	if u.hasWithin("keys") {
		l.Keys = nil
	}
	links := l.Linked
	l.Linked = nil
	for i, link := range links {
		if u.hasWithin(fmt.Sprintf("links[%d]", i)) {
			link.Tariff = nil
			if link.ID == "" {
				continue
			}
		}
		l.Linked = append(l.Linked, link)
	}
}

// windowFor returns the window that takes most of what a limit has.
func windowFor(l *throttle.Limit, per bool) throttle.Window {
	switch {
	case l.Shared != 0 || l.Offset != 0 || l.Location != nil || l.Months != 0:
		return throttle.Fixed
	case l.Burst != 0 || l.Tick != 0:
		return throttle.Leaky
	case l.Fallback != "":
		return throttle.Lifetime
	case l.Per == 0 && !per:
		return throttle.Concurrency
	}
	return throttle.Sliding
}

// nameless is what the ids begin with that stand for those of entries without one. None in
// a file is likely to.
const nameless = "\x00entry "

// named tells of entries without an id by their places.
func named(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs := slices.Clone(joined.Unwrap())
		for i, one := range errs {
			errs[i] = named(one)
		}
		return errors.Join(errs...)
	}
	var wrong *throttle.LimitError
	if errors.As(err, &wrong) {
		if place, is := strings.CutPrefix(wrong.ID, nameless); is {
			return fmt.Errorf("limits: entry %s: %w", place, wrong.Err)
		}
	}
	return err
}

// standIns are limits for all ids that are unknown, any of which may be that of an entry
// whose own cannot be read.
func standIns(limits []throttle.Limit) (more []throttle.Limit) {
	known := make(map[string]bool, len(limits))
	for i := range limits {
		known[limits[i].ID] = true
	}
	add := func(id string) {
		if id != "" && !known[id] {
			known[id] = true
			more = append(more, throttle.Limit{ID: id, Quota: mostQuota, Per: longest})
		}
	}
	for i := range limits {
		add(limits[i].Fallback)
		for _, link := range limits[i].Linked {
			add(link.ID)
		}
	}
	return more
}
