package pool

import (
	"net/http/httptrace"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/messages"
)

func TestAQueueOfTicketsIsAListThatAnybodyMayLeave(t *testing.T) {
	trace, values := new(httptrace.ClientTrace), t.Context()
	rapid.Check(t, func(t *rapid.T) {
		var queue waiters
		var list []*ticket.Ticket
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				one := new(ticket.Ticket)
				one.Priority = messages.Priority(rapid.IntRange(-20, 20).Draw(t, "priority"))
				if rapid.Bool().Draw(t, "traced") {
					one.Trace = trace
				}
				if rapid.Bool().Draw(t, "valued") {
					one.Values = values
				}
				queue.push(one)
				at := len(list)
				for at > 0 && list[at-1].Priority < one.Priority {
					at--
				}
				list = slices.Insert(list, at, one)
			case 3:
				first := queue.pop()
				if len(list) == 0 {
					require.Nil(t, first)
					continue
				}
				require.Same(t, list[0], first)
				list = list[1:]
			case 4:
				if len(list) == 0 {
					require.False(t, queue.remove(new(ticket.Ticket)))
					continue
				}
				i := rapid.IntRange(0, len(list)-1).Draw(t, "who leaves")
				require.True(t, queue.remove(list[i]))
				require.False(t, queue.remove(list[i]), "twice")
				list = slices.Delete(slices.Clone(list), i, i+1)
			default:
				n := rapid.IntRange(0, 5).Draw(t, "before it")
				if n < len(list) {
					require.Equal(t, mark{list[n].Values, list[n].Trace}, queue.mark(n))
				} else {
					require.Zero(t, queue.mark(n))
				}
			}
			require.Equal(t, len(list), queue.n)
			require.True(t, slices.Equal(list, slices.Collect(queue.inOrder())), "in order")
		}
		var traced []*ticket.Ticket
		for _, one := range list {
			if one.Trace != nil {
				traced = append(traced, one)
			}
		}
		require.True(t, slices.Equal(traced, queue.take(func(t *ticket.Ticket) bool { return t.Trace == trace })))
		queue.take(func(t *ticket.Ticket) bool { return t.Values != nil })
		require.Zero(t, queue.marked)
	})
}
