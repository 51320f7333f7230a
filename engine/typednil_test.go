package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// What is there by its type alone: its methods would panic, each for a reason that
// nobody could tell.
type (
	nobody   struct{ name string } // implements everything by pointer
	anybody  struct{}              // by value
	document struct{ A int }
)

func (n *nobody) Authenticate(*messages.Call, auth.Clock) error       { return errors.New(n.name) }
func (n *nobody) PreProcess(context.Context, *messages.Request) error { return errors.New(n.name) }
func (n *nobody) PostProcess(context.Context, *messages.Request, *messages.Response) error {
	return errors.New(n.name)
}
func (n *nobody) ServerTime(context.Context, *engine.Engine) (engine.TimeReading, error) {
	return engine.TimeReading{}, errors.New(n.name)
}
func (n *nobody) Read([]byte) (int, error)                    { return 0, errors.New(n.name) }
func (anybody) Authenticate(*messages.Call, auth.Clock) error { return nil }
func (n *nobody) Enabled(context.Context, slog.Level) bool    { return n.name == "" }
func (n *nobody) Handle(context.Context, slog.Record) error   { return errors.New(n.name) }
func (n *nobody) WithAttrs([]slog.Attr) slog.Handler          { return n }
func (n *nobody) WithGroup(string) slog.Handler               { return n }

func TestNewNamesTheFieldThatHoldsANilPointer(t *testing.T) {
	var none *nobody
	for want, config := range map[string]engine.Config{
		"Auth is a nil *engine_test.nobody":                     {Auth: none},
		"Auth is a nil *engine_test.anybody":                    {Auth: (*anybody)(nil)},
		"Auth is a nil auth.Func":                               {Auth: auth.Func(nil)},
		"Auth: auth: Chain[1] is a nil *engine_test.nobody":     {Auth: auth.Chain{anybody{}, none}},
		"Time is a nil *engine_test.nobody":                     {Time: none},
		"Time is a nil engine.TimeFunc":                         {Time: engine.TimeFunc(nil)},
		"PreProcessors[1] is a nil *engine_test.nobody":         {PreProcessors: []messages.PreProcessor{messages.PreProcessorFunc(func(context.Context, *messages.Request) error { return nil }), none}},
		"PreProcessors[0] is a nil messages.PreProcessorFunc":   {PreProcessors: []messages.PreProcessor{messages.PreProcessorFunc(nil)}},
		"PostProcessors[0] is a nil *engine_test.nobody":        {PostProcessors: []messages.PostProcessor{none}},
		"PostProcessors[0] is a nil messages.PostProcessorFunc": {PostProcessors: []messages.PostProcessor{messages.PostProcessorFunc(nil)}},
		"Cookies is a nil *cookiejar.Jar":                       {Cookies: (*cookiejar.Jar)(nil)},
		"Logger has no Handler":                                 {Logger: new(slog.Logger)},
		"Logger.Handler is a nil *engine_test.nobody":           {Logger: slog.New(none)},
		"Signer":                           {Auth: auth.JWT{KeyID: "k", Signer: (*auth.HMAC)(nil)}},
		"Auth: auth: SignedQuery: Signer":  {Auth: auth.SignedQuery{Key: "k", Signer: (*auth.HMAC)(nil)}},
		"Authenticator: is a nil *engine_": {Auth: auth.WithoutBody{Authenticator: none}},
	} {
		eng, err := engine.New(config)
		require.ErrorContains(t, err, want)
		require.Nil(t, eng)
	}
	eng, err := engine.New(engine.Config{Logger: nil, Cookies: nil, Dial: engine.Dial{TLS: nil, ProxyConnectHeader: nil}})
	require.NoError(t, err, "what is not there at all is not there")
	require.NoError(t, eng.Close())
}

func TestABodyThatHoldsANilPointerIsNamed(t *testing.T) {
	var none *nobody
	for want, body := range map[string]any{
		"Body is a nil *bytes.Reader":                    func() any { return (*bytes.Reader)(nil) }(),
		"Body is a nil *bytes.Buffer":                    (*bytes.Buffer)(nil),
		"Body is a nil *strings.Reader":                  (*strings.Reader)(nil),
		"Body is a nil *os.File":                         (*os.File)(nil),
		"Body is a nil *engine_test.nobody":              none,
		"Body is a nil *engine_test.document":            (*document)(nil),
		"Body is a nil func() (io.Reader, error)":        (func() (io.Reader, error))(nil),
		"Body is a nil *io.SectionReader":                (*io.SectionReader)(nil),
		"its Content is a nil *engine_test.nobody":       messages.Multipart{Files: []messages.File{{Field: "f", Content: none}}},
		"its Content is a nil func() (io.Reader, error)": messages.Multipart{Files: []messages.File{{Field: "f", Content: (func() (io.Reader, error))(nil)}}},
	} {
		for _, streamed := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, echo)
				eng := s.newEngine(t, engine.Config{})
				request := &engine.Request{Method: http.MethodPost, Path: "/", Body: body, Upload: engine.Upload{Stream: streamed}}
				_, err := eng.Do(t.Context(), request)
				require.ErrorIs(t, err, engine.ErrInvalidRequest)
				require.ErrorContains(t, err, want)
				_, err = engine.Fetch[string](t.Context(), eng, request)
				require.ErrorContains(t, err, want)
				require.Empty(t, s.seen())
			})
		}
	}
}

// As above, but found out only when it is called.
func TestAReaderThatIsReturnedAsANilPointerIsNamed(t *testing.T) {
	returned := func() (io.Reader, error) { return (*nobody)(nil), nil }
	for want, request := range map[string]engine.Request{
		"its Body returned a nil *engine_test.nobody":    {Body: returned, Upload: engine.Upload{Stream: true}},
		"its Content returned a nil *engine_test.nobody": {Body: messages.Multipart{Files: []messages.File{{Field: "f", Content: returned}}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			request.Method, request.Path = http.MethodPost, "/"
			_, err := newServer(t, echo).newEngine(t, engine.Config{}).Do(t.Context(), &request)
			require.ErrorContains(t, err, want)
			var panicked *engine.PanicError
			require.False(t, errors.As(err, &panicked))
		})
	}
}

func TestADialThatReturnsNothingIsAnErrorOfItsOwn(t *testing.T) {
	for want, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"DialContext returned neither a connection nor an error":                         func(context.Context, string, string) (net.Conn, error) { return nil, nil },
		"DialContext returned neither a connection nor an error, but a nil *net.TCPConn": func(context.Context, string, string) (net.Conn, error) { return (*net.TCPConn)(nil), nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			eng := newEngine(t, engine.Config{Dial: engine.Dial{DialContext: dial}, Retry: engine.Retry{Max: -1}})
			_, err := eng.Do(t.Context(), &engine.Request{URL: "http://server.test/"})
			require.ErrorContains(t, err, want)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
			var panicked *engine.PanicError
			require.False(t, errors.As(err, &panicked))
		})
	}
}
