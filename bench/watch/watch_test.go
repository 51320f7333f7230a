package watch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/teatest/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/bench/results"
)

const hostile = "a\x1b[31m\u009b2J\r\nb \"q\" \u202e"

func quantiles(d time.Duration) results.Quantiles {
	return results.Quantiles{P50: d, P90: 2 * d, P99: 3 * d, P999: 4 * d, Max: 5 * d}
}

func snapshot(elapsed time.Duration) results.Snapshot {
	return results.Snapshot{
		Header:  results.Header{Format: results.Format, ID: "7f3a", Name: "checkout", Model: "open", Client: "engine", Length: 30 * time.Second, Planned: 15000},
		Elapsed: elapsed, Phase: results.Main, Offered: 6450, Sent: 6449, Completed: 6440, Failed: 3, InFlight: 9, Waiting: 1, Connections: 10,
		OfferedRate: 500, SentRate: 499, CompletedRate: 498, Response: quantiles(time.Millisecond), Service: quantiles(900 * time.Microsecond),
		Lag: quantiles(50 * time.Microsecond), Total: quantiles(2 * time.Millisecond), Errors: map[string]uint64{"timeout": 2, "reset": 1},
		Limits:   []results.LimitUse{{ID: "low", Used: 1, Quota: 100}, {ID: "weight", Used: 1100, Quota: 1200, Queued: 3, Refusals: 2}},
		Verdicts: []results.Verdict{{Objective: "p99<5ms", Held: true, Measured: "p99=3ms"}, {Objective: "errors<0.01%", Measured: "errors=0.05%"}},
	}
}

// nasty is a snapshot whose every name does what it can.
func nasty() results.Snapshot {
	s := snapshot(time.Second)
	s.Header.Name, s.Header.Client, s.Header.Model = hostile, hostile, hostile
	s.Errors = map[string]uint64{hostile: 1}
	s.Limits = []results.LimitUse{{ID: hostile, Used: -5, Quota: -1}}
	s.Verdicts = []results.Verdict{{Objective: hostile, Measured: hostile}}
	s.Invalid = []string{hostile}
	return s
}

func shown(snapshots ...results.Snapshot) model {
	m := newModel(newMailbox(), nil)
	for _, s := range snapshots {
		next, _ := m.Update(arrived{snapshot: s})
		m = next.(model)
	}
	return m
}

func TestTheScreenSaysHowTheRunStands(t *testing.T) {
	s := snapshot(12900 * time.Millisecond)
	s.Invalid = []string{"lag p99 is 9ms"}
	m := shown(s)
	m.width, m.height = 120, 40
	screen := ansi.Strip(m.screen())
	for _, want := range []string{
		"checkout · open · engine · MAIN", "43 %  12.9s of 30.0s, 17.1s left", "INVALID  lag p99 is 9ms",
		"offered 500/s", "sent 499/s", "completed 498/s", "in flight 9", "waiting 1", "connections 10", "3 failed",
		"response, now        1.00ms    2.00ms    3.00ms    4.00ms    5.00ms", "response, all        2.00ms", "service, now          900µs", "lag, now",
		"p99 by second   █ ≤ 3.00ms", "weight", "92 %  1100 of 1200, 3 queued, 2 refused", "1 %  1 of 100",
		"holds   p99<5ms  p99=3ms", "FAILED  errors<0.01%  errors=0.05%", "2  timeout", "1  reset", "q ends the run early",
	} {
		require.Contains(t, screen, want)
	}
	require.Less(t, strings.Index(screen, "weight"), strings.Index(screen, "low"), "the fullest first")
	require.Less(t, strings.Index(screen, "timeout"), strings.Index(screen, "reset"), "the most frequent first")
}

func TestTheScreenNamesThePhase(t *testing.T) {
	s := snapshot(time.Second)
	s.Phase = results.WarmUp
	require.Contains(t, ansi.Strip(shown(s).screen()), "WARM-UP")
	s.Draining = true
	require.Contains(t, ansi.Strip(shown(s).screen()), "waiting for 10 answers")
	s.Ended = true
	require.Contains(t, ansi.Strip(shown(s).screen()), "ENDED")
	require.Contains(t, ansi.Strip(shown(s).screen()), "100 %")
	s = snapshot(3 * time.Second)
	s.Header.Length, s.Header.Name = 0, ""
	require.Contains(t, ansi.Strip(shown(s).screen()), "43 %", "of the requests planned")
	require.Contains(t, ansi.Strip(shown(s).screen()), "run 7f3a")
	s.Header.Planned = 0
	require.Contains(t, ansi.Strip(shown(s).screen()), "3.0s so far")
	require.Contains(t, newModel(nil, nil).screen(), "waiting for the run")
}

