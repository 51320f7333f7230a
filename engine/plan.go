package engine

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/clock"
	"github.com/sluice-engine/sluice/internal/jsonpath"
	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/dial"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// plan is a Config that was read. Each of its groups is read by one method, in
// one walk, which fills in the defaults, parses what is text, and notes what is
// wrong; nothing is looked at again after that.
//
// New owns a plan while it starts the engine, and nobody changes it later.
type plan struct {
	Config // with its defaults filled in

	base           request.Base                // of BaseURL; zero without one
	homes          []messages.Origin           // of BaseURL and Origins; none means that no home is named
	fields         []messages.Field            // header lines of every request to a home, in the order they are sent
	strangerFields []messages.Field            // and to any other origin
	standard       *request.Account            // of Auth
	accounts       map[string]*request.Account // of Accounts
	codings        messages.Codings            // undone in answers, for fields ask for them
	localAddr      net.Addr                    // of Dial.LocalAddr; nil without one
	ledger         *throttle.Ledger            // of Limits and Throttle; the throttler owns it once it has started

	timeIsFree bool // Time names no limit, which is a mistake as soon as there are any

	mistakes []error
}

// errTimeIsFree says what to write. A look at the clock that no limit knows goes
// on while the server refuses everything, and makes a ban longer.
var errTimeIsFree = errors.New(`names no limit, and there are limits: say which one a look at the clock is charged to, ` +
	`as in engine.TimeFrom("/api/v3/time", "serverTime").ChargedTo("time"), or, if the server does not count it, ChargedTo(engine.Unlimited)`)

// readConfig returns the plan, or one error that lists every mistake.
func readConfig(config Config) (*plan, error) {
	p := &plan{Config: config}
	p.copyWhatIsShared()
	p.readBaseURL()
	p.readOrigins()
	p.readLimits()
	p.readAuth()
	p.readAccounts()
	p.readTime()
	p.readProcessors()
	p.Timeout = span(p, "Timeout", p.Timeout, 0)
	p.readAdmission()
	p.readConnections()
	p.readDial()
	p.readEgress()
	p.readResponses()
	p.checkHeader()
	p.layHeader() // asks for the codings that readResponses has found
	p.readRetry()
	p.readOthers()
	if err := errors.Join(p.mistakes...); err != nil {
		return nil, fmt.Errorf("sluice: configuration: %w", err)
	}
	return p, nil
}

func (p *plan) complain(format string, args ...any) {
	p.mistakes = append(p.mistakes, fmt.Errorf(format, args...))
}

// complainOf notes each mistake that another package found in a field.
func (p *plan) complainOf(field string, err error) {
	for _, mistake := range mistakesIn(err) {
		p.complain("%s: %w", field, mistake)
	}
}

// mistakesIn takes an error apart that was joined of several, so that each can
// be told with its field.
func mistakesIn(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		// An error that wraps several may have a text of its own: it stays whole.
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, mistakesIn(one)...)
	}
	return all
}

// number returns the value of a field that must not be negative, or its
// default.
func number[T int | int64](p *plan, field string, value, otherwise T) T {
	if value < 0 {
		p.complain("%s is negative", field)
	}
	return cmp.Or(value, otherwise)
}

// pause is number for a time, which may be of any length.
func pause(p *plan, field string, value, otherwise time.Duration) time.Duration {
	return min(time.Duration(number(p, field, int64(value), int64(otherwise))), unit.Longest)
}

// span is pause for a time that nobody means to be so short that it is over at once.
func span(p *plan, field string, value, otherwise time.Duration) time.Duration {
	if err := unit.Missing(value, time.Millisecond); err != nil {
		p.complain("%s %v", field, err)
	}
	return pause(p, field, value, otherwise)
}

func (p *plan) readBaseURL() {
	if p.BaseURL == "" {
		return
	}
	base, err := request.ParseBase(p.BaseURL)
	p.complainOf("BaseURL", err)
	p.base = base
}

