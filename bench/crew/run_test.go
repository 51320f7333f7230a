package crew_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/results"
)

const nowhere = "http://127.0.0.1:1/"

func TestEveryIntendedInstantReachesTheServerOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, addresses := team(t, 3, workerOrders{})
	c := conduct(t, addresses, constantJob(s.URL, 301, time.Second))
	run := c.run(t)
	s.requireEachOnce(t, 301)
	require.Empty(t, run.End.Invalid)
	require.Equal(t, "finished", run.End.Reason)
	require.EqualValues(t, 301, run.Total[""].Count)
	require.EqualValues(t, 301, run.Total[""].Response.Count())
	require.Equal(t, []string{"m0", "m1", "m2"}, run.Header.Machines)

	require.NotEmpty(t, c.shown)
	last := c.shown[len(c.shown)-1]
	require.True(t, last.Ended)
	require.EqualValues(t, 301, last.Completed)
	require.Positive(t, last.Total.P50)
	for _, name := range []string{"m0", "m1", "m2"} {
		require.True(t, c.hasSaid("machine "+name+" ("), c.said())
		require.Contains(t, strings.Join(run.End.Notes, "\n"), "machine "+name+" (")
	}
	require.Contains(t, run.End.Notes[0], "of the instant; its clock was ")
}

// One worker's clock is an hour ahead and another's a day behind: they begin together.
func TestSkewedClocksBeginAtTheSameInstant(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var addresses []string
	for _, o := range []workerOrders{
		{Name: "ahead", Skew: time.Hour, Drift: 300e-6}, {Name: "behind", Skew: -24 * time.Hour, Drift: -300e-6},
	} {
		o.Token = token
		addresses = append(addresses, startWorker(t, o).address)
	}
	c := conduct(t, addresses, constantJob(s.URL, 20, 500*time.Millisecond))
	run := c.run(t)
	require.Empty(t, run.End.Invalid)
	s.requireEachOnce(t, 10)
	require.WithinDuration(t, run.Header.Started.Add(450*time.Millisecond), time.Unix(0, s.last.Load()), 30*time.Second, "an hour and a day are what it is off else")
	require.Less(t, run.Total[""].Response.Max(), 30*time.Second)
	require.True(t, c.hasSaid("its clock is +1h0m0"), c.said())
	require.True(t, c.hasSaid("its clock is -24h0m0") || c.hasSaid("its clock is -23h59m59"), c.said())
}

func TestAClockThatCannotBeRelatedWellEnoughIsRefused(t *testing.T) {
	t.Parallel()
	_, addresses := team(t, 1, workerOrders{})
	began := time.Now()
	c := conduct(t, addresses, constantJob(nowhere, 10, time.Second), func(o *coordinatorOrders) { o.ClockBound = time.Nanosecond })
	require.Contains(t, c.refusal(t), "its clock is known to ±")
	require.Contains(t, c.err, "±1ns is asked for (--clock-bound)")
	require.Less(t, time.Since(began), time.Minute)
}

func TestAWrongTokenIsSaidInOneLine(t *testing.T) {
	t.Parallel()
	workers, addresses := team(t, 1, workerOrders{})
	for wrong, why := range map[string]string{
		"":                     "worker " + addresses[0] + ": refused: it wants a token, and none was given here: set SLUICE_TOKEN to that of all machines",
		"not the token of all": "worker " + addresses[0] + ": refused: wrong token",
		"short":                "the token has 5 characters, fewer than 16 can be guessed: take the output of 'openssl rand -hex 16'",
	} {
		c := conduct(t, addresses, constantJob(nowhere, 10, time.Second), func(o *coordinatorOrders) { o.Token = wrong })
		require.Equal(t, why, c.refusal(t))
	}
	eventually(t, 5*time.Second, func() bool { return workers[0].hasSaid("turned 127.0.0.1:") }, "the worker tells of it, too")
	require.True(t, workers[0].hasSaid("away: refused: wrong token"), workers[0].said())
}

