package throttle

import (
	"errors"
	"slices"
)

// Reasons why a limit that is told apart by key does not admit one. A quota that a mistyped key
// opened would be one that no server knows of.
var (
	ErrNoKey      = errors.New("limit is keyed, and no key is given: set Request.Key or Charge.Key")
	ErrUnknownKey = errors.New("key is not among the limit's Keys")
)

// checkKey returns what is wrong with a key on the route.
func (r *route) checkKey(key string) error {
	for _, c := range r.tolls {
		for rule := c.rule; rule != nil; rule = rule.fallback {
			if err := rule.checkKey(key); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *rule) checkKey(key string) error {
	switch {
	case !r.Keyed:
	case key == "":
		return &LimitError{ID: r.ID, Err: ErrNoKey}
	case len(key) > MostName:
		return &LimitError{ID: r.ID, Err: ErrLongName}
	case len(r.Keys) > 0 && !r.knows(key):
		return &LimitError{ID: r.ID, Err: ErrUnknownKey}
	}
	return nil
}

// knows reports whether a key is among the Keys of a limit.
func (r *rule) knows(key string) bool {
	if r.known != nil {
		return r.known[key]
	}
	return slices.Contains(r.Keys, key)
}

func (b *builder) checkKeys(l *Limit) {
	if len(l.Keys) > 0 && l.apart()&ByKey == 0 {
		b.complain(l, "has Keys, and is not keyed")
	}
	if slices.Contains(l.Keys, "") {
		b.complain(l, "has an empty key among its Keys")
	}
}
