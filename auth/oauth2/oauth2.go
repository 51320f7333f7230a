// Package oauth2 keeps an OAuth 2.0 access token valid and sends it as a bearer
// token: client credentials (RFC 6749, section 4.4), refresh tokens (section 6),
// or any other way to come by one.
//
//	fresh      the token is used as it is
//	ageing     it is used, and one fetch of the next runs beside the requests
//	expired    requests wait for that one fetch, however many they are
//
// The flows themselves are those of golang.org/x/oauth2.
package oauth2

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/contain"
	"github.com/sluice-engine/sluice/internal/unit"
	"github.com/sluice-engine/sluice/messages"
)

// Options tune Tokens. The zero value is ready to use.
type Options struct {
	// Skew is how long before its expiry a token is not used any more: what a
	// request may take to arrive. Default 10 s. A token that lives no longer than
	// that is used all the same, for there is no better one: by the requests that
	// waited for it, and by others for Pause, but never when it has expired.
	Skew time.Duration
	// Ahead is how long before Skew the next token is fetched beside the requests.
	// Default 50 s. It is never more than a fifth of the time for which a token may
	// be used, nor so much that the fetch would begin within Pause of the last: a
	// token that may be used for no longer than Pause is replaced when it is over.
	Ahead time.Duration
	// Timeout bounds one fetch. Default 10 s.
	Timeout time.Duration
	// Pause is how long after a failed fetch no other is tried; requests that
	// need one get the last error at once. Default 1 s. After one that brought a
	// token they wait for a second at most, or for Pause if that is less, until
	// the next begins. What was forgotten (see Invalidate) is fetched at once.
	Pause time.Duration
	// Client is used to reach the token endpoint, but follows no redirects. Nil
	// means one like http.DefaultClient.
	Client *http.Client
}

// withDefaults takes no duration for longer than unit.Longest, so that sums of them are durations.
func (o Options) withDefaults() Options {
	o.Skew = min(cmp.Or(o.Skew, 10*time.Second), unit.Longest)
	o.Ahead = min(cmp.Or(o.Ahead, 50*time.Second), unit.Longest)
	o.Timeout = min(cmp.Or(o.Timeout, 10*time.Second), unit.Longest)
	o.Pause = min(cmp.Or(o.Pause, time.Second), unit.Longest)
	return o
}

// Fetch gets a new token. It is never called twice at the same time.
type Fetch func(ctx context.Context) (*oauth2.Token, error)

// Tokens is an auth.Authenticator that holds one token and replaces it in time.
// It is safe for concurrent use; Close it when it is no longer needed.
type Tokens struct {
	options Options // set by New
	fetch   Fetch   // set by New; called by fly alone, one call at a time
	closed  context.Context
	close   context.CancelFunc
	running sync.WaitGroup // the goroutine of fly, if it runs

	// current is the token in use. land stores a new one, Invalidate and Rejected
	// forget it, and every request reads it without the lock.
	current atomic.Pointer[held]
	mistake error // in what New was called with; set before anybody has the value

	// Under mu: start begins a flight, land ends it and says how it went, and every
	// request that needs a new token reads.
	mu       sync.Mutex
	flight   chan struct{} // closed when the running fetch has ended; nil if none runs
	failed   error         // of the last fetch
	failedAt time.Time
}

// held is a token and when it was got.
type held struct {
	*oauth2.Token
	at  time.Time
	use time.Duration // for how long it could be used then: not above zero for a life within Skew
}

func (h *held) credentials() string { return h.Type() + " " + h.AccessToken }

// forever is how long a token lasts of which the server did not say; it will with a 401. It is
// longer than any Skew.
const forever = time.Duration(math.MaxInt64)

// lasts is how long it is until the expiry that the server said: by the wall clock, which goes on
// while the machine sleeps, and by the monotonic one, which nobody sets back.
func (h *held) lasts() time.Duration {
	if h.Expiry.IsZero() {
		return forever
	}
	return min(time.Until(h.Expiry), time.Until(h.Expiry.Round(0)))
}

var (
	_ auth.Authenticator = (*Tokens)(nil)
	_ auth.Validator     = (*Tokens)(nil)
	_ auth.BodyUnsigned  = (*Tokens)(nil)
	_ auth.Rejecter      = (*Tokens)(nil)
)

