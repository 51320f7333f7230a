package engine

import (
	"maps"
	"slices"

	"github.com/sluice-engine/sluice/throttle"
)

// cloneLimits copies a table, and what its limits point to.
func cloneLimits(limits []throttle.Limit) []throttle.Limit {
	limits = slices.Clone(limits)
	for i := range limits {
		limits[i].Linked = slices.Clone(limits[i].Linked)
		for k := range limits[i].Linked {
			limits[i].Linked[k].Tariff = slices.Clone(limits[i].Linked[k].Tariff)
		}
		limits[i].Tariff = slices.Clone(limits[i].Tariff)
		limits[i].Reserve = slices.Clone(limits[i].Reserve)
		limits[i].Keys = slices.Clone(limits[i].Keys)
	}
	return limits
}

// limitIDs are the names that requests may give, and those that observers may be told.
type limitIDs struct {
	own map[string]bool // of the table, and Unlimited
	// beside are those of the table before, or of the one that is about to take its place: the
	// requests that ReplaceLimits refuses for a limit that is gone are told of before it returns.
	beside map[string]bool
}

func idsOf(limits []throttle.Limit) map[string]bool {
	ids := make(map[string]bool, len(limits)+1)
	ids[Unlimited] = true
	for i := range limits {
		ids[limits[i].ID] = true
	}
	return ids
}

// hasLimit reports whether requests may name a limit.
func (e *Engine) hasLimit(id string) bool { return e.limitIDs.Load().own[id] }

// tellsLimit reports whether observers may be told of a limit.
func (e *Engine) tellsLimit(id string) bool {
	ids := e.limitIDs.Load()
	return ids.own[id] || ids.beside[id]
}

// replaceLimits gives the throttler a table. The caller holds e.replacing.
func (e *Engine) replaceLimits(limits []throttle.Limit) error {
	before, next := e.limitIDs.Load(), idsOf(limits)
	e.limitIDs.Store(&limitIDs{own: before.own, beside: next})
	if err := e.system.ReplaceLimits(cloneLimits(limits)); err != nil {
		e.limitIDs.Store(before)
		return err
	}
	e.limitIDs.Store(&limitIDs{own: next, beside: before.own})
	return nil
}

// readCosts looks for what no limit will ever ask.
func (p *plan) readCosts() {
	for _, id := range slices.Sorted(maps.Keys(p.Costs)) {
		switch {
		case !slices.ContainsFunc(p.Limits, func(l throttle.Limit) bool { return l.ID == id }):
			p.complain("Costs[%q]: the limit is not among Limits", id)
		case slices.ContainsFunc(p.Limits, func(l throttle.Limit) bool { return l.ID == id && l.Quota == 0 }):
			p.complain("Costs[%q]: is a route without a quota, and is charged nothing itself", id)
		}
		if p.Costs[id] == nil {
			p.complain("Costs[%q] is nil", id)
		}
	}
}
