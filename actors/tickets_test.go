package actors

import (
	"net/http/httptrace"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

func TestAQueueOfTicketsIsAListThatAnybodyMayLeave(t *testing.T) {
	trace := new(httptrace.ClientTrace)
	rapid.Check(t, func(t *rapid.T) {
		var queue ticketQueue
		var list []*messages.Ticket
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				ticket := new(messages.Ticket)
				if rapid.Bool().Draw(t, "traced") {
					ticket.Trace = trace
				}
				queue.push(ticket)
				list = append(list, ticket)
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
					require.False(t, queue.remove(new(messages.Ticket)))
					continue
				}
				i := rapid.IntRange(0, len(list)-1).Draw(t, "who leaves")
				require.True(t, queue.remove(list[i]))
				require.False(t, queue.remove(list[i]), "twice")
				list = slices.Delete(slices.Clone(list), i, i+1)
			default:
				n := rapid.IntRange(0, 5).Draw(t, "before it")
				if n < len(list) {
					require.True(t, queue.trace(n) == list[n].Trace)
				} else {
					require.Nil(t, queue.trace(n))
				}
			}
			require.Equal(t, len(list), queue.n)
			require.True(t, slices.Equal(list, slices.Collect(queue.inOrder())), "in order")
		}
		var traced []*messages.Ticket
		for _, ticket := range list {
			if ticket.Trace != nil {
				traced = append(traced, ticket)
			}
		}
		require.True(t, slices.Equal(traced, queue.takeTraced(trace)))
		require.Zero(t, queue.traced)
	})
}

func TestABookOfTicketsKnowsWhoCameFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var book ticketSet
		var list []*messages.Ticket
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			if len(list) == 0 || rapid.Bool().Draw(t, "comes") {
				list = append(list, new(messages.Ticket))
				book.add(list[len(list)-1])
			} else {
				i := rapid.IntRange(0, len(list)-1).Draw(t, "who leaves")
				book.remove(list[i])
				book.remove(list[i])
				list = slices.Delete(slices.Clone(list), i, i+1)
			}
			require.True(t, slices.Equal(list, book.inOrder()))
		}
	})
}
