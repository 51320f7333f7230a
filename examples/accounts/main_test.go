package main

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/bench/exchange"
	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

// trade has a desk trade for a while in fake time, and returns it.
func trade(t *testing.T, listener *memnet.Listener, journal string, while time.Duration) *desk {
	t.Helper()
	d, err := tryToTrade(t, listener, journal, while)
	require.NoError(t, err)
	return d
}

func tryToTrade(t *testing.T, listener *memnet.Listener, journal string, while time.Duration) (*desk, error) {
	t.Helper()
	config := configure(listener.URL(), journal)
	if journal == "" {
		config.Memory = nil
	}
	config.Dial.DialContext = listener.DialContext
	ctx, cancel := context.WithTimeout(t.Context(), while)
	defer cancel()
	return run(ctx, config, time.Minute, io.Discard)
}

// serve starts the program's exchange behind a network of 5 to 50 ms.
func serve(t *testing.T) (*exchange.Exchange, *memnet.Listener) {
	t.Helper()
	way, err := exchange.ParseDelay("uniform:5ms-50ms")
	require.NoError(t, err)
	ex, err := newExchange(way)
	require.NoError(t, err)
	listener := memnet.Listen()
	go ex.Serve(listener)
	t.Cleanup(func() { _ = ex.Close() })
	return ex, listener
}

func TestThreeAccountsTradeAtTheirLimitsAndLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, listener := serve(t)
		journal := filepath.Join(t.TempDir(), "journal")
		first := trade(t, listener, journal, 90*time.Second)
		require.Zero(t, open(ex), "Ctrl-C takes every order back")
		second := trade(t, listener, journal, 30*time.Second) // at once: the windows are as the first left them
		require.Zero(t, open(ex))

		report := ex.Report()
		require.Zero(t, report.Violations(), "%s", report)
		placed := first.placed.Load() + second.placed.Load()
		require.Positive(t, first.found.Load(), "some answers were lost")
		require.GreaterOrEqual(t, report.Orders, placed)
		require.LessOrEqual(t, report.Orders, placed+first.failed.Load()+second.failed.Load(), "no order is placed twice, and none is unknown")
		require.Len(t, report.Accounts, 3)
		for _, account := range report.Accounts {
			require.Greater(t, account.Orders, int64(50), account.Account)
			require.Empty(t, account.Violations)
		}
		require.Greater(t, report.Limits[0].Utilisation, 0.8, "the address's weight is what binds")
	})
}

func TestEachAccountLeavesByAWayOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, listener := serve(t)
		config := configure(listener.URL(), filepath.Join(t.TempDir(), "journal"))
		config.Dial.DialContext = listener.DialContext
		ways := map[string]engine.Egress{}
		for _, a := range accounts {
			ways[a.Name] = engine.Egress{DialContext: listener.DialFrom(a.Name + ".test")}
		}
		eachItsWayOut(&config, ways)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := run(ctx, config, time.Minute, io.Discard)
		require.NoError(t, err)
		report := ex.Report()
		require.Zero(t, report.Violations(), "%s", report)
		used := map[string]int64{}
		for _, l := range report.Limits {
			used[l.Scope] += l.Weight
		}
		for _, a := range accounts {
			require.Greater(t, used[a.Name+".test"], int64(100), "what %s did was counted at its own address", a.Name)
		}
	})
}

// spoiled is an exchange that executes what it is asked for, and answers neither orders nor
// look-ups.
type spoiled struct {
	*exchange.Exchange
	mu      sync.Mutex
	lookUps int
}

