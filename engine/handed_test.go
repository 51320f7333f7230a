package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/ticket"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// goroutine is the number of this one.
func goroutine() string {
	var stack [64]byte
	_, rest, _ := bytes.Cut(stack[:runtime.Stack(stack[:], false)], []byte(" "))
	number, _, _ := bytes.Cut(rest, []byte(" "))
	return string(number)
}

// signers have it noted on which goroutines requests are signed.
type signers struct {
	mu sync.Mutex
	of map[string]string // by path
}

func (s *signers) Authenticate(call *messages.Call, _ auth.Clock) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[call.Path] = goroutine()
	return nil
}

// onItsOwn reports whether a request was signed on its caller's goroutine.
func (s *signers) onItsOwn(path, caller string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of[path] == caller
}

func TestCallersHandTheirRequestsOverWhereManyWaitAndNowhereElse(t *testing.T) {
	// Two places share one hash in one of a hundred engines, and are taken for one then.
	for try := 0; !handsOver(t); try++ {
		require.Less(t, try, 3, "what nobody waits for was handed over")
	}
}

// handsOver has many wait for one limit, and reports whether a request for another was its caller's.
func handsOver(t *testing.T) (elsewhereOwn bool) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		signed := &signers{of: make(map[string]string)}
		eng := s.newEngine(t, engine.Config{
			Auth:   signed,
			Limits: []throttle.Limit{{ID: "narrow", Quota: 1, Per: time.Second}, {ID: "wide", Quota: 1 << 20, Per: time.Second}},
		})
		var order []string
		var mu sync.Mutex
		ask := func(path, limit string) (own bool) {
			_, err := eng.Do(t.Context(), &engine.Request{Path: path, LimitID: limit, Auth: true})
			require.NoError(t, err)
			mu.Lock()
			defer mu.Unlock()
			if limit == "narrow" {
				order = append(order, path)
			}
			return signed.onItsOwn(path, goroutine())
		}
		var all sync.WaitGroup
		own := make([]bool, ticket.Many+50)
		for i := range own {
			all.Go(func() { own[i] = ask(fmt.Sprintf("/%03d", i), "narrow") })
			synctest.Wait()
		}
		elsewhereOwn = ask("/elsewhere", "wide") // nobody waits there
		all.Wait()
		for i, is := range own {
			require.Equal(t, i <= ticket.Many, is, i) // the first has not waited
			require.Equal(t, fmt.Sprintf("/%03d", i), order[i], "first come, first served, whoever carries them")
		}
		require.True(t, ask("/after", "narrow"), "nobody waits any more")
		wantNothingHeld(t, eng)
	})
	return elsewhereOwn
}

func TestWhatIsPromisedTheCallersGoroutineIsNotHandedOver(t *testing.T) {
	for name, config := range map[string]engine.Config{
		"pre-processors":  {PreProcessors: []engine.PreProcessor{processor(func(*engine.Request) error { return nil })}},
		"post-processors": {PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(func(context.Context, *engine.Request, *engine.Response) error { return nil })}},
		"costs":           {Costs: map[string]func(*engine.Request) int64{"narrow": func(*engine.Request) int64 { return 1 }}},
		"observers":       {Observers: []engine.Observer{{Wait: func(context.Context, engine.Waited) {}}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, nil)
			signed := &signers{of: make(map[string]string)}
			config.Auth, config.DefaultLimitID = signed, "narrow"
			config.Limits = []throttle.Limit{{ID: "narrow", Quota: 1, Per: time.Second}}
			eng := s.newEngine(t, config)
			var all sync.WaitGroup
			for i := range ticket.Many + 20 {
				all.Go(func() {
					path := "/" + strconv.Itoa(i)
					_, err := eng.Do(t.Context(), &engine.Request{Path: path, Auth: true})
					require.NoError(t, err)
					require.True(t, signed.onItsOwn(path, goroutine()), name)
				})
				synctest.Wait()
			}
			all.Wait()
		})
	}
}

// A pool without a connection is a place where callers wait for long; one that lends some is not,
// however many wait.
func TestCallersHandTheirRequestsOverWhereNoConnectionComesAbout(t *testing.T) {
	for _, opens := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			answers := make(chan struct{})
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/first" {
					<-answers
				}
			})
			signed := &signers{of: make(map[string]string)}
			comes := make(chan struct{})
			eng := s.newEngine(t, engine.Config{
				Auth: signed, Connections: engine.Connections{Max: 1},
				Dial: engine.Dial{Timeout: time.Hour, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
					if !opens {
						<-comes
					}
					return s.dial(ctx, network, addr)
				}},
			})
			var all sync.WaitGroup
			own := make([]bool, ticket.Many+20)
			for i := range own {
				all.Go(func() {
					path := "/" + strconv.Itoa(i)
					if i == 0 {
						path = "/first"
					}
					_, err := eng.Do(t.Context(), &engine.Request{Path: path, Auth: true})
					require.NoError(t, err)
					own[i] = signed.onItsOwn(path, goroutine())
				})
				synctest.Wait()
				time.Sleep(time.Millisecond) // a first connection is not long in coming
			}
			close(comes)
			close(answers)
			all.Wait()
			for i, is := range own {
				require.Equal(t, opens || i < ticket.Many, is, i)
			}
			wantNothingHeld(t, eng)
		})
	}
}

// departs ends the goroutine that signs.
type departs struct{}

func (departs) Authenticate(*messages.Call, auth.Clock) error {
	runtime.Goexit()
	return nil
}

func TestGoexitInACallersCodeEndsHisGoroutineThoughAnotherHasItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Auth: departs{}})
		ended := make(chan bool)
		go func() {
			returned := false
			defer func() { ended <- returned }()
			_, _ = eng.DoAmongMany(t.Context(), &engine.Request{Path: "/", Auth: true})
			returned = true
		}()
		require.False(t, <-ended)
		wantNothingHeld(t, eng)
	})
}

// Whoever was handed over told of the end of his context himself; who comes after him does not.
func TestACancelledContextAbortsExchangesInASlotThatHandedRequestsHadBefore(t *testing.T) {
	for handed := range 4 {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					dawdles(w, r)
				}
			})
			eng := s.newEngine(t, engine.Config{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for range handed {
				_, err := eng.DoAmongMany(ctx, &engine.Request{Path: "/"})
				require.NoError(t, err)
			}
			began := time.Now()
			time.AfterFunc(time.Second, cancel)
			_, err := eng.Do(ctx, &engine.Request{Path: "/slow"})
			require.ErrorIs(t, err, context.Canceled, handed)
			require.Equal(t, time.Second, time.Since(began))
		})
	}
}
