package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// muxStream is a place on an HTTP/2 connection for one exchange at a time. It
// keeps the promises of Conn.
type muxStream struct {
	conn   *muxConn
	limits Limits
	zstd   *decoder
	spent  bool // the last exchange left a doubt
	shared bool // the connection was there before

	mu      sync.Mutex
	aborted bool               // guarded
	cancel  context.CancelFunc // guarded: ends the running exchange
}

var _ messages.Connection = (*muxStream)(nil)

func newMuxStream(c *muxConn) *muxStream {
	return &muxStream{conn: c, limits: c.mux.dialer.Limits.withDefaults()}
}

// Exchange is Conn.Exchange for HTTP/2.
func (s *muxStream) Exchange(call *messages.Call, deadline time.Time) (*messages.Response, messages.Sent, error) {
	host, err := checkCall(call)
	if err != nil {
		return nil, messages.SentNo, err
	}
	sentAt := time.Now()
	if !deadline.IsZero() && !sentAt.Before(deadline) {
		return nil, messages.SentNo, errDeadline
	}
	if s.spent || s.conn.leaving() {
		s.spent = true
		return nil, messages.SentNo, errSpent
	}
	ctx, err := s.begin(deadline)
	if err != nil {
		return nil, messages.SentNo, err
	}
	s.spent = true
	var touched atomic.Bool
	if call.Trace != nil {
		ctx = httptrace.WithClientTrace(ctx, call.Trace)
	}
	req := muxRequest(call, host)
	resp, err := s.conn.client.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaderField: func(string, []string) { touched.Store(true) },
	})))
	if err != nil {
		err = s.explain(ctx, err)
		s.end()
		if touched.Load() {
			return nil, messages.SentMaybe, err
		}
		return nil, messages.SentNo, fmt.Errorf("%w: %w", messages.ErrStale, err)
	}
	answer, err := s.answer(ctx, call, resp)
	if err != nil {
		resp.Body.Close()
		s.end()
		return nil, messages.SentYes, err
	}
	answer.SentAt, answer.AnsweredAt = sentAt, time.Now()
	return answer, messages.SentYes, nil
}

func (s *muxStream) begin(deadline time.Time) (context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.aborted {
		return nil, ErrAborted
	}
	var ctx context.Context
	if deadline.IsZero() {
		ctx, s.cancel = context.WithCancel(context.Background())
	} else {
		ctx, s.cancel = context.WithDeadline(context.Background(), deadline)
	}
	return ctx, nil
}

func (s *muxStream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel()
		s.cancel = nil
	}
}

func (s *muxStream) explain(ctx context.Context, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.aborted:
		return fmt.Errorf("%w: %w", ErrAborted, err)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", errDeadline, err)
	}
	return err
}

// muxRequest keeps the target's bytes as they are.
func muxRequest(call *messages.Call, host string) *http.Request {
	req := &http.Request{
		Method: call.Method, Host: host, Header: make(http.Header, len(call.Fields)),
		URL:   &url.URL{Scheme: "https", Host: host, Opaque: "//" + host + call.Path, RawQuery: call.Query},
		Proto: "HTTP/2.0", ProtoMajor: 2,
	}
	for _, f := range call.Fields {
		if !isHost(f.Name) {
			req.Header.Add(f.Name, f.Value)
		}
	}
	switch {
	case call.Reader != nil:
		req.Body, req.ContentLength = io.NopCloser(&muxUpload{call.Reader, call.Trailer}), call.Length
		req.Trailer = call.Trailer
		if call.Continue {
			req.Header.Set("Expect", "100-continue")
		}
	case len(call.Body) > 0:
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(call.Body)), int64(len(call.Body))
	}
	return req
}

