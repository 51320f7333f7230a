package request

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// blueprint is what every attempt of a life starts from.
type blueprint struct {
	call        messages.Call // the bytes to be sent, but for credentials
	url         string        // what the response will say was asked
	limit       string        // the limit to charge, or messages.Unlimited
	contentType string        // of the body, as the engine laid it out
	bodiless    bool          // a redirect has taken the body away, and with it what the header says of that
	upload      *upload       // of a body that is read while it is sent; nil otherwise
	borrowed    borrowed      // the caller's readers that are its body; nil without any

	// common has the header lines that the engine adds: the plan's, unless a
	// pre-processor took some of them away.
	common []messages.Field
	home   bool // it goes where credentials and the engine's own header may
}

// build turns the caller's request into the bytes that every attempt starts
// from.
func (r *slot) build() error {
	if err := r.preProcess(); err != nil {
		return err
	}
	if err := r.resolve(); err != nil {
		return err
	}
	var body []byte
	var contentType string
	var err error
	if r.upload, err = r.newUpload(r.asked); err == nil && r.upload == nil {
		body, contentType, err = r.encodeBody()
	} else if err == nil {
		err = r.upload.probe(r)
	}
	if r.upload != nil {
		contentType = r.upload.mediaType
	}
	if err != nil {
		return invalid(err)
	}
	r.call.Body, r.call.Deadline = body, r.deadline
	return r.layHead(contentType, r.cookiesFor(r.url))
}

// resolve finds out where the request goes, what it is charged to and who it is of, and
// whether all of that is there.
func (r *slot) resolve() error {
	if err := r.resolveLimit(); err != nil {
		return err
	}
	if err := sensible(r.asked, r.terms.MethodAsSpelt); err != nil {
		return invalid(err)
	}
	if err := r.buildTarget(); err != nil {
		return invalid(err)
	}
	return r.resolveParts()
}

// layHead lays what goes ahead of the body, and has it looked at.
func (r *slot) layHead(contentType string, cookies []*http.Cookie) error {
	r.call.Method = cmp.Or(r.asked.Method, http.MethodGet)
	r.call.Stream, r.call.Continue, r.call.Trailer = r.asked.Stream, r.asked.Upload.ExpectContinue, r.asked.Upload.Trailer
	r.call.Codings, r.call.Trace, r.call.OnHead = r.needs.Plan.Codings, r.trace.hooks, r.onHead
	r.contentType = contentType
	r.layFields(contentType, cookies)
	return r.check()
}

// mayIdentify returns why the request must not have credentials: they are for those
// they were made for.
func (r *slot) mayIdentify(as *Account) error {
	switch {
	case as.signer == nil && r.asked.Account != "":
		return errors.New("and its account has no authenticator")
	case as.signer == nil && r.accounts.anyNamed(): // mostly its account was forgotten
		return errors.New("and names no Account: the default one has no authenticator, for Config.Auth is nil or was removed")
	case as.signer == nil:
		return errors.New("and the engine has no authenticator: set Config.Auth, or Accounts and Request.Account")
	case r.home:
		return nil
	case r.terms.Stranger:
		return fmt.Errorf("and its caller did not choose %s, but a redirect or the like", r.call.Origin)
	}
	return fmt.Errorf("and %s is neither the origin of BaseURL nor among Origins", r.call.Origin)
}

// invalid says that an error is the request's own, unless it came while something
// was waited for.
func invalid(err error) error {
	var panicked *messages.PanicError
	for _, other := range []error{context.Canceled, context.DeadlineExceeded, messages.ErrClosed} {
		if errors.Is(err, other) {
			return err
		}
	}
	if errors.As(err, &panicked) {
		return err
	}
	return fmt.Errorf("%w: %w", messages.ErrInvalidRequest, err)
}

func (r *slot) resolveLimit() error {
	r.limit = cmp.Or(r.asked.LimitID, r.terms.LimitID)
	if r.limit == "" {
		return messages.ErrNoLimit
	}
	if r.limit == messages.Unlimited && len(r.asked.Weights) > 0 { // which no ledger would be asked about
		return fmt.Errorf("%w: it has Weights, and no limit charges it", messages.ErrInvalidRequest)
	}
	return nil
}

// buildFields lays the header lines, with the cookies that there are now.
func (r *slot) buildFields(contentType string) { r.layFields(contentType, r.cookiesFor(r.url)) }

