package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// full is an engine whose limit has room again a second after each request.
func full(t *testing.T, s *server, signer auth.Authenticator) *engine.Engine {
	return s.newEngine(t, engine.Config{
		Limits:         []throttle.Limit{{ID: "orders", Quota: 1, Per: time.Second}},
		DefaultLimitID: "orders", Timeout: 100 * time.Millisecond, Auth: signer,
	})
}

// sentUntilAnswered is the loop of the guide around an http.Client.
func sentUntilAnswered(t *testing.T, client *http.Client, req *http.Request) (string, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		resp, err := client.Do(req)
		if err == nil {
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			return string(body), err
		}
		if engine.OutcomeOf(err) != engine.NotSent || engine.Wait(ctx, err) != nil {
			return "", err
		}
	}
}

func TestARequestThatWasNotSentIsGivenToAnHTTPClientAgain(t *testing.T) {
	custom := auth.Func(func(c *messages.Call, _ auth.Clock) error {
		c.SetHeader("Signed", fmt.Sprint(len(c.Body)))
		return nil
	})
	for name, signed := range map[string]bool{"as it is": false, "signed": true} {
		for kind, body := range map[string]func() io.Reader{
			"strings.Reader": func() io.Reader { return strings.NewReader("order") },
			"bytes.Reader":   func() io.Reader { return bytes.NewReader([]byte("order")) },
			"bytes.Buffer":   func() io.Reader { return bytes.NewBufferString("order") },
		} {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
					content, _ := io.ReadAll(r.Body)
					fmt.Fprintf(w, "%s %s", content, r.Header.Get("Signed"))
				})
				eng := full(t, s, custom)
				client := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Auth = signed })
				for range 2 { // the second finds no room, and the first was answered: it may be sent again as well
					req, err := http.NewRequestWithContext(t.Context(), "POST", "http://server.test/", body())
					require.NoError(t, err)
					for range 2 {
						got, err := sentUntilAnswered(t, client, req)
						require.NoError(t, err, "%s, %s", name, kind)
						require.Equal(t, map[bool]string{false: "order ", true: "order 5"}[signed], got)
					}
				}
				wantNothingHeld(t, eng)
			})
		}
	}
}

func TestABodyThatWasReadAlreadyIsNotSentAsAnEmptyOne(t *testing.T) {
	broken := errors.New("broken")
	for want, getBody := range map[string]func() (io.ReadCloser, error){
		"its body was read already, and there is no GetBody": nil,
		"request body: broken":                               func() (io.ReadCloser, error) { return nil, broken },
		"GetBody returned none":                              func() (io.ReadCloser, error) { return nil, nil },
		"panic":                                              func() (io.ReadCloser, error) { panic("a secret") },
		"its body is not as long as it said":                 func() (io.ReadCloser, error) { return io.NopCloser(once("ab")), nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(t, nil)
			eng := s.newEngine(t, engine.Config{})
			req, err := http.NewRequestWithContext(t.Context(), "POST", "http://server.test/", strings.NewReader("order"))
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, req.Body)
			require.NoError(t, err)
			req.GetBody = getBody
			_, err = eng.RoundTripper().RoundTrip(req)
			require.ErrorContains(t, err, want)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
			require.Equal(t, getBody == nil, errors.Is(err, engine.ErrBodyRead))
			if getBody == nil {
				require.ErrorIs(t, err, engine.ErrInvalidRequest)
				require.NotContains(t, err.Error(), "\n")
				begun := time.Now()
				require.Error(t, engine.Wait(t.Context(), err))
				require.Zero(t, time.Since(begun))
			}
			require.Empty(t, s.seen())
		})
	}
}
