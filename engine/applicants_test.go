package engine

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

func TestTheFirstApplicantsAreThoseThatASortPutsFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var queue applicants
		var all []*applicant
		for range rapid.IntRange(0, 80).Draw(t, "applicants") {
			p := &applicant{priority: messages.Priority(rapid.IntRange(-2, 2).Draw(t, "priority"))}
			queue.add(p)
			all = append(all, p)
		}
		for range rapid.IntRange(0, len(all)/2).Draw(t, "leave") {
			at := rapid.IntRange(0, len(all)-1).Draw(t, "who leaves")
			queue.remove(all[at])
			all = slices.Delete(all, at, at+1)
		}
		slices.SortFunc(all, func(a, b *applicant) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		n := rapid.IntRange(0, 100).Draw(t, "n")
		first := queue.firstOf(n)
		require.Len(t, first, min(n, len(all)))
		for i, p := range first {
			require.Same(t, all[i], p)
		}
		require.Equal(t, len(all), queue.len(), "nobody has left by it")
	})
}
