package mailbox

import (
	"time"

	"github.com/sluice-engine/sluice/messages/protocol"
)

// Alarm tells an actor a word of its own at an instant. It has one timer, which
// rings at the instant set last. It belongs to the actor it rings, and a ring
// that was on its way when the alarm was set anew or stopped is told all the
// same.
type Alarm struct {
	to    protocol.Recipient
	word  any
	timer *time.Timer // nil until first needed
}

// NewAlarm returns an alarm that does not ring.
func NewAlarm(to protocol.Recipient, word any) Alarm { return Alarm{to: to, word: word} }

// RingIn has the alarm ring after d, at once if that is not above zero.
func (a *Alarm) RingIn(d time.Duration) {
	d = max(0, d)
	if a.timer != nil {
		a.timer.Reset(d)
		return
	}
	to, word := a.to, a.word // the timer's goroutine must not look at the alarm
	a.timer = time.AfterFunc(d, func() { to.Tell(word) })
}

// Stop takes the instant back.
func (a *Alarm) Stop() {
	if a.timer != nil {
		a.timer.Stop()
	}
}
