package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/jsonpath"
	"github.com/sluice-engine/sluice/internal/jsontext"
	"github.com/sluice-engine/sluice/internal/weblink"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Pager says how one page of an answer leads to the next: by exactly one of Cursor,
// Number, Link and Next.
//
// Paths into an answer are names joined by dots, or indexes of lists: "result.next",
// "data.0.id". What a path names is looked for in each page's JSON. No index counts from the
// end: a cursor that is the id of a page's last item is for Next.
type Pager struct {
	// Cursor goes on by a value that each page has for the next.
	Cursor Cursor
	// Number goes on by counting, in items or in pages.
	Number Number
	// Link goes on to where the Link header of a page says that the next one is (RFC 8288,
	// rel="next"). Without one the page is the last. A target is relative to the page's own
	// URL, and asked for with the method, body and header of the first request; if Auth is
	// set, what the server repeats of the signature is taken out, and it is signed anew.
	Link bool
	// Origins are where links may lead besides the origin of the first page and that of
	// the page itself, such as "https://cdn.example.com": the header of the first request
	// goes there. A link to any other origin is ErrStrangeLink.
	Origins []string
	// Next makes the request of the next page from that of a page and its answer. A nil
	// request ends the sequence. It is called on the consumer's goroutine, before the page
	// is handed over, and must change neither request nor answer. A panic in it is a
	// *PanicError.
	Next func(asked *Request, answer *Response) (*Request, error)

	// List is the path of a page's list of items; empty means that the answer itself is
	// the list. Number needs it to know the last page, and Items takes the items from it.
	List string
	// MaxPages is how many pages are asked for at most; then the sequence ends with
	// ErrTooManyPages. Zero means 10,000, and below zero there is no bound.
	MaxPages int
	// Prefetch asks for the next page while the consumer is at work on one: one page, and
	// never more. Its request may then be sent though the consumer breaks off.
	Prefetch bool
}

// Cursor is a value that each page has for the next one. It is a text or a number. A page
// without one, or with one that is null or empty, is the last.
type Cursor struct {
	// From is the path of the cursor in a page, and Header the name of the header line
	// that has it instead.
	From, Header string
	// Param is the query parameter that it is sent in, in the place of one of that name
	// in the first request. Field is the name in the body instead, which must be Values, a
	// Form, url.Values or a map[string]any, or nil; with dots it leads into maps in it:
	// "variables.after". The caller's own body is not changed.
	Param, Field string
	// More is the path of a boolean that says whether there is another page; empty if
	// there is none. A page that says yes and has no cursor is an error, and so is one that
	// does not say.
	More string
}

// Number is a count that each page raises. The first request goes as it is; if it has no
// number itself, its number is taken to be First.
//
// The last page is the one with fewer items than Size, or, if neither Size, Total nor Pages
// is set, the first one without items. A page without its list, or without a number that is
// to be there, is an error: it might be taken for the last.
type Number struct {
	// Param is the query parameter of the number, and Field its name in the body instead,
	// as in Cursor.
	Param, Field string
	// First is the number of the first of all pages: mostly 0 for items, and 0 or 1 for
	// pages.
	First int64
	// Items says that what is counted are items, as an offset does: the number rises by as
	// many as the page has. Otherwise it counts pages, and rises by one.
	Items bool
	// Size is how many items a page has that is not the last; zero if that is not known.
	Size int
	// Total is the path of how many items there are in all, by which the last page is known
	// without asking for another; with pages it needs Size. Pages is the path of how many
	// pages there are, likewise. They are read anew from every page.
	Total, Pages string
}

// errPager is the beginning of what is wrong with a Pager.
var errPager = fmt.Errorf("%w: pager", ErrInvalidRequest)

// mistakes returns an error for a Pager that leads nowhere.
func (p *Pager) mistakes() error {
	ways := 0
	for _, set := range []bool{p.Cursor != Cursor{}, p.Number != Number{}, p.Link, p.Next != nil} {
		if set {
			ways++
		}
	}
	c, n := p.Cursor, p.Number
	switch {
	case ways != 1:
		return fmt.Errorf("%w: it needs exactly one of Cursor, Number, Link and Next, and has %d", errPager, ways)
	case c != Cursor{} && (c.From == "") == (c.Header == ""):
		return fmt.Errorf("%w: the Cursor needs one of From and Header", errPager)
	case c != Cursor{} && (c.Param == "") == (c.Field == ""), n != Number{} && (n.Param == "") == (n.Field == ""):
		return fmt.Errorf("%w: it needs one of Param and Field, to send what leads to the next page", errPager)
	case n.Size < 0:
		return fmt.Errorf("%w: Number.Size is below zero", errPager)
	case n.Total != "" && !n.Items && n.Size == 0:
		return fmt.Errorf("%w: a Number of pages with a Total needs Size", errPager)
	case n.Pages != "" && n.Items:
		return fmt.Errorf("%w: a Number of items has no Pages: name the Total", errPager)
	}
	for i, raw := range p.Origins {
		if _, err := request.OriginOf(raw); err != nil {
			return fmt.Errorf("%w: Origins[%d]: %w", errPager, i, err)
		}
	}
	return nil
}

