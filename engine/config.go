package engine

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

// Config describes an engine. The zero value is an engine without limits,
// authentication or base URL; every field says what its zero value means. A
// number below zero is a mistake unless its field says what it means. New
// reports all mistakes together, each by the field's path, such as
// "Connections.Max".
//
// What belongs together is a struct of its own that is named like its field:
// "go doc github.com/sluice-engine/sluice/engine.Connections" shows what there
// is to say of connections, and so for Clock, Admission, Dial, Responses and
// Retry. New reads a Config once, and keeps copies of its maps, slices and TLS
// configurations: what is done to them afterwards changes nothing.
type Config struct {
	// BaseURL is what every Request.Path is joined to: scheme, host, and
	// perhaps a path. Empty means that requests carry full URLs.
	BaseURL string
	// Origins are others that credentials are for, beside that of BaseURL, as
	// "https://ws.example.com". Header and Auth go to these origins alone: any
	// other is sent no Header, and a request that asks to be signed for another is
	// an error before anything is sent. Nil means that of BaseURL alone. With
	// neither, both go to wherever the caller of Do sends a request himself, and
	// never to the target of a redirect or to a TimeEndpoint.
	Origins []string
	// Header is sent with every request to BaseURL and Origins; a request's own
	// header wins, whatever the case of its names. Of it, User-Agent and
	// Accept-Encoding, which are no credentials, are sent to all. A User-Agent of
	// "sluice" is sent unless one is given here or there. Nil means that nothing
	// else is sent.
	Header http.Header

	// Limits are the API's rate limits; see throttle.Limit. Without any, no
	// request needs a limit id.
	Limits []throttle.Limit
	// DefaultLimitID is charged by requests that name no limit. Empty means
	// that such a request is refused, unless there are no limits at all.
	DefaultLimitID string
	// Costs say what a request is charged by limits, by their ids, where a
	// throttle.Tariff cannot: each function is asked for every attempt of a request that
	// its limit is charged for, and wins over weights and tariffs of the table, as
	// Request.Weights wins over it. It is given the request as pre-processors left it, with the whole
	// URL in URL, or without any as its caller wrote it, in URL or in Path. It
	// runs on a goroutine of the request's own, as a PreProcessor does, and must be safe for
	// concurrent use. A result below zero is the request's error. Nil means none.
	Costs map[string]func(*Request) int64
	// Throttle tunes the queue for the limits: share, margin, ageing, bounds.
	// Its zero value uses the whole of every quota, in strict priority.
	Throttle throttle.Options
	// Memory keeps what was spent, lost and paused, and how far nonces were used, over
	// a restart, one by kill -9 included: see MemoryFile. A limit of which it knows nothing
	// begins unused, and so does everything with a memory that never was written. With
	// it a request costs some 2 % more. Nil forgets.
	Memory Memory
	// Feedback reads what answers say about limits: pauses, usage, the server's
	// time. Nil means feedback.RetryAfter; use feedback.Join to add to it. It
	// runs on a goroutine of the request's own: that of whoever waits in Do, unless very many
	// wait already where his request goes, and otherwise one of the engine's. It must be safe
	// for concurrent use.
	Feedback feedback.Reader

	// Auth signs the requests of the default account that ask for it, to BaseURL and
	// Origins alone. Nil means that none may ask.
	Auth auth.Authenticator
	// Accounts are others than the default one, by the name that Request.Account has: a
	// label of the caller's own, which no text of an error and no log has. Each signs as
	// Auth does, with a key, a passphrase, nonces and a lane of its own; a nil one signs
	// nothing, and has but quotas of its own. They share connections, and the limits that are
	// not told apart by account. Engine.SetAccount and RemoveAccount change them later.
	// Nil means that there are none.
	Accounts map[string]auth.Authenticator
	// Time is where the server's clock is read: see TimeFrom. If there are Limits,
	// a TimeEndpoint must say which is charged for it. Nil means that signers take
	// the local clock at its word, and that Fixed limits are kept as Sliding ones.
	Time TimeSource
	// Clock says how closely the server's clock is followed.
	Clock Clock

	// PreProcessors run before a request is built, PostProcessors after its
	// answer, each in the order listed. Nil means none.
	PreProcessors  []PreProcessor
	PostProcessors []PostProcessor
	// Observers are told what becomes of requests, each in the order listed; see Observer.
	// Nil means that nobody is, and then a request costs nothing more.
	Observers []Observer
	// Cookies keeps cookies between requests. Nil keeps none until
	// Engine.UpdateCookies makes a jar. A cookie that a request's own Cookie lines
	// name, as that of an http.Client with a jar does, is not added again.
	Cookies http.CookieJar

	// Timeout bounds every request that has none of its own: queues, retries
	// and body included. Zero means no bound.
	Timeout time.Duration
	// Admission bounds how many requests are on their journey.
	Admission Admission
	// Connections bounds the connections to each origin, and says how long they
	// live.
	Connections Connections
	// Dial says how connections are opened, and is the default egress.
	Dial Dial
	// Egress are other ways out, by the name that Request.Egress has: local addresses,
	// proxies. Each has pools of its own, and so a connection of one is never lent to a
	// request of another; Connections.Max and MinIdle are for each origin by each
	// egress, and MaxTotal and MaxIdleTotal for all together. Nil means that there are
	// none but Dial.
	Egress map[string]Egress
	// Responses says what answers may be.
	Responses Responses
	// Retry repeats attempts that failed without harm.
	Retry Retry

	// TracePermits notes the call stack of whoever calls Acquire or TryAcquire, so that the
	// warning of a permit that was forgotten without Done says where that was. It costs
	// about a microsecond each time. False notes nothing.
	TracePermits bool

	// Logger receives what the engine has to say; nil discards it, warnings of
	// which no caller is told included. No secret is ever logged.
	Logger *slog.Logger
}

