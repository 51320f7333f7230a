package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestExplainSaysWhatHoldsARequestUntilWhenAndBehindWhom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{
			{ID: "weight", Quota: 100, Per: time.Minute},
			{ID: "orders", Quota: 1, Per: 10 * time.Second, Keyed: true, Linked: []throttle.Link{{ID: "weight", Weight: 4}}},
		}})
		order := engine.Request{Method: "POST", Path: "/order?secret=1", LimitID: "orders", Key: "BTC", Priority: engine.High}
		x, err := eng.Explain(&order)
		require.NoError(t, err)
		require.True(t, x.Leaves)
		require.False(t, x.ConnectionFree, "nobody has been there")
		require.Equal(t, "orders", x.Route)
		require.Len(t, x.Charges, 2)
		require.Equal(t, "BTC", x.Charges[0].Key)
		require.EqualValues(t, 4, x.Charges[1].Weight)
		require.Empty(t, eng.Stats().Limits.Scopes, "and nothing has changed")
		require.Len(t, eng.Stats().Limits.Limits, 1, "no key is in use")

		sent := time.Now()
		require.NoError(t, <-begin(eng, order))
		queued := begin(eng, order)
		urgent := order
		urgent.Priority = engine.Urgent
		first := begin(eng, urgent)
		time.Sleep(time.Second)
		x, err = eng.Explain(&order)
		require.NoError(t, err)
		require.False(t, x.Leaves)
		require.True(t, x.ConnectionFree)
		require.Equal(t, 1, x.Pool.Idle)
		require.Equal(t, "orders", x.HeldBy.Limit)
		require.WithinDuration(t, sent.Add(10*time.Second), x.HeldBy.Until, 50*time.Millisecond)
		require.Equal(t, []engine.QueuedStats{{Priority: engine.Urgent, N: 1}, {Priority: engine.High, N: 1}}, x.Ahead)
		text := x.String()
		require.Contains(t, text, `waits for "orders" until`)
		require.Contains(t, text, "behind 1 of priority 400")
		require.NotContains(t, text, "secret")
		x, err = eng.Explain(&urgent)
		require.NoError(t, err)
		require.Equal(t, []engine.QueuedStats{{Priority: engine.Urgent, N: 1}}, x.Ahead, "it passes those that are less urgent")

		require.NoError(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, time.Hour))
		halt, err := eng.Halt(engine.Filter{Method: "GET"})
		require.NoError(t, err)
		x, err = eng.Explain(&engine.Request{Path: "/", LimitID: engine.Unlimited})
		require.NoError(t, err)
		require.Empty(t, x.Route)
		require.True(t, x.HeldBy.Paused)
		require.WithinDuration(t, time.Now().Add(time.Hour), x.Paused[0].PausedUntil, time.Millisecond)
		require.Equal(t, halt.ID(), x.Halts[0].ID)
		require.Contains(t, x.String(), `halted since`)
		raw, err := json.Marshal(x)
		require.NoError(t, err)
		require.Contains(t, string(raw), `"origin":"http://server.test:80"`)

		require.NoError(t, eng.Resume(throttle.Scope{Name: throttle.WholeOrigin}))
		require.NoError(t, <-first)
		require.NoError(t, <-queued)
		require.Len(t, s.seen(), 3, "what was explained was not sent")
	})
}

func TestExplainRefusesWhatDoWould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "k", Quota: 1, Per: time.Second, Keyed: true}}})
		for cause, req := range map[error]*engine.Request{
			engine.ErrUnknownLimit: {Path: "/", LimitID: "nowhere"}, engine.ErrNoLimit: {Path: "/"}, engine.ErrNoKey: {Path: "/", LimitID: "k"},
			engine.ErrWeight: {Path: "/", LimitID: "k", Key: "a", Weight: 9}, engine.ErrInvalidRequest: {Path: "http://a/", LimitID: "k"},
		} {
			_, err := eng.Explain(req)
			require.ErrorIs(t, err, cause)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		}
		var none *engine.Engine
		_, err := none.Explain(&engine.Request{})
		require.ErrorIs(t, err, engine.ErrNoEngine)
		require.NoError(t, eng.Close())
		_, err = eng.Explain(&engine.Request{Path: "/", LimitID: "k", Key: "a"})
		require.ErrorIs(t, err, engine.ErrClosed)
	})
}