// answer reads the response, or leaves its body in a stream.
func (s *muxStream) answer(ctx context.Context, call *messages.Call, resp *http.Response) (*messages.Response, error) {
	if len(resp.Trailer) > 0 { // net/http has taken the announcement out
		resp.Header["Trailer"] = []string{strings.Join(fieldNames(resp.Trailer), ", ")}
	}
	answer := &messages.Response{StatusCode: resp.StatusCode, Header: rawLines(resp.Header), ProtoMajor: 2}
	state := s.conn.sealed.sealed.ConnectionState()
	answer.TLS = &state
	body := &muxBody{stream: s, ctx: ctx, answer: answer, resp: resp}
	if err := s.decode(call, body); err != nil {
		return nil, err
	}
	if call.Stream && resp.Body != http.NoBody {
		answer.Stream = body
		return answer, nil
	}
	if resp.ContentLength > s.limits.Body && call.Method != http.MethodHead {
		return nil, messages.ErrBodyTooLarge
	}
	content, err := readAll(body, s.limits.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = content
	return answer, nil
}

func (s *muxStream) decode(call *messages.Call, body *muxBody) (err error) {
	h := newHead()
	for _, value := range body.resp.Header["Content-Encoding"] {
		h.contentCoding([]byte(value))
	}
	if h.coding&call.Codings == 0 || body.resp.Body == http.NoBody || call.Method == http.MethodHead {
		return nil
	}
	if body.decoded, err = newDecoder(h.coding, (*muxPayload)(body), &s.limits, &s.zstd); err != nil {
		return err
	}
	body.answer.Header = body.answer.Header.Without("Content-Encoding", "Content-Length")
	body.answer.Uncompressed = true
	return nil
}

// rawLines lays a header out as HTTP/1.1 would, in the order of the names.
func rawLines(header http.Header) messages.Header {
	var b strings.Builder
	for _, name := range fieldNames(header) {
		for _, value := range header[name] {
			b.WriteString(name + ": " + value + "\r\n")
		}
	}
	return messages.NewHeader(b.String())
}

func fieldNames(header http.Header) []string { return slices.Sorted(maps.Keys(header)) }

// Reusable reports whether the stream's place may be used again.
func (s *muxStream) Reusable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.aborted && !s.spent && !s.conn.leaving()
}

// Abort is Conn.Abort: the connection's other streams are not disturbed.
func (s *muxStream) Abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aborted = true
	if s.cancel != nil {
		s.cancel()
	}
}

// Close gives the place back, and closes the connection with the last.
func (s *muxStream) Close() error { return s.conn.release() }

// Shared reports whether the stream was opened on a connection that others had
// used before.
func (s *muxStream) Shared() bool { return s.shared }

// NetConn returns the connection that is shared.
func (s *muxStream) NetConn() net.Conn { return s.conn.sealed.sealed }

// muxBody is the body of a response. It ends the exchange when it ends.
type muxBody struct {
	stream  *muxStream
	ctx     context.Context
	answer  *messages.Response
	resp    *http.Response
	decoded *decoder
	taken   int64 // bytes of the body as it came
	rawErr  error
	err     error
}

// muxPayload is the body in its coding.
type muxPayload muxBody

// Read is part of io.Reader.
func (p *muxPayload) Read(b []byte) (int, error) {
	if p.rawErr != nil {
		return 0, p.rawErr
	}
	n, err := p.resp.Body.Read(b)
	p.taken += int64(n)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: %w", errHalfBody, p.stream.explain(p.ctx, err))
	}
	p.rawErr = err
	return n, err
}

func (p *muxPayload) progress() (int64, error) { return p.taken, p.rawErr }

// Read is part of io.Reader.
func (b *muxBody) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.decoded != nil {
		n, err = b.decoded.Read(p)
	} else {
		n, err = (*muxPayload)(b).Read(p)
	}
	if err != nil {
		b.finish(err)
	}
	return n, err
}

// Close is part of io.Closer. A body that has not ended is cancelled.
func (b *muxBody) Close() error {
	if b.err == nil {
		b.finish(errStreamClosed)
	}
	return nil
}

func (b *muxBody) finish(err error) {
	b.err = err
	if b.decoded != nil {
		b.decoded.release()
		b.decoded = nil
	}
	_ = b.resp.Body.Close()
	if err != io.EOF {
		if b.answer.Stream != nil {
			b.stream.end()
		}
		return
	}
	if len(b.resp.Trailer) > 0 {
		b.answer.Trailer = rawLines(b.resp.Trailer)
	}
	b.stream.spent = false
	b.stream.end()
}
