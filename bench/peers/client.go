package peers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Client makes the requests of the comparison: a GET, and a POST that is signed. Both are
// safe for concurrent use; they return nil only for an answer of status 200 whose whole
// body has arrived in bytes that the caller may keep.
type Client interface {
	Name() string
	Get(ctx context.Context) error
	Post(ctx context.Context) error
	Close()
}

// The names of the clients, as flags and results spell them.
const (
	Engine       = "engine"
	RoundTripper = "roundtripper" // http.Client over the engine
	NetHTTP      = "nethttp"
	FastHTTP     = "fasthttp"
	Resty        = "resty"
	Retryable    = "retryablehttp"
	Failsafe     = "failsafe"
	Req          = "req"
)

// connections is how many any client has at most where there are more callers.
const connections = 64

// boundFor is the bound of connections for so many callers; 0 is none, where none is needed.
func boundFor(callers int) int {
	if callers <= connections {
		return 0
	}
	return connections
}

// isOurs reports whether a client is what the others are compared with.
func isOurs(name string) bool { return name == Engine || name == RoundTripper }

// site is where and how a client asks.
type site struct {
	origin   string // such as "http://127.0.0.1:8080"
	protocol Protocol
	roots    *x509.CertPool // who vouches for the server, if there is TLS
}

func (s site) tls() *tls.Config { return &tls.Config{RootCAs: s.roots} }

// opener makes a client of a site, fit for so many callers at once.
type opener struct {
	name string
	open func(at site, callers int) (Client, error)
}

var openers = []opener{
	{Engine, newEngineClient},
	{RoundTripper, newRoundTripperClient},
	{NetHTTP, newNetHTTPClient},
	{FastHTTP, newFastHTTPClient},
	{Resty, newRestyClient},
	{Retryable, newRetryableClient},
	{Failsafe, newFailsafeClient},
	{Req, newReqClient},
}

// ClientNames returns the names of all clients, ours first.
func ClientNames() []string {
	names := make([]string, 0, len(openers))
	for _, o := range openers {
		names = append(names, o.name)
	}
	return names
}

// clientSet opens clients when a case first asks for them, one for each site.
type clientSet struct {
	sites   map[Protocol]site
	callers int
	open    map[clientKey]Client
}

type clientKey struct {
	name     string
	protocol Protocol
}

func newClientSet(sites map[Protocol]site, callers int) *clientSet {
	return &clientSet{sites, callers, make(map[clientKey]Client)}
}

// of returns a case's clients in its order, guests last.
func (s *clientSet) of(load Case) ([]Client, error) {
	var clients []Client
	for _, name := range slices.Concat(load.Clients, load.Guests) {
		key := clientKey{name, load.Protocol}
		if s.open[key] == nil {
			client, err := openClient(name, s.sites[load.Protocol], s.callers)
			if err != nil {
				return nil, fmt.Errorf("client %s: %w", name, err)
			}
			s.open[key] = client
		}
		clients = append(clients, s.open[key])
	}
	return clients, nil
}

func (s *clientSet) close() {
	for _, client := range s.open {
		client.Close()
	}
}

func openClient(name string, at site, callers int) (Client, error) {
	i := slices.IndexFunc(openers, func(o opener) bool { return o.name == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown; there are %s", strings.Join(ClientNames(), ", "))
	}
	return openers[i].open(at, callers)
}

var errWrongAnswer = errors.New("not the answer the server sends")

// checkAnswer is the work every client does on an answer, so that none is ahead
// by looking less closely.
func checkAnswer(status int, body []byte) error {
	if status != 200 || len(body) != len(answer) {
		return fmt.Errorf("%w: status %d, body of %d bytes", errWrongAnswer, status, len(body))
	}
	return nil
}