// mined is a value whose own code panics.
type mined struct{}

func (mined) String() string               { panic("no text") }
func (mined) MarshalJSON() ([]byte, error) { panic("no JSON") }

// refusal is a request that is refused before it waits, and why; nil for a panic.
type refusal struct {
	cause error
	asked engine.Request
}

// refusedWhilePrepared are those that their own fields are enough to refuse.
func refusedWhilePrepared() map[string]refusal {
	invalid := engine.ErrInvalidRequest
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	streamed := engine.Upload{Stream: true}
	return map[string]refusal{
		"a signature without an authenticator":  {invalid, engine.Request{Auth: true}},
		"a key without an authenticator":        {invalid, engine.Request{KeyOnly: true}},
		"a signature of an account without one": {invalid, engine.Request{Auth: true, Account: "none"}},
		"a signature and the key alone":         {invalid, engine.Request{Auth: true, KeyOnly: true, Account: "signs"}},
		"the key of a scheme that sends none":   {invalid, engine.Request{KeyOnly: true, Account: "signs"}},
		"a signature for a stranger":            {invalid, engine.Request{URL: "http://other.test/", Auth: true, Account: "signs"}},
		"a signature of a streamed body":        {invalid, engine.Request{Auth: true, Account: "signs", Body: strings.NewReader("x"), Upload: streamed}},
		"an account that is not there":          {engine.ErrUnknownAccount, engine.Request{Account: "nobody"}},
		"an egress that is not there":           {engine.ErrUnknownEgress, engine.Request{Egress: "nowhere"}},
		"a method that is no token":             {invalid, engine.Request{Method: "GET\r\nX: y"}},
		"a method in lower case":                {invalid, engine.Request{Method: "get"}},
		"a method of tunnels":                   {invalid, engine.Request{Method: "CONNECT"}},
		"a header's name that is no token":      {invalid, engine.Request{Header: header("Bad\n", "x")}},
		"a header's value of two lines":         {invalid, engine.Request{Header: header("Bad", "x\ny")}},
		"a length of the caller's":              {invalid, engine.Request{Header: header("Content-Length", "5")}},
		"a host that is none":                   {invalid, engine.Request{Header: header("Host", "a b")}},
		"a connection that names its own":       {invalid, engine.Request{Header: header("Connection", "Content-Length")}},
		"another protocol without a stream":     {invalid, engine.Request{Header: header("Upgrade", "x")}},
		"another protocol behind a body":        {invalid, engine.Request{Header: header("Upgrade", "x"), Stream: true, Body: "x"}},
		"another protocol behind parts":         {invalid, engine.Request{Header: header("Upgrade", "x"), Stream: true, Body: engine.Multipart{}}},
		"another protocol behind a reader":      {invalid, engine.Request{Header: header("Upgrade", "x"), Stream: true, Body: strings.NewReader("x"), Upload: streamed}},
		"a path that cannot be sent":            {invalid, engine.Request{Path: "/a b", Encoded: true}},
		"a path that is a URL":                  {invalid, engine.Request{Path: "http://x/y"}},
		"a URL that is none":                    {invalid, engine.Request{URL: "ftp://server.test/"}},
		"a query that has no text":              {invalid, engine.Request{Query: engine.Values{"a": make(chan int)}}},
		"a query with a secret":                 {invalid, engine.Request{Query: engine.Values{"a": auth.Secret("s")}}},
		"a query whose code panics":             {nil, engine.Request{Query: engine.Values{"a": mined{}}}},
		"a negative weight":                     {invalid, engine.Request{Weights: map[string]int64{"l": -1}}},
		"a negative number of redirects":        {invalid, engine.Request{Redirects: -1}},
		"weights without a limit":               {invalid, engine.Request{LimitID: engine.Unlimited, Weights: map[string]int64{"l": 1}}},
	}
}

