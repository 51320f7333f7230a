package throttle

import (
	"errors"
	"slices"
)

// MostName is the most bytes that a limit's ID, a scope's name, an account, a key, an egress
// or an origin may have: far more than any has, and few enough that whoever is told of them
// by a Recorder can write them all into one record.
const MostName = 1 << 16

// ErrLongName means that an account, a key, an egress or an origin has more than MostName
// bytes.
var ErrLongName = errors.New("an account, a key, an egress or an origin has more than 64 KiB")

// checkNames returns what is wrong with the names that a permit has, but for its key, which
// is looked at by limits that are told apart by it.
func (p *Permit) checkNames() error {
	if max(len(p.Account), len(p.Egress), len(p.Origin)) > MostName {
		return &LimitError{ID: p.Limit, Err: ErrLongName}
	}
	return nil
}

// checkNames returns what is wrong with the names in parts, but for the key.
func (p *Parts) checkNames(id string) error {
	if max(len(p.Account), len(p.Egress)) > MostName {
		return &LimitError{ID: id, Err: ErrLongName}
	}
	return nil
}

// checkNames returns what is wrong with the names in a scope whose own is known.
func (s *Scope) checkNames() error {
	if max(len(s.Origin), len(s.Account), len(s.Egress)) > MostName {
		return &LimitError{ID: s.Name, Err: ErrLongName}
	}
	return nil
}

// hasLongName reports whether a limit declares a name that is too long.
func (l *Limit) hasLongName() bool {
	return max(len(l.ID), len(l.Scope)) > MostName ||
		slices.ContainsFunc(l.Keys, func(key string) bool { return len(key) > MostName })
}