func TestTheScreenFitsAnyWindowAndKeepsWhatMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := nasty()
		for i := range rapid.IntRange(0, 30).Draw(t, "names") {
			s.Errors[fmt.Sprint("kind ", i)] = uint64(i)
			s.Limits = append(s.Limits, results.LimitUse{ID: strings.Repeat("é", i), Used: 1 << 40, Quota: int64(i)})
			s.Verdicts = append(s.Verdicts, results.Verdict{Objective: "o"})
		}
		m := shown(s, snapshot(2*time.Second), s)
		next, _ := m.Update(tea.WindowSizeMsg{Width: rapid.IntRange(0, 200).Draw(t, "width"), Height: rapid.IntRange(0, 70).Draw(t, "height")})
		m = next.(model)
		screen := m.screen()
		lines := strings.Split(screen, "\n")
		require.LessOrEqual(t, len(lines), max(m.height, 1))
		for _, line := range lines {
			require.LessOrEqual(t, lipgloss.Width(line), max(m.width, 1), "%q", line)
		}
		for _, r := range ansi.Strip(screen) {
			require.True(t, r == '\n' || unicode.IsPrint(r), "%U", r)
		}
		if m.height >= 4 && m.width >= 20 {
			require.Contains(t, screen, "INVALID")
		}
	})
}

func TestTheSparklineHasOnePointASecondAndAnEnd(t *testing.T) {
	m := newModel(newMailbox(), nil)
	require.Contains(t, ansi.Strip(m.sparkline()), "no second has ended yet")
	for i := range 2000 {
		s := snapshot(time.Duration(i) * 250 * time.Millisecond)
		s.Response.P99 = time.Duration(i/4%100) * time.Millisecond
		next, _ := m.Update(arrived{snapshot: s})
		m = next.(model)
	}
	require.Len(t, m.history, mostHistory)
	require.Equal(t, 99*time.Millisecond, m.history[mostHistory-1])
	require.Contains(t, ansi.Strip(m.sparkline()), "▇▇█████████████ ≤ 99.0ms")
	require.LessOrEqual(t, lipgloss.Width(m.sparkline()), m.width)
}

func TestABarFillsByEighths(t *testing.T) {
	require.Equal(t, "░░░░", bar(0, 4))
	require.Equal(t, "██░░", bar(0.5, 4))
	require.Equal(t, "█▌░░", bar(0.375, 4))
	require.Equal(t, "████", bar(7, 4))
	require.Equal(t, "░", bar(-1, 0))
	for i := range 100 {
		require.Equal(t, 10, lipgloss.Width(bar(float64(i)/99, 10)))
	}
}

func TestAKeyEndsTheRunOnceAndTheViewTheSecondTime(t *testing.T) {
	for _, key := range []tea.KeyPressMsg{{Code: 'q', Text: "q"}, {Code: 'c', Mod: tea.ModCtrl}} {
		ended := make(chan struct{}, 2)
		mail := newMailbox()
		tm := teatest.NewTestModel(t, newModel(mail, func() { ended <- struct{}{} }), teatest.WithInitialTermSize(100, 30))
		mail.put(snapshot(12 * time.Second))
		teatest.WaitFor(t, tm.Output(), func(out []byte) bool { return bytes.Contains(out, []byte("checkout")) }, teatest.WithDuration(10*time.Second))
		tm.Send(tea.KeyPressMsg{Code: 'x', Text: "x"}) // means nothing
		tm.Send(key)
		<-ended
		teatest.WaitFor(t, tm.Output(), func(out []byte) bool { return bytes.Contains(out, []byte("outstanding")) }, teatest.WithDuration(10*time.Second))
		tm.Send(key)
		final := tm.FinalModel(t, teatest.WithFinalTimeout(10*time.Second)).(model)
		require.True(t, final.asked)
		require.Empty(t, ended, "once")
		mail.close()
	}
}

func TestTheViewEndsWithTheRun(t *testing.T) {
	mail := newMailbox()
	tm := teatest.NewTestModel(t, newModel(mail, nil), teatest.WithInitialTermSize(100, 30))
	mail.put(snapshot(time.Second))
	teatest.WaitFor(t, tm.Output(), func(out []byte) bool { return bytes.Contains(out, []byte("limits")) }, teatest.WithDuration(10*time.Second))
	tm.Send(tea.WindowSizeMsg{Width: 30, Height: 3})
	mail.close()
	final := tm.FinalModel(t, teatest.WithFinalTimeout(10*time.Second)).(model)
	require.Equal(t, 30, final.width)
	require.False(t, final.asked)
}

