package auth

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// NonceRule says from where a key's nonces rise, and how far. The zero value is
// for most: nonces start from the server's time as it is known, or the local
// clock, and rise strictly as long as the process lives.
type NonceRule struct {
	// Ahead is how far nonces may run ahead of the local wall clock; zero means a
	// day. A server remembers the greatest nonce for ever, so that one from a clock
	// that was wrong would shut the key out. Set it where the local clock is known
	// to be that far behind.
	Ahead time.Duration
	// Floor remembers between two processes what was used, for when the clock is
	// set back in between: see NonceFile. Nil forgets.
	Floor NonceFloor
}

// ErrNonceAhead means that the next nonce would be further ahead of the local
// clock than NonceRule.Ahead allows.
var ErrNonceAhead = errors.New("nonce ahead of this machine's clock")

// NonceRaiser is an authenticator whose nonces can be raised after the server
// found one too small: the clock was set back since another process used the key.
type NonceRaiser interface {
	// RaiseNonce has the next nonces begin a minute later, or after a second
	// refusal within five minutes two, then four, and so on. It reports whether
	// that is allowed, and so whether another attempt may help.
	RaiseNonce(clock Clock) bool
}

// RaiseNonce raises the nonces of a, if a is a NonceRaiser.
func RaiseNonce(a Authenticator, clock Clock) bool {
	r, ok := a.(NonceRaiser)
	return ok && r.RaiseNonce(clock)
}

const (
	defaultAhead = 24 * time.Hour
	nonceBlock   = 10 * time.Second // of nonces are reserved in a floor at a time
	firstRaise   = time.Minute
	raiseMemory  = 5 * time.Minute // a refusal after a longer pause begins anew
)

// nonceSource is the sequence of one key, in one unit. Whoever signs with the key
// shares it, over all schemes and engines of the process.
//
// Invariant: every nonce given is greater than all before it, and with a floor not
// greater than what was stored there before it was given.
type nonceSource struct {
	name string // in the registry
	unit time.Duration
	used atomic.Int64 // when it was last looked up, in ns: written under the registry's lock for reading

	// turn is held by whoever is to be given the next nonce. He may have to wait for a floor, and those
	// behind him wait no longer than their calls are waited for: see takeTurn.
	turn     sync.Mutex
	reserves []*reserve // of whoever has the turn: in the floors of rules, the latest last; those in memories are their keepers'

	mu       sync.Mutex // guards what follows; nobody waits under it
	last     uint64     // the last nonce given, or passed over
	raised   time.Duration
	raisedAt time.Time // of the wall clock it was raised by
}

// next returns the next nonce: the time in units, or one more than the last,
// whichever is greater. Starting from the time keeps the sequence rising across
// restarts, as long as fewer nonces are used than units pass. Keys must not change
// to a coarser unit: their nonces would start below old ones.
//
// clocks returns the server's time and this machine's wall clock. It is asked behind
// everything that may take its time: the turn, and what a floor loads and stores. The call is
// waited for no longer than its caller waits.
func (s *nonceSource) next(call *messages.Call, clocks func() (now, local time.Time), rule NonceRule, k keeper) (uint64, error) {
	if err := s.takeTurn(call); err != nil {
		return 0, err
	}
	defer s.turn.Unlock()
	r, others := s.reserveFor(rule, k), uint64(0)
	if r != nil {
		var err error
		if others, err = r.look(); err != nil {
			return 0, err
		}
	}
	for {
		n, err := s.draw(call, clocks, rule, r, max(s.lastGiven(), others))
		if err != nil || s.give(n) {
			return n, err
		}
	}
}

const (
	turnSpins = 100 // looks at a turn that mostly takes no time, before anybody sleeps
	leastNap  = time.Millisecond
	mostNap   = 16 * time.Millisecond
)

// takeTurn waits for the turn as long as its call is waited for. It looks again and again, for what it
// could be woken by would be a channel, which the process's own source must not have: one
// belongs to the testing/synctest bubble that it was made in.
func (s *nonceSource) takeTurn(call *messages.Call) error {
	for range turnSpins {
		if s.turn.TryLock() {
			return nil
		}
		runtime.Gosched()
	}
	for nap := leastNap; !s.turn.TryLock(); nap = min(2*nap, mostNap) {
		over := make(chan struct{})
		timer := time.AfterFunc(nap, func() { close(over) })
		if err := call.Await(over); err != nil {
			timer.Stop()
			return fmt.Errorf("another request waits for its nonce to be remembered: %w", err)
		}
	}
	return nil
}

// draw returns the nonce above what was used, once it is covered by a floor, if there is one.
func (s *nonceSource) draw(call *messages.Call, clocks func() (now, local time.Time), rule NonceRule, r *reserve, used uint64) (uint64, error) {
	now, local := clocks()
	n, limit := max(plus(used, 1), s.units(now)), s.limit(local, rule)
	if n > limit || n == used { // nothing is greater than the greatest there is
		return 0, s.tooFar(n, local, rule)
	}
	if r == nil {
		return n, nil
	}
	stored, err := r.cover(n, min(limit, s.blockEnd(n, r.given, now)), call)
	if err != nil {
		return 0, err
	}
	if stored {
		now, _ = clocks()
		n = max(n, min(s.units(now), r.stored))
	}
	return n, nil
}

func (s *nonceSource) lastGiven() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// give takes note of a nonce. It reports false if nonces were raised above it meanwhile.
func (s *nonceSource) give(n uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n <= s.last {
		return false
	}
	s.last = n
	return true
}

