package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// handshake is the route that a WebSocket is opened with.
const handshake = "GET /ws-api/v3"

// frameRoutes says of which request a method has the meaning.
var frameRoutes = map[string]string{
	"ping":                      "GET /api/v3/ping",
	"time":                      "GET /api/v3/time",
	"depth":                     "GET /api/v3/depth",
	"ticker.price":              "GET /api/v3/ticker/price",
	"account.status":            "GET /api/v3/account",
	"account.rateLimits.orders": "GET /api/v3/rateLimit/order",
	"openOrders.status":         "GET /api/v3/openOrders",
	"openOrders.cancelAll":      "DELETE /api/v3/openOrders",
	"order.place":               "POST /api/v3/order",
	"order.status":              "GET /api/v3/order",
	"order.cancel":              "DELETE /api/v3/order",
	"order.amend.keepPriority":  "PUT /api/v3/order/amend/keepPriority",
}

const (
	mostInFlight = 1_000    // frames of a connection that have not arrived, or not been answered
	mostInFrame  = 64 << 10 // bytes
)

// frame is what a client sends.
type frame struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params map[string]any  `json:"params"`
}

// frameAnswer is what it is answered.
type frameAnswer struct {
	ID         json.RawMessage `json:"id"`
	Status     int             `json:"status"`
	Result     any             `json:"result,omitempty"`
	Error      *frameError     `json:"error,omitempty"`
	of         *call
	RateLimits []rateLimit `json:"rateLimits,omitempty"`
}

type frameError struct {
	Code int         `json:"code"`
	Msg  string      `json:"msg"`
	Data *retryAfter `json:"data,omitempty"`
}

// retryAfter says in milliseconds of Unix time until when to wait.
type retryAfter struct {
	ServerTime int64 `json:"serverTime"`
	RetryAfter int64 `json:"retryAfter"`
}

// serveFrames answers the frames of one WebSocket until either side ends it.
func (e *Exchange) serveFrames(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	if !e.server.hijacked() {
		_ = conn.CloseNow()
		return
	}
	defer e.server.streams.Done()
	defer conn.CloseNow()
	conn.SetReadLimit(mostInFrame)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &session{ex: e, conn: conn, client: e.config.ClientKey(r), end: cancel,
		coming: make(chan timed[*call], mostInFlight), leaving: make(chan timed[frameAnswer], mostInFlight)}
	var all sync.WaitGroup
	all.Go(func() { defer cancel(); s.arrivals(ctx) })
	all.Go(func() { defer cancel(); s.answers(ctx) })
	all.Go(func() {
		defer cancel()
		select {
		case <-e.server.closing:
		case <-ctx.Done():
		}
	})
	s.read(ctx)
	cancel()
	all.Wait()
	for {
		select {
		case left := <-s.leaving:
			e.end(left.it.of, false)
		default:
			return
		}
	}
}

// session is one WebSocket. Three goroutines share it: one reads frames, one has them
// arrive, one sends the answers. Each way keeps its order.
type session struct {
	ex      *Exchange
	conn    *websocket.Conn
	client  string
	end     context.CancelFunc
	coming  chan timed[*call]
	leaving chan timed[frameAnswer]
}

// timed is something that is due at an instant.
type timed[T any] struct {
	due time.Time
	it  T
}

// wait returns when it is due; false means that the session ended first.
func (t timed[T]) wait(ctx context.Context) bool {
	timer := time.NewTimer(time.Until(t.due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *session) read(ctx context.Context) {
	for {
		_, text, err := s.conn.Read(ctx)
		if err != nil {
			return
		}
		select {
		case s.coming <- timed[*call]{time.Now().Add(s.ex.wayIn()), s.newCall(text)}:
		case <-ctx.Done():
			return
		}
	}
}

// newCall makes of a frame the call that it stands for.
func (s *session) newCall(text []byte) *call {
	c := &call{client: s.client, frame: true, name: "unknown", route: unknownRoute}
	var f frame
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // a timestamp is no float
	if err := decoder.Decode(&f); err != nil {
		c.malformed = badRequest(-1100, "The frame is not JSON.")
	}
	if name, known := frameRoutes[f.Method]; known {
		c.name, c.route = name, routes[name]
	}
	c.id, c.params = f.ID, textValues(f.Params)
	c.key = c.params.Get("apiKey")
	return c
}

func (s *session) arrivals(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-s.coming:
			if !t.wait(ctx) {
				return
			}
			a := s.ex.arrive(t.it)
			if a.status == 0 || a.spoilt != nil {
				s.ex.end(t.it, false)
				return // what a fault does to a connection
			}
			answer := a.frame(t.it.id)
			answer.of = t.it
			select {
			case s.leaving <- timed[frameAnswer]{time.Now().Add(s.ex.wayBack()), answer}:
			case <-ctx.Done():
				s.ex.end(t.it, false)
				return
			}
		}
	}
}

func (s *session) answers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-s.leaving:
			there := t.wait(ctx)
			if there {
				text, err := json.Marshal(t.it)
				there = err == nil && s.conn.Write(ctx, websocket.MessageText, text) == nil
			}
			s.ex.end(t.it.of, there)
			if !there {
				return
			}
		}
	}
}

// frame is the answer as a frame.
func (a answer) frame(id json.RawMessage) frameAnswer {
	f := frameAnswer{ID: id, Status: a.status}
	for _, u := range a.used {
		f.RateLimits = append(f.RateLimits, u.describe())
	}
	failed, is := a.payload.(*apiError)
	if !is {
		f.Result = a.payload
		return f
	}
	f.Error = &frameError{Code: failed.Code, Msg: failed.Msg}
	if a.retry > 0 {
		now := a.date.UnixMilli()
		f.Error.Data = &retryAfter{ServerTime: now, RetryAfter: now + a.retry.Milliseconds()}
	}
	return f
}