func TestAWorkerThatIsNotThereIsSaidInOneLine(t *testing.T) {
	t.Parallel()
	c := conduct(t, []string{"127.0.0.1:1"}, constantJob(nowhere, 10, time.Second))
	require.Contains(t, c.refusal(t), "worker 127.0.0.1:1: nobody listens there")
	require.NotContains(t, c.err, "\n")
}

func TestAWorkerThatCannotDoTheJobSaysWhy(t *testing.T) {
	t.Parallel()
	for kind, why := range map[string]string{
		"picky": "there is no file limits.json on this machine", "panic": "preparing the job panicked: a bug",
	} {
		_, addresses := team(t, 2, workerOrders{})
		w := startWorker(t, workerOrders{Name: "other", Token: token, Kind: kind})
		c := conduct(t, append(addresses, w.address), constantJob(nowhere, 10, time.Second))
		require.Contains(t, c.refusal(t), "worker "+w.address+": "+why)
		eventually(t, 5*time.Second, func() bool { return w.hasSaid("is over: dismissed") }, "it is free again")
	}
}

// What such a worker answers does not arrive: it serves a run of which its coordinator knows
// only that it asked for it.
func TestAWorkerWhoseAnswerHasNotArrivedIsDismissedAsWell(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0") // connects, and says nothing
	require.NoError(t, err)
	defer nobody.Close()
	workers, addresses := team(t, 1, workerOrders{})
	c := conduct(t, addresses, constantJob(nowhere, 10, time.Second), func(o *coordinatorOrders) {
		o.Advertise, o.Silence = nobody.Addr().String(), time.Minute
	})
	eventually(t, 5*time.Second, func() bool { return workers[0].hasSaid("serving a run") }, "it was asked")
	require.NoError(t, c.cmd.Process.Signal(os.Interrupt))
	require.Contains(t, c.refusal(t), "interrupted before it began")
	eventually(t, 5*time.Second, func() bool { return workers[0].hasSaid("is over: dismissed") }, "it is free again")
}

func TestASecondCoordinatorIsToldThatAWorkerIsBusyAndByWhom(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	workers, addresses := team(t, 1, workerOrders{})
	first := conduct(t, addresses, constantJob(s.URL, 50, 2*time.Second))
	eventually(t, 5*time.Second, func() bool { return workers[0].hasSaid("serving a run") }, "the first is served")
	second := conduct(t, addresses, constantJob(s.URL, 10, time.Second))
	require.Equal(t, "worker "+addresses[0]+`: it is busy with a run of "coordinator"`, second.refusal(t))
	require.Empty(t, first.run(t).End.Invalid)
	s.requireEachOnce(t, 100)
	// Then it is free again.
	again := newServer(t)
	third := conduct(t, addresses, constantJob(again.URL, 50, 200*time.Millisecond))
	require.Empty(t, third.run(t).End.Invalid)
	again.requireEachOnce(t, 10)
}

// lose makes a run of three machines, does something to one of them in the middle, and returns
// how it ended, and how long it took to be noticed.
func lose(t *testing.T, length time.Duration, policy crew.OnLost, silence time.Duration, harm syscall.Signal) (*process, *results.Run, *server, time.Duration) {
	t.Helper()
	s := newServer(t)
	workers, addresses := team(t, 3, workerOrders{})
	c := conduct(t, addresses, constantJob(s.URL, 300, length), func(o *coordinatorOrders) {
		o.OnLost, o.Silence = policy, silence
	})
	eventually(t, 10*time.Second, func() bool { return s.count() > 200 }, "it runs")
	harmed := time.Now()
	require.NoError(t, workers[1].cmd.Process.Signal(harm))
	eventually(t, 8*time.Second, func() bool { return c.hasSaid("machine m1 (" + addresses[1] + ") was lost: ") }, "it is told")
	noticed := time.Since(harmed)
	return c, c.run(t), s, noticed
}

