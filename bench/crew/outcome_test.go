package crew

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/load"
	"github.com/sluice-engine/sluice/bench/results"
	"github.com/sluice-engine/sluice/bench/targets"
)

// Ends of machines are put together pessimistically.
func TestARunIsAsGoodAsTheWorstOfItsMachines(t *testing.T) {
	r := newRun(Config{Workers: []string{"a:1", "b:1"}, Job: Job{Closed: &load.Closed{Callers: 2, Requests: 101}}}, nil, nil, []string{"", ""}, time.Now())
	r.stage, r.start, r.entered = stageParting, time.Second, 11*time.Second
	for i, m := range r.members {
		m.name = []string{"a", "b"}[i]
		m.env = results.Environment{System: "linux/amd64", CPUs: i + 1}
		m.relation.add(0, time.Millisecond, time.Duration(r.epoch.UnixNano()))
		m.ordered = m.relation.order(r.start)
	}
	r.members[0].state = stateEnded
	r.members[0].end = &results.End{Elapsed: 9 * time.Second, Issued: 8 * time.Second, Reason: "finished", Unfinished: 2, NeverSent: 1, Invalid: []string{"late"}, Notes: []string{"warm"}}
	r.members[1].state = stateLost
	r.members[1].tally = reported{offered: 20, samples: 18, last: 3}
	r.invalid = []string{"machine b (b:1) was lost: gone"}
	o := r.outcome()
	require.Equal(t, []string{"machine b (b:1) was lost: gone", "a: late"}, o.end.Invalid)
	notes := strings.Join(o.end.Notes, "\n")
	require.Contains(t, notes, "a: warm")
	require.Contains(t, notes, "machine b is not like a: linux/amd64, 2 ×")
	require.Len(t, o.debts, 1)
	require.Equal(t, 10*time.Second, o.end.Elapsed)
	require.Equal(t, 10*time.Second, o.end.Issued, "the one that was lost")

	g := &gathering{cfg: r.cfg, stands: new(atomic.Pointer[standing]), tell: func(any) {}}
	g.begin(started{time.Now(), results.Header{Machines: []string{"a", "b"}, Model: "closed"}})
	run, err := g.end(o)
	require.NoError(t, err)
	// 50 of 101 requests were b's: 20 were reported, two of them under way.
	require.EqualValues(t, 2+30+2, run.End.Unfinished)
	require.EqualValues(t, 1+30, run.End.NeverSent)
}

func TestOnlyAJobOfSeveralStepsIsChained(t *testing.T) {
	one, two := targets.Chain{Steps: make([]targets.Step, 1)}, targets.Chain{Steps: make([]targets.Step, 2)}
	require.False(t, Job{Plan: targets.Plan{Chains: []targets.Chain{one, one}}}.chained())
	require.True(t, Job{Plan: targets.Plan{Chains: []targets.Chain{one, two}}}.chained())
}

func TestGaugesOfMachinesAreAddedUpBySecond(t *testing.T) {
	b := newGaugeBook(2)
	g := func(n int) *results.Gauges { return &results.Gauges{Connections: n} }
	require.Empty(t, b.add(0, 0, results.Main, g(1)))
	require.Empty(t, b.add(0, 1, results.Main, g(10)))
	done := b.add(1, 0, results.Main, g(2))
	require.Len(t, done, 1)
	require.Equal(t, 3, done[0].Gauges.Connections)
	done = b.add(0, 1+gaugeLag, results.Main, g(100)) // the other is lost: it is not waited for
	require.Len(t, done, 1)
	require.Equal(t, 10, done[0].Gauges.Connections)
	done = b.rest()
	require.Len(t, done, 1)
	require.Equal(t, 100, done[0].Gauges.Connections)
	require.Empty(t, b.rest())
}

func TestAQuietRunSaysWhichMachinesWereLostAndNothingElseOfThem(t *testing.T) {
	n, err := openNode("127.0.0.1", 0, Security{Token: goodToken}, workerDoor)
	require.NoError(t, err)
	n.close() // what is sent goes nowhere
	for _, quiet := range []bool{false, true} {
		r := newRun(Config{Workers: []string{"a:1"}, OnLost: Continue, Quiet: quiet, Job: Job{Closed: &load.Closed{Callers: 1, Requests: 1}}}, n, nil, []string{""}, time.Now())
		r.stage = stageBegun
		r.connectionLost(connectionLost{"a:1"})
		r.lose(r.members[0], "gone", time.Second)
		var said []string
		for len(r.news) > 0 {
			if text, ok := (<-r.news).(line); ok {
				said = append(said, string(text))
			}
		}
		require.Contains(t, said[len(said)-1], "was lost: gone")
		require.Equal(t, quiet, len(said) == 1, said)
	}
}
