package actors

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
	"github.com/sluice-engine/sluice/throttle"
)

// slowLink takes its time between the beginning of an exchange and its first byte.
type slowLink struct {
	*link
	leaves   chan struct{} // closed when the first byte is taken
	departed *atomic.Bool
}

func (l slowLink) Exchange(call *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error) {
	select {
	case <-l.leaves:
	case <-l.aborted:
		l.reusable = false
		return nil, messages.SentMaybe, errors.New("aborted")
	}
	l.departed.Store(true)
	return l.link.Exchange(call, deadline)
}

// departing is one that says when that is over.
type departing struct{ slowLink }

func (l departing) Departed() bool { return l.departed.Load() }

// halting is a system whose only exchange has begun, and not left.
type halting struct {
	*System
	halts  throttle.Halts
	leaves chan struct{}
	done   chan error // of the request
}

func newHalting(t *testing.T, knows bool, asked messages.Request) *halting {
	h := &halting{leaves: make(chan struct{}), done: make(chan error, 1)}
	o := &origin{answer: time.Second}
	dial := func(ctx context.Context, at messages.Origin) (protocol.Connection, error) {
		conn, err := o.dial(ctx, at)
		slow := slowLink{conn.(*link), h.leaves, new(atomic.Bool)}
		if knows {
			return departing{slow}, err
		}
		return slow, err
	}
	h.System = start(t, o, Config{Dial: dial, Halts: &h.halts})
	go func() {
		_, err := h.Do(context.Background(), &asked, time.Time{})
		h.done <- err
	}()
	synctest.Wait()
	return h
}

// halt returns how long it takes.
func (h *halting) halt(t *testing.T, f throttle.Filter) time.Duration {
	began := time.Now()
	one := h.halts.Add(f, began)
	require.NoError(t, h.TakeHalted(one))
	h.AwaitDepartures(one)
	return time.Since(began)
}

func TestAHaltWaitsForWhoeverIsJustAboutToLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHalting(t, true, messages.Request{Path: "/"})
		time.AfterFunc(30*time.Millisecond, func() { close(h.leaves) })
		took := h.halt(t, throttle.Filter{})
		require.GreaterOrEqual(t, took, 30*time.Millisecond)
		require.Less(t, took, 40*time.Millisecond, "it does not wait for the answer")
		require.NoError(t, <-h.done, "it was on the wire")
	})
}

func TestAHaltWaitsForNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHalting(t, true, messages.Request{Path: "/", Priority: messages.Urgent})
		require.Zero(t, h.halt(t, throttle.Filter{PriorityBelow: messages.Urgent}))
		close(h.leaves)
		require.NoError(t, <-h.done)
		require.Zero(t, h.halt(t, throttle.Filter{}), "none is about to leave")
	})
}

// A connection that takes no byte, or of which nobody knows whether it has, is aborted.
func TestAHaltAbortsWhatDoesNotLeave(t *testing.T) {
	for _, knows := range []bool{true, false} {
		t.Run(fmt.Sprint(knows), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHalting(t, knows, messages.Request{Path: "/"})
				took := h.halt(t, throttle.Filter{})
				require.Less(t, took, 110*time.Millisecond)
				require.GreaterOrEqual(t, took, 100*time.Millisecond)
				err := <-h.done
				require.ErrorIs(t, err, throttle.ErrHalted)
				require.Equal(t, messages.Unknown, messages.OutcomeOf(err), "what the connection has taken is not known")
				close(h.leaves)
			})
		})
	}
}

// A crowd is out of the queue at once, and each of it is answered once.
func TestAHaltAnswersACrowdOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var halts throttle.Halts
		o := &origin{}
		s := start(t, o, Config{Halts: &halts, Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: time.Hour}}})
		require.NoError(t, send(s, 1, messages.Request{Path: "/", LimitID: "one"})[0])
		done := make(chan []error, 1)
		go func() { done <- send(s, 300, messages.Request{Path: "/", LimitID: "one"}) }()
		synctest.Wait()
		require.Equal(t, 300, s.Limits().Queued[0].N)
		h := halts.Add(throttle.Filter{}, time.Now())
		require.NoError(t, s.TakeHalted(h))
		require.Empty(t, s.Limits().Queued, "they are out of the queue at once, and answered later")
		for _, err := range <-done {
			require.ErrorIs(t, err, throttle.ErrHalted)
			require.Equal(t, messages.NotSent, messages.OutcomeOf(err))
		}
		require.EqualValues(t, 300, h.Refused(), "each is counted once")
	})
}
