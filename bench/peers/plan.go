package peers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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
	// Few, if not zero, makes the case a crowd: the engine is compared with
	// itself serving so many callers, and what every waiting caller costs is
	// measured. A crowd has slices of its own, when all rounds are over.
	Few int
}

// seldom leaves most of the time to the cases of the plain protocol.
const seldom = 5

// Cases returns the loads of the comparison: many callers, one alone, the same
// over TLS, over HTTP/2 and through an http.Client, and a crowd.
// A slice lasts about a tenth of a second: short against most disturbances of a
// shared machine, long against the cost of waking the callers.
func Cases() []Case {
	return []Case{
		{Name: "get-64", Callers: 64, Requests: 5000},
		{Name: "get-1", Callers: 1, Requests: 500},
		{Name: "https-64", Callers: 64, Requests: 5000, Every: seldom, Protocol: HTTPS},
		{Name: "roundtripper-64", Callers: 64, Requests: 5000, Every: seldom, Clients: []string{RoundTripper, NetHTTP}},
		{Name: "http2-64", Callers: 64, Requests: 5000, Every: seldom, Protocol: HTTP2, Clients: []string{Engine, NetHTTP}},
		{Name: "crowd-10000", Callers: 10_000, Requests: 100_000, Few: 64, Clients: []string{Engine}},
	}
}

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
	c.Clients = nil
	for _, name := range wanted {
		if slices.Contains(all, name) {
			c.Clients = append(c.Clients, name)
		}
	}
	return c
}

// due reports whether the case takes part in a round.
func (c Case) due(round int) bool { return round%max(1, c.Every) == 0 }

// split parts the cases measured in rounds from the crowds.
func split(cases []Case) (inRounds, crowds []Case) {
	for _, load := range cases {
		if load.Few > 0 {
			crowds = append(crowds, load)
		} else {
			inRounds = append(inRounds, load)
		}
	}
	return inRounds, crowds
}
