package watch

import (
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/sluice-engine/sluice/bench/results"
)

// mostHistory is how many seconds the line of p99 goes back.
const mostHistory = 300

// model is what is on the screen. It belongs to the program's loop.
type model struct {
	mail    *mailbox
	end     func()
	asked   bool // the user wants the end
	shown   bool // there has been a snapshot
	now     results.Snapshot
	history []time.Duration // p99 of response at each second, the last at historyTo-1
	next    int             // second of the run that the history wants next
	width   int
	height  int
}

func newModel(mail *mailbox, end func()) model {
	return model{mail: mail, end: end, width: 80, height: 24}
}

// arrived carries a snapshot; last says that no other follows.
type arrived struct {
	snapshot results.Snapshot
	last     bool
}

func (m model) wait() tea.Msg {
	s, more := m.mail.take()
	return arrived{snapshot: s, last: !more}
}

// Init waits for the first snapshot.
func (m model) Init() tea.Cmd { return m.wait }

// Update takes snapshots, keys and sizes.
func (m model) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch message := message.(type) {
	case arrived:
		if message.last {
			m.now.Ended = m.now.Ended || message.snapshot.Ended
			return m, tea.Quit
		}
		m.now, m.shown = message.snapshot, true
		m.remember()
		return m, m.wait
	case tea.WindowSizeMsg:
		m.width, m.height = message.Width, message.Height
	case tea.KeyPressMsg:
		switch message.String() {
		case "q", "Q", "ctrl+c", "ctrl+d", "esc":
			return m.leave()
		}
	}
	return m, nil
}

// leave asks for the end of the run, and the second time only closes the view.
func (m model) leave() (tea.Model, tea.Cmd) {
	if m.asked {
		return m, tea.Quit
	}
	m.asked = true
	if m.end != nil {
		go m.end()
	}
	return m, nil
}

// remember keeps one p99 a second, however often snapshots come.
func (m *model) remember() {
	second := int(m.now.Elapsed / time.Second)
	if second < m.next {
		return
	}
	m.next = second + 1
	history := append(m.history, m.now.Response.P99)
	if len(history) > mostHistory {
		history = append([]time.Duration(nil), history[len(history)-mostHistory:]...)
	}
	m.history = history
}

// View draws everything anew.
func (m model) View() tea.View {
	view := tea.NewView(m.screen())
	view.AltScreen = true
	return view
}
