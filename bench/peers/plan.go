package peers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/bench/gauge"
)

// Protocol is what the clients and the server speak in a case.
type Protocol string

// The protocols, the plain one being the zero value.
const (
	HTTP  Protocol = ""      // HTTP/1.1 without TLS
	HTTPS Protocol = "https" // HTTP/1.1 in TLS
	HTTP2 Protocol = "http2" // HTTP/2 in TLS
)

// Case is one load under which the clients are compared.
type Case struct {
	Name     string
	Callers  int // how many wait for an answer at the same time
	Requests int // in one slice
	// Every is how many rounds pass for each one in which the case takes part;
	// zero means that it does in all.
	Every int
	// Protocol is what is spoken. Clients are those that speak it; none means
	// engine, nethttp and fasthttp.
	Protocol Protocol
	Clients  []string
	// Guests are clients that take part in each GuestsEvery-th of the case's rounds only,
	// the first included; 0 is each. They are many, and dear.
	Guests      []string
	GuestsEvery int
	// Cannot says of clients why they have no part in the case.
	Cannot map[string]string
	// Post makes signed POSTs in place of GETs.
	Post bool
	// FanOut hands all requests of a slice over at once: to Engine.Stream, or to a pool of
	// workers, one for each of 64 connections. It is measured apart, when all rounds are
	// over, and so is a case of more callers than there are connections.
	FanOut bool
	// Few, if not zero, makes the case a crowd: the engine is compared with
	// itself serving so many callers, and what every waiting caller costs is
	// measured. A crowd has slices of its own, when all rounds are over.
	Few int
}

// seldom leaves most of the time to the cases of the plain protocol.
const seldom = 5

// Cases returns the loads of the comparison: many callers, one alone, the same over TLS, over
// HTTP/2 and through an http.Client, signed POSTs, far more callers than connections, fan-out,
// and a crowd. A slice lasts about a tenth of a second: short against most disturbances of a
// shared machine, long against the cost of waking the callers.
func Cases() []Case {
	return []Case{
		{Name: "get-64", Callers: 64, Requests: 5000, Guests: guests, GuestsEvery: 25},
		{Name: "get-1", Callers: 1, Requests: 500, Guests: guests, GuestsEvery: 15},
		{Name: "https-64", Callers: 64, Requests: 5000, Every: seldom, Protocol: HTTPS, Guests: guests, GuestsEvery: 5},
		{Name: "roundtripper-64", Callers: 64, Requests: 5000, Every: seldom, Clients: []string{RoundTripper, NetHTTP}},
		{Name: "http2-64", Callers: 64, Requests: 5000, Every: seldom, Protocol: HTTP2, Clients: []string{Engine, NetHTTP},
			Guests: guests, GuestsEvery: 5, Cannot: map[string]string{FastHTTP: "it speaks no HTTP/2"}},
		{Name: "post-64", Callers: 64, Requests: 5000, Every: seldom, Post: true, Guests: guests, GuestsEvery: 5},
		{Name: "get-10000", Callers: 10_000, Requests: 20_000, Clients: everyone},
		{Name: "fanout-100000", Requests: 100_000, FanOut: true, Clients: everyone},
		{Name: "crowd-10000", Callers: 10_000, Requests: 100_000, Few: 64, Clients: []string{Engine}},
	}
}

// guests are the clients that are built on net/http, or on a copy of it.
var guests = []string{Resty, Retryable, Failsafe, Req}

var everyone = append([]string{Engine, NetHTTP, FastHTTP}, guests...)

// CaseNames returns the names of all cases, in their order.
func CaseNames() []string { return namesOf(Cases()) }

func namesOf(cases []Case) []string {
	names := make([]string, 0, len(cases))
	for _, load := range cases {
		names = append(names, load.Name)
	}
	return names
}

// CasesNamed returns those of Cases with these names, in the order of Cases, and
// an error for every name that none has.
func CasesNamed(names ...string) ([]Case, error) {
	var mistakes []error
	for _, name := range names {
		if !slices.Contains(CaseNames(), name) {
			mistakes = append(mistakes, fmt.Errorf("case %q is unknown; there are %s", name, strings.Join(CaseNames(), ", ")))
		}
	}
	unwanted := func(load Case) bool { return !slices.Contains(names, load.Name) }
	return slices.DeleteFunc(Cases(), unwanted), errors.Join(mistakes...)
}

// among returns the case with those of its clients that are wanted.
func (c Case) among(wanted []string) Case {
	all := c.Clients
	if len(all) == 0 {
		all = []string{Engine, NetHTTP, FastHTTP}
	}
	invited := c.Guests
	c.Clients, c.Guests = nil, nil
	cannot := map[string]string{}
	for _, name := range wanted {
		switch {
		case slices.Contains(all, name):
			c.Clients = append(c.Clients, name)
		case slices.Contains(invited, name):
			c.Guests = append(c.Guests, name)
		case c.Cannot[name] != "":
			cannot[name] = c.Cannot[name]
		}
	}
	if len(c.Clients) == 0 {
		c.Clients, c.Guests = c.Guests, nil
	}
	c.Cannot = cannot
	return c
}

// guestsAt reports whether the guests take part in one of the case's own rounds.
func (c Case) guestsAt(round int) bool { return round%max(1, c.GuestsEvery) == 0 }

// apart reports whether the case is measured when the rounds are over.
func (c Case) apart() bool { return c.FanOut || c.Callers > connections }

// brief is the case as a first look has it.
func (c Case) brief() Case {
	switch {
	case c.Few > 0:
		c.Requests = max(c.Requests/10, 2*c.Callers)
	case c.apart():
		c.Requests = max(c.Requests/10, c.Callers)
	}
	return c
}

// asks is the client as it makes the case's requests.
func (c Case) asks(client Client) gauge.Getter {
	if c.Post {
		return posting{client}
	}
	return client
}

// posting is a gauge.Getter of signed POSTs.
type posting struct{ Client }

// Get makes one.
func (p posting) Get(ctx context.Context) error { return p.Post(ctx) }

// due reports whether the case takes part in a round.
func (c Case) due(round int) bool { return round%max(1, c.Every) == 0 }

// split parts the cases measured in rounds from those that have slices of their own.
func split(cases []Case) (inRounds, after []Case) {
	for _, load := range cases {
		if load.Few > 0 || load.apart() {
			after = append(after, load)
		} else {
			inRounds = append(inRounds, load)
		}
	}
	return inRounds, after
}
