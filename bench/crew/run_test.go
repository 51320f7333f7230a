package crew_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/crew"
	"github.com/sluice-engine/sluice/bench/results"
)

func TestEveryIntendedInstantReachesTheServerOnce(t *testing.T) {
	s := newServer(t)
	_, addresses := team(t, 3, workerOrders{})
	var said tellings
	var file bytes.Buffer
	var shown []results.Snapshot
	cfg := config(addresses, constantJob(s.URL, 301, time.Second), &said)
	cfg.Open = func(h results.Header) (*results.Writer, error) { return results.NewWriter(&file, h) }
	cfg.Watch = func(s results.Snapshot) { shown = append(shown, s) }
	run, err := crew.Run(t.Context(), cfg)
	require.NoError(t, err, said.all())
	s.requireEachOnce(t, 301)
	require.Empty(t, run.End.Invalid)
	require.Equal(t, "finished", run.End.Reason)
	require.EqualValues(t, 301, run.Total[""].Count)
	require.Equal(t, []string{"m0", "m1", "m2"}, run.Header.Machines)

	read, err := results.Read(&file)
	require.NoError(t, err)
	require.True(t, read.Whole)
	require.EqualValues(t, 301, read.Total[""].Count)
	require.EqualValues(t, 301, read.Total[""].Response.Count())

	require.NotEmpty(t, shown)
	last := shown[len(shown)-1]
	require.True(t, last.Ended)
	require.EqualValues(t, 301, last.Completed)
	for _, name := range []string{"m0", "m1", "m2"} {
		require.True(t, said.has("machine "+name+" ("), said.all())
		require.Contains(t, strings.Join(run.End.Notes, "\n"), "machine "+name+" (")
	}
	require.Contains(t, run.End.Notes[0], "of the instant; its clock was ")
}

// One worker's clock is an hour ahead and another's a day behind: they begin together.
func TestSkewedClocksBeginAtTheSameInstant(t *testing.T) {
	s := newServer(t)
	orders := []workerOrders{{Name: "ahead", Skew: time.Hour, Drift: 300e-6}, {Name: "behind", Skew: -24 * time.Hour, Drift: -300e-6}}
	var addresses []string
	for _, o := range orders {
		o.Token = token
		addresses = append(addresses, startWorker(t, o).address)
	}
	var said tellings
	var started time.Time
	cfg := config(addresses, constantJob(s.URL, 20, 500*time.Millisecond), &said)
	cfg.Open = func(h results.Header) (*results.Writer, error) {
		started = h.Started
		return results.NewWriter(new(bytes.Buffer), h)
	}
	run, err := crew.Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Empty(t, run.End.Invalid)
	s.requireEachOnce(t, 10)
	require.WithinDuration(t, started, time.Unix(0, s.last.Load()).Add(-450*time.Millisecond), 300*time.Millisecond)
	require.Less(t, run.Total[""].Response.Max(), 300*time.Millisecond)
	require.True(t, said.has("its clock is +1h0m0"), said.all())
	require.True(t, said.has("its clock is -24h0m0") || said.has("its clock is -23h59m59"), said.all())
}

func TestAClockThatCannotBeRelatedWellEnoughIsRefused(t *testing.T) {
	_, addresses := team(t, 1, workerOrders{})
	var said tellings
	cfg := config(addresses, constantJob("http://127.0.0.1:1/", 10, time.Second), &said)
	cfg.ClockBound = time.Nanosecond
	began := time.Now()
	_, err := crew.Run(t.Context(), cfg)
	require.ErrorContains(t, err, "its clock is known to ±")
	require.ErrorContains(t, err, "±1ns is asked for (--clock-bound)")
	require.Less(t, time.Since(began), 9*time.Second)
}

func TestAWrongTokenIsSaidInOneLine(t *testing.T) {
	_, addresses := team(t, 1, workerOrders{})
	var said tellings
	cfg := config(addresses, constantJob("http://127.0.0.1:1/", 10, time.Second), &said)
	for _, wrong := range []string{"", "not the token of all"} {
		cfg.Security.Token = wrong
		_, err := crew.Run(t.Context(), cfg)
		require.EqualError(t, err, "worker "+addresses[0]+": refused: wrong token")
	}
	cfg.Security.Token = "short"
	_, err := crew.Run(t.Context(), cfg)
	require.ErrorContains(t, err, "the token has 5 characters")
}

