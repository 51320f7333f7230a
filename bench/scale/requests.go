package scale

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/bench/gauge"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// asked is what a request of a loop asks for.
type asked struct {
	method  string // empty means GET
	path    string
	body    []byte // to be sent
	receive int    // bytes of the answer's body
}

func small() asked { return receiving(len(smallest)) }

func receiving(n int) asked { return asked{path: answerPath + strconv.Itoa(n), receive: n} }

func sending(n int) asked {
	return asked{method: "POST", path: sinkPath, body: answer(n), receive: len(smallest)}
}

func check(status int, body []byte, want int) error {
	if status != 200 || len(body) != want {
		return fmt.Errorf("not the answer that the server sends: status %d, body of %d bytes, want %d", status, len(body), want)
	}
	return nil
}

// beyondReach is a quota that holds nothing up.
const beyondReach = 1_000_000_000

const route = "route"

// wideLimits are a limit that is linked to a second one: the price of being limited
// is in the figures, waiting is not.
func wideLimits() []throttle.Limit {
	return []throttle.Limit{
		{ID: route, Quota: beyondReach, Per: time.Second, Linked: []throttle.Link{{ID: "all", Weight: 1}}},
		{ID: "all", Quota: beyondReach, Per: time.Second},
	}
}

// table is a table of so many limits, at least two, of which requests charge two.
func table(limits int) []throttle.Limit {
	all := wideLimits()
	for i := len(all); i < limits; i++ {
		all = append(all, throttle.Limit{ID: "other-" + strconv.Itoa(i), Quota: 1200, Per: time.Minute})
	}
	return all
}

// asking sends requests through an engine, the next one to the next of its origins.
type asking struct {
	engine   *engine.Engine
	requests []engine.Request
	next     atomic.Uint64
	receive  int
}

func (a *asking) Get(ctx context.Context) error {
	i := 0
	if len(a.requests) > 1 {
		i = int(a.next.Add(1) % uint64(len(a.requests)))
	}
	resp, err := a.engine.Do(ctx, &a.requests[i])
	if err != nil {
		return err
	}
	return check(resp.StatusCode, resp.Body, a.receive)
}

// askThrough asks a server through an engine of its own, from so many callers.
func askThrough(j Job, config engine.Config, what asked, callers int, urls ...string) (subject, error) {
	if len(urls) == 0 {
		urls = []string{j.Origin + what.path}
	}
	client := &asking{receive: what.receive}
	for _, u := range urls {
		req := engine.Request{Method: what.method, URL: u, LimitID: route}
		if what.body != nil {
			req.Body = what.body
		}
		client.requests = append(client.requests, req)
	}
	var err error
	if client.engine, err = engine.New(config); err != nil {
		return nil, err
	}
	return newAsking(j, client, callers, len(urls), func() { client.engine.Close() })
}

// newAsking makes a loop of a client's requests. No slice is so short that a caller
// or an origin has less than two.
func newAsking(j Job, client gauge.Getter, callers, origins int, end func()) (subject, error) {
	untimed := callers
	if callers < 1000 {
		untimed *= gauge.RunIn
	}
	crowd := gauge.NewCallers(context.Background(), callers)
	end = after(crowd.Stop, end)
	l, err := newLoop(j, 2*max(callers, origins), untimed, func(n int) error { return crowd.Run(client, n) })
	if err != nil {
		end()
		return nil, err
	}
	l.end = end
	return l, nil
}

func after(first, then func()) func() {
	return func() { first(); then() }
}

// few is how many callers the curves have that are not about them.
const few = 64

func openLimits(j Job) (subject, error) {
	return askThrough(j, engine.Config{Limits: table(j.X)}, small(), few)
}

// openFeedback reads answers for an exchange's limits, or not at all.
func openFeedback(j Job) (subject, error) {
	config := engine.Config{Limits: wideLimits()}
	if j.Role == AtPoint {
		config.Feedback = feedback.Binance("all", "", "")
	}
	return askThrough(j, config, receiving(j.X), few)
}

func openCallers(j Job) (subject, error) {
	return askThrough(j, engine.Config{Limits: wideLimits()}, small(), j.X)
}

// openConnections has a connection for every caller, in the engine and in fasthttp.
func openConnections(j Job) (subject, error) {
	if j.Role == Peer || j.Role == PeerBase {
		return askFastHTTP(j, small(), j.X)
	}
	config := engine.Config{Limits: wideLimits(), Connections: engine.Connections{Max: j.X}}
	return askThrough(j, config, small(), j.X)
}

// openOrigins asks many hosts in turn. All are the same server, which their names are
// dialled to.
func openOrigins(j Job) (subject, error) {
	server, err := url.Parse(j.Origin)
	if err != nil {
		return nil, err
	}
	what := small()
	urls := make([]string, j.X)
	for i := range urls {
		urls[i] = "http://origin-" + strconv.Itoa(i) + ".test" + what.path
	}
	config := engine.Config{
		Limits: wideLimits(),
		Dial: engine.Dial{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Host)
		}},
		Connections: engine.Connections{MaxIdleTotal: -1}, // or most origins would be dialled anew each time
	}
	return askThrough(j, config, what, few, urls...)
}

// carriers is how many callers move bodies at the same time: large ones want few, or
// they would be about memory.
const carriers = 4

func openReceived(j Job) (subject, error) { return carry(j, receiving(j.X)) }
func openSent(j Job) (subject, error)     { return carry(j, sending(j.X)) }

func carry(j Job, what asked) (subject, error) {
	if j.Role == AtBase {
		return askFastHTTP(j, what, carriers)
	}
	return askThrough(j, engine.Config{Limits: wideLimits()}, what, carriers)
}

// bare asks through fasthttp in its leanest form: a HostClient, recycled requests and
// responses, and a body that the caller owns.
type bare struct {
	url    string
	what   asked
	client fasthttp.HostClient
}

func askFastHTTP(j Job, what asked, callers int) (subject, error) {
	server, err := url.Parse(j.Origin)
	if err != nil {
		return nil, err
	}
	client := &bare{url: j.Origin + what.path, what: what, client: fasthttp.HostClient{
		Addr:                server.Host,
		MaxConns:            callers,
		MaxIdleConnDuration: time.Hour, // the default of 10 s may pass between two slices
	}}
	return newAsking(j, client, callers, 1, client.client.CloseIdleConnections)
}

// Get leaves ctx aside, because fasthttp has no use for one.
func (b *bare) Get(context.Context) error {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	req.SetRequestURI(b.url)
	if b.what.method != "" {
		req.Header.SetMethod(b.what.method)
		req.SetBodyRaw(b.what.body)
	}
	if err := b.client.Do(req, resp); err != nil {
		return err
	}
	// The response's own bytes are overwritten once it is released.
	return check(resp.StatusCode(), bytes.Clone(resp.Body()), b.what.receive)
}

// openNew makes engines with a table of limits, and closes them.
func openNew(j Job) (subject, error) {
	limits := table(j.X)[:j.X]
	if j.X == 1 {
		limits[0].Linked = nil
	}
	return newLoop(j, 1, 1, func(n int) error {
		for range n {
			eng, err := engine.New(engine.Config{Limits: limits})
			if err != nil {
				return err
			}
			if err := eng.Close(); err != nil {
				return err
			}
		}
		return nil
	})
}
