package throttler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

var apart = []throttle.Limit{
	{ID: "weight", Quota: 10, Per: time.Minute, Scope: "address", By: throttle.ByEgress},
	{ID: "orders", Quota: 10, Per: time.Minute, Scope: "account", By: throttle.ByAccount | throttle.ByKey},
	{ID: "order", Linked: []throttle.Link{{ID: "weight"}, {ID: "orders"}}},
}

func (q *quiet) ticketOf(limit string, of throttle.Parts) *ticket.Ticket {
	t := q.ticket(limit)
	p := &t.Permit
	p.Account, p.Key, p.Egress, p.Origin = of.Account, of.Key, of.Egress, "o"
	return t
}

// hear has a request of some parts answered so.
func (d *Desk) hear(t *testing.T, now time.Duration, q *quiet, of throttle.Parts, said feedback.Feedback) {
	one := q.ticketOf("order", of)
	d.Acquire(now, one)
	require.Equal(t, throttle.Granted, one.Permit.State())
	one.Say(said)
	d.settle(now, one, throttle.Answered)
}

func usedBy(d *Desk) map[throttle.Parts]int64 {
	used := map[throttle.Parts]int64{}
	for _, l := range d.Snapshot(0).Limits {
		if l.ID == "orders" {
			used[throttle.Parts{Account: l.Account, Key: l.Key, Egress: l.Egress}] = l.Used
		}
	}
	return used
}

func TestWhatAnAnswerTellsIsAboutWhoseRequestItWas(t *testing.T) {
	q, d := newQuiet(t, apart...)
	asked := throttle.Parts{Account: "main", Key: "BTC", Egress: "eth1"}
	d.hear(t, 0, q, asked, feedback.Feedback{Usage: []feedback.Usage{
		{Limit: "orders", Used: 7},
		{Limit: "orders", Account: "sub", Used: 5},
		{Limit: "orders", Key: "ETH", Used: 3},
		{Limit: "weight", Used: 9},
	}})
	require.Equal(t, map[throttle.Parts]int64{
		{Account: "main", Key: "BTC"}: 7, {Account: "sub", Key: "BTC"}: 5, {Account: "main", Key: "ETH"}: 3,
	}, usedBy(d), "what the reader leaves empty is the request's")
	require.Empty(t, q.warned)
	d.Heed(0, Heard{Origin: "o", Limit: throttle.NoLimit, Of: throttle.Parts{Key: "BTC"}, Said: &feedback.Feedback{Usage: []feedback.Usage{{Limit: "orders", Used: 2}}}})
	require.EqualValues(t, 2, usedBy(d)[throttle.Parts{Key: "BTC"}], "and so without a permit")
}

func TestALimitIsTakenForFullForWhoseRequestWasRefused(t *testing.T) {
	q, d := newQuiet(t, apart...)
	one := q.ticketOf("orders", throttle.Parts{Account: "main", Key: "BTC"})
	d.Acquire(0, one)
	one.Say(feedback.Feedback{Refused: true, OwnLimit: true})
	d.settle(0, one, throttle.Answered)
	require.Equal(t, map[throttle.Parts]int64{{Account: "main", Key: "BTC"}: 10}, usedBy(d))
}

func TestARefusalPausesWhoseRequestItWas(t *testing.T) {
	q, d := newQuiet(t, apart...)
	main := throttle.Parts{Account: "main", Key: "BTC", Egress: "eth1"}
	granted := map[string]*ticket.Ticket{}
	for name, one := range map[string]*ticket.Ticket{
		"its own":                     q.ticketOf("order", main),
		"its own, of another symbol":  q.ticketOf("order", throttle.Parts{Account: "main", Key: "ETH", Egress: "eth1"}),
		"another account's":           q.ticketOf("orders", throttle.Parts{Account: "sub", Key: "BTC", Egress: "eth1"}),
		"another account's, linked":   q.ticketOf("order", throttle.Parts{Account: "sub", Key: "BTC", Egress: "eth1"}),
		"another egress's":            q.ticketOf("weight", throttle.Parts{Account: "main"}),
		"another account's elsewhere": q.ticketOf("order", throttle.Parts{Key: "BTC"}),
	} {
		d.Acquire(0, one)
		granted[name] = one
	}
	d.hear(t, 0, q, main, *refusal(time.Minute))
	require.Equal(t, []throttle.Scope{{Origin: "o", Name: "account", Account: "main"}, {Origin: "o", Name: "address", Egress: "eth1"}},
		[]throttle.Scope{q.posted[0].Scope, q.posted[1].Scope})
	var b board
	now := func() time.Duration { return time.Second }
	b.post(q.posted)
	for name, want := range map[string]bool{
		"its own": true, "its own, of another symbol": true, "another account's, linked": true,
		"another account's": false, "another egress's": false, "another account's elsewhere": false,
	} {
		require.Equal(t, want, b.held(now, "o", &granted[name].Charged), name)
	}
	require.True(t, b.held(now, "o", nil), "one without a permit asks the ledger")
	require.True(t, b.gated("o"))
	require.False(t, b.gated("elsewhere"))
	b.post(nil)
	require.False(t, b.held(now, "o", &granted["its own"].Charged))
}

func TestABanStopsTheEgressThatItIsFor(t *testing.T) {
	q, d := newQuiet(t, apart...)
	other := q.ticketOf(throttle.NoLimit, throttle.Parts{})
	d.Acquire(0, other)
	d.hear(t, 0, q, throttle.Parts{Account: "main", Key: "BTC", Egress: "eth1"}, feedback.Feedback{Refused: true, Whole: true, Pause: time.Minute})
	require.Equal(t, throttle.Scope{Origin: "o", Name: throttle.WholeOrigin, Egress: "eth1"}, q.posted[0].Scope)
	var b board
	b.post(q.posted)
	require.False(t, b.held(func() time.Duration { return time.Second }, "o", &other.Charged))
	again := q.ticketOf(throttle.NoLimit, throttle.Parts{Egress: "eth1"})
	d.Acquire(0, again)
	require.Equal(t, throttle.Queued, again.Permit.State())
}

// What is looked at in the last moment before the bytes leave costs nothing while
// nothing is paused.
func TestALookAtAnEmptyBoardIsOneLoad(t *testing.T) {
	var b board
	charged := new(throttle.Charged)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if b.held(func() time.Duration { panic("no clock is read") }, "o", charged) {
			panic("nothing is paused")
		}
	}))
}
