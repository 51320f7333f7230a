package watch

import (
	"cmp"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"

	"github.com/sluice-engine/sluice/bench/results"
)

// Mode is how a run is shown.
type Mode int

// The modes.
const (
	Auto     Mode = iota // Terminal if Out is one that can be drawn on, else Lines
	Terminal             // drawn, and drawn over
	Lines                // a line every two seconds
	Quiet                // nothing
)

// Config says where and how a run is shown.
type Config struct {
	Mode Mode
	// Out is drawn on or written to; nil means standard error, so that a report on standard
	// output stays apart.
	Out io.Writer
	// In is where keys come from, if it is a terminal; nil means standard input. Without
	// one, only signals end the run early.
	In io.Reader
	// Environ has NO_COLOR and TERM; nil means that of the process.
	Environ []string
	// End is called when the user asks for the end of the run, by q, Ctrl-C or a signal while
	// it is drawn; once, and on a goroutine of its own. It is meant to cancel the run, which
	// then reports what it has. The same key again closes the view alone, and gives the
	// terminal back; the next Ctrl-C is the system's again. A second signal, and SIGQUIT at
	// once, gives the terminal back and ends the process. nil means that only these seconds do
	// anything.
	End func()
	// Every is the time between lines, by the run's clock; 0 means two seconds.
	Every time.Duration
}

// closing is how long Close waits for a terminal that takes no output.
const closing = 2 * time.Second

// ErrStuck is returned by Close if Out takes nothing more. The terminal is in its old mode.
var ErrStuck = errors.New("watch: the terminal or pipe takes no output")

// Watch shows a run. Show and Close are safe for concurrent use.
type Watch struct {
	mail    *mailbox
	program *tea.Program // nil unless drawn
	restore func()       // puts the terminal's mode back
	over    chan struct{}
	err     error // of drawing; read after over
	once    sync.Once
	told    error            // what Close returned
	raise   func(os.Signal)  // does to the process what a signal does
	signals chan<- os.Signal // of who looks for them; closed by Close, nil unless drawn
}

// Start begins to show a run. Call Close on every path out, by defer: a terminal is in
// another mode until then.
func Start(cfg Config) *Watch {
	w := &Watch{mail: newMailbox(), over: make(chan struct{}), restore: func() {}, raise: raise}
	cfg.Out = orFile(cfg.Out, os.Stderr)
	if cfg.In == nil {
		cfg.In = os.Stdin
	}
	if cfg.Environ == nil {
		cfg.Environ = os.Environ()
	}
	switch mode(cfg) {
	case Quiet:
		close(w.over)
	case Terminal:
		end := func() {}
		if cfg.End != nil {
			end = sync.OnceFunc(cfg.End)
		}
		w.heed(end)
		w.draw(cfg, newModel(w.mail, end))
	default:
		go func() {
			w.writeLines(cfg)
			close(w.over)
		}()
	}
	return w
}

func orFile(w io.Writer, f *os.File) io.Writer {
	if w == nil {
		return f
	}
	return w
}

// mode decides what Auto is.
func mode(cfg Config) Mode {
	if cfg.Mode != Auto {
		return cfg.Mode
	}
	if isTerminal(cfg.Out) && variable(cfg.Environ, "TERM") != "dumb" {
		return Terminal
	}
	return Lines
}

func isTerminal(v any) bool {
	f, ok := v.(term.File)
	return ok && term.IsTerminal(f.Fd())
}

func variable(environ []string, name string) string {
	value := ""
	for _, pair := range environ {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value = v
		}
	}
	return value
}

// Show shows how the run stands, soon; a newer one may overtake it. It returns at once,
// whatever the terminal does.
func (w *Watch) Show(s results.Snapshot) { w.mail.put(s) }

// Close shows the last snapshot, gives the terminal back and returns when that is done. If Out
// takes nothing more it waits for two seconds, puts the mode back and returns ErrStuck. An
// error is of the view alone; the run is none the worse for it.
func (w *Watch) Close() error {
	w.once.Do(func() {
		w.mail.close()
		patience := time.NewTimer(closing)
		defer patience.Stop()
		select {
		case <-w.over:
			w.told = w.err
		case <-patience.C:
			w.told = ErrStuck
		}
		w.restore()
		if w.signals != nil {
			signal.Stop(w.signals)
			close(w.signals)
		}
	})
	return w.told
}

// heed looks for signals while the terminal is in another mode: what the system does by
// default would leave it there.
func (w *Watch) heed(end func()) {
	signals := make(chan os.Signal, 4)
	w.signals = signals
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		s, ok := <-signals
		if ok && s != syscall.SIGQUIT { // which asks for no report, but for the process as it is
			end()
			s, ok = <-signals
		}
		if ok {
			w.Close()
			w.raise(s)
		}
	}()
}

// raise sends this process a signal that nobody looks for any longer.
func raise(s os.Signal) {
	signal.Reset(s)
	if self, err := os.FindProcess(os.Getpid()); err != nil || self.Signal(s) != nil {
		os.Exit(1) // a system without signals
	}
}

func (w *Watch) writeLines(cfg Config) {
	lines := newLines(cmp.Or(cfg.Every, 2*time.Second))
	for {
		s, more := w.mail.take()
		text := lines.next(s, !more)
		if text != "" && w.err == nil {
			_, w.err = io.WriteString(cfg.Out, text)
		}
		if !more {
			return
		}
	}
}

func (w *Watch) draw(cfg Config, m tea.Model) {
	options := []tea.ProgramOption{
		tea.WithOutput(cfg.Out), tea.WithEnvironment(cfg.Environ), tea.WithFPS(10),
		// Signals end the run, and the run closes the view.
		tea.WithoutSignalHandler(),
	}
	input := cfg.In
	if f, ok := cfg.In.(term.File); ok && isTerminal(cfg.In) {
		if state, err := term.GetState(f.Fd()); err == nil {
			w.restore = func() { _ = term.Restore(f.Fd(), state) }
		}
	} else {
		input = nil
	}
	options = append(options, tea.WithInput(input))
	w.program = tea.NewProgram(m, options...)
	go func() {
		_, err := w.program.Run()
		if err != nil { // it could not draw, or panicked
			w.restore()
			w.writeLines(cfg)
			w.err = errors.Join(err, w.err)
		}
		close(w.over)
	}()
}

// mailbox holds the newest snapshot for one reader.
//
// Invariant: news has an element if, and only if, there is one that was not taken.
type mailbox struct {
	mutex  sync.Mutex
	newest results.Snapshot
	news   chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newMailbox() *mailbox {
	return &mailbox{news: make(chan struct{}, 1), closed: make(chan struct{})}
}

func (m *mailbox) put(s results.Snapshot) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.newest = s
	select {
	case m.news <- struct{}{}:
	default:
	}
}

func (m *mailbox) close() { m.once.Do(func() { close(m.closed) }) }

// take waits for a snapshot. After the close it returns the newest there was, and false.
func (m *mailbox) take() (s results.Snapshot, more bool) {
	select {
	case <-m.closed:
	case <-m.news:
		more = true
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.newest, more
}