// New makes Tokens that are got by fetch.
func New(fetch Fetch, options Options) *Tokens {
	t := &Tokens{options: options.withDefaults(), fetch: fetch}
	t.closed, t.close = context.WithCancel(context.Background())
	return t
}

// ClientCredentials makes Tokens for the client itself.
func ClientCredentials(config clientcredentials.Config, options Options) *Tokens {
	t := New(config.Token, options)
	t.mistake = errors.Join(secrets("ClientID", config.ClientID, "ClientSecret", config.ClientSecret), checkTokenURL(config.TokenURL))
	return t
}

// checkTokenURL reports one that nothing can be asked of. It is not quoted: it may have a secret in it.
func checkTokenURL(text string) error {
	at, err := url.Parse(text)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Hostname() == "" {
		return &Error{Err: errors.New("TokenURL: must be an http or https URL with a host")}
	}
	return nil
}

// secrets reports what is odd about any of them; names and values alternate.
func secrets(pairs ...string) error {
	var errs []error
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := auth.CheckSecret(auth.Secret(pairs[i+1])); err != nil {
			errs = append(errs, &Error{Err: fmt.Errorf("%s: %w", pairs[i], err)})
		}
	}
	return errors.Join(errs...)
}

// Refresh makes Tokens from a refresh token. Where the server replaces the
// refresh token, the new one is used from then on; rotated, if not nil, is told
// so that it can be stored.
func Refresh(config oauth2.Config, refreshToken auth.Secret, rotated func(auth.Secret), options Options) *Tokens {
	mistake := secrets("ClientID", config.ClientID, "ClientSecret", config.ClientSecret, "refreshToken", string(refreshToken))
	// Every fetch happens before the next, so that refreshToken needs no lock.
	fetch := func(ctx context.Context) (*oauth2.Token, error) {
		token, err := config.TokenSource(ctx, &oauth2.Token{RefreshToken: string(refreshToken)}).Token()
		if err != nil {
			return nil, err
		}
		if next := auth.Secret(token.RefreshToken); next != "" && next != refreshToken {
			refreshToken = next
			if rotated != nil {
				rotated(next)
			}
		}
		return token, nil
	}
	t := New(fetch, options)
	t.mistake = errors.Join(mistake, checkTokenURL(config.Endpoint.TokenURL))
	return t
}

// Validate reports every mistake.
func (t *Tokens) Validate() error {
	o := t.options
	if t.fetch == nil || o.Skew < 0 || o.Ahead < 0 || o.Timeout < 0 || o.Pause < 0 {
		return errors.Join(&Error{Err: errors.New("fetch must be set, and no duration negative")}, t.mistake)
	}
	return t.mistake
}

// BodyUnsigned returns true: the token is sent as it is.
func (t *Tokens) BodyUnsigned() bool { return true }

// Authenticate sets the Authorization header. It waits for a token if there is
// none to use, for as long as the call is waited for (see messages.Call.Await), and
// fails if there is none then. The fetch goes on for whoever comes next.
func (t *Tokens) Authenticate(call *messages.Call, _ auth.Clock) error {
	token, err := t.token(call)
	if err != nil {
		return err
	}
	call.SetHeader("Authorization", token.credentials())
	return nil
}

// Unsign is part of auth.Unsigner. A token is no signature.
func (t *Tokens) Unsign(call *messages.Call) (signed bool, err error) {
	call.DelHeader("Authorization")
	return false, nil
}

// Invalidate forgets the token. After a 401 the engine does that by itself.
func (t *Tokens) Invalidate() { t.current.Store(nil) }

// Rejected forgets the token that a call carried, for the server takes it no
// longer: the next call waits for a new one. It reports false if that would not
// help: a token that was just got is refused for another reason.
func (t *Tokens) Rejected(call *messages.Call, _ *messages.Response) (again bool) {
	sent, ok := call.Header("Authorization")
	if !ok || t.closed.Err() != nil {
		return false
	}
	token := t.current.Load()
	if token == nil || token.credentials() != sent {
		return true // somebody else was told before
	}
	if time.Since(token.at) < t.options.Pause {
		return false
	}
	t.current.CompareAndSwap(token, nil)
	return true
}

