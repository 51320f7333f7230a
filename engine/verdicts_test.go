package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// deed is what a server does with the m-th request that it hears, from 0, in either
// protocol.
type deed struct {
	plain  string                                    // written in HTTP/1.1, whereupon the connection is closed; empty closes it
	framed func(f *framer, m int, id uint32)         // done in HTTP/2
	silent bool                                      // nothing is done
	change func(c *engine.Config, r *engine.Request) // before
	leaves bool                                      // the caller, meanwhile
	fetch  bool                                      // by Fetch, into a struct

	sent    engine.Sent
	outcome engine.Outcome
	is      error // a cause that it is; nil for none in particular
	isNot   error
}

// head answers a stream with a status and a length, and does not end it.
func (f *framer) head(id uint32, status, length string, more ...hpack.HeaderField) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, field := range append([]hpack.HeaderField{{Name: ":status", Value: status}, {Name: "content-length", Value: length}}, more...) {
		_ = e.WriteField(field) // to memory
	}
	f.writes <- func() {
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true})
	}
}

func (f *framer) data(id uint32, data string) {
	f.writes <- func() { _ = f.WriteData(id, true, []byte(data)) }
}

func (f *framer) reset(id uint32, code http2.ErrCode) {
	f.writes <- func() { _ = f.WriteRSTStream(id, code) }
}

func get(_ *engine.Config, r *engine.Request) { r.Method = http.MethodGet }

// whole is an answer with that status in either protocol.
func whole(status string, d deed) deed {
	d.plain = "HTTP/1.1 " + status + " Text\r\nContent-Length: 2\r\n\r\nno"
	d.framed = func(f *framer, _ int, id uint32) { f.head(id, status, "2"); f.data(id, "no") }
	return d
}

var errMine = errors.New("a processor's own")

var deeds = map[string]deed{
	"it names no limit": {change: func(c *engine.Config, r *engine.Request) {
		c.DefaultLimitID, c.Limits = "", []throttle.Limit{{ID: "a", Quota: 1, Per: time.Second}}
	}, is: engine.ErrNoLimit, outcome: engine.NotSent},
	"it cannot be sent":        {change: func(_ *engine.Config, r *engine.Request) { r.Header = http.Header{"A b": {"c"}} }, is: engine.ErrInvalidRequest, outcome: engine.NotSent},
	"the network is down":      {change: func(c *engine.Config, _ *engine.Request) { c.Dial.DialContext = noNetwork }, is: errRefused, outcome: engine.NotSent},
	"the authenticator panics": {change: func(c *engine.Config, r *engine.Request) { c.Auth, r.Auth = explosive{}, true }, outcome: engine.NotSent},

	"the connection ends without an answer": {
		framed: func(f *framer, _ int, id uint32) { f.reset(id, http2.ErrCodeInternal) }, sent: engine.SentMaybe, isNot: engine.ErrUnprocessed,
	},
	"it is not answered in time": {
		silent: true, sent: engine.SentMaybe, is: engine.ErrAttemptTimeout,
		change: func(c *engine.Config, _ *engine.Request) { c.Retry.PerAttempt = time.Second },
	},
	"its time is up": {
		silent: true, sent: engine.SentMaybe, is: context.DeadlineExceeded, change: func(_ *engine.Config, r *engine.Request) { r.Timeout = time.Second },
	},
	"its caller leaves": {silent: true, sent: engine.SentMaybe, is: context.Canceled, leaves: true},
	"the answer is no HTTP": {
		plain: "\x00\r\n\r\n", framed: func(f *framer, _ int, id uint32) { f.head(id, "abc", "2") },
		sent: engine.SentMaybe, is: engine.ErrMalformedResponse,
	},
	"the header is too large": {
		plain: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", 5000) + "\r\n\r\n",
		framed: func(f *framer, _ int, id uint32) {
			f.head(id, "200", "0", hpack.HeaderField{Name: "a", Value: strings.Repeat("a", 5000)})
		},
		sent: engine.SentMaybe, is: engine.ErrHeaderTooLarge,
		change: func(c *engine.Config, _ *engine.Request) { c.Responses.MaxHeader = 4 << 10 },
	},
	"the body is too large": {
		plain:  "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + strings.Repeat("a", 5000),
		framed: func(f *framer, _ int, id uint32) { f.head(id, "200", "5000"); f.data(id, strings.Repeat("a", 5000)) },
		sent:   engine.SentYes, is: engine.ErrBodyTooLarge,
		change: func(c *engine.Config, _ *engine.Request) { c.Responses.MaxBody = 4 << 10 },
	},
	"the body ends early": {
		plain:  "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
		framed: func(f *framer, _ int, id uint32) { f.head(id, "200", "5"); f.reset(id, http2.ErrCodeInternal) },
		sent:   engine.SentYes, is: engine.ErrTruncated,
	},
	"a processor refuses the answer": whole("200", deed{
		sent: engine.SentYes, is: errMine,
		change: func(c *engine.Config, _ *engine.Request) {
			c.PostProcessors = []messages.PostProcessor{messages.PostProcessorFunc(func(context.Context, *messages.Request, *messages.Response) error { return errMine })}
		},
	}),
	"the answer has another media type": whole("200", deed{
		sent: engine.SentYes, change: func(_ *engine.Config, r *engine.Request) { r.Accept = "application/json" },
	}),
	"the answer is not what it is decoded into": whole("200", deed{sent: engine.SentYes, fetch: true}),

	"the stream is refused":               {framed: func(f *framer, _ int, id uint32) { f.refuse(id) }, sent: engine.SentYes, outcome: engine.Refused, is: engine.ErrUnprocessed},
	"the stream is left out of a goodbye": {framed: func(f *framer, _ int, _ uint32) { f.leave() }, sent: engine.SentYes, outcome: engine.Refused, is: engine.ErrUnprocessed},
	"the stream is refused, after another was reset": {
		framed: func(f *framer, m int, id uint32) {
			if m == 0 {
				f.reset(id, http2.ErrCodeInternal)
			} else {
				f.refuse(id)
			}
		},
		sent: engine.SentMaybe, isNot: engine.ErrUnprocessed, change: get,
	},
	"the stream is refused, after another was answered in part": {
		framed: func(f *framer, m int, id uint32) {
			if m == 0 {
				f.head(id, "200", "5")
				f.reset(id, http2.ErrCodeInternal)
			} else {
				f.refuse(id)
			}
		},
		sent: engine.SentMaybe, isNot: engine.ErrUnprocessed, change: get,
	},
}

