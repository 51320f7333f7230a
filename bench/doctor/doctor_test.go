package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/gauge/pressure"
	"github.com/sluice-engine/sluice/bench/load"
)

// named are some of the checks, in the order of all.
func named(names ...string) []check {
	return slices.DeleteFunc(checks(), func(c check) bool { return !slices.Contains(names, c.name) })
}

func TestWhatTheSystemSaysIsJudgedInOrderAsItIsFound(t *testing.T) {
	var told []string
	r := Examine(t.Context(), Config{
		Begun: func(check string) { told = append(told, check+"?") },
		Each:  func(f Finding) { told = append(told, f.Check+": "+string(f.Level)) },
		system: fstest.MapFS{
			"proc/loadavg":                          file("900.0 1 1 1/1 1\n"),
			"proc/sys/net/ipv4/ip_local_port_range": file("1000 2000\n"),
			"proc/net/sockstat":                     file("TCP: inuse 5 orphan 0 tw 999 alloc 7 mem 1\n"),
		},
		checks: named("load", "ports", "somaxconn"),
	})
	require.Equal(t, []string{"load?", "load: fail", "ports?", "ports: fail", "somaxconn?", "somaxconn: unknown"}, told)
	require.Equal(t, 2, r.Failed())
	require.Equal(t, "This machine holds no open run now.", r.Conclusion())
}

func TestSleepsAreMeasuredAsLateAsTheyAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := func(by time.Duration) func(time.Duration) {
			return func(d time.Duration) { time.Sleep(d + by) }
		}
		for _, d := range sleeps {
			measured := overshoot(t.Context(), late(300*time.Microsecond), d, 100*time.Millisecond)
			require.InEpsilon(t, 300e3, float64(measured.P50), 0.002)
			require.InEpsilon(t, 300e3, float64(measured.P99), 0.002)
			require.GreaterOrEqual(t, measured.Count, uint64(3))
		}
	})
}

func TestTheTableOfTimersHasEverySleepIdleAndBusy(t *testing.T) {
	r := Examine(t.Context(), Config{Quick: true, checks: named("timers")})
	require.Len(t, r.Timers, 4*len(sleeps))
	for _, timer := range r.Timers {
		require.GreaterOrEqual(t, timer.Count, uint64(3))
		require.LessOrEqual(t, timer.P50, timer.P99)
	}
	var text bytes.Buffer
	require.NoError(t, r.WriteText(&text))
	for _, want := range []string{"timers", "a sleep of", "50µs", "10ms", "time.Sleep, a goroutine busy", "\nwaker "} {
		require.Contains(t, text.String(), want)
	}
}

func TestAStallIsMeasuredAsArithmeticHasItOrTheRunCallsItselfInvalid(t *testing.T) {
	pressure.Try(t, 4, func() error {
		s := &Stall{Rate: 200, Length: 1500 * time.Millisecond, From: 600 * time.Millisecond, For: 400 * time.Millisecond}
		s.measure(t.Context())
		require.Len(t, s.Quantiles, 3)
		require.Greater(t, s.Quantiles[2].Measured, 300*time.Millisecond, "a harness that waits for a connection leaves the stall out")
		found := judgeStall(s)
		if len(s.Invalid) > 0 {
			require.Equal(t, Fail, found.Level, found)
		} else if found.Level != OK { // the server was late, of which the harness does not know
			return errors.New(found.String())
		}
		return nil
	})
}

func TestRatesAreTriedAgainstAClientAndAServerThatAreReal(t *testing.T) {
	e := &examination{Config: Config{Quick: true}, ctx: t.Context(), report: &Report{}}
	origin, stop, err := serveNothing()
	require.NoError(t, err)
	client, err := load.Open(load.ClientConfig{Connections: 64})
	require.NoError(t, err)
	defer client.Close()
	_, why := e.trial(client, origin)(500)
	require.NotContains(t, why, "failed")
	stop()
	_, why = e.trial(client, origin)(500)
	require.NotEmpty(t, why, "nobody answers")
}

func TestAnInterruptedExaminationReportsWhatItFound(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	r := Examine(ctx, Config{checks: named("program", "processors", "timers", "stall", "dispatch"), Begun: func(check string) {
		if check == "timers" {
			interrupt()
		}
	}})
	require.True(t, r.Interrupted)
	require.Len(t, r.Findings, 2)
	require.Contains(t, r.Conclusion(), "Interrupted")
}

func TestTheConclusionSaysWhatIsHeldAndTheJSONSaysItToo(t *testing.T) {
	r := &Report{
		Dispatch: &Rate{Highest: 181_019}, HTTP: &Rate{Highest: 22_627},
		Findings: []Finding{{Check: "load", Level: Fail, Found: "much", Advice: "less"}},
	}
	r.HTTP.Lag.P99 = 1234 * time.Microsecond
	require.Equal(t, "Open runs to about 22,627/s with lag p99 below 1.3ms, the server on this machine too; "+
		"the harness alone dispatches to about 181,019/s. 1 checks failed: see to those first.", r.Conclusion())
	var out bytes.Buffer
	require.NoError(t, r.WriteJSON(&out))
	var read struct {
		Conclusion string
		HTTP       Rate
		Findings   []Finding
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &read))
	require.Equal(t, r.Conclusion(), read.Conclusion)
	require.Equal(t, r.Findings, read.Findings)
	require.Equal(t, *r.HTTP, read.HTTP)
	require.Equal(t, "fail    load        much\n                    → less", r.Findings[0].String())
}
