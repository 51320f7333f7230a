package engine

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// ending is the end of an engine, which takes place once.
type ending struct {
	announce sync.Once
	begun    chan struct{} // closed when Close or Shutdown has been called: what waits for another try hears of it
	begin    sync.Once
	ended    chan struct{} // closed when nothing is left

	disconnect func() // closes the connections that nobody uses; set by New
	unlinger   func() // closes those kept a moment longer for whoever comes back; set by New
}

const (
	// closePatience is how long Close waits for code that is not the engine's: all
	// that the engine can cut short it has cut short before.
	closePatience = 30 * time.Second
	// logPatience is how long the log's last lines are waited for.
	logPatience = time.Second
)

// Shutdown takes no new requests, lets those on their journey end, queued ones
// included, and then stops the engine. If ctx ends before that, the rest is
// cut short as by Close, and the context's error is returned. Every caller is
// answered exactly once. Calling it again is allowed, and so is calling it from
// many goroutines. For code of yours that the engine waits for, what is said of Close is
// true: if it does not return, the error is ErrStillRunning, and the context's as well if
// that has ended.
//
// What waits for its turn in a run of Stream, or for a credit of Config.Admission, has not begun its
// journey, and gets ErrClosed: to let a run end, wait for its loop first. What waits to go again, by
// FanOut.RetryLater, or by Events in a pause, has ended one and gets ErrClosed at once.
//
// It waits for permits of Acquire as well, those that are waited for and those that are
// held: one that its own caller holds until ctx ends. So it is with a streamed answer that
// nobody closes, and with those that a run of Stream has ready: called in that run's own loop, it
// waits for answers that the loop would have to take, until ctx ends.
func (e *Engine) Shutdown(ctx context.Context) error {
	if err := cmp.Or(e.misused(ctx, &Request{}), e.refuseInside("Shutdown")); err != nil {
		return err
	}
	e.takeNoMore()
	var err error
	select {
	case <-e.admission.idle:
		err = e.permits.shutdown(ctx)
	case <-ctx.Done():
		err = messages.ContextError(ctx)
	}
	switch stopped := e.stop(); {
	case stopped == nil:
		return err
	case err == nil:
		return stopped
	default:
		return fmt.Errorf("%w; and then %w", err, stopped)
	}
}

// Close stops the engine at once: requests that wait get ErrClosed, exchanges
// are aborted. It returns when every caller has its answer and nothing is left
// running. Calling it again is allowed, and so is calling it from many
// goroutines. Permits that are held are not waited for, and Done does nothing from then
// on.
//
// A body's reader whose Read or Close has not returned is waited for as well, although its
// request has ended long ago: it runs on a goroutine of the engine's.
//
// Code that a request waits for (a processor, an authenticator, a body's reader,
// a hook, a dialer, a log handler) would wait for itself: called from there,
// Close changes nothing and returns ErrInsideRequest at once. That is noticed on
// the goroutine that the engine calls such code on; on another, and if such code
// does not return at all, Close returns ErrStillRunning after 30 s, and the engine
// ends by itself as soon as it can. So it does for a memory of your own whose Append,
// Replace or Close does not return, and the error says which.
//
// A dialer, and the methods of a connection of yours, are let go of after 5 s instead: what they
// open later is closed, and what does not return is left to you.
func (e *Engine) Close() error {
	if err := e.refuseInside("Close"); err != nil {
		return err
	}
	e.takeNoMore()
	return e.stop()
}

// hasBegun reports whether Close or Shutdown has been called.
func (e *ending) hasBegun() bool {
	select {
	case <-e.begun:
		return true
	default:
		return false
	}
}

// takeNoMore has nothing begin any more, and what waits to begin another time not wait for it.
func (e *Engine) takeNoMore() {
	e.ending.announce.Do(func() { close(e.ending.begun) })
	e.admission.close()
	e.permits.asking.close()
	e.coalescing.submitted.close()
	e.runs.refuseLater()
}

// stop cuts short what is left, and waits for it to be gone.
func (e *Engine) stop() error {
	if e.journal != nil {
		e.journal.Hasten()
	}
	e.system.Close()
	e.ending.begin.Do(func() { go e.end() })
	patience := time.NewTimer(closePatience)
	defer patience.Stop()
	select {
	case <-e.ending.ended:
		return nil
	case <-patience.C:
		return fmt.Errorf("sluice: not closed after %s, %s: %w", closePatience, e.whatIsLeft(), ErrStillRunning)
	}
}

// whatIsLeft says what an engine waits for that ends.
func (e *Engine) whatIsLeft() string {
	inFlight, _ := e.admission.credits()
	left := fmt.Sprintf("with %d requests on their journey, and %d goroutines in readers of bodies", inFlight, e.system.Outside().Count())
	if e.journal == nil {
		return left
	}
	if method := e.journal.Hanging(); method != "" {
		left += ", and with Config.Memory in its method " + method
	}
	return left
}

// end waits until nothing is left. The service actors answer the requests under
// way, so they end after the last of these has left; the log has the last word.
func (e *Engine) end() {
	<-e.admission.idle
	<-e.permits.asking.idle
	<-e.coalescing.submitted.idle
	e.system.AwaitParked()                  // the last credit is back before that is told
	_ = e.system.Wait(context.Background()) // fails only with its context
	e.system.Outside().Await()
	e.ending.disconnect()
	e.forget()
	e.scribe.Close(logPatience)
	close(e.ending.ended)
}

func (e *Engine) refuseInside(method string) error {
	if err := e.made(); err != nil {
		return err
	}
	inFlight, _ := e.admission.credits()
	if !calledFromInside(inFlight) {
		return nil
	}
	return fmt.Errorf("sluice: %s would wait for its own caller: %w", method, ErrInsideRequest)
}
