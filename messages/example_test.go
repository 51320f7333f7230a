package messages_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// The lines of an answer's header are searched, not indexed.
func ExampleHeader() {
	header := messages.NewHeader("Content-Type: application/json\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n")
	fmt.Println(header.Get("content-type"), header.Values("Set-Cookie"))
	for name, value := range header.Without("Set-Cookie").All() {
		fmt.Println(name, value)
	}
	// Output:
	// application/json [a=1 b=2]
	// Content-Type application/json
}

// Values are written by one formatter, in a query, in a form, and where they are signed.
func ExampleValues() {
	text, err := messages.Values{"symbol": "BTCUSDT", "price": 0.1, "ids": []int{1, 2}, "unset": nil}.Encoded()
	fmt.Println(text, err)
	// Output: ids=1&ids=2&price=0.1&symbol=BTCUSDT <nil>
}

// A request prints without its query, header and body.
func ExampleRequest() {
	fmt.Println(&messages.Request{Method: "POST", Path: "/order", Query: messages.Values{"secret": "s"}})
	fmt.Println((&messages.Request{Method: "POST"}).IsIdempotent())
	// Output:
	// POST /order
	// false
}

// An observer of one's own names a limit as errors and pictures do.
func ExampleLimitName() {
	fmt.Printf("%q %q\n", messages.LimitName("orders"), messages.LimitName(messages.Unlimited))
	// Output: "orders" ""
}

// A wait that no limit is to blame for says what the memory says of it.
func ExampleNoteMemory() {
	failure := &messages.Error{Stage: messages.Throttled, Waited: 2 * time.Second, Err: context.DeadlineExceeded}
	silent := errors.New("the memory has not answered")
	messages.NoteMemory(failure, failure.Err, fmt.Errorf("%w for %v", silent, failure.Waited))
	fmt.Println(failure.Err)
	fmt.Println(errors.Is(failure, silent))
	// Output:
	// context deadline exceeded: the memory has not answered for 2s
	// true
}

// An error that whoever wraps an engine makes says of limits what the engine's own do.
func ExampleNoteLimit() {
	epoch := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	full := &throttle.LimitError{ID: "orders", Full: "weight", RetryAt: time.Minute, Err: throttle.ErrNoRoom}
	failure := messages.NewError(&messages.Request{Path: "/order"}, messages.Throttled, full)
	messages.NoteLimit(failure, "orders", full, epoch)
	fmt.Println(failure.Route, failure.Limit, failure.RetryAt.Sub(epoch), errors.Is(failure, throttle.ErrNoRoom))
	// Output: orders weight 1m0s true
}

// An authenticator that asks somebody else to sign waits for no longer than its request is waited for.
func ExampleCall_Await() {
	signature := make(chan struct{})
	go func() { // the signing service answers
		close(signature)
	}()
	call := &messages.Call{Method: "POST", Path: "/order", Deadline: time.Now().Add(time.Minute)}
	if err := call.Await(signature); err != nil {
		fmt.Println("gave up:", err)
		return
	}
	call.SetHeader("X-Signature", "c0ffee")
	fmt.Println(call.Fields[0].Name, call.Fields[0].Value)

	call.Deadline = time.Now() // the time of the next one is up
	fmt.Println(call.Await(make(chan struct{})))
	// Output:
	// X-Signature c0ffee
	// context deadline exceeded
}
