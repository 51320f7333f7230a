package throttle_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// A ledger has no clock: every instant is an argument, on a clock of the caller's own.
func ExampleNew() {
	ledger, err := throttle.New([]throttle.Limit{
		{ID: "weight", Quota: 1200, Per: time.Minute},
		{ID: "orders", Quota: 2, Per: time.Second, Linked: []throttle.Link{{ID: "weight", Weight: 5}}},
	}, throttle.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var now time.Duration
	for range 3 {
		permit := &throttle.Permit{Limit: "orders"}
		if err := ledger.Acquire(now, permit); err != nil {
			fmt.Println(err)
			return
		}
		if permit.State() == throttle.Queued && ledger.Next(now) == nil {
			at, _ := ledger.Wake()
			fmt.Printf("the third waits until %v, and then Next grants it: %v\n", at.Round(10*time.Millisecond), ledger.Next(at) == permit)
			break
		}
		now += 10 * time.Millisecond // its answer
		ledger.Settle(now, permit, throttle.Outcome{Fate: throttle.Answered})
	}
	// Output: the third waits until 1.01s, and then Next grants it: true
}

// Every mistake is in one error.
func ExampleNew_mistakes() {
	_, err := throttle.New([]throttle.Limit{
		{ID: "a", Quota: -1, Per: time.Second},
		{ID: "b", Quota: 1, Per: time.Second, Linked: []throttle.Link{{ID: "c"}}},
	}, throttle.Options{})
	fmt.Println(err)
	// Output:
	// limit "a": quota -1 is not in [0, 1099511627776]
	// limit "b": is linked to unknown limit "c"
}

func ExampleLedger_TryAcquire() {
	ledger, err := throttle.New([]throttle.Limit{{ID: "calls", Quota: 1, Per: time.Second}}, throttle.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	first, second := &throttle.Permit{Limit: "calls"}, &throttle.Permit{Limit: "calls"}
	fmt.Println(ledger.TryAcquire(0, first))
	err = ledger.TryAcquire(0, second)
	var full *throttle.LimitError
	fmt.Println(errors.Is(err, throttle.ErrNoRoom), errors.As(err, &full) && full.Full == "calls")
	// Output:
	// <nil>
	// true true
}

// What a request costs by what it asks for. Engine.New has this done for every request.
func ExampleTariffsOf() {
	tariffs := throttle.TariffsOf([]throttle.Limit{
		{ID: "weight", Quota: 1200, Per: time.Minute, Tariff: throttle.Tariff{
			{Param: "limit", UpTo: 100, Weight: 5}, {Param: "limit", Weight: 50},
		}},
	}, func(string) bool { return false })
	params := func(name string) []string { return map[string][]string{"limit": {"500"}}[name] }
	fmt.Println(tariffs.Weigh("weight", params, nil))
	// Output: [{weight 50}] <nil>
}
