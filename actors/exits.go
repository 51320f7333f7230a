package actors

import (
	"iter"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// exit is a way out: how connections are opened by it, and the pools of what was opened.
// Two exits share neither a pool nor what dials, and so no connection of one is ever lent
// to a request that takes another, HTTP/2 or not.
type exit struct {
	name  string // "" for the default one
	dial  pool.Dial
	pools *doors // written by the supervisor, read by every request
}

// exits are the default one and the others by name. They do not change. A request that
// names none meets no map.
type exits struct {
	standard *exit
	named    map[string]*exit // nil without any
}

func newExits(config Config) exits {
	all := exits{standard: &exit{dial: config.Dial, pools: newDoors()}}
	for name, dial := range config.Egress {
		if all.named == nil {
			all.named = make(map[string]*exit, len(config.Egress))
		}
		all.named[name] = &exit{name: name, dial: dial, pools: newDoors()}
	}
	return all
}

// of returns the exit of a name; nil if there is none.
func (e *exits) of(name string) *exit {
	if name == "" {
		return e.standard
	}
	return e.named[name]
}

// HasEgress reports whether there is a way out of that name; "" is the default one.
func (s *System) HasEgress(name string) bool { return s.exits.of(name) != nil }

// doors goes through the doors of all pools.
func (e *exits) doors() iter.Seq[*pool.Door] {
	return func(yield func(*pool.Door) bool) {
		for door := range e.standard.pools.all() {
			if !yield(door) {
				return
			}
		}
		for _, other := range e.named {
			for door := range other.pools.all() {
				if !yield(door) {
					return
				}
			}
		}
	}
}

// enterPool enters the pool of an origin by an exit; nil means that one must be opened.
func (s *System) enterPool(origin messages.Origin, egress string) protocol.Door {
	at := s.exits.of(egress)
	if at == nil {
		return nil // openPool says why
	}
	if door := at.pools.of(origin); door != nil && door.Enter() {
		return door
	}
	return nil // not a typed one
}