// refusedForTheirBodies are those whose body is enough, unread.
func refusedForTheirBodies() map[string]refusal {
	invalid := engine.ErrInvalidRequest
	header := func(name, value string) http.Header { return http.Header{name: {value}} }
	streamed, trailing := engine.Upload{Stream: true}, engine.Upload{Trailer: header("X-Sum", "1")}
	open := func() (io.Reader, error) { return nil, errors.New("nobody opens it") }
	return map[string]refusal{
		"a body that is no JSON":                  {invalid, engine.Request{Body: func() {}}},
		"a body that is a nil pointer":            {invalid, engine.Request{Body: (*int)(nil)}},
		"a body with a secret":                    {invalid, engine.Request{Body: map[string]auth.Secret{"a": "s"}}},
		"a form that is none":                     {invalid, engine.Request{Body: 5, Header: header("Content-Type", "application/x-www-form-urlencoded")}},
		"a form without a text":                   {invalid, engine.Request{Body: engine.Form{"a": make(chan int)}}},
		"a function that is not streamed":         {invalid, engine.Request{Body: open}},
		"a text that is streamed":                 {invalid, engine.Request{Body: "x", Upload: streamed}},
		"a length below zero":                     {invalid, engine.Request{Body: strings.NewReader("x"), Upload: engine.Upload{Stream: true, Length: -1}}},
		"a length of parts":                       {invalid, engine.Request{Body: engine.Multipart{}, Upload: engine.Upload{Stream: true, Length: 7}}},
		"a trailer behind no stream":              {invalid, engine.Request{Body: "x", Upload: trailing}},
		"a trailer that is none":                  {invalid, engine.Request{Body: open, Upload: engine.Upload{Stream: true, Trailer: header("Host", "x")}}},
		"a trailer and a length":                  {invalid, engine.Request{Body: open, Upload: engine.Upload{Stream: true, Length: 3, Trailer: trailing.Trailer}}},
		"parts with a field that has no text":     {invalid, engine.Request{Body: engine.Multipart{Fields: engine.Values{"a": make(chan int)}}}},
		"parts with a file in no field":           {invalid, engine.Request{Body: engine.Multipart{Files: []engine.File{{Field: "a", Content: strings.NewReader("x")}, {Content: "x"}}}}},
		"parts with a nil reader":                 {invalid, engine.Request{Body: engine.Multipart{Files: []engine.File{{Field: "a", Content: (*bytes.Reader)(nil)}}}}},
		"streamed parts with a file of no reader": {invalid, engine.Request{Body: engine.Multipart{Files: []engine.File{{Field: "a", Content: 5}}}, Upload: streamed}},
		"parts with a type of their own":          {invalid, engine.Request{Body: engine.Multipart{}, Header: header("Content-Type", "x/y")}},
		"a body whose code panics":                {nil, engine.Request{Body: mined{}}},
	}
}

// refusedByTheThrottler are those that the limits are asked about.
func refusedByTheThrottler() map[string]refusal {
	return map[string]refusal{
		"weights of another route":  {throttle.ErrNotCharged, engine.Request{Weights: map[string]int64{"k": 1}}},
		"a weight that never fits":  {engine.ErrWeight, engine.Request{Weight: 1000}},
		"a limit that is not there": {engine.ErrUnknownLimit, engine.Request{LimitID: "nowhere"}},
		"no key":                    {engine.ErrNoKey, engine.Request{LimitID: "k"}},
		"a lifetime that is over":   {engine.ErrSpent, engine.Request{LimitID: "spent"}},
		"a cost whose code panics":  {nil, engine.Request{LimitID: "mined"}},
	}
}

