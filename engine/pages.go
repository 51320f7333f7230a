package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"reflect"
	"time"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/messages"
)

// Causes of a PageError, beside those that any request has.
var (
	ErrAstray       = errors.New("the page does not say where the next one is")
	ErrSamePage     = errors.New("the page leads back to one that was asked for before")
	ErrStrangeLink  = errors.New("the page links to where its next one must not be asked for")
	ErrTooManyPages = errors.New("there are more pages than Pager.MaxPages")
)

// PageError is the end of a sequence of pages that did not come to the last one.
//
// A caller who wants to go on gives Request to Pages or Items, with the same Pager: the
// sequence begins anew with that page. Before that, Wait waits until it makes sense.
type PageError struct {
	// Page counts the pages of the sequence from 1: the one that failed.
	Page int
	// Request is that of the page that failed. If the page came, and did not lead on
	// (ErrAstray, ErrSamePage, ErrStrangeLink, what Pager.Next returns), it is that
	// page's own; with ErrTooManyPages it is that of the first page that was not asked for.
	Request *Request
	// Err is why: an *Error, a *StatusError, or one of the causes above.
	Err error
}

// Error is part of error.
func (e *PageError) Error() string {
	return fmt.Sprintf("page %d: %v", e.Page, messages.Discreet(e.Err))
}

// Unwrap returns the cause.
func (e *PageError) Unwrap() error { return e.Err }

// Format prints what Error returns for every verb and flag.
func (e PageError) Format(f fmt.State, _ rune) { show(f, e.Error()) }

// LogValue returns what Error does.
func (e PageError) LogValue() slog.Value { return slog.StringValue(e.Error()) }

// MarshalJSON writes what Error returns.
func (e PageError) MarshalJSON() ([]byte, error) { return json.Marshal(e.Error()) }

// Pages asks for one page after the other and yields each, decoded into a T as Fetch does:
// the same rules for bodies, statuses and a T of *Response, []byte or string. Each page is
// a request as any other, with the permits, the retries and the timeout of first, which
// begins the sequence and is not changed.
//
//	for page, err := range engine.Pages[Orders](ctx, eng, first, engine.Pager{
//		Cursor: engine.Cursor{From: "nextPageCursor", Param: "cursor"},
//	}) {
//		if err != nil {
//			return err
//		}
//		use(page)
//	}
//
// An error is yielded once, as a *PageError with the request to go on with, and ends the
// sequence. What leads on is read from a page before it is yielded, and a page that does
// not lead on is yielded before the error. The same request twice is ErrSamePage, and so
// no server can lead in a circle. With a Pager.Next that holds but for requests whose body is
// read from an io.Reader, or has a file that is: they are all taken for different ones, and
// Pager.MaxPages bounds them. The end of ctx ends the sequence with its error; breaking
// off, a panic and runtime.Goexit in the loop leave nothing running. Request.Stream is
// ignored. With Request.ReturnErrors a page of a status of 4xx or 5xx is the last.
//
// The sequence may be ranged over again, and then begins anew. All requests are made on the
// consumer's goroutine, but for one that Pager.Prefetch makes meanwhile.
func Pages[T any](ctx context.Context, eng *Engine, first *Request, by Pager) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for page, err := range pages(ctx, eng, first, &by) {
			if err != nil {
				yield(none, err)
				return
			}
			var decoded T
			if err := eng.decode(page.answer, &decoded); err != nil {
				yield(none, page.failure(page.undecoded(err)))
				return
			}
			if !yield(decoded, nil) {
				return
			}
		}
	}
}

