package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/actors"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/dial"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Config describes an engine. The zero value is an engine without limits,
// authentication or base URL; every field says what its zero value means.
type Config struct {
	// BaseURL is what every Request.Path is joined to: scheme, host, and
	// perhaps a path. Empty means that requests carry full URLs.
	BaseURL string
	// Header is sent with every request; a request's own header wins. A
	// User-Agent of "sluice" is sent unless one is given here or there.
	Header http.Header

	// Limits are the API's rate limits; see throttle.Limit. Without any, no
	// request needs a limit id.
	Limits []throttle.Limit
	// Throttle tunes the queue: share, margin, ageing, bounds.
	Throttle throttle.Options
	// Feedback reads what answers say about limits: pauses, usage, the server's
	// time. Nil means feedback.RetryAfter; use feedback.Join to add to it. It
	// runs on the caller's goroutine, and must be safe for concurrent use.
	Feedback feedback.Reader
	// DefaultLimitID is charged by requests that name no limit. Empty means
	// that such a request is refused, unless there are no limits at all.
	DefaultLimitID string

	// Auth signs the requests that ask for it.
	Auth auth.Authenticator
	// Time is where the server's clock is read: see TimeFrom. Nil means that
	// signers take the local clock at its word.
	Time TimeSource
	// TimeEvery is the longest time between two looks at the server's clock;
	// 10 s by default. More of them make the estimate better, at their price
	// in requests.
	TimeEvery time.Duration
	// PreProcessors run before a request is built, PostProcessors after its
	// answer, each in the order listed.
	PreProcessors  []PreProcessor
	PostProcessors []PostProcessor
	// Cookies keeps cookies between requests. Nil keeps none until
	// Engine.UpdateCookies makes a jar.
	Cookies http.CookieJar

	// Timeout bounds every request that has none of its own: queues, retries
	// and body included. Zero means no bound.
	Timeout time.Duration
	// MaxInFlight is how many requests may be on their journey at once,
	// 100,000 by default; MaxWaiting is how many more may wait for their turn
	// in Do, 100,000 by default, none if negative. Beyond that the least
	// urgent get ErrOverloaded.
	MaxInFlight, MaxWaiting int

	// MaxConns bounds the connections to one origin, 64 by default, and
	// MaxConnWaiters the requests waiting for one, 100,000 by default.
	MaxConns, MaxConnWaiters int
	// IdleTimeout closes a connection that was not used for as long; 50 s by
	// default, which is below what servers commonly allow.
	IdleTimeout time.Duration
	// MinIdle is how many unused connections are kept open to an origin that
	// was used once, within MaxConns; none by default.
	MinIdle int
	// RotateConns lends the connection that was idle for longest, so that every
	// one stays warm. By default the last used is lent, and those in excess are
	// closed after IdleTimeout.
	RotateConns bool
	// MaxConnAge closes a connection that old once it is not in use, spread
	// over the last tenth of that time; zero means never.
	MaxConnAge time.Duration
	// DialBackoff and DialBackoffCap bound the pause after a failed dial to an
	// origin, 50 ms and 5 s by default; it doubles with each failure.
	DialBackoff, DialBackoffCap time.Duration
	// DialTimeout bounds connecting and the TLS handshake; 5 s by default.
	DialTimeout time.Duration
	// DialContext replaces net.Dialer; TLS is still the engine's.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// LocalAddr is the IP address connections come from; empty leaves it to the
	// system. It is not for DialContext.
	LocalAddr string
	// Proxy returns the proxy for an origin, given as a GET request for its
	// root, or nil for none: http.ProxyFromEnvironment, http.ProxyURL. Proxies
	// are of scheme http or https, asked for a tunnel with CONNECT whatever the
	// origin, or socks5 and socks5h, which both resolve names themselves. User
	// and password in the URL are sent. Nil means no proxy.
	Proxy func(*http.Request) (*url.URL, error)
	// ProxyTLS is used for TLS to an https proxy, as TLS is to an origin. Nil
	// means TLS without its ServerName.
	ProxyTLS *tls.Config
	// TLS is used for https: roots, client certificates and the like. It is
	// cloned. Nil means the system's roots. The least version is TLS 1.2 unless
	// it asks for more, and sessions are resumed unless SessionTicketsDisabled
	// is set.
	TLS *tls.Config
	// Codings are the content codings that answers may come in, most wanted
	// first: "gzip", "deflate", "br", "zstd". They are asked for and undone,
	// unless a request has an Accept-Encoding of its own. Nil means gzip and
	// deflate; an empty slice means none.
	Codings []string
	// HTTP2 says which https origins, given as host:port, are offered HTTP/2;
	// those that do not speak it are spoken to in HTTP/1.1. Nil means none: one
	// connection a request is what exchanges answer fastest. With HTTP/2,
	// MaxConns counts streams; they share connections as far as the server
	// allows.
	HTTP2 func(hostPort string) bool
	// MaxHeader and MaxBody cap a response, 64 KiB and 16 MiB by default.
	MaxHeader int
	MaxBody   int64

	// Retry repeats attempts that failed without harm.
	Retry Retry

	// Logger receives what the engine has to say; nil discards it. No secret
	// is ever logged.
	Logger *slog.Logger
}

