package request

import (
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
)

// The throttler closes a ticket when it comes to its settlement, which may be after the slot
// has come to rest.
func TestASlotAtRestKeepsNoLongTicketThatIsStillToBeSettled(t *testing.T) {
	long := strings.Repeat("p", keptTarget+1)
	for name, fill := range map[string]func(*ticket.Ticket){
		"path": func(one *ticket.Ticket) { one.Path = long },
		"key":  func(one *ticket.Ticket) { one.Permit.Key = long },
	} {
		r := &slot{}
		r.ticket = new(ticket.Ticket)
		fill(r.ticket)
		r.rest(name == "key")
		require.Nil(t, r.spare, name)
		require.Empty(t, r.ticket.Path+r.ticket.Permit.Key, name)
	}
	requirePinnedByNobody(t, newSlots().slot(true), long)
	r := &slot{}
	short := &ticket.Ticket{Asked: ticket.Asked{Path: "/"}}
	r.ticket = short
	r.rest(false)
	require.Same(t, short, r.spare, "a short one is used again")
}

// requirePinnedByNobody has a slot as it is made rest before its ticket is settled, and then forgets
// the ticket as the throttler does in the end.
func requirePinnedByNobody(t *testing.T, r *slot, long string) {
	unsettled := r.ticket
	unsettled.Reopen()
	unsettled.Permit.Key = long
	pinned := weak.Make(unsettled)
	unsettled = nil
	r.rest(true)
	runtime.GC()
	require.True(t, pinned.Value() == nil)
	runtime.KeepAlive(r)
}
