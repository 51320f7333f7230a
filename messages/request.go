package messages

import (
	"net/http"
	"time"

	"github.com/sluice-engine/sluice/throttle"
)

// Unlimited as a Request.LimitID says that no limit applies to the request, which waits
// for a pause of its whole origin all the same.
const Unlimited = throttle.NoLimit

// LimitName is the name by which errors, observers and pictures tell of a limit: its id, and
// nothing for Unlimited.
func LimitName(id string) string {
	if id == Unlimited {
		return ""
	}
	return id
}

// Priority orders waiting requests; see throttle.Priority.
type Priority = throttle.Priority

// The customary classes of a trading client, most urgent first.
const (
	Urgent     = throttle.Urgent     // cancels
	High       = throttle.High       // orders
	Account    = throttle.Account    // account and position queries
	Normal     = throttle.Normal     // the zero value: market data and everything else
	Background = throttle.Background // work that can wait
)

// Request is one call, described by the caller. The engine never changes it: the same
// value may be sent again, and from many goroutines at once, unless its Body is a
// reader that can be read once: see Body.
type Request struct {
	// Method is the HTTP method, in upper case; empty means GET.
	Method string

	// URL is an absolute http or https URL. It wins over Path. Empty means Path.
	URL string
	// Path is joined to the engine's base URL with one "/" between them; empty, or a query
	// alone, means that URL itself, with the "/" at its end if it has one. It may carry a
	// query. A whole URL in it is an error. "*" with the method OPTIONS asks about the server
	// as a whole (RFC 9110, section 9.3.7), beside a URL as well.
	Path string
	// Query is appended to whatever query URL or Path already has. Nil appends nothing.
	Query Values
	// Encoded leaves URL and Path exactly as given: the caller has already
	// percent-encoded them. Otherwise unsafe bytes in them are encoded.
	Encoded bool

	// Body is nil, []byte, string, Form or url.Values, a Multipart, an io.Reader, or any value
	// to be sent as JSON, or, if it is Values and the header's Content-Type says
	// so, as a form. The Content-Type sent is that of the bytes, unless Header has
	// another; of bytes, texts and readers only the caller knows it. A nil pointer is an
	// error, and not a null.
	//
	// A *bytes.Buffer, *bytes.Reader, *strings.Reader, *io.SectionReader and an *os.File
	// that is a regular file are read from where they stand and are not moved, so that
	// they can be sent as often as a []byte; one that stands at its end is an error. Any
	// other reader is read by one request at a time: for a second one that comes
	// meanwhile it is an error. If it is an io.Seeker, it is put back to where it stood
	// when the request has ended. Otherwise it can be read once: having begun to read it,
	// the engine makes no other attempt, an error says so with ErrBodyRead, for which
	// Wait does not wait, an answer by BodySpent, and one that has nothing to read is an
	// error. Give each request such a reader of its own.
	Body any
	// Upload is for a Body that is sent while it is read. Its zero value reads
	// Body into memory first.
	Upload Upload

	// Stream hands the answer over as soon as its head is there, with a
	// Response.Stream to be read and closed instead of a Body. The timeout and
	// the context go on to the end of the stream.
	Stream bool
	// Header is added to the engine's own headers and wins over them. In HTTP/1 its lines
	// leave behind those, sorted by the bytes of their names. A User-Agent
	// that is empty sends none. Of Connection, "close" means Close, and what else it
	// names is sent in HTTP/1.1, and is an error in HTTP/2. So is Upgrade, which needs
	// Stream, and a request without a body: the Stream of a 101 is an
	// io.ReadWriteCloser, one goroutine reading it and one writing.
	Header http.Header
	// Close closes the connection behind the answer, and tells the server so. In
	// HTTP/2 the connection takes no further request, and is closed when the others
	// on it have ended.
	Close bool

	// Auth asks for the authenticator of its account to sign the request.
	Auth bool
	// KeyOnly sends the key of its account in the scheme's header and signs nothing, for
	// endpoints that only ask who is calling: see auth.KeySender. It goes where a
	// signature may go, and is an error beside Auth.
	KeyOnly bool
	// Account names whose request it is: which of Config.Accounts signs it or lends its
	// key if Auth or KeyOnly ask for that, and whose quota it is charged to in any case.
	// Empty means the default account, which is Config.Auth. One that the engine does
	// not have is ErrUnknownAccount, and nothing is sent.
	Account string
	// Egress names the way out that it takes, one of Config.Egress: a local address or a
	// proxy. Its redirects and its repetitions take the same. Empty means the default
	// one, which is Config.Dial. One that is not there is ErrUnknownEgress, and nothing
	// is sent.
	Egress string

	// LimitID names the limit to charge. Empty means the engine's default.
	LimitID string
	// Weight overrides the limit's own weight when above zero. Linked limits
	// keep theirs. Below zero it is an error.
	Weight int64
	// Weights override what limits on the route are charged, each by its id, zero
	// included, and win over Weight and over the limits' own rules of cost. One that
	// names a limit that is not on the route is an error.
	Weights map[string]int64
	// Key is what the request is about, such as a symbol: limits that are told apart by
	// keys have a quota for each, and refuse a request without one, or with one of more than
	// throttle.MostName bytes. Other limits ignore it. Empty means none.
	Key string
	// Priority decides who leaves first when room is short: the higher. Zero is Normal.
	Priority Priority

	// Timeout bounds everything: queues, dialling, retries and the body.
	// Zero means the engine's default; negative means none. Below a microsecond it is an
	// error: what lacks its unit is in nanoseconds.
	Timeout time.Duration

	// Idempotent declares that sending the request twice does no harm. An id in it is
	// reason to say so only if the server refuses that id for ever. Where it is unique
	// among open orders only, as Binance's newClientOrderId, an order that was filled has
	// freed it, and is executed twice: leave such a POST alone, and look it up by its id.
	// GET, HEAD, PUT, DELETE, OPTIONS and TRACE are idempotent by themselves (RFC 9110,
	// section 9.2.2).
	Idempotent bool

	// Coalesce shares one answer among requests of Do, Fetch and the like that are on
	// their journey at once and would be sent alike: same method, place, query, header,
	// account, egress, limit and weights, Auth, Close, Redirects and Accept. One of them is
	// sent, and takes one permit and one connection; the others wait for its answer, each
	// with its own context and Timeout. It ends early only when the last of them has left. While
	// it waits for its permit, whoever could not be in time is refused at once, as by itself;
	// with pre-processors, which may have it charged otherwise, or while a first look at the
	// server's clock waits for a limit of its own, only when its time is up.
	// Each gets a Response with a Body of its own. One that is more urgent than the one that
	// is on its way does not wait at that one's rank: it is sent itself, and later ones
	// share it.
	//
	// The answer may be to a question that was asked before: whoever has just changed
	// something, and wants to read what came of it, must not coalesce. So it is with cookies,
	// and with an account's key: those count that were there when the one was sent. Processors
	// run once, on a goroutine of the engine's, with the values of the context of whoever came
	// first; what they make of those values must be nothing that tells requests apart;
	// parameters that are neither texts, numbers nor booleans they see as the texts that are
	// sent. Each caller counts as in flight, and has passed admission, before it shares
	// anything. Requests of another method than GET and HEAD, with a Body, an Upload or Stream
	// are sent by themselves, as if Coalesce were not set, and so are all of a RoundTripper.
	// One whose answer a processor makes a stream is an error.
	Coalesce bool

	// Redirects is how many redirects are followed; none by default, and a negative number is
	// an error. Only those within the same scheme, host and port are: any other is the answer,
	// and so is one that would repeat a body without being a 307 or 308. Each takes a permit
	// and is signed anew.
	Redirects int

	// Accept, when set, is the media type that an answer of success (2xx) must
	// have, such as "application/json"; any other is a ContentTypeError.
	Accept string
	// ReturnErrors hands a 4xx or 5xx body to Fetch's caller as data instead
	// of as a StatusError.
	ReturnErrors bool
}

