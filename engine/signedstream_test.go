package engine_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// mirrorSigned answers with the credentials and the body it was sent, but hangs
// up on the first requests.
func mirrorSigned(hangUps int32) http.HandlerFunc {
	var arrived atomic.Int32
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if arrived.Add(1) <= hangUps {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, r.Header.Get("Authorization"), " ", r.TransferEncoding, " ", string(body))
	}
}

func TestAStreamedBodyIsSignedByWhoLeavesBodiesAlone(t *testing.T) {
	custom := auth.Func(func(c *messages.Call, _ auth.Clock) error { c.SetHeader("Authorization", "own"); return nil })
	for want, a := range map[string]auth.Authenticator{
		"Bearer t": auth.Bearer{Token: "t"},
		"own":      auth.Chain{auth.APIKey{Header: "K", Key: "k"}, auth.WithoutBody{Authenticator: custom}},
	} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, mirrorSigned(0)).newEngine(t, engine.Config{Auth: a})
			resp, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/", Body: once("abc"), Upload: engine.Upload{Stream: true}, Auth: true})
			require.NoError(t, err)
			require.Equal(t, want+" [chunked] abc", resp.Text())

			client := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Auth = true })
			got, err := client.Post("http://server.test/", "text/plain", once("abc"))
			require.NoError(t, err)
			text, _ := io.ReadAll(got.Body)
			got.Body.Close()
			require.Equal(t, want+" [chunked] abc", string(text))
			wantNothingHeld(t, eng)
		})
	}
}

func TestAStreamedBodyIsNotSignedByWhoMayCoverIt(t *testing.T) {
	for name, a := range map[string]auth.Authenticator{
		"over the body": auth.HMACQuery{Key: "k", Secret: "s"},
		"unknown":       auth.Func(func(*messages.Call, auth.Clock) error { return nil }),
		"wrapped":       struct{ auth.Authenticator }{auth.Bearer{Token: "t"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, mirrorSigned(0))
			eng := s.newEngine(t, engine.Config{Auth: a})
			_, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/", Body: once("abc"), Upload: engine.Upload{Stream: true}, Auth: true})
			require.ErrorIs(t, err, engine.ErrInvalidRequest, name)
			require.Empty(t, s.seen())
		})
	}
}

// counting opens a body for every attempt, and counts what is open.
type counting struct {
	io.Reader
	open *atomic.Int32
}

func (c counting) Close() error { c.open.Add(-1); return nil }

func TestASignedStreamIsRepeatedOnlyIfItCanBeRewound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var open, signed atomic.Int32
		a := auth.WithoutBody{Authenticator: auth.Func(func(c *messages.Call, _ auth.Clock) error {
			c.SetHeader("Authorization", fmt.Sprint("attempt ", signed.Add(1)))
			return nil
		})}
		opened := func() (io.Reader, error) {
			open.Add(1)
			return counting{strings.NewReader("abc"), &open}, nil
		}
		eng := newServer(t, mirrorSigned(1)).newEngine(t, engine.Config{Auth: a})
		resp, err := eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/", Body: opened, Upload: engine.Upload{Stream: true}, Auth: true})
		require.NoError(t, err)
		require.Equal(t, "attempt 2 [chunked] abc", resp.Text())
		require.Zero(t, open.Load())

		s := newServer(t, mirrorSigned(1))
		eng = s.newEngine(t, engine.Config{Auth: a})
		_, err = eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/", Body: once("abc"), Upload: engine.Upload{Stream: true}, Auth: true})
		require.Error(t, err)
		require.Len(t, s.seen(), 1)
	})
}

func TestASignerThatFailsAStreamedRequestLeavesItsBodyClosed(t *testing.T) {
	refused := errors.New("refused")
	for name, sign := range map[string]auth.Func{
		"an error": func(*messages.Call, auth.Clock) error { return refused },
		"a panic":  func(*messages.Call, auth.Clock) error { panic(refused) },
		"a body":   func(c *messages.Call, _ auth.Clock) error { c.Body = []byte("own"); return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			var open atomic.Int32
			s := newServer(t, mirrorSigned(0))
			eng := s.newEngine(t, engine.Config{Auth: auth.WithoutBody{Authenticator: sign}})
			_, err := eng.Do(t.Context(), &engine.Request{Method: "PUT", Path: "/", Upload: engine.Upload{Stream: true}, Auth: true, Body: func() (io.Reader, error) {
				open.Add(1)
				return counting{strings.NewReader("abc"), &open}, nil
			}})
			require.Error(t, err, name)
			if name != "a body" {
				require.ErrorIs(t, err, refused, name)
			}
			require.Zero(t, open.Load(), name)
			require.Empty(t, s.seen())
			wantNothingHeld(t, eng)
		})
	}
}