// Clock says how closely the server's clock, which Config.Time reads, is
// followed. Without Config.Time it says nothing.
type Clock struct {
	// Every is the longest time between two looks at the server's clock; zero
	// means 10 s. More of them make the estimate better, at their price in
	// requests.
	Every time.Duration
	// Trust is how far from this machine's clock the server's time may be to be
	// believed at its first word, and so how wrong a lie may be; zero means 5
	// minutes. A greater difference, up to 400 days, is believed once answers of
	// some seconds agree on it: 4 over 2 s if their Date headers say the same, 8
	// over 4 s otherwise, and if it is greater than a day, no Date header may
	// contradict. What is not confirmed is a *SkewError, which requests that are to
	// be signed end with, and a warning in the log. Set it where this machine's
	// clock is known to be wrong: above what it may be off.
	Trust time.Duration
}

// Admission bounds how many requests are on their journey at once, so that a
// caller without measure gets ErrOverloaded instead of all the memory. Permits of
// Engine.Acquire do not count in it.
type Admission struct {
	// MaxInFlight is how many requests may be on their journey, from Do to its
	// return, or to the end of a streamed answer; zero means 100,000.
	MaxInFlight int
	// MaxWaiting is how many more may wait for their turn in Do, the most urgent
	// first and in the order in which they came; zero means 100,000, and a
	// negative number that none may. Beyond it the least urgent get
	// ErrOverloaded.
	MaxWaiting int
}