func (s *spoiled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kept := httptest.NewRecorder()
	s.Exchange.ServeHTTP(kept, r)
	if r.URL.Path != "/api/v3/order" || r.Method == http.MethodDelete {
		maps.Copy(w.Header(), kept.Header())
		w.WriteHeader(kept.Code)
		_, _ = kept.Body.WriteTo(w)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Method == http.MethodGet {
		s.lookUps++
	}
	w.WriteHeader(http.StatusBadGateway)
}

func serveSpoiled(t *testing.T) (*spoiled, *memnet.Listener) {
	t.Helper()
	ex, err := newExchange(exchange.Delay{})
	require.NoError(t, err)
	s, listener := &spoiled{Exchange: ex}, memnet.Listen()
	server := &http.Server{Handler: s}
	go server.Serve(listener)
	t.Cleanup(func() { _ = server.Close(); _ = ex.Close() })
	return s, listener
}

func TestADeskEndsWithinItsGraceAndTakesOrdersBackThoughNoLookUpIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, listener := serveSpoiled(t)
		config := configure(listener.URL(), filepath.Join(t.TempDir(), "journal"))
		config.Dial.DialContext = listener.DialContext
		ctx, cancel := context.WithCancel(t.Context())
		var signalled time.Time
		go func() {
			time.Sleep(5 * time.Second)
			require.Positive(t, open(s.Exchange))
			signalled = time.Now()
			cancel()
			time.Sleep(time.Second)
			require.Zero(t, open(s.Exchange), "taken back at once, while what is in doubt is looked up")
		}()
		d, err := run(ctx, config, grace, io.Discard)
		require.LessOrEqual(t, time.Since(signalled), grace)
		require.ErrorIs(t, err, errInDoubt)
		require.Zero(t, open(s.Exchange))
		require.Positive(t, d.failed.Load())
	})
}

func TestACancelWaitsForNoLookUpHoweverManyOrdersAreInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, listener := serveSpoiled(t)
		config := configure(listener.URL(), filepath.Join(t.TempDir(), "journal"))
		config.Dial.DialContext = listener.DialContext
		eng, err := engine.New(config)
		require.NoError(t, err)
		defer eng.Close()
		d := &desk{eng: eng}
		d.doubts, d.giveUp = context.WithCancel(t.Context())
		var asking sync.WaitGroup
		for i := range 40 {
			asking.Go(func() {
				_, err := d.find(d.doubts, "maker", "BTCUSDT", strconv.Itoa(i))
				require.Error(t, err)
			})
		}
		time.Sleep(8 * time.Second)
		begun := time.Now()
		for i := range 40 {
			require.NoError(t, d.cancel(t.Context(), "maker", "BTCUSDT", strconv.Itoa(i)))
		}
		require.Less(t, time.Since(begun), time.Second)
		require.Greater(t, s.lookUps, 1000/6, "they have used what they may")
		require.LessOrEqual(t, s.lookUps, 1150/6, "and nothing of what is kept for cancels")
		d.giveUp()
		asking.Wait()
	})
}

// Without memory a second desk knows nothing of what the first has spent.
func TestADeskThatForgetsIsRefusedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex, listener := serve(t)
		trade(t, listener, "", 15*time.Second)
		_, err := tryToTrade(t, listener, "", 5*time.Second)
		require.ErrorContains(t, err, "may have open orders", "it is banned, and says what it could not do")
		require.Positive(t, ex.Report().Violations())
	})
}

// open counts the orders that are open at the exchange.
func open(ex *exchange.Exchange) (n int64) {
	for _, account := range ex.Report().Accounts {
		n += account.Open
	}
	return n
}

// Every piece of Go in the guide stands in the two programs as it stands there.
func TestTheGuideToTradingShowsWhatIsRun(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "guide", "trading.md"))
	require.NoError(t, err)
	var program strings.Builder
	for _, file := range []string{"main.go", "desk.go", "egress.go", "venue.go", "rehearse.go", "../websocket/main.go", "../websocket/entry.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(source)) {
			program.WriteString(strings.TrimLeft(line, "\t"))
		}
	}
	shown := 0
	for i, piece := range strings.Split(string(guide), "```") {
		code, is := strings.CutPrefix(piece, "go\n")
		if !is || i%2 == 0 {
			continue
		}
		shown++
		var flat strings.Builder
		for line := range strings.Lines(code) {
			flat.WriteString(strings.TrimLeft(line, "\t"))
		}
		require.True(t, strings.Contains(program.String(), flat.String()), "no program has\n%s", code)
	}
	require.Greater(t, shown, 8)
}