func TestAWorkerThatIsNotThereIsSaidInOneLine(t *testing.T) {
	var said tellings
	_, err := crew.Run(t.Context(), config([]string{"127.0.0.1:1"}, constantJob("http://127.0.0.1:1/", 10, time.Second), &said))
	require.ErrorContains(t, err, "worker 127.0.0.1:1: nobody listens there")
	require.NotContains(t, err.Error(), "\n")
}

func TestAWorkerThatCannotDoTheJobSaysWhy(t *testing.T) {
	_, addresses := team(t, 2, workerOrders{})
	for kind, why := range map[string]string{"picky": "there is no file limits.json on this machine", "panic": "preparing the job panicked: a bug"} {
		w := startWorker(t, workerOrders{Name: "other", Token: token, Kind: kind})
		var said tellings
		_, err := crew.Run(t.Context(), config(append(addresses, w.address), constantJob("http://127.0.0.1:1/", 10, time.Second), &said))
		require.ErrorContains(t, err, "worker "+w.address+": "+why)
		eventually(t, 5*time.Second, func() bool { return w.hasSaid("is over: dismissed") }, "it is free again")
	}
}

func TestASecondCoordinatorIsToldThatAWorkerIsBusyAndByWhom(t *testing.T) {
	s := newServer(t)
	workers, addresses := team(t, 1, workerOrders{})
	var said, other tellings
	first := conduct(t.Context(), config(addresses, constantJob(s.URL, 50, 2*time.Second), &said))
	eventually(t, 5*time.Second, func() bool { return workers[0].hasSaid("serving a run") }, "the first is served")
	_, err := crew.Run(t.Context(), config(addresses, constantJob(s.URL, 10, time.Second), &other))
	require.EqualError(t, err, "worker "+addresses[0]+`: it is busy with a run of "coordinator"`)
	done := <-first
	require.NoError(t, done.err)
	require.Empty(t, done.run.End.Invalid)
	s.requireEachOnce(t, 100)
	// Then it is free again.
	again := newServer(t)
	run, err := crew.Run(t.Context(), config(addresses, constantJob(again.URL, 50, 200*time.Millisecond), &other))
	require.NoError(t, err)
	require.Empty(t, run.End.Invalid)
	again.requireEachOnce(t, 10)
}

// lose makes a run of three machines, does something to one of them in the middle, and returns
// how it ended.
func lose(t *testing.T, policy crew.OnLost, harm syscall.Signal) (*results.Run, *tellings, *server, time.Duration) {
	t.Helper()
	s := newServer(t)
	workers, addresses := team(t, 3, workerOrders{})
	var said tellings
	cfg := config(addresses, constantJob(s.URL, 300, 3*time.Second), &said)
	cfg.OnLost = policy
	done := conduct(t.Context(), cfg)
	eventually(t, 10*time.Second, func() bool { return s.count() > 200 }, "it runs")
	harmed := time.Now()
	require.NoError(t, workers[1].cmd.Process.Signal(harm))
	eventually(t, 5*time.Second, func() bool { return said.has("machine m1 (" + addresses[1] + ") was lost: ") }, "it is told")
	noticed := time.Since(harmed)
	end := <-done
	require.NoError(t, end.err)
	return end.run, &said, s, noticed
}

// requireNothingIsMissing requires that requests of a lost machine are counted.
func requireNothingIsMissing(t *testing.T, run *results.Run, due uint64) {
	t.Helper()
	require.Contains(t, strings.Join(run.End.Invalid, "\n"), "machine m1 (")
	owed := run.Total["(lost machine)"]
	require.NotNil(t, owed)
	require.Positive(t, owed.Count)
	require.Equal(t, owed.Count, owed.Errors["machine lost"])
	require.EqualValues(t, due, run.Total[""].Count, "what was offered and what is owed are what was due")
	require.Equal(t, owed.Count, run.End.NeverSent)
	require.GreaterOrEqual(t, run.End.Unfinished, run.End.NeverSent)
	require.Contains(t, strings.Join(run.End.Notes, "\n"), "machine 2 of 3 was lost with")
}