// Connections bounds the connections to one origin and to all of them, and says
// how long they live. Every origin (scheme, host and port) has a pool of its own, by
// each egress.
type Connections struct {
	// Max bounds the connections to one origin, those being dialled included;
	// zero means 64. With HTTP/2 it counts streams; they share connections as
	// far as the server allows.
	Max int
	// MaxWaiters bounds the requests waiting for a connection to one origin;
	// zero means 100,000. Of one more the least urgent gets ErrTooManyWaiters, the last
	// to come of those.
	MaxWaiters int
	// MinIdle is how many unused connections are kept open to an origin that
	// was used once, within Max; zero means none.
	MinIdle int
	// MaxTotal bounds the connections to all origins together, counted as Max
	// counts; zero means no bound. A request that finds it reached has the
	// connection closed that is unused for longest, wherever that leads and whatever
	// MinIdle says, and waits until one is; a *PoolFullError says so if its time is up
	// before. Where more origins are busy than there are connections, they have them by
	// turns of half a second. Engine.Warm fails then, and MinIdle is made up for later.
	// A dial that has not succeeded after half a second makes room for another origin
	// that waits, and its own requests wait for another dial, the eighth of which is a
	// failure; but each origin may keep one such dial, as long as half of the
	// connections remain for others. Of a MaxTotal of 1 a dial has a longer turn each
	// time, up to four seconds.
	MaxTotal int
	// MaxIdleTotal bounds the unused connections to all origins together: beyond it
	// those are closed that are unused for longest, within a second, but for MinIdle
	// of each origin. Zero means 100, or Max if that is more, so that one origin alone
	// never loses any; a negative number means no bound.
	MaxIdleTotal int
	// IdleTimeout closes a connection that was not used for as long; zero means
	// 50 s, which is below what servers commonly allow.
	IdleTimeout time.Duration
	// MaxAge closes a connection that old once it is not in use, spread over
	// the last tenth of that time: the next one goes where the origin's name leads
	// by then. Zero means 10 minutes, and a negative time never. With HTTP/2 it is the
	// age of what the streams share.
	MaxAge time.Duration
	// Rotate lends the connection that was idle for longest, so that every one
	// stays warm. False lends the last used, and those in excess are closed
	// after IdleTimeout.
	Rotate bool
	// LimitID is charged for every new connection, of HTTP/2 as well, whoever it is opened
	// for: requests, MinIdle, Warm. A venue that takes 300 connections in five minutes
	// from one address is {ID: "connects", Quota: 300, Per: 5 * time.Minute, Scope:
	// "connects"}; a WebSocket is charged to the same limit by Engine.Acquire. A connection
	// waits for its turn in the queue of that limit, as urgent as the request that it is
	// for and after all that wait if it is for none; Dial.Timeout begins when it has come,
	// and a request that wants the connection gives its own permit back meanwhile. It obeys
	// the pauses of the limit's scope. One that has its turn when nobody wants it any more
	// is not opened. Nothing is charged for what fails on this machine, as a name that is
	// not found; what failed on the way counts in full. It must not be told apart by key
	// or account. Empty charges nothing.
	LimitID string
	// HTTP2 says which https origins, given as host:port, are offered HTTP/2;
	// those that do not speak it are spoken to in HTTP/1.1. Nil means none: one
	// connection a request is what exchanges answer fastest.
	HTTP2 func(hostPort string) bool
	// TraceStreams notes the call stack of whoever asks for a streamed answer. When
	// requests wait because streams that were not closed hold every connection, a
	// warning in the log and PoolFullError.OpenedAt say where the oldest was opened.
	// It costs some microseconds a stream. False notes nothing: how many there are,
	// and since when, is said all the same.
	TraceStreams bool
}