func TestALineIsWrittenEveryTwoSecondsOfTheRun(t *testing.T) {
	l := newLines(2 * time.Second)
	var told []string
	for ms := 0; ms <= 9000; ms += 250 {
		if text := l.next(snapshot(time.Duration(ms)*time.Millisecond), false); text != "" {
			told = append(told, strings.Fields(text)[0])
		}
	}
	require.Equal(t, []string{"2.0s", "4.0s", "6.0s", "8.0s"}, told)
	s := snapshot(17300 * time.Millisecond)
	require.Contains(t, l.next(s, false), "17.3s", "what was missed is not made up for")
	require.Empty(t, l.next(snapshot(17900*time.Millisecond), false))
	require.Contains(t, l.next(snapshot(18*time.Second), false), "18.0s")
	require.Contains(t, l.next(snapshot(18100*time.Millisecond), true), "18.1s", "the last is always told")
	require.Empty(t, l.next(snapshot(18100*time.Millisecond), true), "but not twice")
	require.Empty(t, newLines(time.Second).next(results.Snapshot{}, true), "nothing was shown")
}

func TestALineHasANameBeforeEachFigure(t *testing.T) {
	l := newLines(time.Second)
	s := snapshot(4 * time.Second)
	require.Equal(t, "   4.0s main offered=500/s sent=499/s completed=498/s total=6440 failed=3 inflight=9 waiting=1 "+
		"p50=1.00ms p90=2.00ms p99=3.00ms max=5.00ms service.p99=2.70ms lag.p99=150µs total.p99=6.00ms "+
		"error[timeout]=2 error[reset]=1 FAILED[errors<0.01%]=errors=0.05%\n", l.next(s, false))
	s.Elapsed += 100 * time.Millisecond
	s.Invalid = []string{"lag p99 9.5ms"}
	require.Equal(t, "INVALID lag p99 9.5ms\n", l.next(s, false), "at once")
	s.Invalid = []string{"lag p99 12ms"}
	require.Empty(t, l.next(s, false), "and once")
	text := l.next(nasty(), true)
	require.Equal(t, 2, strings.Count(text, "\n"))
	for _, r := range text {
		require.True(t, r == '\n' || unicode.IsPrint(r), "%U", r)
	}
}

func TestLinesAreWrittenWhereNoTerminalIs(t *testing.T) {
	var out bytes.Buffer
	w := Start(Config{Out: &out, In: strings.NewReader(""), Environ: []string{"TERM=xterm"}})
	w.Show(snapshot(12 * time.Second))
	s := snapshot(13 * time.Second)
	s.Ended = true
	w.Show(s)
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	require.Contains(t, out.String(), "13.0s ended offered=500/s")
	require.NotContains(t, out.String(), "\x1b")
	w.Show(s) // after the end is nothing
}

func TestQuietIsQuiet(t *testing.T) {
	var out bytes.Buffer
	w := Start(Config{Mode: Quiet, Out: &out})
	w.Show(snapshot(time.Second))
	require.NoError(t, w.Close())
	require.Empty(t, out.String())
}

func TestAPipeThatNobodyReadsHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, out := io.Pipe()
		start := time.Now()
		w := Start(Config{Mode: Lines, Out: out})
		for i := range 10_000 {
			w.Show(snapshot(time.Duration(i) * time.Second))
		}
		synctest.Wait()
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, w.Close(), ErrStuck)
		require.Equal(t, closing, time.Since(start))
		in.Close()
		<-w.over
	})
}

func TestAnErrorOfTheOutputIsToldAndHoldsNothingUp(t *testing.T) {
	var writes atomic.Int32
	w := Start(Config{Mode: Lines, Out: writer(func([]byte) (int, error) { writes.Add(1); return 0, os.ErrClosed })})
	w.Show(snapshot(3 * time.Second))
	for writes.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	w.Show(snapshot(100 * time.Second))
	require.ErrorIs(t, w.Close(), os.ErrClosed)
	require.Equal(t, int32(1), writes.Load())
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// bomb is a view with a defect.
type bomb struct{ model }

func (b bomb) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	if _, ok := m.(arrived); ok && b.shown {
		panic(errors.New("a defect of the view, on purpose"))
	}
	next, cmd := b.model.Update(m)
	return bomb{next.(model)}, cmd
}