func TestAWorkerThatIsKilledIsReportedAtOnceAndItsShareIsCounted(t *testing.T) {
	t.Parallel()
	_, run, s, noticed := lose(t, 3*time.Second, crew.Continue, 50*time.Second, syscall.SIGKILL)
	require.Less(t, noticed, 40*time.Second, "before it has been silent for long")
	require.Contains(t, strings.Join(run.End.Invalid, "\n"), "machine m1 (")
	owed := run.Total["(lost machine)"]
	require.NotNil(t, owed)
	require.Positive(t, owed.Count)
	require.Equal(t, owed.Count, owed.Errors["machine lost"])
	require.EqualValues(t, 900, run.Total[""].Count, "what was offered and what is owed are what was due")
	require.Equal(t, owed.Count, run.End.NeverSent)
	require.GreaterOrEqual(t, run.End.Unfinished, run.End.NeverSent)
	require.Contains(t, strings.Join(run.End.Notes, "\n"), "machine 2 of 3 was lost with")
	require.Equal(t, "finished", run.End.Reason)
	for n := range uint64(900) {
		if n%3 != 1 {
			require.Equal(t, 1, s.times(n), "the others went on")
		}
	}
}

func TestAWorkerThatHangsIsLostOnceItHasBeenSilent(t *testing.T) {
	t.Parallel()
	c, run, s, _ := lose(t, time.Minute, crew.Fail, 2500*time.Millisecond, syscall.SIGSTOP)
	require.True(t, c.hasSaid("it has said nothing for "), c.said())
	require.Equal(t, "machine lost", run.End.Reason)
	require.Less(t, s.count(), 12_000, "the others were stopped")
	require.Contains(t, strings.Join(run.End.Invalid, "\n"), "it has said nothing for")
	require.Positive(t, run.End.NeverSent)
}

func TestARunThatTellsNothingIsLostThoughItsWorkerAnswers(t *testing.T) {
	t.Parallel()
	w := startWorker(t, workerOrders{Name: "m0", Token: token, Kind: "stuck"})
	c := conduct(t, []string{w.address}, constantJob(nowhere, 100, 30*time.Second), func(o *coordinatorOrders) { o.Silence = 2 * time.Second })
	require.NotEmpty(t, c.run(t).End.Invalid)
	require.True(t, c.hasSaid("its run has told nothing for "), c.said())
	// It heeds no context: closing the client ends it, and then it is free.
	eventually(t, 10*time.Second, func() bool {
		again := conduct(t, []string{w.address}, constantJob(nowhere, 100, 100*time.Millisecond), func(o *coordinatorOrders) { o.Silence = 2 * time.Second })
		<-again.ended
		return !strings.Contains(again.err, "busy")
	}, "it serves again")
}

// The coordinator is killed, or stopped so that its sockets stay open.
func TestWorkersStopByThemselvesWhenTheirCoordinatorIsGone(t *testing.T) {
	t.Parallel()
	for _, harm := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		s := newServer(t)
		workers, addresses := team(t, 2, workerOrders{})
		c := conduct(t, addresses, constantJob(s.URL, 100, 10*time.Minute), func(o *coordinatorOrders) { o.Silence = 2500 * time.Millisecond })
		eventually(t, 10*time.Second, func() bool { return s.count() > 20 }, "it runs")
		require.NoError(t, c.cmd.Process.Signal(harm))
		for _, w := range workers {
			eventually(t, 6*time.Second, func() bool { return w.hasSaid("is over: ") }, "it has noticed")
		}
		eventually(t, 4*time.Second, func() bool { return s.open.Load() == 0 }, "connections are closed")
		stopped := s.count()
		time.Sleep(200 * time.Millisecond)
		require.Equal(t, stopped, s.count())
	}
}

func TestAnInterruptedRunHasAWholeReport(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, addresses := team(t, 2, workerOrders{})
	c := conduct(t, addresses, constantJob(s.URL, 100, time.Minute))
	eventually(t, 10*time.Second, func() bool { return s.count() > 50 }, "it runs")
	require.NoError(t, c.cmd.Process.Signal(os.Interrupt))
	run := c.run(t)
	require.Equal(t, "interrupted", run.End.Reason)
	require.EqualValues(t, s.count(), run.Total[""].Count)
	require.Empty(t, run.End.Invalid)
}

