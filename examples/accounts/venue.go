package main

import (
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// usdm are the limits of Binance USDⓈ-M futures, as documented on 2026-06-27. Both order
// windows are each account's own; the weight is that of the address.
func usdm() []throttle.Limit {
	return []throttle.Limit{
		{ID: "weight", Quota: 2400, Per: time.Minute, Window: throttle.Fixed, Scope: "address",
			Reserve: []throttle.Reserve{{Priority: cancelling, Weight: 200}}},
		{ID: "orders10s", Quota: 300, Per: 10 * time.Second, Window: throttle.Fixed, By: throttle.ByAccount, Scope: "account"},
		{ID: "orders1m", Quota: 1200, Per: time.Minute, Window: throttle.Fixed, By: throttle.ByAccount, Scope: "account"},
		{ID: "order", Linked: []throttle.Link{{ID: "orders10s"}, {ID: "orders1m"}}},
		{ID: "batch", Linked: []throttle.Link{{ID: "weight", Weight: 5}, {ID: "orders10s"}, {ID: "orders1m"}}},
		{ID: "cancel", Linked: []throttle.Link{{ID: "weight", Weight: 1}}},
		{ID: "handshake", Linked: []throttle.Link{{ID: "weight", Weight: 5}}},
		{ID: "depth", Linked: []throttle.Link{{ID: "weight", Tariff: throttle.Tariff{ // by the parameter "limit"
			{Param: "limit", UpTo: 50, Weight: 2}, {Param: "limit", UpTo: 100, Weight: 5},
			{Param: "limit", UpTo: 500, Weight: 10}, {Param: "limit", Weight: 20}, {Weight: 10},
		}}}},
	}
}

// batchOf is what a batch of n orders costs: n in the short window, and one in the long.
func batchOf(n int64) map[string]int64 {
	return map[string]int64{"orders10s": n, "orders1m": 1}
}