func TestExplainRefusesAtOnceWhatDoRefusesAtOnceWithTheSameWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{
			Limits: []throttle.Limit{
				{ID: "l", Quota: 100, Per: time.Second}, {ID: "k", Quota: 1, Per: time.Second, Keyed: true}, {ID: "spent", Quota: 1, Window: throttle.Lifetime},
				{ID: "mined", Quota: 1, Per: time.Second},
			},
			Costs:          map[string]func(*engine.Request) int64{"mined": func(*engine.Request) int64 { panic("no cost") }},
			DefaultLimitID: "l",
			Accounts:       map[string]auth.Authenticator{"none": nil, "signs": spending{new([]int)}},
		})
		require.NoError(t, <-begin(eng, engine.Request{Path: "/", LimitID: "spent"}))
		all := refusedWhilePrepared()
		maps.Copy(all, refusedForTheirBodies())
		maps.Copy(all, refusedByTheThrottler())
		for name, c := range all {
			asked := c.asked
			if asked.Path == "" && asked.URL == "" {
				asked.Path = "/"
			}
			_, have := eng.Explain(&asked)
			_, want := eng.Do(t.Context(), &asked)
			require.Error(t, want, name)
			require.EqualError(t, have, want.Error(), name)
			if c.cause != nil {
				require.ErrorIs(t, want, c.cause, name)
				require.ErrorIs(t, have, c.cause, name)
			} else {
				var panicked *engine.PanicError
				require.ErrorAs(t, want, &panicked, name)
				require.ErrorAs(t, have, &panicked, name)
			}
			var said, says *engine.Error
			require.ErrorAs(t, want, &said, name)
			require.ErrorAs(t, have, &says, name)
			require.Equal(t, said.Stage, says.Stage, name)
			require.Equal(t, said.Route, says.Route, name)
			require.Equal(t, said.Limit, says.Limit, name)
			require.Equal(t, said.RetryAt, says.RetryAt, name)
		}
		require.Len(t, s.seen(), 1, "none of them was sent")
	})
}

// unreadable fails whoever touches it.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error)       { u.t.Error("it was read"); return 0, io.EOF }
func (u unreadable) Seek(int64, int) (int64, error) { u.t.Error("it was moved"); return 0, nil }
func (u unreadable) Close() error                   { u.t.Error("it was closed"); return nil }
func (u unreadable) open() (io.Reader, error)       { u.t.Error("it was opened"); return u, nil }

func TestExplainLooksAtNoReaderAndRunsNoProcessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		jar := jarOf(func(*url.URL) []*http.Cookie { t.Error("a cookie was asked for"); return nil })
		eng := s.newEngine(t, engine.Config{Cookies: jar, PreProcessors: []engine.PreProcessor{
			engine.PreProcessorFunc(func(context.Context, *engine.Request) error { t.Error("a pre-processor ran"); return nil }),
		}})
		never := unreadable{t}
		for _, body := range []any{never, never.open, engine.Multipart{Files: []engine.File{{Field: "a", Content: never}, {Field: "b", Content: never.open}}}} {
			for _, stream := range []bool{true, false} {
				if _, opens := body.(func() (io.Reader, error)); opens && !stream {
					continue
				}
				x, err := eng.Explain(&engine.Request{Method: "POST", Path: "/", Body: body, Upload: engine.Upload{Stream: stream}})
				require.NoError(t, err, "%T", body)
				require.True(t, x.Leaves)
			}
		}
	})
}

// jarOf is a jar of what a function has.
type jarOf func(*url.URL) []*http.Cookie

func (jarOf) SetCookies(*url.URL, []*http.Cookie)     {}
func (j jarOf) Cookies(place *url.URL) []*http.Cookie { return j(place) }

