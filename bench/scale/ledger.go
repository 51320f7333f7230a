package scale

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// waiters are permits in a ledger of their own, in virtual time: one for each key,
// and each waits for its key's limit nearly all the time.
type waiters struct {
	ledger  *throttle.Ledger
	permits []throttle.Permit
	now     time.Duration
}

var errNotAsked = errors.New("nothing is queued, and nothing can wake")

// openLedgerKeys grants to whoever waits. Whoever is granted is answered at once and
// waits again.
func openLedgerKeys(j Job) (subject, error) {
	w, err := waitingPermits(j.X)
	if err != nil {
		return nil, err
	}
	return newLoop(j, 1, 0, w.grant)
}

func waitingPermits(keys int) (*waiters, error) {
	const per = time.Second
	ledger, err := throttle.New([]throttle.Limit{{ID: "keyed", Keyed: true, Quota: 1, Per: per}}, throttle.Options{})
	if err != nil {
		return nil, err
	}
	w := &waiters{ledger: ledger, permits: make([]throttle.Permit, keys)}
	for i := range w.permits {
		p := &w.permits[i]
		p.Limit, p.Key = "keyed", strconv.Itoa(i)
		for range 2 { // the first is granted at once
			if err := w.ask(p); err != nil {
				return nil, err
			}
		}
		w.now += per / time.Duration(keys)
	}
	if ledger.Len() != keys {
		return nil, fmt.Errorf("%d of %d permits wait", ledger.Len(), keys)
	}
	return w, nil
}

// ask has a permit wait, or be granted and answered. As the owner of a ledger does
// after any call that adds a waiter, it asks who is next.
func (w *waiters) ask(p *throttle.Permit) error {
	if err := w.ledger.Acquire(w.now, p); err != nil {
		return err
	}
	if p.State() == throttle.Granted {
		w.ledger.Settle(w.now, p, throttle.Outcome{})
	}
	for next := w.ledger.Next(w.now); next != nil; next = w.ledger.Next(w.now) {
		w.ledger.Settle(w.now, next, throttle.Outcome{})
		if err := w.ledger.Acquire(w.now, next); err != nil {
			return err
		}
	}
	return nil
}

// grant lets n permits leave, and wait again.
func (w *waiters) grant(n int) error {
	for range n {
		p := w.ledger.Next(w.now)
		for p == nil {
			at, ok := w.ledger.Wake()
			if !ok {
				return errNotAsked
			}
			w.now = max(w.now, at)
			p = w.ledger.Next(w.now)
		}
		w.ledger.Settle(w.now, p, throttle.Outcome{})
		if err := w.ledger.Acquire(w.now, p); err != nil {
			return err
		}
	}
	return nil
}

// heavyQuota is the quota of a full window of requests of weight 1, at instants of
// their own.
const heavyQuota = 32_000

// openHeavy asks for a heavy permit where a sliding window is full, and finds out
// when it may leave: it has to wait for as many others as it weighs.
func openHeavy(j Job) (subject, error) {
	const per = time.Minute
	if j.X > heavyQuota {
		return nil, fmt.Errorf("a weight of %d, and the window's quota is %d", j.X, heavyQuota)
	}
	ledger, err := throttle.New([]throttle.Limit{{ID: "window", Quota: heavyQuota, Per: per}}, throttle.Options{})
	if err != nil {
		return nil, err
	}
	w := &waiters{ledger: ledger}
	light := &throttle.Permit{Limit: "window"}
	for range heavyQuota {
		if err := w.ask(light); err != nil {
			return nil, err
		}
		w.now += per / heavyQuota / 2
	}
	heavy := &throttle.Permit{Limit: "window", Weight: int64(j.X)}
	return newLoop(j, 16, 0, func(n int) error { return w.try(heavy, n) })
}

func (w *waiters) try(p *throttle.Permit, n int) error {
	for range n {
		if err := w.ledger.Acquire(w.now, p); err != nil {
			return err
		}
		if next := w.ledger.Next(w.now); next != nil {
			return errors.New("a full window has room")
		}
		if _, ok := w.ledger.Wake(); !ok || !w.ledger.Cancel(w.now, p) {
			return errNotAsked
		}
	}
	return nil
}

// used lets so many keys be used once each, and returns the ledger that knows them,
// at an instant when the first of them may be used again.
func used(keys []string, per time.Duration) (*waiters, error) {
	ledger, err := throttle.New([]throttle.Limit{{ID: "keyed", Keyed: true, Quota: 10, Per: per}}, throttle.Options{})
	if err != nil {
		return nil, err
	}
	w := &waiters{ledger: ledger}
	p := &throttle.Permit{Limit: "keyed"}
	for _, key := range keys {
		p.Key = key
		if err := w.ask(p); err != nil {
			return nil, err
		}
		w.now += per / time.Duration(len(keys))
		w.forget()
	}
	return w, nil
}

// rest lets time pass in which nobody asks for anything.
func (w *waiters) rest(d time.Duration) {
	end := w.now + d
	for at, ok := w.rings(); ok && at <= end; at, ok = w.rings() {
		w.now = max(w.now, at)
		w.forget()
		w.ledger.Next(w.now)
	}
	w.now = end
	w.ledger.Next(w.now)
}

// rings returns when the ledger is worth asking again, as its owner's alarm does.
func (w *waiters) rings() (at time.Duration, ok bool) {
	wake, waits := w.ledger.Wake()
	idle, forgets := w.ledger.ForgetAt()
	switch {
	case waits && (!forgets || wake <= idle):
		return max(wake, w.now+1), true
	case forgets:
		return idle, true
	}
	return 0, false
}

// forget lets go of what is idle, if there may be anything.
func (w *waiters) forget() {
	for at, ok := w.ledger.ForgetAt(); ok && at <= w.now; at, ok = w.ledger.ForgetAt() {
		w.ledger.Forget(w.now)
	}
}

func namesOfKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = "account-" + strconv.Itoa(i)
	}
	runtime.GC()
	return keys
}
