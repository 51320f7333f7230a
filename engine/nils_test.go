package engine_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
	"github.com/sluice-engine/sluice/throttle/feedback"
)

func TestANilInAnAdapterIsAMistakeInTheConfiguration(t *testing.T) {
	for want, config := range map[string]engine.Config{
		"Auth is a nil auth.Func":                    {Auth: auth.Func(nil)},
		"Chain[0] is a nil auth.Func":                {Auth: auth.Chain{auth.Func(nil)}},
		"Auth: auth: WithoutBody: Authenticator":     {Auth: auth.WithoutBody{}},
		"PreProcessors[0] is a nil":                  {PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(nil)}},
		"PostProcessors[0] is a nil":                 {PostProcessors: []engine.PostProcessor{engine.PostProcessorFunc(nil)}},
		"Time is a nil engine.TimeFunc":              {Time: engine.TimeFunc(nil)},
		"Time.Timeout is negative":                   {Time: engine.TimeEndpoint{URL: "http://h/", Timeout: -1}},
		"Cookies is a nil *cookiejar.Jar":            {Cookies: (*cookiejar.Jar)(nil)},
		"Auth: auth: WithoutBody: Authenticator: mi": {Auth: auth.Chain{auth.WithoutBody{}}},
	} {
		_, err := engine.New(config)
		require.ErrorContains(t, err, want)
	}
}

func TestANilReaderOfAnswersAmongOthersIsTheUsualOne(t *testing.T) {
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	eng := s.newEngine(t, engine.Config{Feedback: feedback.Join(nil, feedback.Prefer(nil))})
	_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
	require.NoError(t, err)
	require.NotEmpty(t, eng.Stats().Limits.Scopes)
}

func TestWhatIsNegativeWithoutAMeaningIsAnError(t *testing.T) {
	eng := newEngine(t, engine.Config{BaseURL: "http://server.test", Limits: []throttle.Limit{{ID: "a", Quota: 1, Per: time.Second}}, DefaultLimitID: "a"})
	_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Redirects: -1})
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	require.ErrorContains(t, err, "Redirects")
	require.ErrorIs(t, eng.Pause(throttle.Scope{Name: throttle.WholeOrigin}, -time.Second), engine.ErrInvalidRequest)
	require.ErrorIs(t, eng.Warm(t.Context(), "", -1), engine.ErrInvalidRequest)
}

func TestANilThatIsNoBodyIsNotSentAsNull(t *testing.T) {
	url, got := bodiesAt(t)
	eng := newEngine(t, engine.Config{})
	type order struct{ ID int }
	for _, stream := range []bool{false, true} {
		for _, body := range []any{
			(*order)(nil), (*engine.Multipart)(nil), &engine.Multipart{}, (*engine.Values)(nil), (func() (io.Reader, error))(nil),
			engine.Multipart{Files: []engine.File{{Field: "f", Content: (func() (io.Reader, error))(nil)}}},
		} {
			_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", URL: url, Body: body, Upload: engine.Upload{Stream: stream}})
			require.ErrorIs(t, err, engine.ErrInvalidRequest, "%T", body)
		}
	}
	require.Empty(t, got())
	_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", URL: url, Body: &order{7}})
	require.NoError(t, err)
	require.Equal(t, []string{`{"ID":7}`}, got())
}
