package throttler

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/actors/ticket"
)

func TestABookOfTicketsKnowsWhoCameFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all book
		var list []*ticket.Ticket
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(list) == 0 || rapid.Bool().Draw(t, "comes") {
				list = append(list, new(ticket.Ticket))
				all.add(list[len(list)-1])
			} else {
				i := rapid.IntRange(0, len(list)-1).Draw(t, "who leaves")
				all.remove(list[i])
				all.remove(list[i])
				list = slices.Delete(slices.Clone(list), i, i+1)
			}
			require.True(t, slices.Equal(list, all.inOrder()))
		}
	})
}
