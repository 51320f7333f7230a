package engine_test

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
)

// krakenServer refuses a nonce that is not above the one before.
func krakenServer(delay func(n int) time.Duration) (handler http.HandlerFunc, refused *int) {
	var mu sync.Mutex
	var last uint64
	n := 0
	refused = new(int)
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n++
		wait := delay(n)
		mu.Unlock()
		time.Sleep(wait) // requests overtake one another on their way
		r.ParseForm()
		nonce, _ := strconv.ParseUint(r.PostForm.Get("nonce"), 10, 64)
		mu.Lock()
		defer mu.Unlock()
		if nonce <= last {
			*refused++
		}
		last = max(last, nonce)
	}, refused
}

func TestNoncesArriveInOrderHoweverSlowTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, refused := krakenServer(func(n int) time.Duration { return time.Duration(n%3) * 100 * time.Millisecond })
		eng := newServer(t, handler).newEngine(t, engine.Config{
			Auth: auth.Kraken{Key: "key", Secret: "c2VjcmV0"},
		})
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/0/private/Balance", Auth: true, Body: engine.Form{"a": "b"}})
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.Zero(t, *refused)
		wantNothingHeld(t, eng)
	})
}

func TestEnginesOfAProcessThatShareAKeyKeepItsNoncesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, refused := krakenServer(func(n int) time.Duration { return time.Duration(n*7%5) * 10 * time.Millisecond })
		s := newServer(t, handler)
		engines := []*engine.Engine{
			s.newEngine(t, engine.Config{Auth: auth.Kraken{Key: "shared key", Secret: "c2VjcmV0"}}),
			s.newEngine(t, engine.Config{Auth: auth.Chain{auth.Kraken{Key: "shared key", Secret: "c2VjcmV0"}}}),
		}
		var all sync.WaitGroup
		for i := range 400 {
			all.Go(func() {
				_, err := engines[i%2].Do(t.Context(), &engine.Request{Method: "POST", Path: "/0/private/Balance", Auth: true, Body: engine.Form{"a": "b"}})
				require.NoError(t, err)
			})
		}
		all.Wait()
		require.Zero(t, *refused)
		require.Len(t, s.seen(), 400)
	})
}

func TestACallerMayLeaveTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler, _ := krakenServer(func(int) time.Duration { return time.Minute })
		eng := newServer(t, handler).newEngine(t, engine.Config{Auth: auth.Kraken{Key: "key", Secret: "c2VjcmV0"}})
		req := &engine.Request{Method: "POST", Path: "/0/private/Balance", Auth: true}
		first := make(chan error, 1)
		go func() { _, err := eng.Do(context.Background(), req); first <- err }()
		synctest.Wait()

		late := *req
		late.Timeout = time.Second
		_, err := eng.Do(t.Context(), &late)

		require.ErrorIs(t, err, context.DeadlineExceeded)
		var failure *engine.Error
		require.ErrorAs(t, err, &failure)
		require.Equal(t, engine.Signing, failure.Stage)
		require.Equal(t, engine.SentNo, failure.Sent)
		require.NoError(t, <-first)
		wantNothingHeld(t, eng)
	})
}
