package exchange

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxBody is the most a request's body may have.
const maxBody = 1 << 20

// Exchange is a running simulated exchange: an http.Handler, and with Start or
// Serve a server. It is safe for concurrent use.
type Exchange struct {
	config Config
	server *server
	given  []*route // of Config.Routes

	delays  sync.Mutex // guards network and first
	network *rand.Rand
	first   time.Time // when the first request set out; zero before

	// mu is held from the reading of the clock to the end of a request's
	// effects: the order of arrivals is one order, and each has one instant.
	mu       sync.Mutex
	clock    *clock
	chance   *rand.Rand
	book     *book
	clients  map[string]*gate
	accounts map[string]*account // by API key
	meters   []*meter            // all of all gates, in the order of creation
	symbols  map[string]Symbol
	orderID  int64 // the last one given
	outcomes *outcomes
	order    sequences
}

// New returns an exchange that does not listen yet, or one error with every
// mistake in the configuration.
func New(config Config) (*Exchange, error) {
	config = config.withDefaults()
	if err := config.check(); err != nil {
		return nil, err
	}
	now := time.Now()
	e := &Exchange{
		config:   config,
		network:  rand.New(rand.NewPCG(config.Seed, 1)),
		clock:    newClock(now, config.Skew, config.DriftPPM),
		chance:   rand.New(rand.NewPCG(config.Seed, 2)),
		book:     newBook(now),
		clients:  map[string]*gate{},
		accounts: map[string]*account{},
		symbols:  map[string]Symbol{},
		outcomes: newOutcomes(),
	}
	for _, r := range config.Routes {
		e.given = append(e.given, r.route())
	}
	e.server = newServer(e)
	for _, a := range config.Accounts {
		e.accounts[a.Key] = e.openAccount(a)
	}
	for _, s := range config.Symbols {
		e.symbols[s.Name] = s
	}
	return e, nil
}

// SetSkew makes the exchange's clock lead this machine's by skew from now on;
// drift continues from there. Windows of policy Fixed move with the clock.
func (e *Exchange) SetSkew(skew time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clock.setSkew(time.Now(), skew)
}

// SetDrift makes the exchange's clock gain ppm microseconds a second from now
// on, without a step. Values beyond 100,000 either way are brought into range.
func (e *Exchange) SetDrift(ppm float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clock.setDrift(time.Now(), min(max(ppm, -100_000), 100_000))
}

// Now returns the time by the exchange's clock.
func (e *Exchange) Now() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.clock.read(time.Now()).time()
}

// Report returns the books as they stand.
func (e *Exchange) Report() Report {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.book.report(time.Now(), e.config.Limits, e.meters)
	r.Seed = e.config.Seed
	r.Orders = e.orderID
	var executed []int64
	for _, a := range e.config.Accounts {
		account := e.accounts[a.Key].report()
		r.Accounts = append(r.Accounts, account)
		executed = append(executed, account.Executed)
	}
	r.Fairness = JainIndex(executed)
	r.Outcomes = e.outcomes.Outcomes
	r.Sequences = e.order.report()
	return r
}

// Violations returns how many requests a polite client would not have sent as
// they were: Report().Violations() without the rest of the report.
func (e *Exchange) Violations() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Report{Counts: e.book.counts}.Violations()
}

// Requests returns how many requests have arrived.
func (e *Exchange) Requests() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.book.requests
}

// ServeHTTP answers one request. An injected close or truncation panics with
// http.ErrAbortHandler, which net/http turns into a closed connection.
func (e *Exchange) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if e.config.Metrics != "" && r.URL.Path == e.config.Metrics {
		e.Metrics().ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		e.write(w, r, answer{status: http.StatusRequestEntityTooLarge, payload: badRequest(-1000, "The body could not be read.")})
		return
	}
	if !e.travel(e.wayIn()) {
		panic(http.ErrAbortHandler)
	}
	c, told := e.newCall(r, string(body)), false
	a := e.arrive(c)
	defer func() { e.end(c, told) }()
	if !e.travel(e.wayBack()) {
		panic(http.ErrAbortHandler)
	}
	if a.status == http.StatusOK && isHandshake(r) {
		e.serveFrames(w, r)
		return
	}
	// A client that has gone ends the context of its request.
	told = e.write(w, r, a) && r.Context().Err() == nil
}

func isHandshake(r *http.Request) bool { return r.Method+" "+r.URL.Path == handshake }

// travel lets one direction's delay pass; false means the exchange closed. It
// goes on when the client has left: what is sent arrives.
func (e *Exchange) travel(delay time.Duration) bool {
	if delay <= 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-e.server.closing:
		return false
	}
}

// wayIn is how long a request that sets out now takes to arrive.
func (e *Exchange) wayIn() time.Duration {
	if len(e.config.Delay.parts) == 0 && len(e.config.Stalls) == 0 {
		return 0
	}
	e.delays.Lock()
	defer e.delays.Unlock()
	now := time.Now()
	if e.first.IsZero() {
		e.first = now
	}
	held := stalled(e.config.Stalls, now.Sub(e.first))
	return held + e.config.Delay.Draw(e.network, now.Sub(e.book.started)+held)
}

// wayBack is how long an answer that sets out now takes.
func (e *Exchange) wayBack() time.Duration {
	if len(e.config.ReturnDelay.parts) == 0 {
		return 0
	}
	e.delays.Lock()
	defer e.delays.Unlock()
	return e.config.ReturnDelay.Draw(e.network, time.Since(e.book.started))
}

// welcome counts a connection that an address opens, and reports whether it may stay.
func (e *Exchange) welcome(remote net.Addr) bool {
	host, _, err := net.SplitHostPort(remote.String())
	if err != nil {
		host = remote.String()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := &call{client: host, name: "a connection", now: e.clock.read(time.Now())}
	full, wait := admitAll(c.now, e.client(host).charges(act{connections: 1}), e.config.ChargeRefused)
	if wait > 0 {
		e.book.violated(c, NewConnection, full.describe(c.now))
	}
	return wait == 0
}

// client returns the gate of a client address.
func (e *Exchange) client(name string) *gate {
	g := e.clients[name]
	if g == nil {
		g = newGate(e.config.Limits, name, func(k Kind) bool { return !k.ofAccounts() }, e.opened)
		e.clients[name] = g
	}
	return g
}

func (e *Exchange) opened(m *meter) { e.meters = append(e.meters, m) }

func (e *Exchange) openAccount(a Account) *account {
	return newAccount(a, newGate(e.config.Limits, "account "+a.String(), Kind.ofAccounts, e.opened))
}