// copyWhatIsShared takes copies of what the caller may go on to use.
func (p *plan) copyWhatIsShared() {
	p.Limits, p.Costs = cloneLimits(p.Limits), maps.Clone(p.Costs)
	p.Header = p.Header.Clone()
	p.Origins = slices.Clone(p.Origins)
	p.Accounts = maps.Clone(p.Accounts)
	p.Egress = maps.Clone(p.Egress)
	for name, way := range p.Egress {
		way.ProxyConnectHeader = way.ProxyConnectHeader.Clone()
		p.Egress[name] = way
	}
	p.Retry.Statuses = slices.Clone(p.Retry.Statuses)
	p.PreProcessors = slices.Clone(p.PreProcessors)
	p.PostProcessors = slices.Clone(p.PostProcessors)
	p.Observers = slices.Clone(p.Observers)
	p.Responses.Codings = slices.Clone(p.Responses.Codings)
	p.Dial.ProxyConnectHeader = p.Dial.ProxyConnectHeader.Clone()
	p.Dial.TLS, p.Dial.ProxyTLS = p.Dial.TLS.Clone(), p.Dial.ProxyTLS.Clone()
	if pacing := p.Throttle.Pacing; pacing != nil {
		own := *pacing
		p.Throttle.Pacing = &own
	}
}

func (p *plan) readOrigins() {
	if p.base.Origin.Addr != "" {
		p.homes = append(p.homes, p.base.Origin)
	}
	for i, raw := range p.Origins {
		origin, err := request.ParseBase(raw)
		p.complainOf(fmt.Sprintf("Origins[%d]", i), err)
		if origin.Prefix != "" {
			p.complain("Origins[%d] has a path; an origin is as in \"https://api.example.com\"", i)
		}
		p.homes = append(p.homes, origin.Origin)
	}
}

func (p *plan) readLimits() {
	var err error
	p.ledger, err = throttle.New(p.Limits, p.Throttle)
	for _, mistake := range mistakesIn(err) {
		field := "Throttle"
		if _, ok := errors.AsType[*throttle.LimitError](mistake); ok {
			field = "Limits"
		}
		p.complain("%s: %w", field, mistake)
	}
	if !p.hasLimit(p.DefaultLimitID) {
		p.complain("DefaultLimitID %q is not among Limits", p.DefaultLimitID)
	}
	p.readCosts()
}

func (p *plan) hasLimit(id string) bool {
	return id == "" || id == Unlimited ||
		slices.ContainsFunc(p.Limits, func(l throttle.Limit) bool { return l.ID == id })
}

func (p *plan) readAuth() {
	account, mistakes := readAccount("Auth", p.Auth)
	p.standard, p.mistakes = account, append(p.mistakes, mistakes...)
}

func (p *plan) readAccounts() {
	p.accounts = make(map[string]*request.Account, len(p.Accounts))
	for _, name := range slices.Sorted(maps.Keys(p.Accounts)) {
		account, mistakes := readNamed(name, p.Accounts[name])
		p.accounts[name], p.mistakes = account, append(p.mistakes, mistakes...)
	}
}

// holdsNil notes a nil pointer or a nil function in a field that may be nil itself:
// it is somebody who was to be there, and can mostly do nothing but panic.
func holdsNil(p *plan, field string, value any) bool {
	if value == nil || !messages.HoldsNil(value) {
		return false
	}
	p.complain("%s is a nil %T", field, value)
	return true
}

// readOthers looks at what is somebody else's, and called as it is.
func (p *plan) readOthers() {
	if holdsNil(p, "Cookies", p.Cookies) {
		p.Cookies = nil
	}
	if p.Logger == nil {
		return
	}
	if handler := p.Logger.Handler(); handler == nil { // a zero Logger
		p.complain("Logger has no Handler")
	} else {
		holdsNil(p, "Logger.Handler", handler)
	}
}

func (p *plan) readTime() {
	// A source of the caller's own says nothing of a limit: its requests are
	// refused by Do if they name an unknown one.
	if holdsNil(p, "Time", p.Time) {
		p.Time = nil
	}
	if source, ok := p.Time.(interface{ endpoint() TimeEndpoint }); ok {
		p.readTimePlace(source.endpoint())
		p.readTimeTerms(source.endpoint())
	}
	p.Clock.Every = span(p, "Clock.Every", p.Clock.Every, 10*time.Second)
	p.Clock.Trust = pause(p, "Clock.Trust", p.Clock.Trust, clock.DefaultTrust)
}

// readTimePlace looks at where a TimeEndpoint's answer is, and where the time is in it.
func (p *plan) readTimePlace(of TimeEndpoint) {
	switch {
	case of.Path == "" && of.URL == "":
		p.complain("Time.Path and Time.URL are both empty, and one of them must be given")
	case of.Path != "" && of.URL != "":
		p.complain("Time.Path and Time.URL are both given, and only one of them can be asked")
	case of.URL != "":
		_, err := request.OriginOf(of.URL)
		p.complainOf("Time.URL", err)
	case request.IsURL(of.Path):
		p.complain("Time.Path is a whole URL, which is given as Time.URL")
	case p.BaseURL == "":
		p.complain("Time.Path %q needs a BaseURL; a whole URL is given as Time.URL", of.Path)
	}
	if of.Field != "" && !jsonpath.IsPath(of.Field) {
		p.complain("Time.Field %q has an empty name: names are joined by single dots", of.Field)
	}
}