func TestAWorkerThatIsEndedSaysSo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	workers, addresses := team(t, 2, workerOrders{})
	c := conduct(t, addresses, constantJob(s.URL, 100, time.Minute))
	eventually(t, 10*time.Second, func() bool { return s.count() > 20 }, "it runs")
	require.NoError(t, workers[0].cmd.Process.Signal(syscall.SIGINT))
	require.Contains(t, strings.Join(c.run(t).End.Invalid, "\n"), "was lost: the worker was ended")
	<-workers[0].ended
	require.Zero(t, workers[0].cmd.ProcessState.ExitCode())
}

// Results that are larger than a letter, and more than a window, arrive once each.
func TestLargeAndManyIntervalsArriveOnce(t *testing.T) {
	t.Parallel()
	_, addresses := team(t, 2, workerOrders{Kind: "flood"})
	c := conduct(t, addresses, constantJob(nowhere, 300, 2*time.Second))
	run := c.run(t)
	require.Empty(t, run.End.Invalid)
	require.EqualValues(t, 50, run.Total[""].Count)
	require.Len(t, run.Total[""].Errors, 2*3*2000)
	require.Len(t, run.Series, 25)
	for _, i := range run.Series {
		require.EqualValues(t, 2, i.Offered)
		require.Equal(t, 20, i.Gauges.Connections, "of both machines")
	}
	file, err := os.ReadFile(c.out)
	require.NoError(t, err)
	machines := map[string]int{}
	for line := range strings.Lines(string(file)) {
		var l struct{ Interval *results.Interval }
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if l.Interval != nil {
			machines[l.Interval.Machine]++
		}
	}
	require.Equal(t, map[string]int{"m0": 25, "m1": 25, "": 25}, machines)
}

func TestAPlanOfManyMegabytesArrives(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, addresses := team(t, 2, workerOrders{})
	job := constantJob(s.URL, 20, 200*time.Millisecond)
	job.Plan.Chains[0].Steps[0].Body = bytes.Repeat([]byte("x"), 9<<20)
	require.Empty(t, conduct(t, addresses, job).run(t).End.Invalid)
	s.requireEachOnce(t, 4)
}

func TestResultsThatCannotBeWrittenEndTheRun(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, addresses := team(t, 1, workerOrders{})
	c := conduct(t, addresses, constantJob(s.URL, 100, time.Minute), func(o *coordinatorOrders) { o.Full = 2 })
	require.Contains(t, c.refusal(t), "the disk is full")
}

// The file takes twice the silence for one line, and nobody is lost for that.
func TestADiskThatTakesItsTimeLosesNobody(t *testing.T) {
	t.Parallel()
	_, addresses := team(t, 2, workerOrders{})
	pressure.Try(t, 4, func() error { // a machine without time for them makes them silent, too
		s := newServer(t)
		c := conduct(t, addresses, constantJob(s.URL, 100, 1500*time.Millisecond), func(o *coordinatorOrders) { o.Silence, o.Slow = time.Second, 2*time.Second })
		run := c.run(t)
		if len(run.End.Invalid) > 0 {
			return fmt.Errorf("%v: %v", run.End.Invalid, c.said())
		}
		require.EqualValues(t, 150, run.Total[""].Count)
		s.requireEachOnce(t, 150)
		return nil
	})
}

func TestMistakesAreSaidTogether(t *testing.T) {
	t.Parallel()
	_, err := crew.Run(t.Context(), crew.Config{Workers: []string{"nowhere", "a:1", "a:1"}, OnLost: "weep", Silence: time.Hour})
	for _, part := range []string{`worker "nowhere": it must be host:port`, `worker "a:1" twice`, `on lost "weep"`, "a silence of 1h0m0s", "a run has either a schedule or callers"} {
		require.ErrorContains(t, err, part)
	}
}

func TestAWorkerThatOthersCanReachNeedsAToken(t *testing.T) {
	t.Parallel()
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		err := crew.Serve(t.Context(), crew.WorkerConfig{Listen: listen})
		require.ErrorContains(t, err, "needs a token", listen)
	}
}
