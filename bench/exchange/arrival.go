package exchange

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// call is one request from its arrival to its answer.
type call struct {
	route       *route
	name        string // of the route, as in "GET /api/v3/time"
	client      string
	key         string          // X-MBX-APIKEY
	query, body string          // as sent
	method      string          // of HTTP; empty in a frame
	header      http.Header     // likewise nil
	frame       bool            // it came over a WebSocket
	id          json.RawMessage // of a frame
	params      url.Values
	malformed   *apiError // why params cannot be used

	now     instant  // the one reading of the clock
	gate    *gate    // of the client's address
	account *account // once it has signed
	owner   *account // of the key, whether it has signed or not

	effects   []effect // what it did, by the client's ids
	duplicate string   // the id that was used before, and answered
	changed   bool     // it was executed, and changed something
	settled   bool     // whether its client was told is known
	repeats   []*call  // that came again with its id before it was settled
}

// newCall reads what does not need the exchange's state.
func (e *Exchange) newCall(r *http.Request, body string) *call {
	c := &call{
		client: e.config.ClientKey(r), key: r.Header.Get(e.config.KeyHeader),
		query: r.URL.RawQuery, body: body, method: r.Method, header: r.Header,
	}
	c.key = strings.TrimPrefix(c.key, "Bearer ")
	c.name, c.route = e.findRoute(r.Method, r.URL.Path)
	if c.route.given != nil {
		c.parseGiven()
		return c
	}
	c.params, c.malformed = parseParams(c.query, c.body)
	return c
}

// changes reports whether the call asks for more than an answer.
func (c *call) changes() bool {
	if c.method != "" {
		return c.method != http.MethodGet && c.method != http.MethodHead && c.method != http.MethodOptions
	}
	return !strings.HasPrefix(c.name, http.MethodGet+" ")
}

// parseParams merges query and form; a parameter of the query wins, a
// parameter sent twice in one place is an error.
func parseParams(query, body string) (url.Values, *apiError) {
	params, err := url.ParseQuery(query)
	form, err2 := url.ParseQuery(body)
	if err != nil || err2 != nil {
		return params, badRequest(-1100, "Illegal characters found in a parameter.")
	}
	for _, values := range []url.Values{params, form} {
		for name, v := range values {
			if len(v) > 1 {
				return params, badRequest(-1101, "Duplicate values for parameter '%s' detected.", printable(name))
			}
		}
	}
	for name, v := range form {
		if !params.Has(name) {
			params[name] = v
		}
	}
	return params, nil
}

func printable(name string) string {
	if len(name) > 40 {
		name = name[:40]
	}
	return strconv.QuoteToASCII(name)
}

// unsigned returns why the signature is not that of the request as sent, or "".
func (c *call) unsigned(secret string) (reason string) {
	if c.frame {
		return verifyParams(secret, c.params)
	}
	return verify(secret, c.query, c.body)
}

func (c *call) param(name string) string { return c.params.Get(name) }

// arrive is everything that happens to a request at its one instant.
func (e *Exchange) arrive(c *call) answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.now = e.clock.read(time.Now())
	c.gate = e.client(c.client)

	a := e.settle(c)
	a.date = c.now.time()
	a.used = c.gate.headers(c.now, nil, Weight)
	if c.account != nil {
		a.used = c.account.gate.headers(c.now, a.used, AccountWeight)
		if c.route.placesOrder {
			a.used = c.account.gate.headers(c.now, a.used, Orders)
		}
	}
	e.book.answered(c.name, a.status)
	if a.status == http.StatusTeapot {
		e.book.banned++
	}
	return a
}

// settle lets the request in or not, executes it or not, and spoils the answer
// or not.
func (e *Exchange) settle(c *call) answer {
	weight := e.weight(c)
	if refusal := e.letIn(c, weight); refusal != nil {
		return refused(refusal)
	}
	e.book.route(c.name).Weight += weight
	fault := drawFault(e.config.Faults, e.chance)
	if fault != nil {
		e.book.faults[fault.name()]++
	}
	if fault.before() {
		return spoiled(answer{}, fault)
	}
	a := e.execute(c)
	c.changed = a.status < 400 && c.changes()
	if fault.hides() || fault.tells() {
		e.settled(c, fault.tells())
	}
	return spoiled(a, fault)
}

// end is what becomes of an answer: it was written whole to a client that was there, or was not.
func (e *Exchange) end(c *call, told bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settled(c, told)
}

// settled notes once whether the client was told. Who sent a request again before it was answered
// is only then known to have had no reason to.
func (e *Exchange) settled(c *call, told bool) {
	if c.settled {
		return
	}
	c.settled = true
	if !told {
		e.outcomes.hidden(c)
		return
	}
	e.outcomes.told(c)
	for _, again := range c.repeats {
		e.book.violated(again, DuplicateID, "its first answer was on its way")
	}
}

func (e *Exchange) weight(c *call) int64 {
	if w, ok := e.config.Weights[c.name]; ok {
		return w
	}
	return c.route.weight(c.params)
}

// letIn passes the penalties and limits of the client's address.
func (e *Exchange) letIn(c *call, weight int64) *apiError {
	if refusal := e.heedPenalty(c); refusal != nil {
		if e.config.ChargeRefused {
			c.gate.burden(c.now, act{weight: weight, requests: 1})
		}
		return refusal
	}
	full, wait := admitAll(c.now, c.gate.charges(act{weight: weight, requests: 1}), e.config.ChargeRefused)
	if wait == 0 {
		return nil
	}
	retry := retrySeconds(wait)
	c.gate.penalty.wait(c.now.local, retry)
	e.book.violated(c, OverLimit, full.describe(c.now))
	return tooMuchWeight(full.meter.limit, retry)
}