// readTimeTerms looks at what a look at the clock is charged to, and how it is sent.
func (p *plan) readTimeTerms(of TimeEndpoint) {
	span(p, "Time.Timeout", of.Timeout, 0)
	if _, known := p.Accounts[of.Account]; of.Account != "" && !known {
		p.complain("Time.Account %q is not among Accounts", of.Account)
	}
	if _, known := p.Config.Egress[of.Egress]; of.Egress != "" && !known {
		p.complain("Time.Egress %q is not in Egress", of.Egress)
	}
	if !p.hasLimit(of.LimitID) {
		p.complain("Time.LimitID %q is not among Limits", of.LimitID)
	}
	if of.LimitID == "" && p.DefaultLimitID == "" {
		p.timeIsFree = true
		if len(p.Limits) > 0 {
			p.complainOf("Time.LimitID", errTimeIsFree)
		}
	}
}

// mostObservers is more than anybody has.
const mostObservers = 1000

func (p *plan) readProcessors() {
	if n := len(p.Observers); n > mostObservers {
		p.complain("Observers are %d, and may be %d at most", n, mostObservers)
	}
	for i, processor := range p.PreProcessors {
		if processor == nil {
			p.complain("PreProcessors[%d] is nil", i)
		}
		holdsNil(p, fmt.Sprintf("PreProcessors[%d]", i), processor)
	}
	for i, processor := range p.PostProcessors {
		if processor == nil {
			p.complain("PostProcessors[%d] is nil", i)
		}
		holdsNil(p, fmt.Sprintf("PostProcessors[%d]", i), processor)
	}
}

func (p *plan) readAdmission() {
	a := &p.Admission
	a.MaxInFlight = number(p, "Admission.MaxInFlight", a.MaxInFlight, 100_000)
	a.MaxWaiting = max(0, cmp.Or(a.MaxWaiting, 100_000)) // a negative number is the only way to say none
}

// defaultIdleTotal is what net/http's DefaultTransport keeps.
const defaultIdleTotal = 100

func (p *plan) readConnections() {
	c := &p.Connections
	c.Max = number(p, "Connections.Max", c.Max, 64)
	c.MaxWaiters = number(p, "Connections.MaxWaiters", c.MaxWaiters, 100_000)
	c.MinIdle = number(p, "Connections.MinIdle", c.MinIdle, 0)
	c.IdleTimeout = span(p, "Connections.IdleTimeout", c.IdleTimeout, 50*time.Second)
	c.MaxAge = min(max(0, cmp.Or(c.MaxAge, 10*time.Minute)), unit.Longest)        // a negative time is the only way to say never
	c.MaxIdleTotal = max(0, cmp.Or(c.MaxIdleTotal, max(defaultIdleTotal, c.Max))) // a negative number is the only way to say no bound
	c.MaxTotal = number(p, "Connections.MaxTotal", c.MaxTotal, 0)
	p.checkConnectLimit()
	if c.MinIdle > c.MaxTotal && c.MaxTotal > 0 {
		p.complain("Connections.MinIdle %d is above Connections.MaxTotal %d", c.MinIdle, c.MaxTotal)
	}
	if c.MinIdle > c.Max && c.Max > 0 {
		p.complain("Connections.MinIdle %d is above Connections.Max %d", c.MinIdle, c.Max)
	}
}

// checkConnectLimit looks for the limit that new connections are charged to.
func (p *plan) checkConnectLimit() {
	id := p.Connections.LimitID
	if id == Unlimited {
		p.complain("Connections.LimitID is Unlimited: leave it empty to charge connections to no limit")
		return
	}
	if !p.hasLimit(id) {
		p.complain("Connections.LimitID %q is not among Limits", id)
	}
	for i := range p.Limits {
		if l := &p.Limits[i]; l.ID == id && (l.Keyed || l.By&(throttle.ByKey|throttle.ByAccount) != 0) {
			p.complain("Connections.LimitID %q has a count for each key or account, and a connection has neither", id)
		}
	}
}