func TestAWorkerThatIsKilledIsReportedAtOnceAndItsShareIsCounted(t *testing.T) {
	run, _, s, noticed := lose(t, crew.Continue, syscall.SIGKILL)
	require.Less(t, noticed, 1400*time.Millisecond, "before it has been silent for long")
	requireNothingIsMissing(t, run, 900)
	require.Equal(t, "finished", run.End.Reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := range uint64(900) {
		if n%3 != 1 {
			require.Equal(t, 1, s.counts[n], "the others went on")
		}
	}
}

func TestAWorkerThatHangsIsLostOnceItHasBeenSilent(t *testing.T) {
	run, said, s, _ := lose(t, crew.Fail, syscall.SIGSTOP)
	require.True(t, said.has("it has said nothing for 1."), said.all())
	require.Equal(t, "machine lost", run.End.Reason)
	require.Less(t, s.count(), 900, "the others were stopped")
	require.Contains(t, strings.Join(run.End.Invalid, "\n"), "it has said nothing for")
	require.Positive(t, run.End.NeverSent)
}

func TestARunThatTellsNothingIsLostThoughItsWorkerAnswers(t *testing.T) {
	w := startWorker(t, workerOrders{Name: "m0", Token: token, Kind: "stuck"})
	var said tellings
	cfg := config([]string{w.address}, constantJob("http://127.0.0.1:1/", 100, 30*time.Second), &said)
	cfg.Silence = time.Second
	run, err := crew.Run(t.Context(), cfg)
	require.NoError(t, err)
	require.True(t, said.has("its run has told nothing for 1."), said.all())
	require.NotEmpty(t, run.End.Invalid)
	// It heeds no context: closing the client ended it.
	eventually(t, 5*time.Second, func() bool { return w.hasSaid("is over") }, "it is free again")
	var other tellings
	eventually(t, 10*time.Second, func() bool {
		_, err := crew.Run(t.Context(), config([]string{w.address}, constantJob("http://127.0.0.1:1/", 100, 100*time.Millisecond), &other))
		return err == nil || !strings.Contains(err.Error(), "busy")
	}, "it serves again")
}

// The coordinator is a process, which is killed, or stopped so that its sockets stay open.
func TestWorkersStopByThemselvesWhenTheirCoordinatorIsGone(t *testing.T) {
	for _, harm := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		s := newServer(t)
		workers, addresses := team(t, 2, workerOrders{})
		coordinator := startCoordinator(t, coordinatorOrders{Workers: addresses, URL: s.URL})
		eventually(t, 10*time.Second, func() bool { return s.count() > 20 }, "it runs")
		require.NoError(t, coordinator.Process.Signal(harm))
		for _, w := range workers {
			eventually(t, 4*time.Second, func() bool { return w.hasSaid("is over: ") }, "it has noticed")
		}
		eventually(t, 4*time.Second, func() bool { return s.open.Load() == 0 }, "connections are closed")
		stopped := s.count()
		time.Sleep(200 * time.Millisecond)
		require.Equal(t, stopped, s.count())
	}
}

func TestAnInterruptedRunHasAWholeReport(t *testing.T) {
	s := newServer(t)
	_, addresses := team(t, 2, workerOrders{})
	var said tellings
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var file bytes.Buffer
	cfg := config(addresses, constantJob(s.URL, 100, time.Minute), &said)
	cfg.Open = func(h results.Header) (*results.Writer, error) { return results.NewWriter(&file, h) }
	done := conduct(ctx, cfg)
	eventually(t, 10*time.Second, func() bool { return s.count() > 50 }, "it runs")
	cancel()
	end := <-done
	require.NoError(t, end.err)
	require.Equal(t, "interrupted", end.run.End.Reason)
	require.EqualValues(t, s.count(), end.run.Total[""].Count)
	read, err := results.Read(&file)
	require.NoError(t, err)
	require.True(t, read.Whole)
	require.Empty(t, read.End.Invalid)
}

