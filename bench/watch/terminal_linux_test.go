package watch

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sluice-engine/sluice/bench/results"
)

// terminal is a pseudo-terminal: what is written to it, and its mode, are looked at.
type terminal struct {
	keyboard, screen *os.File
	before           unix.Termios
	mutex            sync.Mutex
	drawn            bytes.Buffer
	done             chan struct{}
}

func newTerminal(t *testing.T, read bool) *terminal {
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("this system has no pseudo-terminals: %v", err)
	}
	fd := int(keyboard.Fd())
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	screen, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}))
	p := &terminal{keyboard: keyboard, screen: screen, before: modeOf(t, screen), done: make(chan struct{})}
	if read {
		go p.read()
	} else {
		close(p.done)
	}
	t.Cleanup(func() {
		screen.Close()
		keyboard.Close()
		<-p.done
	})
	return p
}

func modeOf(t *testing.T, f *os.File) unix.Termios {
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	require.NoError(t, err)
	return *state
}

func (p *terminal) read() {
	defer close(p.done)
	chunk := make([]byte, 4096)
	for {
		n, err := p.keyboard.Read(chunk)
		p.mutex.Lock()
		p.drawn.Write(chunk[:n])
		p.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *terminal) text() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.drawn.String()
}

func (p *terminal) until(t *testing.T, want string) {
	require.Eventually(t, func() bool { return strings.Contains(p.text(), want) }, time.Minute, 5*time.Millisecond, "the terminal shows %q", want)
}

func (p *terminal) config(environ ...string) Config {
	return Config{Out: p.screen, In: p.screen, Environ: append([]string{"TERM=xterm-256color"}, environ...)}
}

func (p *terminal) requireRestored(t *testing.T) {
	require.Eventually(t, func() bool { return p.before == modeOf(t, p.screen) }, time.Minute, 5*time.Millisecond, "the mode of the terminal")
	p.until(t, "\x1b[?1049l") // the screen that was there before
	require.Greater(t, strings.LastIndex(p.text(), "\x1b[?25h"), strings.LastIndex(p.text(), "\x1b[?25l"), "the cursor")
}

func TestATerminalIsDrawnOnAndGivenBack(t *testing.T) {
	p := newTerminal(t, true)
	w := Start(p.config())
	w.Show(snapshot(12 * time.Second))
	p.until(t, "checkout")
	require.NotEqual(t, p.before, modeOf(t, p.screen))
	p.until(t, "\x1b[31m")
	require.NoError(t, w.Close())
	p.requireRestored(t)
}

func TestThereIsNoColourWithNO_COLOR(t *testing.T) {
	p := newTerminal(t, true)
	w := Start(p.config("NO_COLOR=1"))
	s := snapshot(12 * time.Second)
	s.Invalid = []string{"a reason"}
	w.Show(s)
	p.until(t, "q ends the run early")
	require.NoError(t, w.Close())
	require.NotRegexp(t, regexp.MustCompile(`\x1b\[[0-9;]*\b(3[0-7]|4[0-7]|9[0-7]|38|48)\b[0-9;]*m`), p.text())
	require.Contains(t, p.text(), "INVALID")
}

func TestKeysOfATerminalEndTheRunAndThenTheView(t *testing.T) {
	p := newTerminal(t, true)
	ended := make(chan struct{}, 2)
	cfg := p.config()
	cfg.End = func() { ended <- struct{}{} }
	w := Start(cfg)
	w.Show(snapshot(time.Second))
	p.until(t, "checkout")
	for range 2 {
		_, err := p.keyboard.WriteString("\x03")
		require.NoError(t, err)
	}
	<-ended
	<-w.over
	p.requireRestored(t)
	w.Show(snapshot(2 * time.Second))
	require.NoError(t, w.Close())
	require.Empty(t, ended)
}

func TestASecondSignalGivesTheTerminalBackBeforeItEndsTheProcess(t *testing.T) {
	p := newTerminal(t, true)
	ended := make(chan struct{}, 2)
	raised := make(chan os.Signal, 1)
	cfg := p.config()
	cfg.End = func() { ended <- struct{}{} }
	w := Start(cfg)
	w.raise = func(s os.Signal) { raised <- s }
	w.Show(snapshot(time.Second))
	p.until(t, "checkout")
	require.NoError(t, unix.Kill(os.Getpid(), unix.SIGTERM))
	<-ended
	require.NotEqual(t, p.before, modeOf(t, p.screen), "the first only asks for the end")
	require.NoError(t, unix.Kill(os.Getpid(), unix.SIGTERM))
	require.Equal(t, unix.SIGTERM, <-raised)
	p.requireRestored(t)
	require.NoError(t, w.Close())
	require.Empty(t, ended)
}

