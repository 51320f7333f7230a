package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/sluice-engine/sluice/engine"
)

// entry is order entry over one WebSocket.
type entry struct {
	eng  *engine.Engine
	conn *websocket.Conn

	mu      sync.Mutex
	last    int                 // id that was given last
	waiting map[int]chan answer // who waits for which; nil when the connection is gone
}

type answer struct {
	ID     int
	Status int
	Error  struct {
		Code int
		Msg  string
		Data struct{ ServerTime, RetryAfter int64 } // Unix times in ms
	}
}

// errGone is the end of the connection: what was sent may have arrived.
var errGone = errors.New("the connection is gone")

// dial opens the connection. The exchange counts that as well.
func dial(ctx context.Context, eng *engine.Engine, url string, client *http.Client) (*entry, error) {
	permit, err := eng.Acquire(ctx, engine.Charge{LimitID: "handshake"})
	if err != nil {
		return nil, err
	}
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		permit.Done(engine.Unknown)
		return nil, err
	}
	permit.Done(engine.Done)
	e := &entry{eng: eng, conn: conn, waiting: map[int]chan answer{}}
	go e.read()
	return e, nil
}

// place enters an order, within the limits that REST is within.
func (e *entry) place(ctx context.Context, id string) error {
	permit, err := e.eng.Acquire(ctx, engine.Charge{LimitID: "order", Priority: engine.High})
	if err != nil {
		return err // nothing was sent
	}
	defer permit.Done(engine.Unknown) // unless one of those below comes first
	params := map[string]string{
		"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
		"quantity": "0.01", "price": "50000", "newClientOrderId": id,
	}
	if err := credentials.SignParams(params, e.eng.Clock()); err != nil {
		permit.Done(engine.NotSent)
		return err
	}
	got, err := e.ask(ctx, "order.place", params)
	if err != nil {
		return err // it may have been placed: look it up, as examples/accounts does
	}
	switch got.Status {
	case http.StatusOK:
		permit.Done(engine.Done)
		return nil
	case http.StatusTooManyRequests, http.StatusTeapot:
		wait := time.Duration(got.Error.Data.RetryAfter-got.Error.Data.ServerTime) * time.Millisecond
		permit.Settle(engine.Settlement{Outcome: engine.Refused, RetryAfter: wait}) // requests over REST wait as well
	default:
		permit.Done(engine.Rejected)
	}
	return fmt.Errorf("%s: %d %s", id, got.Error.Code, got.Error.Msg)
}

// ask sends a message and waits for its answer.
func (e *entry) ask(ctx context.Context, method string, params map[string]string) (answer, error) {
	id, answered, err := e.expect()
	if err != nil {
		return answer{}, err
	}
	text, err := json.Marshal(map[string]any{"id": id, "method": method, "params": params})
	if err == nil {
		err = e.conn.Write(ctx, websocket.MessageText, text)
	}
	if err != nil {
		return answer{}, err
	}
	select {
	case got, came := <-answered:
		if !came {
			return answer{}, errGone
		}
		return got, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

func (e *entry) expect() (id int, answered chan answer, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting == nil {
		return 0, nil, errGone
	}
	e.last++
	answered = make(chan answer, 1)
	e.waiting[e.last] = answered
	return e.last, answered, nil
}

// read hands answers to those who wait for them, until the connection ends.
func (e *entry) read() {
	defer e.end()
	for {
		_, text, err := e.conn.Read(context.Background())
		if err != nil {
			return
		}
		var got answer
		if json.Unmarshal(text, &got) != nil {
			continue // nothing that we have asked for
		}
		e.mu.Lock()
		answered := e.waiting[got.ID]
		delete(e.waiting, got.ID)
		e.mu.Unlock()
		if answered != nil {
			answered <- got
		}
	}
}

func (e *entry) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, answered := range e.waiting {
		close(answered)
	}
	e.waiting = nil
}

func (e *entry) close() { _ = e.conn.Close(websocket.StatusNormalClosure, "") }
