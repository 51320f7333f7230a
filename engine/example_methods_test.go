package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

// exampleEngine is one whose requests are charged to "calls", of which there are so many a
// minute.
func exampleEngine(url string, quota int64) *engine.Engine {
	eng, err := engine.New(engine.Config{
		BaseURL:        url,
		Limits:         []throttle.Limit{{ID: "calls", Quota: quota, Per: time.Minute}},
		DefaultLimitID: "calls",
	})
	if err != nil {
		panic(err)
	}
	return eng
}

// exampleLimit is what statistics say of "calls".
func exampleLimit(eng *engine.Engine) engine.LimitStats { return eng.Stats().Limits.Limits[0] }

// Another channel has told of costs that the engine does not know of.
func ExampleEngine_AdjustLimit() {
	eng := exampleEngine("https://api.example.com", 100)
	defer eng.Close()
	if err := eng.AdjustLimit("calls", engine.Parts{}, 40); err != nil {
		fmt.Println(err)
	}
	fmt.Println(exampleLimit(eng))
	// Output: calls: 40 of 100 used
}

// The account has fallen to a lower tier.
func ExampleEngine_AnnounceQuota() {
	eng := exampleEngine("https://api.example.com", 100)
	defer eng.Close()
	if err := eng.AnnounceQuota("calls", engine.Parts{}, 60); err != nil {
		fmt.Println(err)
	}
	fmt.Println(exampleLimit(eng).Quota)
	// Output: 60
}

// A second process is started, and each has a half from now on.
func ExampleEngine_SetShare() {
	eng := exampleEngine("https://api.example.com", 100)
	defer eng.Close()
	if err := eng.SetShare("calls", 0.5, 0); err != nil {
		fmt.Println(err)
	}
	fmt.Println(exampleLimit(eng).Quota)
	// Output: 50
}

func ExampleEngine_ReplaceLimits() {
	eng := exampleEngine("https://api.example.com", 100)
	defer eng.Close()
	if err := eng.ReplaceLimits([]throttle.Limit{{ID: "calls", Quota: 500, Per: time.Minute}}); err != nil {
		fmt.Println(err)
	}
	err := eng.ReplaceLimits([]throttle.Limit{{ID: "calls", Quota: -1}}) // which changes nothing
	fmt.Println(err != nil, exampleLimit(eng).Quota)
	// Output: true 500
}

// exampleClock is a server whose clock is a minute ahead.
func exampleClock() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(time.Minute)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		fmt.Fprintf(w, `{"serverTime":%d}`, now.UnixMilli())
	}))
}