// layFields lays the header lines: the engine's, then the request's, which
// win. Without any of its own the request shares the engine's.
func (r *slot) layFields(contentType string, cookies []*http.Cookie) {
	r.call.Close, r.call.Connection, r.call.Upgrade = r.asked.Close, "", ""
	common := r.common
	if r.call.Codings != 0 && r.call.Method == http.MethodHead {
		// What is asked about is the body as it is, and servers leave out the length of
		// a coded one.
		common, r.call.Codings = without(common, "Accept-Encoding"), 0
	}
	if !r.home { // also if a pre-processor sent it elsewhere
		common = among(common, r.needs.Plan.StrangerFields)
	}
	if len(r.asked.Header) == 0 && contentType == "" && len(cookies) == 0 {
		r.call.Fields = common
		return
	}
	r.call.Fields = make([]messages.Field, 0, len(common)+len(r.asked.Header)+2)
	r.call.Fields = append(r.call.Fields, common...)
	if contentType != "" {
		r.call.SetHeader("Content-Type", contentType)
	}
	for name := range r.asked.Header {
		r.call.DelHeader(name)
		if strings.EqualFold(name, "Accept-Encoding") {
			r.call.Codings = 0 // the caller undoes what the caller asks for
		}
		if strings.EqualFold(name, "Range") { // a part of a coded body cannot be decoded
			r.call.DelHeader("Accept-Encoding")
			r.call.Codings = 0
		}
	}
	r.addOwn()
	if len(cookies) > 0 {
		r.call.AddCookies(beside(r.call.Fields, cookies))
	}
}

// beside leaves out the cookies that a request's own lines name: a client with a jar of its own
// has sent them along, and twice is once too often.
func beside(own []messages.Field, cookies []*http.Cookie) []*http.Cookie {
	var named map[string]bool
	for _, f := range own {
		if strings.EqualFold(f.Name, "Cookie") {
			named = namedIn(f.Value, named)
		}
	}
	if named == nil {
		return cookies
	}
	return slices.DeleteFunc(slices.Clone(cookies), func(c *http.Cookie) bool { return named[c.Name] })
}

// namedIn adds the names of a Cookie line's cookies, to nil as well.
func namedIn(line string, named map[string]bool) map[string]bool {
	if named == nil {
		named = make(map[string]bool)
	}
	for pair := range strings.SplitSeq(line, ";") {
		name, _, _ := strings.Cut(pair, "=")
		named[strings.Trim(name, " \t")] = true
	}
	return named
}

func without(fields []messages.Field, name string) []messages.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f messages.Field) bool { return strings.EqualFold(f.Name, name) })
}

// fewNames is how many names a request's own header has at most without its sorting them taking
// memory of its own.
const fewNames = 16

// addOwn adds the request's own header lines, sorted by the bytes of their names: the same request
// leaves the same bytes each time.
func (r *slot) addOwn() {
	var room [fewNames]string
	sorted := room[:0]
	for name := range r.asked.Header {
		sorted = append(sorted, name)
	}
	slices.Sort(sorted)
	upgrades := false
	for _, name := range sorted {
		values := r.asked.Header[name]
		switch {
		case strings.EqualFold(name, "Connection"):
			upgrades = r.takeConnection(values) || upgrades
			continue
		case strings.EqualFold(name, "Upgrade"):
			r.call.Upgrade = strings.Join(values, ", ")
			continue
		case strings.EqualFold(name, "User-Agent") && len(values) > 0 && values[0] == "":
			continue // which is how net/http's users say that there is to be none
		case r.bodiless && isOfBody(name):
			continue
		}
		for _, v := range values {
			r.call.Fields = append(r.call.Fields, messages.Field{Name: name, Value: v})
		}
	}
	if upgrades && r.call.Upgrade == "" { // it names a field that is not there, which means nothing and is passed on
		r.call.Connection = strings.TrimPrefix(r.call.Connection+", Upgrade", ", ")
	}
}

// isOfBody reports whether a header line describes the body that it goes with (RFC 9110,
// section 15.4).
func isOfBody(name string) bool {
	const content = "Content-"
	return len(name) > len(content) && strings.EqualFold(name[:len(content)], content) ||
		strings.EqualFold(name, "Digest") || strings.EqualFold(name, "Repr-Digest") || strings.EqualFold(name, "Last-Modified")
}

// takeConnection takes the options of a Connection line apart: whether to close is
// for the connection to know, and the others are for it to say. It reports whether
// Upgrade is among them, which the connection says by itself if it offers anything.
func (r *slot) takeConnection(values []string) (upgrades bool) {
	var others []string
	if r.call.Connection != "" { // a map may hold the name twice, in two cases
		others = append(others, r.call.Connection)
	}
	for _, list := range values {
		for option := range strings.SplitSeq(list, ",") {
			switch option = strings.Trim(option, " \t"); {
			case strings.EqualFold(option, "close"):
				r.call.Close = true
			case strings.EqualFold(option, "Upgrade"):
				upgrades = true
			case option != "":
				others = append(others, option)
			}
		}
	}
	r.call.Connection = strings.Join(others, ", ")
	return upgrades
}
