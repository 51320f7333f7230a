package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Resign is an adjust function for RoundTripper, for SDKs that sign their requests
// themselves: they write the time at which a request was made, and when the limits
// let it go, that may be too long ago for the server. Resign takes out what the SDK's
// signer has added and sets Auth, so that the engine signs in the last moment, anew
// on every attempt, with the server's time:
//
//	client := &http.Client{Transport: eng.RoundTripper(engine.Resign(eng))}
//
// The scheme and the key are those of Config.Auth, or of the account that an adjust function
// before Resign has set, and must be the SDK's: any auth.Unsigner, as all schemes of package
// auth are. What remains of the request, a recvWindow for example, keeps its order and its
// spelling. Left as they are: a request without a signature, even if it carries a key; one to
// an origin that is not the engine's own (BaseURL and Origins), of which a warning in the log
// tells once; and one that a redirect of an origin not its own leads to. What redirects among
// its own origins lead to is signed anew. Not sent, but failed with ErrInvalidRequest, is one
// that was signed with another key (auth.ErrOtherKey), that cannot be signed a second time, as
// where the signature stands inside a JSON body (auth.ErrSealed), or to an engine that has no
// auth.Unsigner (auth.ErrNoUnsigner).
//
// It goes along with other adjust functions, in any order but for those that set Account, which
// come before it: those before it see the URL, Header and Body that the SDK has signed, those
// behind it what will be signed. Parameters that one of them changes are signed as it leaves
// them.
//
// A form without a GetBody is read into memory when it is looked at.
//
// The RoundTripper must be that of the same engine: what one engine signs is not sent by
// another, which has a key of its own, but failed with ErrInvalidRequest. Without an
// engine every request fails with ErrNoEngine.
func Resign(e *Engine) func(*http.Request, *Request) {
	resigning.Store(true)
	return func(r *http.Request, asked *Request) {
		err := e.resign(r, asked)
		if err == nil {
			return
		}
		asked.Body, asked.Upload = unsendable{err}, Upload{}
		if now, ok := underAdjustment.Load(asked); ok {
			now := now.(*adjustment)
			now.err = cmp.Or(now.err, err) // whatever Body others set
		}
	}
}

// adjustment is a request that adjust functions are looking at.
type adjustment struct {
	by  *Engine // which will carry it
	err error   // why it must not be sent
}

// An adjust function is told of the request, and not of who asks. Resign has to know, and
// so it is noted who adjusts which request, by *Request, from the first Resign on.
var (
	resigning       atomic.Bool
	underAdjustment sync.Map // *Request to *adjustment
)

// carries reports whether the engine is the one that will carry a request. One that no
// RoundTripper adjusts is its caller's own affair.
func (e *Engine) carries(asked *Request) error {
	now, ok := underAdjustment.Load(asked)
	if !ok || now.(*adjustment).by == e {
		return nil
	}
	return fmt.Errorf("%w: resign: the RoundTripper is that of %v, and Resign signs for another, %v: "+
		"both must be the same, as in eng.RoundTripper(engine.Resign(eng))", ErrInvalidRequest, now.(*adjustment).by, e)
}

// shortForm is the length up to which a body is looked at that does not say that it
// is a form.
const shortForm = 1 << 20

// unsendable is the body of a request that must not be sent.
type unsendable struct{ error }

// Read is part of io.Reader: whoever takes it for a body has the same error.
func (u unsendable) Read([]byte) (int, error) { return 0, u.error }

// replaced ends the http.Request's own body, in whose place an adjust function has
// set another, or fails the request.
func replaced(body io.Closer, asked *Request) error {
	if u, ok := asked.Body.(unsendable); ok {
		return u.error
	}
	if !asked.Upload.Stream {
		asked.Upload.ExpectContinue = false // there is nothing to hold back
	}
	return body.Close()
}

// resign has the engine sign what the SDK has signed.
func (e *Engine) resign(r *http.Request, asked *Request) error {
	if err := cmp.Or(e.made(), e.carries(asked)); err != nil {
		return err
	}
	if !e.leadsHome(r, asked) {
		e.tellOfForeign(r, asked)
		return nil
	}
	signer, err := e.resigner(asked)
	if err != nil {
		return err
	}
	target := &asked.URL
	if asked.URL == "" {
		target = &asked.Path
	}
	place, query, _ := strings.Cut(*target, "?")
	call := &messages.Call{Method: asked.Method, Path: pathOf(place), Query: query, Fields: fieldsOf(asked.Header)}
	body, once, err := e.bodyOf(r, asked, call)
	if err != nil {
		return err
	}
	if once {
		asked.Body = body // signed or not, nobody reads it a second time
	}
	call.Body = body
	signed, err := auth.Unsign(signer, call)
	if err != nil {
		return fmt.Errorf("%w: resign: %w", ErrInvalidRequest, err)
	}
	if !signed {
		return nil
	}
	asked.Auth = true
	if call.Query != query {
		*target = strings.TrimSuffix(place+"?"+call.Query, "?")
	}
	if body != nil || call.Body != nil { // the latter, if it was in the signature
		asked.Body = call.Body
	}
	asked.Header = remaining(asked.Header, call)
	return nil
}