func TestExplainLetsPassWhatDoCarries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
		eng := s.newEngine(t, engine.Config{
			Auth: auth.HMACQuery{Key: "k", Secret: "s"}, Accounts: map[string]auth.Authenticator{"none": nil}, Header: http.Header{"X-App": {"a"}},
			Limits: []throttle.Limit{{ID: "l", Quota: 1000, Per: time.Second}}, DefaultLimitID: "l",
		})
		header := func(name, value string) http.Header { return http.Header{name: {value}} }
		reader := func() io.Reader { return io.LimitReader(strings.NewReader("body"), 4) } // to be read once
		open := func() (io.Reader, error) { return reader(), nil }
		parts := func(content any) engine.Multipart {
			return engine.Multipart{Fields: engine.Values{"a": 1}, Files: []engine.File{{Field: "f", Content: content}}}
		}
		streamed := engine.Upload{Stream: true}
		for i, asked := range []engine.Request{
			{}, {Auth: true}, {KeyOnly: true}, {Account: "none"}, {Method: "PURGE"}, {Method: "OPTIONS", Path: "*", Query: engine.Values{"a": 1}},
			{URL: "http://other.test/a b?c=d e"}, {Encoded: true, Path: "/a%20b"}, {Query: engine.Values{"a": []int{1, 2}, "b": nil}},
			{Header: header("Host", "elsewhere.test")}, {Header: header("Connection", "close, X-App")}, {Header: header("User-Agent", "")},
			{Header: header("Upgrade", "echo"), Stream: true}, {Header: header("Range", "bytes=0-1")}, {Weights: map[string]int64{"l": 3}},
			{Body: "text"}, {Body: []byte("bytes")}, {Body: engine.Form{"a": 1}}, {Body: engine.Values{"a": 1}, Header: header("Content-Type", "application/x-www-form-urlencoded")},
			{Body: url.Values{"a": {"1"}}}, {Body: struct{ A int }{1}}, {Body: engine.Form{"a": 1}, Auth: true},
			{Body: reader()}, {Body: new(bytes.Buffer)}, {Body: reader(), Auth: true}, {Body: strings.NewReader("body")}, {Body: parts("x")}, {Body: parts(reader())}, {Body: parts(open)},
			{Body: reader(), Upload: streamed}, {Body: open, Upload: streamed}, {Body: parts(reader()), Upload: streamed}, {Body: parts(open), Upload: streamed},
			{Body: parts("x"), Upload: streamed}, {Body: strings.NewReader("body"), Upload: engine.Upload{Stream: true, Length: 4}},
			{Body: open, Upload: engine.Upload{Stream: true, Trailer: header("X-Sum", "1"), ExpectContinue: true}},
			{Body: parts(reader()), Upload: engine.Upload{Stream: true, Trailer: header("X-Sum", "1")}},
		} {
			if asked.Path == "" {
				asked.Path = "/"
			}
			if asked.Method == "" && asked.Body != nil {
				asked.Method = "POST"
			}
			about := fmt.Sprintf("%d: %s with %T", i, asked, asked.Body)
			x, err := eng.Explain(&asked)
			require.NoError(t, err, about)
			require.True(t, x.Leaves, about)
			response, err := eng.Do(t.Context(), &asked)
			require.NoError(t, err, about)
			if response.Stream != nil {
				require.NoError(t, response.Stream.Close())
			}
		}
	})
}

func TestExplainTellsARequestInOneLine(t *testing.T) {
	eng := newEngine(t, engine.Config{BaseURL: "http://server.test"})
	x, err := eng.Explain(&engine.Request{Path: "/a\r\nleaves now"})
	require.NoError(t, err)
	require.Equal(t, "GET /a ; leaves now", x.Request)
}

func TestExplainSaysWhatIsKeptForMoreUrgentRequests(t *testing.T) {
	eng, err := engine.New(engine.Config{BaseURL: "http://server.test", DefaultLimitID: "a", Limits: []throttle.Limit{
		{ID: "a", Quota: 10, Per: time.Second, Reserve: []throttle.Reserve{{Priority: engine.Urgent, Weight: 4}}},
	}})
	require.NoError(t, err)
	defer eng.Close()
	for priority, kept := range map[engine.Priority]int64{engine.Normal: 4, engine.Urgent: 0} {
		x, err := eng.Explain(&engine.Request{Priority: priority})
		require.NoError(t, err)
		require.Len(t, x.Charges, 1)
		require.Equal(t, kept, x.Charges[0].Kept)
		require.EqualValues(t, 10, x.Charges[0].Room)
	}
}