// Dial says how connections are opened: from where, through what, with which
// TLS, and how long a failure is waited out. From where and through what is the
// default egress, beside which there may be others: see Egress.
type Dial struct {
	// Timeout bounds connecting and the TLS handshake together; zero means 5 s.
	Timeout time.Duration
	// Backoff is the pause after a failed dial to an origin, which doubles with
	// each further failure; zero means 50 ms. Through it a request that needs a new
	// connection fails at once with the last dial's error, whose RetryAt is the
	// pause's end, whatever time it has itself: Wait waits until then. A failure that
	// no pause mends, such as an unknown host or an untrusted certificate, has neither
	// RetryAt nor pause: whoever asks is dialled for, once.
	Backoff time.Duration
	// BackoffCap is the longest such pause; zero means 5 s.
	BackoffCap time.Duration
	// DialContext opens the transport's connection; TLS is still the engine's. Its
	// context has the values of the request that caused the dial, as net/http's has,
	// and not its end: the connection serves whoever is first, and others after. A
	// connection of a type of its own need not keep deadlines, nor return from its
	// methods: requests end in time all the same. One that does not keep them is used
	// for one request. One whose Close does not return counts as open for a tenth of a
	// second more, and the log says so. What its Write says decides whether a request
	// was sent: not one byte of it was if the first Write returns zero with an error that
	// is net.ErrClosed, io.ErrClosedPipe or, as errors.Is tells, what the system says of a
	// connection that is closed or reset (EPIPE, ECONNRESET). Zero with anything else, a
	// count that cannot be and a panic leave it open, and so does any error of a *tls.Conn
	// upon a type of its own. Nil means a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// LocalAddr is the IP address connections come from; empty leaves it to the
	// system. It is not for DialContext.
	LocalAddr string
	// Proxy returns the proxy for an origin, given as a GET request for its
	// root, or nil for none: http.ProxyFromEnvironment, http.ProxyURL. Proxies
	// are of scheme http or https, or socks5 and socks5h, which both resolve names
	// themselves. One of HTTP is asked for a tunnel to an https origin, with
	// CONNECT, and is sent the requests for an http origin itself, with the whole
	// URL: then its own answers, such as a 407 or a 502, are the response, a Host of
	// the request's own is refused, and it sees all that is sent. User and password
	// in the URL are sent to the proxy alone. Nil means no proxy.
	Proxy func(*http.Request) (*url.URL, error)
	// ProxyConnectHeader is sent with every CONNECT, and to the proxy alone. The
	// User-Agent of Config.Header is too, unless it has one of its own; user and
	// password of the proxy's URL win over its Proxy-Authorization. Nil means
	// nothing else.
	ProxyConnectHeader http.Header
	// GetProxyConnectHeader is asked for the header of each CONNECT, in place of
	// ProxyConnectHeader, as for a token that changes; target is the host and port
	// that the tunnel leads to. Its error ends the dial, and so does a header that
	// cannot be sent. It must be safe for concurrent use, and is bounded by Timeout
	// through ctx alone. Nil means ProxyConnectHeader.
	GetProxyConnectHeader func(ctx context.Context, proxy *url.URL, target string) (http.Header, error)
	// TLS is used for https: roots, client certificates and the like. It is
	// cloned. Nil means the system's roots. The least version is TLS 1.2 unless
	// it asks for more. Sessions are resumed unless SessionTicketsDisabled is set,
	// and with GetClientCertificate or VerifyPeerCertificate only if there is a
	// ClientSessionCache: a session that is resumed keeps the client's certificate
	// with which it began, and asks neither of them again, but VerifyConnection. A
	// ClientSessionCache is used as it is, by all egresses. What is offered by ALPN is
	// the engine's to say; with NextProtos empty and not nil, HTTP/1.1 is not named to
	// origins that are not offered HTTP/2.
	// Where its Renegotiation grants a server of TLS 1.2 further handshakes, one may be
	// asked for behind a request; a connection that is asked while it is idle carries no
	// further request.
	TLS *tls.Config
	// ProxyTLS is used for TLS to an https proxy, as TLS is to an origin. Nil
	// means TLS without its ServerName.
	ProxyTLS *tls.Config
}