// Close ends a running fetch and waits for it. Requests that need a new token
// fail from then on.
func (t *Tokens) Close() {
	t.mu.Lock() // so that no start lies between its look at closed and its Go
	t.close()
	t.mu.Unlock()
	t.running.Wait()
}

func (t *Tokens) token(call *messages.Call) (*held, error) {
	token := t.current.Load()
	if token == nil {
		return t.wait(call, token)
	}
	switch left := t.left(token); {
	case left > t.ahead(token):
		return token, nil
	case left > 0:
		_, _ = t.start(token) // the token at hand will do, whatever comes of this
		return token, nil
	case token.use <= 0 && !expired(token) && time.Since(token.at) < t.options.Pause:
		return token, nil // its life is unusually short, and the next one's would be too
	}
	return t.wait(call, token)
}

// left is for how long token may still be used.
func (t *Tokens) left(token *held) time.Duration {
	if token == nil {
		return 0
	}
	return token.lasts() - t.options.Skew
}

// share is the part of its use, one in so many, that may be left of a token when the next is
// fetched: one that is ageing as soon as it is got would have fetches follow one another.
const share = 5

// ahead is how much of its use is left of token when the next is fetched beside the requests. That
// is never within Pause of when token was got.
func (t *Tokens) ahead(token *held) time.Duration {
	return max(0, min(t.options.Ahead, token.use/share, token.use-t.options.Pause))
}

// expired reports whether token is of no use any more, however early another is wanted.
func expired(token *held) bool { return token == nil || token.lasts() <= 0 }

// wait waits for the next token after seen, which will not do.
func (t *Tokens) wait(call *messages.Call, seen *held) (*held, error) {
	flight, err := t.start(seen)
	if err != nil {
		return nil, err
	}
	if flight != nil {
		if err := call.Await(flight); err != nil {
			return nil, &Error{Err: err}
		}
	}
	return t.landed()
}

// landed returns what the last fetch brought, unless that is over by now. A token of an unusually
// short life is used all the same: there is no better one. What a failed fetch has left in place is
// used for as long as it may be.
func (t *Tokens) landed() (*held, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := t.current.Load()
	switch {
	case t.left(token) > 0:
		return token, nil
	case t.failed != nil:
		return nil, t.failed
	case !expired(token) && token.use <= 0:
		return token, nil
	}
	return nil, &Error{Err: errExpired} // while those who wait for it were woken
}

var errExpired = errors.New("token had already expired")

// start joins the running fetch or begins one, unless the last failed just now. There is nothing to
// wait for, and flight is nil, if one has brought a token since seen was read: without a look at that
// another fetch would follow the last at its heels.
func (t *Tokens) start(seen *held) (flight <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := t.current.Load()
	switch {
	case t.closed.Err() != nil:
		return nil, &Error{Err: errClosed}
	case t.flight != nil:
		return t.flight, nil
	case token != nil && token != seen && t.left(token) > t.ahead(token):
		return nil, nil
	case t.failed != nil && time.Since(t.failedAt) < t.options.Pause:
		return nil, t.failed
	}
	t.flight = make(chan struct{})
	rest := t.rest()
	t.running.Go(func() { t.fly(rest) })
	return t.flight, nil
}

var errClosed = errors.New("closed")

// mostRest bounds the pause after a fetch that brought a token: a Pause that is longer than tokens
// live would leave requests without one for most of the time.
const mostRest = time.Second

// rest is how long it is until a fetch may follow the one that brought the token at hand.
func (t *Tokens) rest() time.Duration {
	token := t.current.Load()
	if token == nil {
		return 0
	}
	return min(t.options.Pause, mostRest) - time.Since(token.at)
}

// fly fetches a token after a rest, and lands whatever happens: the caller's code may end
// the goroutine.
func (t *Tokens) fly(rest time.Duration) {
	var token *oauth2.Token
	err := error(&Error{Err: errors.New("fetch ended its goroutine")})
	defer func() { t.land(token, err) }()
	select {
	case <-time.After(rest):
	case <-t.closed.Done():
		err = &Error{Err: fmt.Errorf("%w: %w", errClosed, context.Canceled)}
		return
	}
	ctx, cancel := context.WithTimeout(t.closed, t.options.Timeout)
	defer cancel()
	token, err = t.get(context.WithValue(ctx, oauth2.HTTPClient, t.client()))
}