// Items yields the items of all pages, one by one, each decoded into a T: those of the list
// at Pager.List. For anything else it is as Pages. A page without such a list is an error
// that is ErrAstray; an item that is no T is one before any item of its page is yielded,
// so that going on with the error's Request yields none of them twice.
func Items[T any](ctx context.Context, eng *Engine, first *Request, by Pager) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for page, err := range pages(ctx, eng, first, &by) {
			if err != nil {
				yield(none, err)
				return
			}
			items, err := itemsOf[T](eng, page, &by)
			if err != nil {
				yield(none, page.failure(err))
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

func itemsOf[T any](eng *Engine, page *page, by *Pager) ([]T, error) {
	if failed := page.answer.StatusCode > 299; hasNoContent(page.answer) || failed && len(page.answer.Body) == 0 { // see ReturnErrors
		return nil, nil
	}
	raw, err := by.items(page.answer)
	if err != nil {
		return nil, err
	}
	items := make([]T, len(raw))
	for i := range raw {
		err := messages.ErrNull
		if !jsontext.IsNull(raw[i]) || mayBeNull(&items[i]) {
			err = eng.decodeInto(raw[i], &items[i])
		}
		if err != nil {
			return nil, page.undecoded(&DecodeError{Answer: page.answer.Answer(), Into: reflect.TypeFor[T]().String(), Err: err})
		}
	}
	return items, nil
}

// page is one page, as it came.
type page struct {
	number int // from 1
	asked  *Request
	answer *Response
}

func (p *page) failure(err error) *PageError {
	return &PageError{Page: p.number, Request: p.asked, Err: err}
}

// undecoded is the error of a page that is no T, as Fetch has it.
func (p *page) undecoded(err error) error {
	failure := messages.NewError(p.asked, Finishing, err)
	failure.Attempts, failure.Sent = p.answer.Attempts, p.answer.Answer().Sent
	return failure
}

// mostPages is Pager.MaxPages where that says nothing.
const mostPages = 10_000

// pages yields the pages as they come. An error is yielded once, and last.
func pages(ctx context.Context, eng *Engine, first *Request, by *Pager) iter.Seq2[*page, error] {
	return func(yield func(*page, error) bool) {
		asked := unstreamed(first)
		if err := misusedPages(ctx, eng, asked, by); err != nil {
			yield(nil, &PageError{Page: 1, Request: first, Err: err})
			return
		}
		own, err := contained(ctx, first)
		if err != nil {
			yield(nil, &PageError{Page: 1, Request: first, Err: err})
			return
		}
		ctx, cancel := context.WithCancel(own)
		w := &walk{way: way{Pager: by, engine: eng}, ctx: ctx, seen: map[print]bool{}}
		// Deferred, because the loop's body may panic, or end this goroutine.
		defer func() {
			cancel()
			if w.ahead != nil {
				w.awaitAhead()
			}
		}()
		for w.request = asked; w.request != nil; {
			if err := w.step(); err != nil {
				yield(nil, err)
				return
			}
			wrong := w.wrong
			if !yield(w.page, nil) {
				return
			}
			if wrong != nil {
				yield(nil, w.page.failure(wrong))
				return
			}
		}
	}
}

func misusedPages(ctx context.Context, eng *Engine, first *Request, by *Pager) error {
	if err := eng.misused(ctx, first); err != nil {
		return messages.NewError(first, Admitting, err)
	}
	if err := by.mistakes(); err != nil {
		return messages.NewError(first, Preparing, err)
	}
	return nil
}

// walk is one loop over a sequence.
type walk struct {
	way
	ctx  context.Context
	seen map[print]bool // what was asked for

	asked   int      // how many pages were
	request *Request // the next to be asked for; nil behind the last page
	page    *page    // the last that came
	wrong   error    // why it leads nowhere, though it is not the last; nil if it does
	ahead   *Pending // the request, sent already; nil if it is not
}

// step asks for the next page, and finds out where it leads.
func (w *walk) step() error {
	w.asked++
	page := &page{number: w.asked, asked: w.request}
	if most := w.MaxPages; most >= 0 && w.asked > cmp.Or(most, mostPages) {
		return page.failure(ErrTooManyPages)
	}
	if p, ok := w.printOf(w.request); ok {
		w.seen[p] = true
	}
	var err error
	if page.answer, err = w.fetch(); err != nil {
		return page.failure(err)
	}
	if w.asked == 1 {
		w.home, _ = request.OriginOf(page.answer.URL)
	}
	w.page = page
	w.sawLinked(page)
	w.request, w.wrong = w.next(page.asked, page.answer)
	w.request = unstreamed(w.request)
	if w.wrong != nil || w.request == nil {
		w.request = nil
		return nil
	}
	if p, ok := w.printOf(w.request); ok && w.seen[p] {
		w.request, w.wrong = nil, ErrSamePage
		return nil
	}
	if most := w.MaxPages; w.Prefetch && (most < 0 || w.asked < cmp.Or(most, mostPages)) {
		w.ahead = w.engine.submit(w.ctx, withContentType(w.request), nil)
	}
	return nil
}

// printOf is a request's print; with anything but a Next every request has the first one's body, or
// a field in it that can be printed.
func (w *walk) printOf(asked *Request) (print, bool) { return printOf(w.spelt(asked), w.Next == nil) }

// sawLinked notes a page as a link to it would ask for it: with its whole URL, whatever its own
// request was made of.
func (w *walk) sawLinked(page *page) {
	at, err := url.Parse(page.answer.URL)
	if !w.Link || err != nil {
		return
	}
	if linked, err := w.linked(page.asked, at); err == nil {
		if p, ok := w.printOf(linked); ok {
			w.seen[p] = true
		}
	}
}

// awaitAhead waits for the page that was asked for ahead, and that nobody wants any more; not
// for ever if that ignores that its context has ended.
func (w *walk) awaitAhead() {
	patience := time.NewTimer(leavePatience)
	defer patience.Stop()
	select {
	case <-w.ahead.Done():
	case <-patience.C:
		w.engine.scribe.Logger().Warn("a sequence of pages was left, and the one that was asked for ahead has not ended: code that it waits for does not return",
			"waited", leavePatience)
	}
}

// fetch returns the answer to the next request, of an allowed status.
func (w *walk) fetch() (*Response, error) {
	if w.ahead == nil {
		return w.engine.fetch(w.ctx, w.request)
	}
	response, err := w.ahead.Result()
	w.ahead = nil
	return allowed(w.request, response, err)
}