// Responses says what answers may be. What is larger is not read to its end: its
// request fails, and its connection is closed.
type Responses struct {
	// MaxHeader caps the bytes of an answer's header, and of its trailer; zero
	// means 64 KiB. A larger one is ErrHeaderTooLarge.
	MaxHeader int
	// MaxBody caps the bytes of an answer's body, once its coding is undone;
	// zero means 16 MiB. A larger one is ErrBodyTooLarge. A body read through
	// Response.Stream has no cap. Either kind is ErrBodyTooLarge as well if its
	// coding does not fit what it becomes: more than a megabyte of body, of which a
	// byte of coding became more than 200, and more than a megabyte of coding
	// beside eight bytes of it for each of the body.
	MaxBody int64
	// Lenient says of which origins, given as host:port, answers are read in
	// HTTP/1.1 that are refused otherwise: those that net/http reads in spite of a
	// repeated Content-Length, a length beside chunks, lines that end in a bare LF or
	// are folded, a blank before a colon. They can be read in two ways, and so the
	// connection is closed behind each. It may be called on any goroutine. Nil means
	// none; see ErrMalformedResponse.
	Lenient func(hostPort string) bool
	// Decode decodes the JSON body of an answer for Fetch. Nil means encoding/json
	// with three differences: a number that goes into an interface, as in
	// map[string]any, is a json.Number with all its digits; of two names in an
	// object that differ in case only, such as "l" and "L", a field gets the one
	// that is spelt as it is; and a byte order mark is passed over. json.Unmarshal
	// is encoding/json without them, and any other codec will do. It runs on the
	// goroutine of whoever is given what was decoded, must be safe for concurrent use, and
	// must not change body, nor keep it unless what it decodes may share it.
	Decode func(body []byte, into any) error
	// Codings are the content codings that answers may come in, most wanted
	// first: "gzip", "deflate", "br", "zstd". They are asked for and undone,
	// unless the request or Config.Header has an Accept-Encoding of its own, or the
	// method is HEAD. Nil means gzip and deflate; an empty slice means none.
	Codings []string
}

// Retry says how often and how soon a failed attempt is repeated. Repeated is only what is
// provably unsent, or idempotent: by its method (RFC 9110, section 9.2.2) or by
// Request.Idempotent. An answer that was cut off inside its body is a failure, unless
// Request.Stream has handed it over; one that came is a response, whatever its status, unless
// Statuses says otherwise. Each attempt takes a permit of its own. The pause before the n-th
// repetition is drawn from [0, min(Cap, Base·2ⁿ⁻¹)), "full jitter". An attempt whose origin
// could not be dialled is repeated when the origin is dialled again (see Dial.Backoff), and not
// at all if that is later than such a pause may last, or if another dial would fail in the same
// way: an unknown host, an untrusted certificate, a proxy that refuses. Over all requests, no
// more is repeated than one in five, and ten a second besides.
//
// Beside that, and not counted here, a request is repeated once whose timestamp,
// nonce or token the server refused, if its account can have better ones.
type Retry struct {
	// Max is how many repetitions follow the first attempt; zero means 2, and a
	// negative number none. Unless it is negative, a request that the server has
	// certainly done nothing for is repeated up to eight times besides, after pauses
	// that grow: one that it says it did not process (ErrUnprocessed), or whose
	// connection was found closed before a byte was written.
	Max int
	// Base bounds the first pause; zero means 50 ms.
	Base time.Duration
	// Cap bounds every pause; zero means 2 s.
	Cap time.Duration
	// PerAttempt bounds one attempt, so that a connection on which nothing comes does
	// not eat the whole Timeout: from the moment the request is about to be written,
	// its body included, until all of the answer has come, or its head if
	// Request.Stream asks for that. Waits for permits and connections, dialling and
	// signing (a token that is fetched) are not counted. An attempt that ends so is
	// of unknown outcome: an idempotent request is repeated, any other fails with
	// ErrAttemptTimeout, which is a timeout but not context.DeadlineExceeded. Its
	// connection is closed, or with HTTP/2 its stream alone. The looks that a
	// TimeEndpoint takes at the server's clock are bounded as well. Zero means that
	// only the request's own time bounds an attempt.
	PerAttempt time.Duration
	// Statuses, each from 400 to 599, are those with which an answer to an idempotent
	// request is a failure to be repeated, as 429, 502, 503 and 504. The pause before
	// is no shorter than what the answer asks for in its Retry-After, and whatever
	// else the answer has paused is obeyed as well; without a Timeout nothing bounds
	// that. The last answer is the response: when repetitions are used up, and at once
	// if the pause is longer than the request has time, or if there is no room for
	// another attempt. Post-processors see that one alone. A streamed answer is closed
	// before the repetition; should that not come about, up to 64 KiB of its body are
	// still there. Nil means none.
	Statuses []int
}