func ExampleEngine_AwaitTime() {
	api := exampleClock()
	defer api.Close()
	eng, err := engine.New(engine.Config{BaseURL: api.URL, Time: engine.TimeFrom("/time", "serverTime")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	if err := eng.AwaitTime(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(time.Until(eng.Clock().Now()).Round(time.Second))
	// Output: 1m0s
}

// Without a source of time the engine has the local one to offer.
func ExampleEngine_Clock() {
	eng, err := engine.New(engine.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	fmt.Println(time.Since(eng.Clock().Now()) < time.Second)
	// Output: true
}

// TimeFrom names the endpoint; the limit that it is charged to has to be said.
func ExampleTimeFrom() {
	_, err := engine.New(engine.Config{
		BaseURL: "https://api.example.com",
		Limits:  []throttle.Limit{{ID: "weight", Quota: 1200, Per: time.Minute}},
		Time:    engine.TimeFrom("/time", "serverTime"), // and not .ChargedTo("weight")
	})
	fmt.Println(err != nil)
	// Output: true
}

func ExampleEngine_DryRun() {
	eng, err := engine.New(engine.Config{
		BaseURL: "https://api.example.com", Auth: auth.Binance("key", "secret"),
		Limits: []throttle.Limit{{ID: "orders", Quota: 10, Per: time.Second}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	rehearsal, err := eng.DryRun(context.Background(), &engine.Request{
		Method: http.MethodPost, Path: "/order", Query: engine.Values{"symbol": "BTCUSDT"}, LimitID: "orders", Auth: true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rehearsal.Signed, rehearsal.Explanation.Leaves, rehearsal.Query[0].Name)
	// Output: true true symbol
}

// Nothing but cancels leaves any more.
func ExampleEngine_Halt() {
	api := exampleServer()
	defer api.Close()
	eng := exampleEngine(api.URL, 100)
	defer eng.Close()
	halt, err := eng.Halt(engine.Filter{PriorityBelow: engine.Urgent})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, err = eng.Do(ctx, &engine.Request{Path: "/price", Priority: engine.High})
	_, cancelled := eng.Do(ctx, &engine.Request{Path: "/price", Priority: engine.Urgent})
	fmt.Println(errors.Is(err, engine.ErrHalted), cancelled)

	halt.Lift()
	_, err = eng.Do(ctx, &engine.Request{Path: "/price"})
	fmt.Println(err)
	// Output:
	// true <nil>
	// <nil>
}

// Somebody lifts a halt who was told no more of it than its number.
func ExampleEngine_Lift() {
	eng := exampleEngine("https://api.example.com", 100)
	defer eng.Close()
	if _, err := eng.Halt(engine.Filter{Method: http.MethodPost}); err != nil {
		fmt.Println(err)
		return
	}
	for _, standing := range eng.Stats().Halts {
		fmt.Println(standing.Selects, eng.Lift(standing.ID))
	}
	fmt.Println(len(eng.Stats().Halts))
	// Output:
	// method "POST" true
	// 0
}

// Maintenance was announced: everything that goes to the origin waits.
func ExampleEngine_Pause() {
	api := exampleServer()
	defer api.Close()
	eng := exampleEngine(api.URL, 100)
	defer eng.Close()
	whole := throttle.Scope{Name: throttle.WholeOrigin}
	if err := eng.Pause(whole, time.Hour); err != nil {
		fmt.Println(err)
		return
	}
	_, err := eng.Do(context.Background(), &engine.Request{Path: "/price", Timeout: time.Second})
	fmt.Println(errors.Is(err, context.DeadlineExceeded))

	if err := eng.Resume(whole); err != nil {
		fmt.Println(err)
	}
	_, err = eng.Do(context.Background(), &engine.Request{Path: "/price"})
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

func ExampleEngine_Resume() {
	eng := exampleEngine("https://api.example.com", 100)
	defer eng.Close()
	whole := throttle.Scope{Name: throttle.WholeOrigin}
	fmt.Println(eng.Pause(whole, time.Hour), eng.Resume(whole))
	// Output: <nil> <nil>
}

func ExampleEngine_RemoveAccount() {
	eng, err := engine.New(engine.Config{
		BaseURL:  "https://api.example.com",
		Accounts: map[string]auth.Authenticator{"hedge": auth.Binance("key", "secret")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	fmt.Println(eng.RemoveAccount("hedge"))
	_, err = eng.Do(context.Background(), &engine.Request{Path: "/order", Account: "hedge"})
	fmt.Println(errors.Is(err, engine.ErrUnknownAccount))
	// Output:
	// <nil>
	// true
}

// Anything that is built on http.Client obeys the limits.
func ExampleEngine_RoundTripper() {
	api := exampleServer()
	defer api.Close()
	eng := exampleEngine(api.URL, 100)
	defer eng.Close()
	client := &http.Client{Transport: eng.RoundTripper()}
	response, err := client.Get(api.URL + "/price?symbol=BTCUSDT")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	fmt.Println(response.Status, exampleLimit(eng).Used+exampleLimit(eng).InFlight)
	// Output: 200 OK 1
}

// What is under way has ten seconds to end.
func ExampleEngine_Shutdown() {
	eng := exampleEngine("https://api.example.com", 100)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(eng.Shutdown(ctx))
	_, err := eng.Do(context.Background(), &engine.Request{Path: "/price"})
	fmt.Println(errors.Is(err, engine.ErrClosed))
	// Output:
	// <nil>
	// true
}

func ExampleEngine_Close() {
	eng := exampleEngine("https://api.example.com", 100)
	fmt.Println(eng.Close(), eng.Close()) // as often as you like
	// Output: <nil> <nil>
}

func ExampleEngine_CloseIdleConnections() {
	api := exampleServer()
	defer api.Close()
	eng := exampleEngine(api.URL, 100)
	defer eng.Close()
	if err := eng.Warm(context.Background(), "", 2); err != nil {
		fmt.Println(err)
	}
	eng.CloseIdleConnections() // the machine has moved to another network
	for _, pool := range eng.Stats().Pools {
		fmt.Println(pool.Idle)
	}
	// Output: 0
}

func ExampleEngine_WarmEgress() {
	api := exampleServer()
	defer api.Close()
	eng, err := engine.New(engine.Config{
		BaseURL: api.URL,
		Egress:  map[string]engine.Egress{"second": {LocalAddr: "127.0.0.1"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer eng.Close()
	if err := eng.WarmEgress(context.Background(), "second", "", 3); err != nil {
		fmt.Println(err)
	}
	for _, pool := range eng.Stats().Pools {
		fmt.Println(pool.Egress, pool.Idle)
	}
	// Output: second 3
}

func ExampleEngine_Stats() {
	api := exampleServer()
	defer api.Close()
	eng := exampleEngine(api.URL, 100)
	defer eng.Close()
	for range 3 {
		if _, err := eng.Do(context.Background(), &engine.Request{Path: "/price"}); err != nil {
			fmt.Println(err)
		}
	}
	stats := eng.Stats()
	fmt.Println(stats.InFlight, stats.Pools[0])
	// Output: 0 0 leased, 1 idle
}

// One look, and no wait.
func ExampleEngine_TryAcquire() {
	eng := exampleEngine("https://api.example.com", 1)
	defer eng.Close()
	permit, err := eng.TryAcquire(engine.Charge{LimitID: "calls"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer permit.Done(engine.Done)
	_, err = eng.TryAcquire(engine.Charge{LimitID: "calls"})
	fmt.Println(errors.Is(err, engine.ErrNoRoom))
	// Output: true
}

// A session that was begun in a browser goes on here.
func ExampleEngine_UpdateCookies() {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("session")
		fmt.Println(cookie != nil, err)
	}))
	defer api.Close()
	eng := exampleEngine(api.URL, 100)
	defer eng.Close()
	if err := eng.UpdateCookies(api.URL, &http.Cookie{Name: "session", Value: "s1"}); err != nil {
		fmt.Println(err)
	}
	if _, err := eng.Do(context.Background(), &engine.Request{Path: "/"}); err != nil {
		fmt.Println(err)
	}
	// Output: true <nil>
}

func ExampleWait() {
	eng := exampleEngine("https://api.example.com", 1)
	defer eng.Close()
	permit, _ := eng.TryAcquire(engine.Charge{})
	permit.Done(engine.Done)
	_, err := eng.TryAcquire(engine.Charge{}) // there is room again in a minute

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	fmt.Println(errors.Is(engine.Wait(ctx, err), context.DeadlineExceeded)) // at once: the time would not do
	// Output: true
}

func ExampleOutcomeOf() {
	eng := exampleEngine("https://api.example.com", 1)
	defer eng.Close()
	_, err := eng.Do(context.Background(), &engine.Request{Path: "/order", LimitID: "ordres"})
	fmt.Println(engine.OutcomeOf(err))
	// Output: not sent
}

// What the engine before it has spent is spent.
func ExampleMemoryFile() {
	dir, err := os.MkdirTemp("", "sluice")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	for range 2 {
		eng, err := engine.New(engine.Config{
			BaseURL: "https://api.example.com",
			Limits:  []throttle.Limit{{ID: "calls", Quota: 10, Per: time.Hour}},
			Memory:  engine.MemoryFile(filepath.Join(dir, "memory")),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		permit, err := eng.TryAcquire(engine.Charge{LimitID: "calls", Weight: 4})
		if err != nil {
			fmt.Println(err)
			return
		}
		permit.Done(engine.Done)
		fmt.Println(exampleLimit(eng).Used)
		if err := eng.Close(); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// 4
	// 8
}