// way goes from page to page. It belongs to the consumer's goroutine.
type way struct {
	*Pager
	engine  *Engine
	home    Origin // of the first page
	place   int64  // the number of the page that was asked for last, if pages have numbers
	counted bool   // number is known
}

// spelt is a request as those behind it are made: with its cursor among the parameters of Query. The
// first may have it in its URL or Path.
func (w *way) spelt(asked *Request) *Request {
	param := w.Cursor.Param
	if _, has := asked.Query[param]; param == "" || has || paramOf(asked, param) == "" {
		return asked
	}
	same, _ := with(asked, param, "", paramOf(asked, param)) // it fails for a body alone
	return same
}

// next returns the request of the page behind one; nil if there is none.
func (w *way) next(asked *Request, answer *Response) (*Request, error) {
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil, nil // of which ReturnErrors has made data
	}
	switch {
	case w.Next != nil:
		return w.byNext(asked, answer)
	case w.Link:
		return w.byLink(asked, answer)
	case w.Cursor != Cursor{}:
		return w.byCursor(asked, answer)
	}
	return w.byNumber(asked, answer)
}

// byNext asks the caller. It is not called under wire.Guard, by whose frame on the stack Close would
// take it for code that a request waits for.
func (w *way) byNext(asked *Request, answer *Response) (next *Request, err error) {
	defer func() {
		if v := recover(); v != nil {
			next, err = nil, wire.Panicked(Finishing, v)
		}
	}()
	return w.Next(asked, answer)
}

// ---- by a cursor ----

func (w *way) byCursor(asked *Request, answer *Response) (*Request, error) {
	cursor, number, err := w.cursor(answer)
	if err != nil {
		return nil, err
	}
	if w.Cursor.More != "" && !hasNoContent(answer) {
		switch says, _ := jsonpath.Scalar(document(answer), w.Cursor.More); {
		case says == "false":
			return nil, nil
		case says != "true":
			return nil, astray("has no true or false at %q (Cursor.More)", w.Cursor.More)
		case cursor == "":
			return nil, astray("says that there is another page, and has no cursor for it")
		}
	}
	if cursor == "" {
		return nil, nil
	}
	if number {
		return with(asked, w.Cursor.Param, w.Cursor.Field, json.Number(cursor))
	}
	return with(asked, w.Cursor.Param, w.Cursor.Field, cursor)
}

// cursor is what a page has for the next one; empty for the last. A number is to be sent
// as one, where there is a difference.
func (w *way) cursor(answer *Response) (cursor string, number bool, err error) {
	if w.Cursor.Header != "" {
		return answer.Header.Get(w.Cursor.Header), false, nil
	}
	if hasNoContent(answer) {
		return "", false, nil
	}
	if !json.Valid(document(answer)) {
		return "", false, astray("is no JSON, in which Cursor.From is looked for")
	}
	raw, _ := jsonpath.Find(document(answer), w.Cursor.From)
	if len(raw) == 0 || raw[0] == 'n' {
		return "", false, nil
	}
	says, scalar := jsonpath.Text(raw)
	if !scalar || raw[0] == 't' || raw[0] == 'f' {
		return "", false, astray("has neither a text nor a number at %q (Cursor.From)", w.Cursor.From)
	}
	return string(says), raw[0] != '"', nil
}

// hasNoContent reports whether a page is the last because its status says that it is none (RFC 9110,
// sections 15.3.5 and 15.3.6). An empty body of any other status may be one that was lost on the way.
func hasNoContent(answer *Response) bool {
	return answer.StatusCode == http.StatusNoContent || answer.StatusCode == http.StatusResetContent
}

// document is the JSON of a page, without a byte order mark, which Fetch passes over as well.
func document(answer *Response) []byte { return jsontext.WithoutMark(answer.Body) }

// astray is an error of a page that does not lead on as it should.
func astray(format string, args ...any) error {
	return fmt.Errorf("%w: it %s", ErrAstray, fmt.Sprintf(format, args...))
}

// ---- by a number ----

func (w *way) byNumber(asked *Request, answer *Response) (*Request, error) {
	n := &w.Number
	if !w.counted {
		first, err := numberIn(asked, n)
		if err != nil {
			return nil, err
		}
		w.place, w.counted = first, true
	}
	if hasNoContent(answer) {
		return nil, nil
	}
	items, err := w.items(answer)
	if err != nil {
		return nil, err
	}
	last, err := w.isLast(answer, int64(len(items)))
	if err != nil || last {
		return nil, err
	}
	step := int64(1)
	if n.Items {
		step = int64(len(items))
	}
	if w.place > math.MaxInt64-step {
		return nil, astray("has the last number that there is")
	}
	w.place += step
	return with(asked, n.Param, n.Field, w.place)
}

