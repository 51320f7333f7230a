package mailbox

import (
	"fmt"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// invoker notes what it is given, and may do something about it.
type invoker struct {
	mu       sync.Mutex
	seen     []any
	handle   func(message any)
	failures []any
}

func (i *invoker) note(message any) {
	i.mu.Lock()
	i.seen = append(i.seen, message)
	i.mu.Unlock()
	if i.handle != nil {
		i.handle(message)
	}
}

func (i *invoker) InvokeSystemMessage(message any) { i.note(message) }
func (i *invoker) InvokeUserMessage(message any)   { i.note(message) }
func (i *invoker) EscalateFailure(_, message any)  { i.failures = append(i.failures, message) }

func newTestInline(handle func(*Inline, any)) (*Inline, *invoker) {
	m := new(Inline)
	i := new(invoker)
	i.handle = func(message any) { handle(m, message) }
	m.RegisterHandlers(i, nil)
	return m, i
}

func TestAPosterRunsAnIdleActor(t *testing.T) {
	m, i := newTestInline(func(*Inline, any) {})
	m.PostUserMessage(1)
	require.Equal(t, []any{1}, i.seen)
}

func TestWhatAnActorPostsToItselfIsHandledAfterwards(t *testing.T) {
	m, i := newTestInline(func(m *Inline, message any) {
		if n := message.(int); n < 5 {
			m.PostUserMessage(n + 1)
			m.PostUserMessage(n + 10)
		}
	})
	m.PostUserMessage(3)
	require.Equal(t, []any{3, 4, 13, 5, 14}, i.seen)
}

func TestWhatIsDoneAfterEachMessageIsDoneBeforeTheNextAndAlsoAfterAFailure(t *testing.T) {
	a := NewAddress()
	var order []any
	turn := false
	i := new(invoker)
	i.handle = func(message any) {
		turn = true
		defer func() { turn = false }()
		order = append(order, message)
		switch message {
		case "first":
			a.Tell("second")
		case "second":
			a.Tell("third")
			panic(message)
		}
	}
	a.AfterEach(func() {
		require.False(t, turn, "not upon the actor's turn")
		order = append(order, "after")
		if len(order) == 2 {
			a.Tell("told by what is done after") // behind what was told before
		}
	})
	a.mailbox.RegisterHandlers(i, nil)
	a.Tell("first")
	require.Equal(t, []any{"first", "after", "second", "after", "told by what is done after", "after", "third", "after"}, order)
	require.Equal(t, []any{"second"}, i.failures)
}

func TestAPanicLeavesTheMailboxRunning(t *testing.T) {
	m, i := newTestInline(func(m *Inline, message any) {
		if message == "bad" {
			panic(message)
		}
	})
	m.PostUserMessage("bad")
	m.PostUserMessage("good")
	require.Equal(t, []any{"bad"}, i.failures)
	require.Equal(t, []any{"bad", "good"}, i.seen)
}

func TestASuspendedMailboxKeepsUserMessages(t *testing.T) {
	m, i := newTestInline(func(*Inline, any) {})
	m.PostSystemMessage(&actor.SuspendMailbox{})
	m.PostUserMessage(1)
	m.PostUserMessage(2)
	require.Empty(t, i.seen)
	require.Equal(t, 2, m.UserMessageCount())

	m.PostSystemMessage(&actor.ResumeMailbox{})
	require.Equal(t, []any{1, 2}, i.seen)
}

func TestALongBatchMovesToAGoroutineOfItsOwn(t *testing.T) {
	const n = 3*inlineBatch + 5
	done := make(chan struct{})
	m, i := newTestInline(func(m *Inline, message any) {
		switch message.(int) {
		case 0:
			for k := range n {
				m.PostUserMessage(k + 1)
			}
		case n:
			close(done)
		}
	})
	m.PostUserMessage(0)
	require.LessOrEqual(t, m.UserMessageCount(), n-inlineBatch)
	<-done
	for k, message := range i.seen {
		require.Equal(t, k, message)
	}
}

func TestManyPostersHandleEveryMessageOnce(t *testing.T) {
	handled := make(map[string]int) // touched by one runner at a time, or -race says so
	m, _ := newTestInline(func(_ *Inline, message any) { handled[message.(string)]++ })
	var all sync.WaitGroup
	for p := range 8 {
		all.Go(func() {
			for k := range 1000 {
				m.PostUserMessage(fmt.Sprint(p, "/", k))
			}
		})
	}
	all.Wait()
	idle := make(chan struct{})
	for m.UserMessageCount() > 0 {
	}
	m.handleWhenIdle(func() { close(idle) })
	<-idle
	require.Len(t, handled, 8000)
}

// handleWhenIdle runs f as the actor would, once no other runner is left.
func (m *Inline) handleWhenIdle(f func()) {
	for {
		m.mu.Lock()
		if !m.running {
			m.running = true
			m.mu.Unlock()
			f()
			m.run()
			return
		}
		m.mu.Unlock()
	}
}

func TestAMailQueueKeepsOrderWhileItGrowsAndShrinks(t *testing.T) {
	var q queue
	in, out := 0, 0
	for round := range 2000 {
		for range round % 7 {
			q.push(in)
			in++
		}
		for range min(q.n, round%5) {
			require.Equal(t, out, q.pop())
			out++
		}
	}
	for q.n > 0 {
		require.Equal(t, out, q.pop())
		out++
	}
	require.Equal(t, in, out)
	require.Nil(t, q.ring, "a burst's memory is let go")
}

// hearer hears numbers.
type hearer struct{ heard []any }

func (h *hearer) Hear(message any) bool {
	if message == 13 {
		panic(message)
	}
	_, number := message.(int)
	if number {
		h.heard = append(h.heard, message)
	}
	return number
}

func TestAnActorHearsItsOwnWordsAndHasTheOthersFromTheLibrary(t *testing.T) {
	h := new(hearer)
	m, i := newTestInline(func(*Inline, any) {})
	m.hearer = h
	caller, others := NewCaller(h), new(invoker)
	caller.RegisterHandlers(others, nil)
	for _, post := range []func(any){m.PostUserMessage, caller.Handle} {
		h.heard = nil
		for _, message := range []any{1, "one", 13, 2} {
			post(message)
		}
		require.Equal(t, []any{1, 2}, h.heard)
	}
	for _, library := range []*invoker{i, others} {
		require.Equal(t, []any{"one"}, library.seen)
		require.Equal(t, []any{13}, library.failures, "a panic is a failure")
	}
}

func TestAnActorThatWasStoppedHearsNothing(t *testing.T) {
	h := new(hearer)
	m, i := newTestInline(func(*Inline, any) {})
	m.hearer = h
	m.PostUserMessage(1)
	Address{m}.Stop()
	m.PostUserMessage(2)
	require.Equal(t, []any{1}, h.heard)
	require.Equal(t, []any{stopMessage, 2}, i.seen, "the library knows what to do with them")
}

func TestAnActorThatIsSuspendedHearsWhatCameMeanwhileWhenItIsResumed(t *testing.T) {
	h := new(hearer)
	m, _ := newTestInline(func(*Inline, any) {})
	m.hearer = h
	m.PostSystemMessage(&actor.SuspendMailbox{})
	m.PostUserMessage(1)
	require.Empty(t, h.heard)
	m.PostSystemMessage(&actor.ResumeMailbox{})
	require.Equal(t, []any{1}, h.heard)
}
