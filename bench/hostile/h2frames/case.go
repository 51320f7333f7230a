package h2frames

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// Case is one thing that a server does, and what must come of it.
type Case struct {
	// Name says what the server does.
	Name string

	method  string        // of the request; empty means GET
	body    int           // bytes of the request's body
	timeout time.Duration // of the request; zero means 3 s
	repeats int           // how often an attempt may be repeated; zero means not at all

	play    func(*peer) // on each of the first connections; the server behaves when it returns
	hostile int         // how many those are; zero means one
	mute    bool        // the server reads nothing
	lasting bool        // the second request ends as the first one

	want  want
	conns int  // how many connections both requests together need at most; zero means 2
	flood bool // what is remembered of it is measured
	fatal bool // net/http waits for itself, for ever: it is not asked
}

// want is what the caller must get: an answer, or an error.
type want struct {
	status int
	body   string

	is   []error // the classes of the error
	sent messages.Sent
	says string // a part of its text
}

func answer(status int, body string) want { return want{status: status, body: body} }

func fails(sent messages.Sent, is ...error) want { return want{sent: sent, is: is} }

// saying asks for a part of the error's text.
func (w want) saying(text string) want { w.says = text; return w }

var (
	errAny    = errors.New("any error")
	malformed = fails(messages.SentMaybe, messages.ErrMalformedResponse)
	// cut is an answer whose head had come.
	malformedBody = fails(messages.SentYes, messages.ErrMalformedResponse)
	late          = fails(messages.SentMaybe, context.DeadlineExceeded)
	peerClosed    = fails(messages.SentMaybe, messages.ErrPeerClosed)
	cut           = fails(messages.SentYes, messages.ErrTruncated, messages.ErrPeerClosed)
)

func (c *Case) limit() time.Duration {
	if c.timeout == 0 {
		return 3 * time.Second
	}
	return c.timeout
}

func (c *Case) request() *engine.Request {
	req := &engine.Request{Method: c.method, Path: "/", Timeout: c.limit()}
	if c.body > 0 {
		req.Body = make([]byte, c.body)
	}
	return req
}

func (c *Case) httpRequest(ctx context.Context, url string) (*http.Request, error) {
	var body io.Reader
	if c.body > 0 {
		body = strings.NewReader(strings.Repeat("x", c.body))
	}
	return http.NewRequestWithContext(ctx, c.method, url, body)
}

// judge says what is wrong with what the caller got; nothing if all is well.
func (w *want) judge(resp *engine.Response, err error) string {
	if len(w.is) == 0 {
		switch {
		case err != nil:
			return fmt.Sprintf("an error for an answer of %d: %v", w.status, err)
		case resp.StatusCode != w.status || resp.Text() != w.body:
			return fmt.Sprintf("%d %.40q for %d %q", resp.StatusCode, resp.Text(), w.status, w.body)
		}
		return ""
	}
	if err == nil {
		return fmt.Sprintf("an answer of %d %.40q for an error: %v", resp.StatusCode, resp.Text(), w.is)
	}
	for _, class := range w.is {
		if class != errAny && !errors.Is(err, class) {
			return fmt.Sprintf("not the class %q: %v", class, err)
		}
	}
	var told *engine.Error
	switch {
	case !errors.As(err, &told):
		return fmt.Sprintf("not an *engine.Error: %v", err)
	case told.Sent != w.sent:
		return fmt.Sprintf("sent: %v for %v: %v", told.Sent, w.sent, err)
	case !strings.Contains(err.Error(), w.says):
		return fmt.Sprintf("the error does not say %q: %v", w.says, err)
	}
	return ""
}