func (p *plan) readDial() {
	d := &p.Dial
	d.Timeout = span(p, "Dial.Timeout", d.Timeout, 5*time.Second)
	d.Backoff = pause(p, "Dial.Backoff", d.Backoff, 50*time.Millisecond)
	d.BackoffCap = pause(p, "Dial.BackoffCap", d.BackoffCap, 5*time.Second)
	p.complainOf("Dial.ProxyConnectHeader", dial.CheckConnectHeader(d.ProxyConnectHeader))
	if d.LocalAddr == "" {
		return
	}
	addr, err := dial.ParseLocalAddr(d.LocalAddr)
	p.complainOf("Dial.LocalAddr", err)
	p.localAddr = addr
}

// contentCodings are those that Responses.Codings may name.
var contentCodings = map[string]messages.Codings{
	"gzip": messages.Gzip, "deflate": messages.Deflate, "br": messages.Brotli, "zstd": messages.Zstd,
}

func (p *plan) readResponses() {
	r := &p.Responses
	r.MaxHeader = number(p, "Responses.MaxHeader", r.MaxHeader, 64<<10)
	r.MaxBody = number(p, "Responses.MaxBody", r.MaxBody, 16<<20)
	if r.Decode == nil {
		r.Decode = jsontext.Unmarshal
	}
	if r.Codings == nil { // an empty slice asks for none
		r.Codings = []string{"gzip", "deflate"}
	}
	for i, name := range r.Codings {
		coding, known := contentCodings[name]
		if !known {
			p.complain("Responses.Codings[%d]: content coding %q is unknown", i, name)
		}
		p.codings |= coding
	}
}

// layHeader lays the header lines of every request: the engine's own first,
// then the caller's by name, so that all requests look alike.
func (p *plan) layHeader() {
	if !request.HasLine(p.Header, "User-Agent") { // an empty one says that there is to be none
		p.fields = append(p.fields, messages.Field{Name: "User-Agent", Value: "sluice"})
	}
	switch {
	case hasHeader(p.Header, "Accept-Encoding"):
		p.codings = 0 // the caller undoes what the caller asks for
	case len(p.Responses.Codings) > 0:
		accepted := strings.Join(p.Responses.Codings, ", ")
		p.fields = append(p.fields, messages.Field{Name: "Accept-Encoding", Value: accepted})
	}
	p.strangerFields = slices.Clone(p.fields)
	for _, name := range slices.Sorted(maps.Keys(p.Header)) {
		for _, value := range p.Header[name] {
			if value == "" && strings.EqualFold(name, "User-Agent") {
				continue
			}
			field := messages.Field{Name: name, Value: value}
			p.fields = append(p.fields, field)
			if strings.EqualFold(name, "User-Agent") || strings.EqualFold(name, "Accept-Encoding") {
				p.strangerFields = append(p.strangerFields, field)
			}
		}
	}
	// Requests share them, and one that appends must copy.
	p.fields, p.strangerFields = slices.Clip(p.fields), slices.Clip(p.strangerFields)
}

// checkHeader has the connection's own rules looked at.
func (p *plan) checkHeader() {
	call := messages.Call{Method: http.MethodGet, Host: "host", Path: "/"}
	for _, name := range slices.Sorted(maps.Keys(p.Header)) {
		for _, value := range p.Header[name] {
			call.Fields = []messages.Field{{Name: name, Value: value}}
			if _, err := wire.CheckCall(&call); err != nil {
				p.complainOf("Header", err)
			}
		}
	}
}

func (p *plan) readRetry() {
	r := &p.Retry
	r.Max = max(0, cmp.Or(r.Max, 2)) // a negative number is the only way to say none
	r.Base = pause(p, "Retry.Base", r.Base, 50*time.Millisecond)
	r.Cap = pause(p, "Retry.Cap", r.Cap, 2*time.Second)
	r.PerAttempt = span(p, "Retry.PerAttempt", r.PerAttempt, 0)
	if len(r.Statuses) > 0 && r.Max == 0 {
		p.complain("Retry.Statuses says what is repeated, and Retry.Max that nothing is")
	}
	for i, status := range r.Statuses {
		switch {
		case status < 400 || status > 599:
			p.complain("Retry.Statuses[%d]: %d is no status of a refusal or a failure, which are 400 to 599", i, status)
		case slices.Contains(r.Statuses[:i], status):
			p.complain("Retry.Statuses[%d]: %d is there twice", i, status)
		}
	}
}
