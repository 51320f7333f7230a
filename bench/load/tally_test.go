package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
)

func drawSample(t *rapid.T) sample {
	at := func(name string, from time.Duration) time.Duration {
		return from + time.Duration(rapid.Int64Range(0, int64(4*time.Second)).Draw(t, name))
	}
	m := sample{operation: rapid.IntRange(0, 2).Draw(t, "operation"), due: at("due", 0), announced: rapid.Bool().Draw(t, "announced"), sent: -1}
	m.handed = at("handed", m.due)
	m.end = at("end", m.handed)
	if rapid.Bool().Draw(t, "was sent") {
		m.sent = m.handed
	}
	m.status = rapid.SampledFrom([]int{0, 200, 503}).Draw(t, "status")
	m.kind = rapid.SampledFrom([]string{"", "", "reset"}).Draw(t, "kind")
	m.fate = rapid.SampledFrom([]fate{finished, finished, unfinished}).Draw(t, "fate")
	return m
}

func TestIntervalsAddUpToTheSamplesHoweverTheyAreFlushed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		warmUp := time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "warm-up"))
		tally := newTally([]string{"a", "b", "c"}, warmUp)
		tally.deadline = farAway
		sum := results.NewSum(results.Header{WarmUp: warmUp})
		sent, completed, offered := map[part]uint64{}, map[part]uint64{}, map[part]uint64{}
		response := map[string]*results.Histogram{"a": results.NewHistogram(), "b": results.NewHistogram(), "c": results.NewHistogram()}
		var got struct{ sent, completed, offered map[part]uint64 }
		got.sent, got.completed, got.offered = map[part]uint64{}, map[part]uint64{}, map[part]uint64{}
		flush := func(before int) {
			for _, i := range tally.flush(before) {
				if i.Second >= before {
					t.Fatalf("second %d is flushed before %d", i.Second, before)
				}
				at := part{i.Second, i.Phase == results.WarmUp}
				got.sent[at] += i.Sent
				got.completed[at] += i.Completed
				got.offered[at] += i.Offered
				if err := sum.Add(i); err != nil {
					t.Fatal(err)
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "samples") {
			m := drawSample(t)
			warm := m.due < warmUp
			tally.add([]sample{m})
			if !m.announced {
				offered[part{secondOf(m.due), warm}]++
			}
			if m.sent >= 0 {
				sent[part{secondOf(m.sent), warm}]++
			}
			if m.fate == finished {
				completed[part{secondOf(m.end), warm}]++
			}
			if !warm {
				response[tally.names[m.operation]].Record(m.end - m.due)
			}
			if rapid.IntRange(0, 5).Draw(t, "flush") == 0 {
				flush(rapid.IntRange(0, 8).Draw(t, "before"))
			}
		}
		flush(1 << 30)
		requireCounts(t, "sent", sent, got.sent)
		requireCounts(t, "completed", completed, got.completed)
		requireCounts(t, "offered", offered, got.offered)
		run := sum.Run()
		for name, want := range response {
			var of results.Operation
			of.Add(run.Total[name])
			if of.Count != want.Count() || of.Response.Quantile(0.5) != want.Quantile(0.5) || of.Response.Max() != want.Max() {
				t.Fatalf("%s: %d responses, want %d", name, of.Count, want.Count())
			}
		}
	})
}

func requireCounts(t *rapid.T, what string, want, got map[part]uint64) {
	for at, n := range got {
		if want[at] != n {
			t.Fatalf("%s in %v: %d, want %d", what, at, n, want[at])
		}
	}
	for at, n := range want {
		if got[at] != n {
			t.Fatalf("%s in %v: %d, want %d", what, at, got[at], n)
		}
	}
}

func TestTheMedianFollowsTheLastResponses(t *testing.T) {
	m := newMedians(1)
	_, known := m.expected(0)
	require.False(t, known)
	m.tell(0, 10*time.Millisecond)
	median, known := m.expected(0)
	require.True(t, known)
	requireDuration(t, 10*time.Millisecond, median, "the first")
	for range 30_000 {
		m.tell(0, 20*time.Millisecond)
	}
	median, _ = m.expected(0)
	requireDuration(t, 20*time.Millisecond, median, "what came after")
	for range 30_000 {
		m.tell(0, time.Millisecond)
	}
	median, _ = m.expected(0)
	requireDuration(t, time.Millisecond, median, "what came last")
}

func TestTheNextStepIsDueByTheMedianButNotAfterTheActualEnd(t *testing.T) {
	require.Equal(t, 15*time.Second, nextDue(10*time.Second, 60*time.Second, 5*time.Second, true), "a stall is no excuse")
	require.Equal(t, 12*time.Second, nextDue(10*time.Second, 12*time.Second, 5*time.Second, true), "a quick answer is followed at once")
	require.Equal(t, 12*time.Second, nextDue(10*time.Second, 12*time.Second, 0, false), "nothing is known yet")
}
