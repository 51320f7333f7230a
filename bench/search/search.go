package search

import (
	"errors"
	"fmt"
	"math"
)

// The usual settings.
const (
	DefaultWidth         = 0.02
	DefaultConfirmations = 5
)

const (
	leastWidth = 0.001
	// invalidInARow is how often the harness must be the limit at one rate to be believed:
	// a neighbour on the machine can do that once.
	invalidInARow = 3
	// patientBackOffs are as wide as the width; from then on each is twice as wide as the
	// last, so that a server that has become slower meanwhile does not make the search endless.
	patientBackOffs = 6
)

// Config says where to search.
type Config struct {
	// From and To are the lowest and the highest rate that may be tried, in requests a
	// second. From is above 0, To not below it.
	From, To float64
	// Width is how far apart the last rate that held and the first that failed may be in the
	// end, as a share; 0 means DefaultWidth.
	Width float64
	// Confirmations is how many trials in a row must hold, at each of two rates a width
	// apart; 0 means DefaultConfirmations.
	Confirmations int
}

func (c Config) withDefaults() (Config, error) {
	var mistakes []error
	wrong := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if c.Width == 0 {
		c.Width = DefaultWidth
	}
	if c.Confirmations == 0 {
		c.Confirmations = DefaultConfirmations
	}
	if !(c.From > 0) || math.IsInf(c.From, 0) {
		wrong("a lowest rate of %g/s: it must be above 0", c.From)
	}
	if !(c.To >= c.From) || math.IsInf(c.To, 0) {
		wrong("a highest rate of %g/s: it must be at least the lowest, %g/s", c.To, c.From)
	}
	if !(c.Width >= leastWidth && c.Width <= 1) {
		wrong("a width of %g %%: it must be %g %% to 100 %%", 100*c.Width, 100*leastWidth)
	}
	if c.Confirmations < 1 {
		wrong("%d confirmations: there must be at least 1", c.Confirmations)
	}
	return c, errors.Join(mistakes...)
}

// Outcome is what a trial says of its rate.
type Outcome string

// The outcomes.
const (
	Held    Outcome = "held"
	Failed  Outcome = "failed"
	Invalid Outcome = "invalid" // the harness was the limit, so it says nothing
)

// Phase is what a trial is made for.
type Phase string

// The phases, in their order.
const (
	Doubling   Phase = "doubling"
	Bisection  Phase = "bisection"
	Confirming Phase = "confirming"
	Done       Phase = "done"
)

// Search is the state of a search. It is pure: Next says which rate to try, Tell what became
// of it. It is owned by one goroutine.
//
// Invariant: held < wall wherever both are known, every rate that is tried lies within
// Config.From and Config.To, and every Tell brings the search nearer to its end: doubling and
// bisection narrow what lies between held and wall, and confirming either counts or goes down.
type Search struct {
	cfg   Config
	phase Phase
	rate  float64 // what Next says
	held  float64 // the highest that held, in doubling and bisection; 0 if none did
	wall  float64 // the lowest above held that failed or was invalid; 0 if none was

	confirmed int     // in a row at rate
	above     float64 // a width above rate, where all confirmations held; 0 if not
	backOffs  int
	invalid   int  // in a row at rate
	doubted   bool // it failed at rate, in doubling, and is tried once more

	firstFailed, firstInvalid float64
	answer                    float64
}

// New begins a search.
func New(cfg Config) (*Search, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Search{cfg: cfg, phase: Doubling, rate: cfg.From}, nil
}

// Next returns the rate to try and what for; false once the search is done.
func (s *Search) Next() (rate float64, phase Phase, more bool) {
	return s.rate, s.phase, s.phase != Done
}

// Confirmed is how many trials have held in a row at the rate of Next, while it is confirmed.
func (s *Search) Confirmed() int { return s.confirmed }

// Tell says what became of the trial at the rate of Next. After the end it does nothing.
func (s *Search) Tell(o Outcome) {
	if s.phase == Done {
		return
	}
	if o == Invalid {
		if s.invalid++; s.invalid < invalidInARow {
			return // once more
		}
	}
	s.invalid = 0
	if s.doubted = o == Failed && s.phase == Doubling && !s.doubted; s.doubted {
		return // a hiccup here would put the whole search far below the edge
	}
	s.remember(o)
	switch s.phase {
	case Doubling:
		s.doubled(o == Held)
	case Bisection:
		s.bisected(o == Held)
	case Confirming:
		s.confirm(o == Held)
	}
}