var errRefused = errors.New("connection refused")

func noNetwork(context.Context, string, string) (net.Conn, error) { return nil, errRefused }

type explosive struct{}

func (explosive) Authenticate(*messages.Call, auth.Clock) error { panic("as a test wants it") }

// plainServer does a deed in HTTP/1.1.
func plainServer(t *testing.T, config *engine.Config, d deed) {
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	config.BaseURL = "http://example.com"
	config.Dial.DialContext = func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		serving.Go(func() {
			defer far.Close()
			r := bufio.NewReader(far)
			if _, err := http.ReadRequest(r); err == nil {
				_, _ = io.WriteString(far, d.plain) // whoever reads may have had enough
			}
			if d.silent {
				_, _ = r.ReadByte() // until it is closed
			}
		})
		return near, nil
	}
}

// What is said of a failed request in one place, another does not deny.
func TestTextSentAndOutcomeOfAFailureAgreeWhateverItIs(t *testing.T) {
	for name, d := range deeds {
		for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
			if proto == "HTTP/1.1" && d.framed != nil && d.plain == "" && (d.outcome == engine.Refused || d.isNot != nil) {
				continue // it has no streams
			}
			t.Run(name+", "+proto, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { requireAgreement(t, d, fail(t, d, proto)) })
			})
		}
	}
}

// fail has a request end as the deed wants it.
func fail(t *testing.T, d deed, proto string) error {
	config, asked := engine.Config{DefaultLimitID: engine.Unlimited}, engine.Request{Method: http.MethodPost, Path: "/order", Timeout: 20 * time.Second}
	if proto == "HTTP/2" {
		framedServer(t, &config, func(f *framer, n, m int, id uint32) {
			if !d.silent && d.framed != nil {
				d.framed(f, n+m, id)
			}
		})
	} else {
		plainServer(t, &config, d)
	}
	if d.change != nil {
		d.change(&config, &asked)
	}
	eng, ctx := newEngine(t, config), t.Context()
	if d.leaves {
		leaving, cancel := context.WithCancel(ctx)
		defer time.AfterFunc(time.Second, cancel).Stop()
		ctx = leaving
	}
	if d.fetch {
		_, err := engine.Fetch[struct{ A int }](ctx, eng, &asked)
		return err
	}
	_, err := eng.Do(ctx, &asked)
	return err
}

func requireAgreement(t *testing.T, d deed, err error) {
	failure := new(engine.Error)
	require.ErrorAs(t, err, &failure)
	require.Equal(t, d.sent, failure.Sent, "%v", err)
	require.Equal(t, d.outcome, engine.OutcomeOf(err), "%v", err)
	if d.is != nil {
		require.ErrorIs(t, err, d.is)
	}
	if d.isNot != nil {
		require.NotErrorIs(t, err, d.isNot)
	}
	text, outcome := err.Error(), engine.OutcomeOf(err)
	require.Contains(t, text, "sent: "+failure.Sent.String())
	require.Equal(t, outcome == engine.Unknown, strings.Contains(text, ", outcome unknown"), text)
	require.Equal(t, outcome == engine.Refused, strings.Contains(text, ", refused)"), text)
	require.Equal(t, outcome == engine.NotSent, failure.Sent == engine.SentNo, text)
	require.Equal(t, outcome == engine.Refused, errors.Is(err, engine.ErrUnprocessed), text)
	if failure.Sent == engine.SentMaybe {
		require.Equal(t, engine.Unknown, outcome, text)
	}
}