// Upload says how a body is sent that is read while it is sent.
type Upload struct {
	// Stream sends an io.Reader as it is read, instead of reading it into memory first; such a
	// request can only be signed by an authenticator that leaves bodies alone, see
	// auth.BodyUnsigned. It is sent again only if the reader is one that is not moved (see
	// Body) or was not touched, or if Body is a func() (io.Reader, error), which is called for
	// every attempt, and whose readers the engine closes. Any other reader the engine closes
	// only if it is still reading when the exchange ends. Close is called on a goroutine of the
	// engine's, and waited for a tenth of a second. Without Stream the other fields say
	// nothing, but a Trailer is an error.
	Stream bool
	// Length is the body's length in bytes; zero means that the reader's Len
	// method tells it, or that it is unknown and sent in chunks, as a body with
	// a Trailer always is. That a reader in memory has another length is an error
	// before anything is sent.
	Length int64
	// Trailer is sent behind a body of unknown length. Its names are announced in
	// the header. Its values are read when the body has ended, and may be set
	// until then by whoever is read from. Fields about framing, routing,
	// authentication and the like are no trailers (RFC 9110, section 6.5.1). Nil
	// means none.
	Trailer http.Header
	// ExpectContinue holds the body back until the server asks for it (RFC 9110,
	// section 10.1.1), for a second at most.
	ExpectContinue bool
}

// IsIdempotent reports whether sending r twice is allowed to happen.
func (r *Request) IsIdempotent() bool {
	if r.Idempotent {
		return true
	}
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