// describe says why a charge is refused.
func (c charge) describe(now instant) string {
	return fmt.Sprintf("%s of %s: %d used, %d more does not fit", c.meter.limit, c.meter.scope, c.meter.used(now), c.weight)
}

// chargeAccount passes the limits of the account for what a request does. An account
// is told to wait by each limit for itself: one symbol's says nothing about another.
func (e *Exchange) chargeAccount(c *call, acts ...act) *apiError {
	charges := c.account.gate.charges(acts...)
	for _, charge := range charges {
		if refusal := e.heedTold(c, charge.meter); refusal != nil {
			return refusal
		}
	}
	full, wait := admitAll(c.now, charges, e.config.ChargeRefused)
	if wait == 0 {
		return nil
	}
	retry := retrySeconds(wait)
	full.meter.penalty.wait(c.now.local, retry)
	e.book.violated(c, OverLimit, full.describe(c.now))
	return tooMuchOfAnAccount(full.meter.limit, retry)
}

// heedTold refuses what a limit of the account has said to wait with.
func (e *Exchange) heedTold(c *call, m *meter) *apiError {
	switch v, retry := m.penalty.judge(c.now.local, e.config.Ban.Grace); v {
	case graced:
		e.book.violated(c, OverLimit, "possibly on its way when told to wait")
		return tooMuchOfAnAccount(m.limit, retrySeconds(retry))
	case offended:
		e.book.violated(c, ToldToWait, fmt.Sprintf("%s: Retry-After had %s to go", m.limit, retry.Round(time.Millisecond)))
		return e.ban(c, c.gate.penalty.offend(c.now.local, e.config.Ban))
	}
	return nil
}

func (e *Exchange) heedPenalty(c *call) *apiError {
	p := &c.gate.penalty
	wasBanned := p.bannedUntil > c.now.local
	switch v, retry := p.judge(c.now.local, e.config.Ban.Grace); {
	case v == free:
		return nil
	case wasBanned:
		e.book.violated(c, WhileBanned, fmt.Sprintf("ban had %s to go", retry.Round(time.Millisecond)))
		if v == graced {
			return e.ban(c, retry)
		}
		return e.ban(c, p.offend(c.now.local, e.config.Ban))
	case v == graced:
		e.book.violated(c, OverLimit, "possibly on its way when told to wait")
		return waitLonger(retrySeconds(retry))
	default:
		e.book.violated(c, ToldToWait, fmt.Sprintf("Retry-After had %s to go", retry.Round(time.Millisecond)))
		return e.ban(c, p.offend(c.now.local, e.config.Ban))
	}
}

func (e *Exchange) ban(c *call, wait time.Duration) *apiError {
	return bannedUntil(c.now.time().Add(wait), retrySeconds(wait))
}

func (e *Exchange) execute(c *call) answer {
	if c.route.keyed || c.route.signed {
		if failed := e.authenticate(c); failed != nil {
			return refused(failed)
		}
	}
	if c.malformed != nil {
		return refused(c.malformed)
	}
	if c.owner == nil {
		c.owner = e.accounts[c.key] // it need not say who it is
	}
	payload, failed := c.route.handle(e, c)
	if failed != nil {
		return refused(failed)
	}
	e.follow(c)
	if given, is := payload.(givenAnswer); is {
		return answer{status: given.status, payload: given}
	}
	return answer{status: http.StatusOK, payload: payload}
}

// follow enters what was executed where order, fairness and duplicates are judged.
func (e *Exchange) follow(c *call) {
	if c.duplicate != "" {
		e.book.violated(c, DuplicateID, "id "+printable(c.duplicate))
		return
	}
	of := c.client
	if c.owner != nil {
		c.owner.executed++
		of = c.owner.String()
	}
	if c.header == nil {
		return
	}
	if key, n, ok := numbered(c.header.Get(e.config.SequenceHeader)); ok {
		e.order.executed(lane{of, key, c.header.Get(e.config.PriorityHeader)}, n)
	}
}

// authenticate checks key, signature and timestamp, in this order, and charges the
// account the request's weight. A route that is keyed alone asks for the key only.
func (e *Exchange) authenticate(c *call) *apiError {
	if c.key == "" {
		e.book.violated(c, BadKey, "no "+e.config.KeyHeader+" header")
		return unauthorised(-2014, "API-key format invalid.")
	}
	owner := e.accounts[c.key]
	if owner == nil {
		e.book.violated(c, BadKey, "unknown API key")
		return unauthorised(-2015, "Invalid API-key, IP, or permissions for action.")
	}
	c.owner = owner
	if !c.route.signed {
		owner.requests++
		return nil
	}
	if reason := c.unsigned(owner.Secret); reason != "" {
		e.book.violated(c, BadSignature, reason)
		return badRequest(-1022, "Signature for this request is not valid.")
	}
	c.account = owner
	owner.requests++
	if failed := e.checkTime(c); failed != nil {
		return failed
	}
	return e.chargeAccount(c, act{symbol: c.param("symbol"), weight: e.weight(c)})
}

func (e *Exchange) checkTime(c *call) *apiError {
	timestamp, err := strconv.ParseInt(c.param("timestamp"), 10, 64)
	if err != nil || timestamp < 0 {
		return missingParameter("timestamp")
	}
	window, failed := parseRecvWindow(c.param("recvWindow"))
	if failed != nil {
		return failed
	}
	switch checkTimestamp(timestamp, c.now.millis(), window) {
	case ahead:
		e.book.violated(c, TimestampAhead, describeTimestamp(timestamp, c.now.millis(), window))
		return badRequest(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
	case behind:
		e.book.violated(c, TimestampBehind, describeTimestamp(timestamp, c.now.millis(), window))
		return badRequest(-1021, "Timestamp for this request is outside of the recvWindow.")
	}
	return nil
}