// resigner is who signs a request that an SDK has signed.
func (e *Engine) resigner(asked *Request) (auth.Authenticator, error) {
	switch signer, known := e.system.Auth(asked.Account); {
	case !known:
		return nil, fmt.Errorf("%w: resign: %w", ErrInvalidRequest, ErrUnknownAccount)
	case signer == nil:
		return nil, fmt.Errorf("%w: resign: the engine has nothing to sign with: set Config.Auth", ErrInvalidRequest)
	default:
		return signer, nil
	}
}

func fieldsOf(header http.Header) (fields []messages.Field) {
	for name, values := range header {
		for _, value := range values {
			fields = append(fields, messages.Field{Name: name, Value: value})
		}
	}
	return fields
}

// pathOf is the path of a URL without its query, or the path itself.
func pathOf(place string) string {
	if _, rest, whole := strings.Cut(place, "://"); whole {
		_, path, _ := strings.Cut(rest, "/")
		return "/" + path
	}
	return place
}

// leadsHome reports whether a request goes where the engine's credentials may.
func (e *Engine) leadsHome(r *http.Request, asked *Request) bool {
	if e.strays(r) {
		return false
	}
	if asked.URL == "" || len(e.homes) == 0 {
		return true
	}
	origin, err := request.OriginOf(asked.URL)
	return err == nil && slices.Contains(e.homes, origin)
}

// mostForeign bounds how many origins are told of.
const mostForeign = 64

// tellOfForeign warns, once for each origin, of a request that keeps the signature that
// the SDK gave it because it leads elsewhere: mostly an origin is missing in Origins.
func (e *Engine) tellOfForeign(r *http.Request, asked *Request) {
	signer, _ := e.system.Auth(asked.Account)
	origin, err := request.OriginOf(asked.URL)
	if signer == nil || err != nil || e.strays(r) {
		return
	}
	place, query, _ := strings.Cut(asked.URL, "?")
	call := &messages.Call{Method: asked.Method, Path: pathOf(place), Query: query, Fields: fieldsOf(asked.Header)}
	if signed, err := auth.Unsign(signer, call); err == nil && !signed {
		return
	}
	e.foreign.Lock()
	defer e.foreign.Unlock()
	if e.foreign.told[origin] || len(e.foreign.told) >= mostForeign {
		return
	}
	if e.foreign.told == nil {
		e.foreign.told = make(map[Origin]bool)
	}
	e.foreign.told[origin] = true
	e.scribe.Logger().Warn("resign: a signed request leads to an origin that is neither BaseURL's nor among Origins, and keeps its old signature", "origin", origin.String())
}

// foreign are the origins that tellOfForeign has told of.
type foreign struct {
	sync.Mutex
	told map[Origin]bool
}

// remaining is a header without the lines that are no longer in the call. The map is
// the http.Request's, and stays as it is.
func remaining(header http.Header, call *messages.Call) http.Header {
	left := make(http.Header, len(header))
	for name, values := range header {
		if _, ok := call.Header(name); ok {
			left[name] = values
		}
	}
	return left
}

// bodyOf returns what a signature may be in: a body that is a form, or that says
// nothing of itself and is short, or that is JSON and at hand. Nil is any other. If
// once is true, it cannot be read again.
func (e *Engine) bodyOf(r *http.Request, asked *Request, call *messages.Call) (body []byte, once bool, err error) {
	switch set := asked.Body.(type) {
	case nil:
	case []byte:
		return set, false, nil
	case string:
		return []byte(set), false, nil
	default:
		return nil, false, nil // another adjust function's
	}
	if r.Body == nil || r.Body == http.NoBody || len(r.Trailer) > 0 {
		return nil, false, nil
	}
	short := r.ContentLength > 0 && r.ContentLength <= shortForm
	label, _ := call.Header("Content-Type")
	kind, _, _ := strings.Cut(label, ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/x-www-form-urlencoded":
	case "":
		if !short {
			return nil, false, nil
		}
	default:
		if !short || r.GetBody == nil {
			return nil, false, nil
		}
	}
	from := r.Body
	if r.GetBody != nil {
		if from, err = r.GetBody(); err != nil {
			return nil, false, fmt.Errorf("request body: %w", err)
		}
		defer e.system.Outside().Close(from)
	}
	body, err = e.readInTime(r.Context(), asked, &wholeBody{Reader: from, length: r.ContentLength})
	if err != nil {
		return nil, false, fmt.Errorf("request body: %w", err)
	}
	return body, r.GetBody == nil, nil
}

// readInTime reads a body whole, unless the request's time is up before. Its Read is
// the caller's code and may take as long as it likes, on a goroutine of its own.
func (e *Engine) readInTime(ctx context.Context, asked *Request, body io.Reader) ([]byte, error) {
	if deadline := e.deadline(ctx, asked.Timeout); !deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline)
		defer cancel()
	}
	checked := &messages.CheckedReader{Reader: body}
	defer checked.End() // whoever reads on when the request has ended stops
	type result struct {
		content []byte
		err     error
	}
	done := make(chan result, 1)
	e.system.Outside().Enter()
	go func() {
		defer e.system.Outside().Leave()
		got := result{err: errors.New("its reader ended the goroutine")}
		defer func() {
			if v := recover(); v != nil {
				got.err = wire.Panicked(Preparing, v)
			}
			done <- got
		}()
		got.content, got.err = io.ReadAll(checked)
	}()
	select {
	case got := <-done:
		return got.content, got.err
	case <-ctx.Done():
		return nil, messages.ContextError(ctx)
	case <-e.system.Closing():
		return nil, ErrClosed
	}
}
