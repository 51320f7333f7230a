package permit

import (
	"sync/atomic"

	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Permit is leave to send one thing, from Acquire to its Done. The zero value is one that
// is done. All methods are safe for concurrent use.
//
// A Permit is acquired once, and never again: the word that leads to its bearer is set before
// its caller has it, and taken away once, by whoever is first to be done with it. So a second
// Done, however late, finds nothing, though the bearer has long been somebody else's.
type Permit struct {
	bearer  atomic.Pointer[bearer] // nil once it is done
	origin  string                 // written by issue, and only read by everybody from then on; and so is charged
	charged throttle.Charged
}

// Done says what became of what the permit was taken for. Only the first call counts.
func (p *Permit) Done(fate throttle.Fate) {
	if b := p.bearer.Swap(nil); b != nil {
		b.settle(throttle.Outcome{Fate: fate}, nil)
	}
}

// Settle is Done for whoever knows more: what the server said about limits, which it need
// not have said; nil says nothing. Of the outcome, Refused is taken from what was said.
func (p *Permit) Settle(outcome throttle.Outcome, said *feedback.Feedback) {
	if b := p.bearer.Swap(nil); b != nil {
		b.settle(outcome, said)
	}
}

// Paused reports whether nothing may be sent under the permit now: what it is charged in
// is paused, the limits were replaced, or it is done.
func (p *Permit) Paused() bool {
	b := p.bearer.Load()
	return b == nil || b.issuer.needs.Held(p.origin, &p.charged) || b.issuer.needs.Outdated(&p.charged)
}

// Forgotten takes a permit for lost that nobody can be done with any more, if it is not
// done. The collector calls it, on a goroutine which is in no test's fake time, and so it
// touches nothing but a list: the issuer settles it later, and warns.
func (p *Permit) Forgotten() {
	if b := p.bearer.Swap(nil); b != nil {
		b.issuer.dropped.add(b)
	}
}
