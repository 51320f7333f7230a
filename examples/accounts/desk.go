package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

// cancelling is above looking up: a halt of what is less than urgent leaves both alone,
// and what the limits keep for cancels no look-up takes.
const (
	lookingUp  = engine.Urgent
	cancelling = engine.Urgent + 1
)

// desk trades with one engine for all accounts.
type desk struct {
	eng    *engine.Engine
	quotes sync.WaitGroup
	doubts context.Context // ends when nobody asks any more what became of an order
	giveUp context.CancelFunc
	placed atomic.Int64 // orders that the exchange has accepted
	found  atomic.Int64 // of which we only know because we asked
	lost   atomic.Int64 // orders that never arrived, which we know for the same reason
	failed atomic.Int64 // orders of which we could not learn what became
}

type order struct {
	OrderID       int64
	ClientOrderID string
	Status        string
}

// quote places an order of a symbol and takes it back, again and again until it is
// halted. Its context does not end with the signal: a request that is cancelled on its
// way leaves an order of which nobody knows.
func (d *desk) quote(account, symbol string) {
	ctx := context.Background()
	for n := 0; ; n++ {
		id := fmt.Sprintf("%s-%s-%d-%d", account, symbol, time.Now().UnixMilli()%1e9, n)
		_, err := d.place(ctx, account, symbol, id)
		switch {
		case errors.Is(err, engine.ErrHalted):
			return
		case err == nil:
			d.placed.Add(1)
			_ = d.cancel(ctx, account, symbol, id) // what is left, stop takes back
		case errors.Is(err, errNotPlaced):
			d.lost.Add(1)
		case engine.OutcomeOf(err) == engine.Unknown:
			d.failed.Add(1)
		case engine.Wait(ctx, err) != nil:
			return // it would be refused again
		}
	}
}

// place places an order once. If what became of it is unknown, it is looked up by the
// id that we gave it, before anything is repeated.
func (d *desk) place(ctx context.Context, account, symbol, id string) (order, error) {
	placed, err := engine.Fetch[order](ctx, d.eng, newOrder(account, symbol, id))
	if engine.OutcomeOf(err) != engine.Unknown {
		return placed, err // it was placed, or certainly was not
	}
	found, doubt := d.find(d.doubts, account, symbol, id)
	switch {
	case doubt == nil:
		d.found.Add(1)
		return found, nil
	case errors.Is(doubt, errNotPlaced):
		return order{}, doubt
	}
	return order{}, errors.Join(err, doubt) // still unknown, whatever became of the question
}

func newOrder(account, symbol, id string) *engine.Request {
	return &engine.Request{
		Method: http.MethodPost, Path: "/api/v3/order",
		Account: account, Auth: true, // who signs it, and whose quota it takes
		LimitID: "order", Key: symbol, Priority: engine.High,
		Query: engine.Values{
			"symbol": symbol, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
			"quantity": 0.01, "price": 1, "newClientOrderId": id,
		},
	}
}

// onItsWay is longer than an order can be: the exchange refuses what was signed longer
// than five seconds ago.
const onItsWay = 10 * time.Second

// errNotPlaced is the exchange's word that there is no such order, and can be none any
// more. It may be placed anew.
var errNotPlaced = errors.New("the exchange knows of no such order")

// find asks for an order until the exchange says something certain, once a second, and
// not for ever.
func (d *desk) find(ctx context.Context, account, symbol, id string) (order, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	arrived := time.Now().Add(onItsWay)
	for {
		asked := time.Now()
		found, err := engine.Fetch[order](ctx, d.eng, &engine.Request{
			Path: "/api/v3/order", Query: engine.Values{"symbol": symbol, "origClientOrderId": id},
			Account: account, Auth: true, LimitID: "query", Priority: lookingUp,
		})
		switch {
		case err == nil:
			return found, nil
		case says(err, noSuchOrder) && asked.After(arrived):
			return order{}, errNotPlaced
		case engine.OutcomeOf(err) == engine.Rejected && !says(err, noSuchOrder):
			return order{}, err // it is the question that was refused
		}
		if waitFor(ctx, time.Second) != nil || engine.Wait(ctx, err) != nil {
			return order{}, err
		}
	}
}

// cancel takes an order back. No halt of what is less than urgent holds it up, and no
// queue of anything else, look-ups included. That the order is gone already is what it
// wants.
func (d *desk) cancel(ctx context.Context, account, symbol, id string) error {
	_, err := engine.Fetch[order](ctx, d.eng, &engine.Request{
		Method: http.MethodDelete, Path: "/api/v3/order", Query: engine.Values{"symbol": symbol, "origClientOrderId": id},
		Account: account, Auth: true, LimitID: "cancel", Priority: cancelling,
	})
	if says(err, unknownOrder) {
		return nil
	}
	return err
}

// errInDoubt is the end of a desk that has not learned of every order what became of it.
var errInDoubt = errors.New("orders are in doubt: look at what is open, and at what was filled")

// stop ends the desk within grace, whatever the exchange does. It halts what is less than
// urgent and takes back every order that is open, at once; then it waits for what is on its
// way or in doubt, for half of the time at most, and takes back what has come of that.
func (d *desk) stop(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	half, cancelHalf := context.WithTimeout(ctx, grace/2)
	defer cancelHalf()
	halt, err := d.eng.Halt(engine.Filter{PriorityBelow: engine.Urgent, Reason: "the desk is closing"})
	if err != nil {
		return err
	}
	defer halt.Lift()
	var first sync.WaitGroup
	first.Go(func() { _ = d.takeAllBack(half) }) // whatever becomes of what is in doubt
	settled := d.settle(half)
	first.Wait()
	return errors.Join(settled, d.takeAllBack(ctx)) // and what has arrived meanwhile
}

// settle returns once every strategy has ended, or, with an error, when ctx has: nobody is
// asked then any more what became of an order.
func (d *desk) settle(ctx context.Context) error {
	ended := make(chan struct{})
	go func() { d.quotes.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		d.giveUp()
		return errInDoubt
	}
}

// takeAllBack cancels all orders of all accounts, each symbol by itself: one that hangs holds up no other.
func (d *desk) takeAllBack(ctx context.Context) error {
	var all sync.WaitGroup
	failed := make([]error, len(accounts)*len(symbols))
	for i := range failed {
		account, symbol := accounts[i/len(symbols)].Name, symbols[i%len(symbols)]
		all.Go(func() {
			if err := d.takeBack(ctx, account, symbol); err != nil {
				failed[i] = fmt.Errorf("%s may have open orders of %s: %w", account, symbol, err)
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// takeBack cancels all orders of a symbol, until the exchange says that there are none.
func (d *desk) takeBack(ctx context.Context, account, symbol string) error {
	for {
		_, err := engine.Fetch[[]order](ctx, d.eng, &engine.Request{
			Method: http.MethodDelete, Path: "/api/v3/openOrders", Query: engine.Values{"symbol": symbol},
			Account: account, Auth: true, LimitID: "cancel", Priority: cancelling,
		})
		switch {
		case says(err, unknownOrder):
			return nil
		case err != nil && engine.Wait(ctx, err) != nil:
			return err
		}
	}
}

// The exchange's own words.
const (
	noSuchOrder  = `"code":-2013`
	unknownOrder = `"code":-2011`
)

func says(err error, code string) bool {
	status, ok := errors.AsType[*engine.StatusError](err)
	return ok && bytes.Contains(status.Body, []byte(code))
}

func waitFor(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
