package request

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

func TestASlotAtRestHasNoCredentials(t *testing.T) {
	r := new(slot)
	r.ticket = new(ticket.Ticket)
	r.ticket.Close()
	r.rest(false) // before its first signature there is nothing to forget
	r.signed = &messages.Call{Method: "GET", Query: "signature=secret", Fields: []messages.Field{{Name: "X-Api-Key", Value: "secret"}}}
	room := r.signed
	r.rest(false)
	require.Same(t, room, r.signed, "the next signature needs no other room")
	require.Equal(t, messages.Call{}, *r.signed)
}