// isLast reports whether no page follows one of so many items.
func (w *way) isLast(answer *Response, items int64) (bool, error) {
	n := &w.Number
	if items == 0 || items < int64(n.Size) {
		return true, nil
	}
	at := w.place - n.First // of the page, or of its first item
	if n.Pages != "" {
		pages, err := count(answer, "Pages", n.Pages)
		if err != nil || at+1 >= pages {
			return true, err
		}
	}
	if n.Total != "" {
		total, err := count(answer, "Total", n.Total)
		if err != nil {
			return true, err
		}
		end := at + items
		if !n.Items {
			if at >= math.MaxInt64/int64(n.Size)-1 {
				return true, nil
			}
			end = (at + 1) * int64(n.Size)
		}
		return end >= total, nil
	}
	return false, nil
}

// numberIn is the number that the first request itself has.
func numberIn(asked *Request, n *Number) (int64, error) {
	text := ""
	if n.Param != "" {
		text = paramOf(asked, n.Param)
	} else if value, err := inBody(asked.Body, n.Field); err != nil {
		return 0, err
	} else if value != nil {
		text = fmt.Sprint(value)
		if number, is := value.(float64); is { // as JSON has it, and from a million on in another form
			text = strconv.FormatFloat(number, 'f', -1, 64)
		}
	}
	if text == "" {
		return n.First, nil
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: what stands at %q (Number) is no number to count from", errPager, cmp.Or(n.Param, n.Field))
	}
	return number, nil
}

// count reads a whole number from a page.
func count(answer *Response, name, path string) (int64, error) {
	text, _ := jsonpath.Scalar(document(answer), path)
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, astray("has no whole number at %q (Number.%s)", path, name)
	}
	return number, nil
}

// items are those of a page. No list is an error, but for a null, which servers write for
// an empty one.
func (p *Pager) items(answer *Response) (items []json.RawMessage, err error) {
	raw := document(answer)
	if p.List != "" {
		raw, _ = jsonpath.Find(raw, p.List)
	}
	raw = bytes.TrimSpace(raw)
	if !bytes.Equal(raw, []byte("null")) && !bytes.HasPrefix(raw, []byte("[")) {
		return nil, astray("has no list at %q (Pager.List)", p.List)
	}
	if json.Unmarshal(raw, &items) != nil {
		return nil, astray("is no JSON, in which its list is looked for")
	}
	return items, nil
}

// ---- by a link ----

func (w *way) byLink(asked *Request, answer *Response) (*Request, error) {
	page, err := url.Parse(answer.URL)
	if err != nil {
		return nil, astray("has no URL that its links could be relative to")
	}
	for _, link := range weblink.Parse(answer.Header.Values("Link")...) {
		if !link.Is("next") || link.Anchored && !leadsFrom(page, link.Anchor) {
			continue
		}
		target, err := page.Parse(link.Target)
		if err != nil {
			return nil, astray("has a link to the next one whose target is no URL")
		}
		if err := w.allows(page, target); err != nil {
			return nil, err
		}
		return w.linked(asked, target)
	}
	return nil, nil
}

// linked is the request for what a link leads to, with its origin in one spelling: or the same page
// would be another one each time that the server spells it anew.
func (w *way) linked(asked *Request, target *url.URL) (*Request, error) {
	target.Fragment, target.RawFragment = "", ""
	to, err := request.OriginOf(target.String())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrStrangeLink, err)
	}
	target.Host = strings.TrimSuffix(to.Addr, map[string]string{"http": ":80", "https": ":443"}[to.Scheme])
	next := *asked
	next.URL, next.Path, next.Query, next.Encoded = target.String(), "", nil, false
	return w.unsigned(&next)
}

// leadsFrom reports whether an anchor names the page itself.
func leadsFrom(page *url.URL, anchor string) bool {
	from, err := page.Parse(anchor)
	return err == nil && from.String() == page.String()
}

// allows returns an error for a link that leads where the request must not go.
func (w *way) allows(page, target *url.URL) error {
	to, err := request.OriginOf(target.String())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStrangeLink, err)
	}
	from, err := request.OriginOf(page.String())
	if err == nil && to == from || to == w.home {
		return nil
	}
	if slices.ContainsFunc(w.Origins, func(raw string) bool { allowed, err := request.OriginOf(raw); return err == nil && allowed == to }) {
		return nil
	}
	return fmt.Errorf("%w: %s is neither the origin of the pages nor among Pager.Origins", ErrStrangeLink, to)
}

// unsigned takes out of a target what the server repeats there of a signature.
func (w *way) unsigned(next *Request) (*Request, error) {
	if !next.Auth {
		return next, nil
	}
	signer, known := w.engine.system.Auth(next.Account)
	place, query, _ := strings.Cut(next.URL, "?")
	if !known || signer == nil || query == "" {
		return next, nil
	}
	call := &messages.Call{Method: cmp.Or(next.Method, http.MethodGet), Path: pathOf(place), Query: query}
	if _, able := signer.(auth.Unsigner); !able {
		return next, nil
	}
	if _, err := auth.Unsign(signer, call); err != nil {
		return nil, fmt.Errorf("%w: the link to the next page: %w", ErrInvalidRequest, err)
	}
	next.URL = strings.TrimSuffix(place+"?"+call.Query, "?")
	return next, nil
}
