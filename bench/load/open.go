package load

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/engine"
)

// The clients that there are, as ClientConfig.Client and results name them.
const (
	Engine   = "engine"
	NetHTTP  = "nethttp"
	FastHTTP = "fasthttp"
)

// DefaultTimeout is that of a request for which nothing else is said.
const DefaultTimeout = 30 * time.Second

// ClientConfig says what sends requests, and how it reaches servers.
type ClientConfig struct {
	Client string // Engine, NetHTTP or FastHTTP; empty means Engine
	// Connections bounds the connections to each origin, and over HTTP/2 the streams of the
	// engine. A request that finds all in use waits within the client: that is Wait, and no
	// lag. 0 means what Engine says, and 10,000 otherwise.
	Connections int
	// HTTP2 speaks HTTP/2 to https origins. FastHTTP cannot.
	HTTP2 bool
	// Insecure believes any certificate; Roots are those who vouch for servers, nil the
	// system's.
	Insecure bool
	Roots    *x509.CertPool
	// Proxy is of scheme http, https, socks5 or socks5h. Nil means none.
	Proxy *url.URL
	// NoKeepAlive makes a connection for each request.
	NoKeepAlive bool
	// Timeout of a request, as Config.Timeout; 0 means DefaultTimeout.
	Timeout time.Duration
	// Engine is what an engine is made of: limits, accounts, retries. What is given above
	// wins over it. Nil means an engine without limits that repeats nothing, and that a refusal
	// of the server's (429, 418, 503) does not have pause.
	Engine *engine.Config
}

const enoughConnections = 10_000

// ClientNames are those that Open knows, in the order in which they are told of.
func ClientNames() []string { return []string{Engine, NetHTTP, FastHTTP} }

// Check says what Open would refuse, without opening anything.
func (c ClientConfig) Check() error {
	var wrong []string
	if !slices.Contains(ClientNames(), c.client()) {
		wrong = append(wrong, fmt.Sprintf("%q is unknown; there are %s", c.Client, strings.Join(ClientNames(), ", ")))
	}
	if c.client() == FastHTTP && c.HTTP2 {
		wrong = append(wrong, "fasthttp speaks no HTTP/2")
	}
	if c.Engine != nil && c.client() != Engine {
		wrong = append(wrong, c.Client+" takes no configuration of an engine")
	}
	if c.Connections < 0 || c.Timeout < 0 {
		wrong = append(wrong, "connections and timeout must not be below zero")
	}
	if len(wrong) == 0 {
		return nil
	}
	return errors.New(strings.Join(wrong, ", "))
}

// Open makes a client. Whoever opens it closes it.
func Open(config ClientConfig) (Client, error) {
	if err := config.Check(); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	switch config.client() {
	case NetHTTP:
		return newNetHTTP(config), nil
	case FastHTTP:
		return newFastHTTP(config), nil
	default:
		return newEngine(config)
	}
}

func (c ClientConfig) client() string {
	if c.Client == "" {
		return Engine
	}
	return c.Client
}

func (c ClientConfig) timeout() time.Duration {
	if c.Timeout == 0 {
		return DefaultTimeout
	}
	return c.Timeout
}

func (c ClientConfig) connections() int {
	if c.Connections == 0 {
		return enoughConnections
	}
	return c.Connections
}

// tls is what TLS needs to know, nil if that is nothing.
func (c ClientConfig) tls() *tls.Config {
	if !c.Insecure && c.Roots == nil {
		return nil
	}
	return &tls.Config{InsecureSkipVerify: c.Insecure, RootCAs: c.Roots}
}

// ReadRoots reads a PEM file of certificates that vouch for servers.
func ReadRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: there is no certificate in it: it must be PEM", file)
	}
	return roots, nil
}

// ParseProxy reads the URL of a proxy. Its error does not repeat the URL, which may have a
// password.
func ParseProxy(text string) (*url.URL, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	proxy, err := url.Parse(text)
	if err != nil || proxy.Host == "" {
		return nil, errors.New("it is no URL such as http://host:port")
	}
	if !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) {
		return nil, fmt.Errorf("scheme %s: it must be http, https, socks5 or socks5h", proxy.Scheme)
	}
	return proxy, nil
}
