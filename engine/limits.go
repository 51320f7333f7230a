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

// noteLimits takes note of the table as it stands.
func (e *Engine) noteLimits(limits []throttle.Limit) {
	ids := make(map[string]bool, len(limits)+1)
	ids[Unlimited] = true
	for i := range limits {
		ids[limits[i].ID] = true
	}
	e.limitIDs.Store(&ids)
}

// hasLimit reports whether requests may name a limit.
func (e *Engine) hasLimit(id string) bool { return (*e.limitIDs.Load())[id] }

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
