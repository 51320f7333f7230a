package journal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/memory"
)

// post is what stands between a journal and a store that takes its time: one
// goroutine, which appends all that has gathered at once, and then lets those leave
// that waited for it, in their order. While the store fails they wait on: it is tried
// again, with growing pauses, until it does not, or the journal is to end.
type post struct {
	journal *Journal
	store   *guarded
	wake    chan struct{} // has room for one
	end     chan struct{} // closed by hasten
	ended   chan struct{}

	// Guarded by the journal's lock.
	frames []byte                  // still to be appended
	leave  []func(remembered bool) // once those are
	writes bool                    // what was appended before is being written
	soon   []func(remembered bool) // once that is: nothing was appended since
}

func newPost(j *Journal, store *guarded) *post {
	p := &post{journal: j, store: store, wake: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{})}
	go p.run()
	return p
}

// append requires that the journal's lock is held.
func (p *post) append(frame []byte) {
	p.frames = append(p.frames, frame...)
	p.ring()
}

// After calls something once all is remembered that the journal was told before: at
// once, on the caller's goroutine, if the memory does not take its time, and otherwise on another
// one, in the order of the calls. Once the journal is to end it is called at once, and told that
// nobody knows whether that is remembered: then nothing may leave that must be.
func (j *Journal) After(leave func(remembered bool)) {
	j.mu.Lock()
	if j.post != nil && !j.hastens {
		j.post.await(leave)
		j.mu.Unlock()
		return
	}
	j.mu.Unlock()
	leave(j.post == nil)
}

// TakesTime reports whether After may have somebody wait.
func (j *Journal) TakesTime() bool { return j.post != nil }

// Silence is why somebody has not left in his time who waited for so long, and for the memory alone
// for the last part of that: an error if that part was most of it, and nil otherwise. An instant on
// the way to a disk is none.
func Silence(silent, waited time.Duration) error {
	if silent < leastSilence || silent < waited/2 {
		return nil
	}
	return fmt.Errorf("%w for %v", memory.ErrSilent, silent.Round(time.Millisecond))
}

// leastSilence is less than what anybody is told of.
const leastSilence = 10 * time.Millisecond

// Hanging is the method of the store that has not returned yet; empty if none is being called, and
// for a store that never has anybody wait.
func (j *Journal) Hanging() (method string) {
	if j.post == nil {
		return ""
	}
	if called := j.post.store.call.Load(); called != nil {
		method = *called
	}
	return method
}

// await has somebody leave once all is written that was appended by now. It requires that the
// journal's lock is held.
func (p *post) await(leave func(remembered bool)) {
	if p.writes && len(p.frames) == 0 && len(p.leave) == 0 {
		p.soon = append(p.soon, leave)
		return
	}
	p.leave = append(p.leave, leave)
	p.ring()
}

func (p *post) ring() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// patience is how long a nonce waits for the store at most, and how long whoever runs the engine is
// told nothing of a store that does not answer.
const patience = 10 * time.Second

var errNotRemembered = errors.New("memory: it could not be remembered in time that a nonce is used")

// wait returns once all is remembered that was appended before, or when await does that
// before.
func (j *Journal) wait(await func(ready <-chan struct{}) error) error {
	came := j.now()
	var remembered atomic.Bool
	ready := make(chan struct{})
	end := sync.OnceFunc(func() { close(ready) })
	j.After(func(ok bool) {
		remembered.Store(ok)
		end()
	})
	late := time.AfterFunc(patience, end)
	defer late.Stop()
	ended := await(ready)
	if ended == nil && remembered.Load() {
		return nil
	}
	why, waited := errNotRemembered, j.now()-came
	for _, besides := range []error{Silence(waited, waited), ended} {
		if besides != nil {
			why = fmt.Errorf("%w: %w", why, besides)
		}
	}
	return why
}

func (p *post) run() {
	defer close(p.ended)
	for {
		select {
		case <-p.wake:
			p.deliver()
		case <-p.end:
			p.deliver()
			return
		}
	}
}

// deliver takes what has gathered, and is done with it when the store is. Once much
// was appended, what matters still is put in the place of all instead.
func (p *post) deliver() {
	j := p.journal
	j.mu.Lock()
	frames, leave := p.frames, p.leave
	p.frames, p.leave, p.writes = nil, nil, true
	var all []byte
	if j.isLong() {
		all = j.beginAnew()
	}
	j.mu.Unlock()
	ok := true
	switch {
	case all != nil: // frames are in it
		anew, err := rewrite(all)
		ok = err == nil && p.persist(func() error { return p.store.Replace(anew) })
		j.goOn(anew, len(all), ok)
	case len(frames) > 0:
		ok = p.persist(func() error { return p.store.Append(frames) })
	}
	if !ok {
		p.putBack(frames)
	}
	for _, do := range leave {
		do(ok)
	}
	for _, do := range p.written() {
		do(ok)
	}
}

// putBack has frames that the store did not take stand before those that came meanwhile, for close:
// what follows them means nothing without them.
func (p *post) putBack(frames []byte) {
	p.journal.mu.Lock()
	defer p.journal.mu.Unlock()
	p.frames = append(frames, p.frames...)
}

// written ends what deliver began, and returns who came meanwhile for that alone.
func (p *post) written() (soon []func(remembered bool)) {
	p.journal.mu.Lock()
	defer p.journal.mu.Unlock()
	soon, p.soon, p.writes = p.soon, nil, false
	return soon
}

// goOn has the journal go on from what it was written anew as, unless it was given up
// meanwhile.
func (j *Journal) goOn(anew []byte, from int, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if ok && !j.lost {
		j.written += uint64(len(anew))
		j.base = len(anew)
		j.history = append(anew, j.history[from:]...)
	}
}

const (
	firstPause = 50 * time.Millisecond
	mostPause  = time.Second
)

// persist writes until that succeeds, which it reports, or the journal is closed.
func (p *post) persist(write func() error) bool {
	for pause, told := firstPause, false; ; pause = min(2*pause, mostPause) {
		slow := time.AfterFunc(patience, func() {
			p.journal.warn("the memory has not answered for long: requests wait until it does", "for", patience)
		})
		err := write()
		slow.Stop()
		if err == nil {
			return true
		}
		if !told {
			told = true
			p.tell(err)
		}
		select {
		case <-time.After(pause):
		case <-p.end:
			return false
		}
	}
}

func (p *post) tell(err error) {
	about := []any{"error", err}
	if panicked, is := err.(*panicError); is {
		about = append(about, "stack", string(panicked.cut.Stack))
	}
	p.journal.warn("the memory does not take what is spent: requests wait until it does", about...)
}

// Hasten has nobody wait for the memory any longer: the engine is about to end. What
// it is told from now on Close writes, and what the store has not taken by now.
func (j *Journal) Hasten() {
	if j.post == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.hastens {
		j.hastens = true
		close(j.post.end)
	}
}

// close writes what is still to be written, and gives the store back.
func (p *post) close() error {
	p.journal.Hasten()
	<-p.ended
	var err error
	if len(p.frames) > 0 {
		err = p.store.Append(p.frames)
	}
	return errors.Join(err, p.store.Close())
}