// client follows no redirect: a token request has secrets in it, which a 307
// would hand to another host.
func (t *Tokens) client() *http.Client {
	var client http.Client
	if t.options.Client != nil {
		client = *t.options.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

func (t *Tokens) land(token *oauth2.Token, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed, t.failedAt = err, time.Now()
	if err == nil {
		got := &held{Token: token, at: t.failedAt}
		got.use = t.left(got)
		t.current.Store(got) // before those who wait are woken to read it
	}
	close(t.flight)
	t.flight = nil
}

// get turns whatever fetch does into a token or an *Error.
func (t *Tokens) get(ctx context.Context) (token *oauth2.Token, err error) {
	defer func() {
		if v := recover(); v != nil {
			cut := contain.NewCut(v)
			token, err = nil, &Error{Err: &messages.PanicError{Stage: messages.Signing, Value: cut.Value, Stack: cut.Stack}}
		}
	}()
	token, err = t.fetch(ctx)
	switch {
	case err != nil:
		return nil, &Error{Err: err}
	case token == nil || token.AccessToken == "":
		return nil, &Error{Err: errors.New("no access token in the answer")}
	case expired(&held{Token: token}):
		// Held, it would have every request ask for the next without a pause.
		return nil, &Error{Err: errExpired}
	case !httpguts.ValidHeaderFieldValue(token.Type()) || !httpguts.ValidHeaderFieldValue(token.AccessToken):
		// Held until it expires, it would have every request refused before it is sent.
		return nil, &Error{Err: errors.New("the access token has a control character, and cannot be sent")}
	}
	return token, nil
}

// Error means that no token could be had. Its text leaves out what the token
// endpoint said, its URL, and every word that is not one of OAuth's own: secrets may
// stand in all of them. They are in the cause. What a Fetch of the caller's own says of
// anything else is the caller's, and stands there.
type Error struct{ Err error }

// codes are the error codes of OAuth 2.0 (RFC 6749, sections 4.1.2.1 and 5.2). Any other
// is the server's own words.
var codes = map[string]bool{
	"invalid_request": true, "invalid_client": true, "invalid_grant": true, "unauthorized_client": true, "unsupported_grant_type": true,
	"invalid_scope": true, "access_denied": true, "unsupported_response_type": true, "server_error": true, "temporarily_unavailable": true,
}

// Error is part of error.
func (e *Error) Error() string {
	var answer *oauth2.RetrieveError
	var trip *url.Error
	switch {
	case errors.As(e.Err, &trip):
		return "auth: oauth2: token endpoint: " + unreached(trip.Err)
	case !errors.As(e.Err, &answer):
		return "auth: oauth2: " + unquoted(e.Err.Error())
	}
	text := "auth: oauth2: token endpoint refused"
	if answer.Response != nil && answer.Response.StatusCode != http.StatusOK {
		text += ": " + cmp.Or(http.StatusText(answer.Response.StatusCode), "status "+strconv.Itoa(answer.Response.StatusCode))
	}
	if codes[answer.ErrorCode] {
		text += ": " + answer.ErrorCode
	}
	return text
}

// unreached says why there was no answer, in words that nobody else has chosen: net/http quotes
// what it cannot read, and package net the address.
func unreached(err error) string {
	var name *net.DNSError
	var errno syscall.Errno
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded.Error()
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	case errors.As(err, &name):
		return "its name could not be looked up"
	case errors.As(err, &certificate):
		return "its certificate is not to be trusted"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection"
	case isTimeout(err):
		return "it did not answer in time"
	}
	return "it could not be asked, or its answer could not be read"
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.As(err, &timed) && timed.Timeout()
}

// quoting is how golang.org/x/oauth2 begins a text that goes on with what it was given.
var quoting = []string{"oauth2: cannot fetch token", "oauth2: cannot parse response", "oauth2: cannot parse json"}

// unquoted cuts off what the token endpoint said.
func unquoted(text string) string {
	for _, head := range quoting {
		if at := strings.Index(text, head); at >= 0 {
			return text[:at] + strings.TrimPrefix(head, "oauth2: ")
		}
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