func TestAWorkerThatIsEndedSaysSo(t *testing.T) {
	s := newServer(t)
	workers, addresses := team(t, 2, workerOrders{})
	var said tellings
	done := conduct(t.Context(), config(addresses, constantJob(s.URL, 100, time.Minute), &said))
	eventually(t, 10*time.Second, func() bool { return s.count() > 20 }, "it runs")
	require.NoError(t, workers[0].cmd.Process.Signal(syscall.SIGINT))
	end := <-done
	require.NoError(t, end.err)
	require.Contains(t, strings.Join(end.run.End.Invalid, "\n"), "was lost: the worker was ended")
	<-workers[0].ended
	require.Zero(t, workers[0].cmd.ProcessState.ExitCode())
}

// Results that are larger than a letter, and more than a window, arrive once each.
func TestLargeAndManyIntervalsArriveOnce(t *testing.T) {
	_, addresses := team(t, 2, workerOrders{Kind: "flood"})
	var said tellings
	var file bytes.Buffer
	cfg := config(addresses, constantJob("http://127.0.0.1:1/", 300, 2*time.Second), &said)
	cfg.Open = func(h results.Header) (*results.Writer, error) { return results.NewWriter(&file, h) }
	run, err := crew.Run(t.Context(), cfg)
	require.NoError(t, err)
	require.Empty(t, run.End.Invalid)
	require.EqualValues(t, 50, run.Total[""].Count)
	require.Len(t, run.Total[""].Errors, 2*3*2000)
	require.Len(t, run.Series, 25)
	for _, i := range run.Series {
		require.EqualValues(t, 2, i.Offered)
		require.Equal(t, 20, i.Gauges.Connections, "of both machines")
	}
	machines := map[string]int{}
	for line := range strings.Lines(file.String()) {
		var l struct{ Interval *results.Interval }
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if l.Interval != nil {
			machines[l.Interval.Machine]++
		}
	}
	require.Equal(t, map[string]int{"m0": 25, "m1": 25, "": 25}, machines)
}

func TestAPlanOfManyMegabytesArrives(t *testing.T) {
	s := newServer(t)
	_, addresses := team(t, 2, workerOrders{})
	var said tellings
	job := constantJob(s.URL, 20, 200*time.Millisecond)
	job.Plan.Chains[0].Steps[0].Body = bytes.Repeat([]byte("x"), 9<<20)
	run, err := crew.Run(t.Context(), config(addresses, job, &said))
	require.NoError(t, err)
	require.Empty(t, run.End.Invalid)
	s.requireEachOnce(t, 4)
}

func TestResultsThatCannotBeWrittenEndTheRun(t *testing.T) {
	s := newServer(t)
	_, addresses := team(t, 1, workerOrders{})
	var said tellings
	full := errors.New("the disk is full")
	cfg := config(addresses, constantJob(s.URL, 100, time.Minute), &said)
	cfg.Open = func(h results.Header) (*results.Writer, error) {
		return results.NewWriter(&filling{left: 2, err: full}, h)
	}
	_, err := crew.Run(t.Context(), cfg)
	require.ErrorIs(t, err, full)
}

type filling struct {
	left int
	err  error
}

func (f *filling) Write(b []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, f.err
	}
	return len(b), nil
}

func TestMistakesAreSaidTogether(t *testing.T) {
	_, err := crew.Run(t.Context(), crew.Config{Workers: []string{"nowhere", "a:1", "a:1"}, OnLost: "weep", Silence: time.Hour})
	for _, part := range []string{`worker "nowhere": it must be host:port`, `worker "a:1" twice`, `on lost "weep"`, "a silence of 1h0m0s", "a run has either a schedule or callers"} {
		require.ErrorContains(t, err, part)
	}
}

func TestAWorkerThatOthersCanReachNeedsAToken(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		err := crew.Serve(t.Context(), crew.WorkerConfig{Listen: listen})
		require.ErrorContains(t, err, "needs a token", listen)
	}
}