// remember keeps the lowest rates at which something went wrong.
func (s *Search) remember(o Outcome) {
	switch {
	case o == Failed && (s.firstFailed == 0 || s.rate < s.firstFailed):
		s.firstFailed = s.rate
	case o == Invalid && (s.firstInvalid == 0 || s.rate < s.firstInvalid):
		s.firstInvalid = s.rate
	}
}

func (s *Search) doubled(held bool) {
	switch {
	case !held && s.held == 0:
		s.phase = Done // not even the lowest
	case !held:
		s.wall, s.phase = s.rate, Bisection
		s.halve()
	case s.rate == s.cfg.To:
		s.held = s.rate
		s.beginConfirming()
	default:
		s.held = s.rate
		s.rate = min(2*s.rate, s.cfg.To)
	}
}

func (s *Search) bisected(held bool) {
	if held {
		s.held = s.rate
	} else {
		s.wall = s.rate
	}
	s.halve()
}

// halve goes to the middle of what is left, or on to confirming.
func (s *Search) halve() {
	if s.wall <= s.held*(1+s.cfg.Width) {
		s.beginConfirming()
		return
	}
	s.rate = rounded(math.Sqrt(s.held * s.wall))
	if s.rate <= s.held || s.rate >= s.wall { // they are neighbours in the digits that are kept
		s.beginConfirming()
	}
}

func (s *Search) beginConfirming() { s.phase, s.rate, s.confirmed = Confirming, s.held, 0 }

func (s *Search) confirm(held bool) {
	if held {
		if s.confirmed++; s.confirmed == s.cfg.Confirmations {
			s.confirmedAll()
		}
		return
	}
	s.above = 0
	if s.rate <= s.cfg.From {
		s.phase = Done // nothing below may be tried
		return
	}
	s.confirmed = 0
	s.backOffs++
	step := s.cfg.Width * math.Exp2(float64(max(0, s.backOffs-patientBackOffs)))
	s.rate = s.lower(min(step, 1))
}

// confirmedAll answers once all confirmations have held at two rates a width apart: the lower
// is the answer. Those at one rate alone have had too much luck, for every rate that was gone
// back to was one more chance to have it. Where nothing ever failed there is no edge in sight.
func (s *Search) confirmedAll() {
	if s.above == 0 && s.rate > s.cfg.From && s.firstFailed+s.firstInvalid > 0 {
		s.above, s.rate, s.confirmed = s.rate, s.lower(s.cfg.Width), 0
		return
	}
	s.answer, s.phase = s.rate, Done
}

// lower is the rate below by a share.
func (s *Search) lower(by float64) float64 {
	return max(s.cfg.From, min(rounded(s.rate/(1+by)), math.Nextafter(s.rate, 0)))
}

// rounded keeps five digits, for people.
func rounded(rate float64) float64 {
	scale := math.Pow(10, 4-math.Floor(math.Log10(rate)))
	return math.Round(rate*scale) / scale
}

// Answer is what a search found.
type Answer struct {
	// Held is the rate at which Of of Of trials held; 0 if there is none.
	Held float64 `json:"held"`
	Of   int     `json:"of"`
	// HeldAbove is a width above Held, where Of of Of held before; 0 if nothing failed
	// anywhere, or Held is the lowest rate that was allowed and nothing above it did so.
	HeldAbove float64 `json:"heldAbove"`
	// Highest is the highest rate at which any trial of doubling or bisection held, whether
	// it was confirmed or not.
	Highest float64 `json:"highest"`
	// FirstFailed is the lowest rate at which a trial failed, and FirstInvalid the lowest at
	// which the harness was the limit again and again; 0 if there is none.
	FirstFailed  float64 `json:"firstFailed"`
	FirstInvalid float64 `json:"firstInvalid"`
	// Done is false if the search was ended before its time.
	Done bool `json:"done"`
}

// Answer says what is known so far.
func (s *Search) Answer() Answer {
	return Answer{
		Held: s.answer, Of: s.cfg.Confirmations, HeldAbove: s.above, Highest: s.held, FirstFailed: s.firstFailed, FirstInvalid: s.firstInvalid,
		Done: s.phase == Done,
	}
}

// HarnessIsTheLimit reports whether what ended the search from above was the harness and not
// the server, which may hold more.
func (a Answer) HarnessIsTheLimit() bool {
	return a.FirstInvalid > 0 && (a.FirstFailed == 0 || a.FirstInvalid < a.FirstFailed)
}