func TestSIGQUITGivesTheTerminalBackAtOnceAndAsksForNoEnd(t *testing.T) {
	p := newTerminal(t, true)
	raised := make(chan os.Signal, 1)
	cfg := p.config()
	cfg.End = func() { t.Error("the end was asked for") }
	w := Start(cfg)
	w.raise = func(s os.Signal) { raised <- s }
	w.Show(snapshot(time.Second))
	p.until(t, "checkout")
	require.NoError(t, unix.Kill(os.Getpid(), unix.SIGQUIT))
	require.Equal(t, unix.SIGQUIT, <-raised)
	p.requireRestored(t)
	require.NoError(t, w.Close())
}

func TestAResizedWindowIsDrawnAnew(t *testing.T) {
	m := shown(snapshot(time.Second))
	for _, size := range [][2]int{{20, 5}, {200, 60}, {1, 1}} {
		next, _ := m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		m = next.(model)
		require.LessOrEqual(t, strings.Count(m.View().Content, "\n"), size[1]-1)
	}
}

func TestAPanicOfTheRunGivesTheTerminalBack(t *testing.T) {
	p := newTerminal(t, true)
	require.PanicsWithValue(t, "a defect of the run", func() {
		w := Start(p.config())
		defer w.Close()
		w.Show(snapshot(time.Second))
		p.until(t, "checkout")
		panic("a defect of the run")
	})
	p.requireRestored(t)
}

func TestAPanicOfTheViewGivesTheTerminalBackAndLinesGoOn(t *testing.T) {
	p := newTerminal(t, true)
	w := &Watch{mail: newMailbox(), over: make(chan struct{}), restore: func() {}}
	w.draw(p.config(), bomb{newModel(w.mail, nil)})
	w.Show(snapshot(time.Second))
	p.until(t, "checkout")
	w.Show(snapshot(2 * time.Second))
	p.requireRestored(t)
	s := snapshot(9 * time.Second)
	s.Ended = true
	w.Show(s)
	p.until(t, "9.0s ended")
	require.ErrorIs(t, w.Close(), tea.ErrProgramPanic)
	require.Equal(t, p.before, modeOf(t, p.screen))
}

func TestATerminalThatTakesNoOutputHoldsNothingUpAndGetsItsModeBack(t *testing.T) {
	p := newTerminal(t, false)
	w := Start(p.config())
	start := time.Now()
	for i := range 3000 {
		s := snapshot(time.Duration(i) * time.Second)
		s.Errors = map[string]uint64{strings.Repeat("x", i%90): uint64(i)}
		w.Show(s)
		if i%100 == 0 {
			time.Sleep(20 * time.Millisecond) // lets it draw until the terminal is full
		}
	}
	require.Less(t, time.Since(start), 30*time.Second)
	err := w.Close()
	if err != nil {
		require.ErrorIs(t, err, ErrStuck)
	}
	require.Equal(t, p.before, modeOf(t, p.screen))
	go p.drain()
	<-w.over
}

func (p *terminal) drain() {
	chunk := make([]byte, 4096)
	for {
		if _, err := p.keyboard.Read(chunk); err != nil {
			return
		}
	}
}

func TestATerminalThatIsDumbGetsLines(t *testing.T) {
	p := newTerminal(t, true)
	cfg := p.config()
	require.Equal(t, Terminal, mode(cfg))
	require.Equal(t, Lines, mode(Config{Out: p.screen, Environ: []string{"TERM=xterm", "TERM=dumb"}}))
	require.Equal(t, Lines, mode(Config{Out: &bytes.Buffer{}}))
	require.Equal(t, Quiet, mode(Config{Out: p.screen, Mode: Quiet}))
	cfg.In = strings.NewReader("") // no keys
	w := Start(cfg)
	w.Show(results.Snapshot{Header: results.Header{Name: "keyless"}})
	p.until(t, "keyless")
	require.NoError(t, w.Close())
	require.Equal(t, p.before, modeOf(t, p.screen))
}