// blockEnd is up to where a floor is to be stored for n. That is a block from the clock
// on, and not from n on: whoever comes next begins behind the block, and if it then had a
// whole one of its own, nonces would run a block further ahead with each who comes. Where
// they are further ahead as it is, as when the clock was set back, an eighth of what was given
// is reserved, so that they run ahead by an eighth of what is used at most, and a floor is stored
// ever more seldom.
func (s *nonceSource) blockEnd(n, given uint64, now time.Time) uint64 {
	block := s.span(nonceBlock)
	return max(plus(s.units(now), block), plus(n, min(given/8, block)))
}

// plus adds without overflow: what would be more than the greatest number is that.
func plus(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

func (s *nonceSource) tooFar(n uint64, local time.Time, rule NonceRule) error {
	ahead := time.Duration(math.MaxInt64)
	if over := n - s.units(local); over < uint64(math.MaxInt64/s.unit) {
		ahead = time.Duration(over) * s.unit
	}
	return fmt.Errorf("%w: by %v, and at most %v is allowed: set the clock, or NonceRule.Ahead if the nonce is right",
		ErrNonceAhead, ahead.Round(time.Second), cmp.Or(rule.Ahead, defaultAhead))
}

// raise passes over nonces after a refusal.
func (s *nonceSource) raise(now, local time.Time, rule NonceRule) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now = now.Round(0) // a pause counts, whether the machine slept in it or not
	if pause := now.Sub(s.raisedAt); pause < 0 || pause > raiseMemory {
		s.raised = 0
	}
	s.raised, s.raisedAt = max(2*s.raised, firstRaise), now
	s.last = min(plus(max(s.last, s.units(now)), s.span(s.raised)), max(s.last, s.limit(local, rule)))
	return s.last < s.limit(local, rule)
}

// units is a time as a nonce; zero before 1970.
func (s *nonceSource) units(t time.Time) uint64 { return uint64(max(0, t.UnixNano()/int64(s.unit))) }

func (s *nonceSource) span(d time.Duration) uint64 { return uint64(max(1, d/s.unit)) }

// limit is the greatest nonce allowed.
func (s *nonceSource) limit(local time.Time, rule NonceRule) uint64 {
	now, ahead := local.UnixNano(), int64(cmp.Or(rule.Ahead, defaultAhead))
	if now > 0 && ahead > math.MaxInt64-now {
		return math.MaxUint64
	}
	return s.units(time.Unix(0, now+ahead))
}

// nonceRegistry has the sources of all keys of the process. A key that was not
// used for long is forgotten, but for the greatest nonce of all those: whoever
// comes back, or comes anew, begins above it.
type nonceRegistry struct {
	mu        sync.RWMutex
	sources   map[string]*nonceSource  // by lane and unit
	forgotten map[time.Duration]uint64 // by unit
}

const (
	manyNonces  = 256       // sources above which those out of use are looked for
	nonceMemory = time.Hour // without use, after which a source may be forgotten
)

var nonces = nonceRegistry{sources: make(map[string]*nonceSource), forgotten: make(map[time.Duration]uint64)}

// of returns the source of a key in a unit; zero means 1 µs.
func (r *nonceRegistry) of(key Secret, unit time.Duration) *nonceSource {
	unit = cmp.Or(unit, time.Microsecond)
	name, now := lane(key)+unit.String(), time.Now()
	r.mu.RLock()
	s := r.sources[name]
	if s != nil {
		s.used.Store(now.UnixNano())
	}
	r.mu.RUnlock()
	if s != nil {
		return s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s = r.sources[name]; s == nil {
		if len(r.sources) >= manyNonces {
			r.forget(now)
		}
		s = &nonceSource{name: name, unit: unit, last: r.forgotten[unit]}
		r.sources[name] = s
	}
	s.used.Store(now.UnixNano())
	return s
}

// forget drops the sources out of use whose nonces are in the past. It requires
// that mu is held, so that nobody is about to use what it drops.
func (r *nonceRegistry) forget(now time.Time) {
	for name, s := range r.sources {
		s.mu.Lock()
		last, idle := s.last, now.UnixNano()-s.used.Load()
		s.mu.Unlock()
		if idle > int64(nonceMemory) && last <= s.units(now) {
			r.forgotten[s.unit] = max(r.forgotten[s.unit], last)
			delete(r.sources, name)
		}
	}
}

// nextNonce returns the next nonce of a key, for a call.
func nextNonce(call *messages.Call, key Secret, clock Clock, unit time.Duration, rule NonceRule) (uint64, error) {
	k, _ := clock.(keeper)
	return nonces.of(key, unit).next(call, func() (now, local time.Time) { return clock.Now(), time.Now() }, rule, k)
}

func raiseNonce(key Secret, clock Clock, unit time.Duration, rule NonceRule) bool {
	return nonces.of(key, unit).raise(clock.Now(), time.Now(), rule)
}

// nextUnique returns a number that the key has not used. Its size means nothing
// to the server, so that no rule applies.
func nextUnique(call *messages.Call, key Secret, clock Clock, unit time.Duration) (uint64, error) {
	return nextNonce(call, key, clock, unit, NonceRule{Ahead: math.MaxInt64})
}

// lane names a key without disclosing it.
func lane(key Secret) string {
	sum := sha256.Sum256([]byte(key))
	return "nonce-" + hex.EncodeToString(sum[:8])
}