// Retry says how often and how soon a failed attempt is repeated. Repeated is
// only what is provably unsent, or idempotent: by its method (RFC 9110,
// section 9.2.2) or by Request.Idempotent. A status is never repeated: it is a
// response. The pause is drawn from [0, min(Cap, Base·2ⁿ)), "full jitter".
type Retry struct {
	// Max is how many repetitions follow the first attempt; 2 by default, none
	// if negative.
	Max int
	// Base and Cap bound the pause; 50 ms and 2 s by default.
	Base, Cap time.Duration
}

const (
	retryShare = 0.2 // repetitions per first attempt, over all requests
	retryRate  = 10  // and per second besides
)

// withDefaults fills in every zero value that stands for another.
func (c Config) withDefaults() Config {
	orInt(&c.MaxInFlight, 100_000)
	orInt(&c.MaxWaiting, 100_000)
	orInt(&c.MaxConns, 64)
	orInt(&c.MaxConnWaiters, 100_000)
	orInt(&c.MaxHeader, 64<<10)
	orInt(&c.MaxBody, 16<<20)
	orInt(&c.IdleTimeout, 50*time.Second)
	orInt(&c.DialTimeout, 5*time.Second)
	orInt(&c.DialBackoff, 50*time.Millisecond)
	orInt(&c.DialBackoffCap, 5*time.Second)
	orInt(&c.Retry.Max, 2)
	orInt(&c.Retry.Base, 50*time.Millisecond)
	orInt(&c.Retry.Cap, 2*time.Second)
	if len(c.Limits) == 0 && c.DefaultLimitID == "" {
		c.DefaultLimitID = Unlimited
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orInt[T ~int | ~int64](value *T, fallback T) {
	if *value == 0 {
		*value = fallback
	}
}

// validate returns every mistake in what is not checked elsewhere.
func (c Config) validate() []error {
	var errs []error
	for _, field := range []struct {
		name  string
		value int64
	}{
		{"MaxInFlight", int64(c.MaxInFlight)}, {"MaxConns", int64(c.MaxConns)},
		{"MaxConnWaiters", int64(c.MaxConnWaiters)}, {"MaxHeader", int64(c.MaxHeader)},
		{"MaxBody", c.MaxBody}, {"IdleTimeout", int64(c.IdleTimeout)},
		{"MinIdle", int64(c.MinIdle)}, {"MaxConnAge", int64(c.MaxConnAge)},
		{"DialBackoff", int64(c.DialBackoff)}, {"DialBackoffCap", int64(c.DialBackoffCap)},
		{"DialTimeout", int64(c.DialTimeout)}, {"Timeout", int64(c.Timeout)}, {"TimeEvery", int64(c.TimeEvery)},
		{"Retry.Base", int64(c.Retry.Base)}, {"Retry.Cap", int64(c.Retry.Cap)},
	} {
		if field.value < 0 {
			errs = append(errs, fmt.Errorf("%s is negative", field.name))
		}
	}
	if c.MinIdle > c.MaxConns {
		errs = append(errs, fmt.Errorf("MinIdle %d is above MaxConns %d", c.MinIdle, c.MaxConns))
	}
	if c.LocalAddr != "" {
		if _, err := dial.ParseLocalAddr(c.LocalAddr); err != nil {
			errs = append(errs, fmt.Errorf("LocalAddr: %w", err))
		}
	}
	if _, err := c.codings(); err != nil {
		errs = append(errs, err)
	}
	for i, p := range c.PreProcessors {
		if p == nil {
			errs = append(errs, fmt.Errorf("PreProcessors[%d] is nil", i))
		}
	}
	for i, p := range c.PostProcessors {
		if p == nil {
			errs = append(errs, fmt.Errorf("PostProcessors[%d] is nil", i))
		}
	}
	if err := auth.Validate(c.Auth); err != nil {
		errs = append(errs, fmt.Errorf("field Auth: %w", err))
	}
	return append(errs, c.validateLimits()...)
}

func (c Config) validateLimits() []error {
	var errs []error
	if _, err := throttle.New(c.Limits, c.Throttle); err != nil {
		errs = append(errs, err)
	}
	known := func(id string) bool {
		return id == "" || id == Unlimited || slices.ContainsFunc(c.Limits, func(l throttle.Limit) bool { return l.ID == id })
	}
	if !known(c.DefaultLimitID) {
		errs = append(errs, fmt.Errorf("DefaultLimitID %q is not among Limits", c.DefaultLimitID))
	}
	if s, ok := c.Time.(interface{ limitID() string }); ok && !known(s.limitID()) {
		errs = append(errs, fmt.Errorf("field Time is charged to %q, which is not among Limits", s.limitID()))
	}
	if slices.ContainsFunc(c.Limits, func(l throttle.Limit) bool { return l.ID == Unlimited }) {
		errs = append(errs, fmt.Errorf("limit id %q is reserved for requests without a limit", Unlimited))
	}
	return errs
}

// system turns a complete Config into what the actors need, or reports every
// mistake at once.
func (c Config) system() (actors.Config, error) {
	errs := c.validate()
	base := actors.Base{}
	if c.BaseURL != "" {
		var err error
		if base, err = actors.ParseBase(c.BaseURL); err != nil {
			errs = append(errs, fmt.Errorf("field BaseURL: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return actors.Config{}, fmt.Errorf("sluice: configuration: %w", err)
	}
	codings, _ := c.codings()
	return actors.Config{
		Base: base, Fields: c.fields(), DefaultLimitID: c.DefaultLimitID,
		Limits: slices.Clone(c.Limits), Throttle: c.Throttle, Feedback: c.Feedback,
		Auth: c.Auth, PreProcessors: c.PreProcessors, PostProcessors: c.PostProcessors, Jar: c.Cookies,
		Codings: codings,
		Dial:    c.dialer(),
		Pool:    c.pool(),
		Retry: actors.Retry{
			Max: max(0, c.Retry.Max), Base: c.Retry.Base, Cap: c.Retry.Cap, Share: retryShare, Rate: retryRate,
		},
		Logger: c.Logger,
	}, nil
}

// unusedPool is how long an origin's pool outlives its last connection.
const unusedPool = time.Minute

func (c Config) pool() actors.PoolConfig {
	return actors.PoolConfig{
		MaxConns: c.MaxConns, MaxWaiters: c.MaxConnWaiters, MinIdle: c.MinIdle, Rotate: c.RotateConns,
		IdleTimeout: c.IdleTimeout, MaxAge: c.MaxConnAge, Passivate: unusedPool,
		Backoff: c.DialBackoff, BackoffCap: c.DialBackoffCap,
	}
}

// fields returns the header of every request, in a fixed order.
func (c Config) fields() []messages.Field {
	var fields []messages.Field
	if c.Header.Get("User-Agent") == "" {
		fields = append(fields, messages.Field{Name: "User-Agent", Value: "sluice"})
	}
	names := make([]string, 0, len(c.Header))
	for name := range c.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	if names := c.codingNames(); len(names) > 0 && c.Header.Get("Accept-Encoding") == "" {
		fields = append(fields, messages.Field{Name: "Accept-Encoding", Value: strings.Join(names, ", ")})
	}
	for _, name := range names {
		for _, value := range c.Header[name] {
			fields = append(fields, messages.Field{Name: name, Value: value})
		}
	}
	return slices.Clip(fields)
}

func (c Config) codingNames() []string {
	if c.Codings == nil {
		return []string{"gzip", "deflate"}
	}
	return c.Codings
}

// codings are those to undo: what the engine asks for by itself.
func (c Config) codings() (messages.Codings, error) {
	if c.Header.Get("Accept-Encoding") != "" {
		return 0, nil
	}
	known := map[string]messages.Codings{
		"gzip": messages.Gzip, "deflate": messages.Deflate, "br": messages.Brotli, "zstd": messages.Zstd,
	}
	var all messages.Codings
	for _, name := range c.codingNames() {
		if known[name] == 0 {
			return 0, fmt.Errorf("content coding %q among Codings is unknown", name)
		}
		all |= known[name]
	}
	return all, nil
}

func (c Config) dialer() actors.Dial {
	d := &dial.Dialer{
		DialContext: c.DialContext, TLS: c.TLS, Timeout: c.DialTimeout, Proxy: c.proxy(), ProxyTLS: c.ProxyTLS,
		Limits: wire.Limits{Header: c.MaxHeader, Body: c.MaxBody},
	}
	if c.LocalAddr != "" {
		d.LocalAddr, _ = dial.ParseLocalAddr(c.LocalAddr) // validate has looked
	}
	if c.HTTP2 != nil {
		d.HTTP2 = func(origin messages.Origin) bool { return c.HTTP2(origin.Addr) }
	}
	return d.DialAny
}

func (c Config) proxy() func(messages.Origin) (*url.URL, error) {
	if c.Proxy == nil {
		return nil
	}
	return func(origin messages.Origin) (*url.URL, error) {
		u := &url.URL{Scheme: origin.Scheme, Host: origin.Addr, Path: "/"}
		return c.Proxy(&http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: make(http.Header)})
	}
}
