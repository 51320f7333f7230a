package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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

func TestADryRunDoesEverythingButSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		config := engine.Config{
			Auth:   auth.HMACQuery{Key: "key-4711", Secret: "secret-4711"},
			Limits: []throttle.Limit{{ID: "orders", Quota: 1, Per: 10 * time.Second}},
			PreProcessors: []engine.PreProcessor{engine.PreProcessorFunc(func(_ context.Context, r *engine.Request) error {
				r.LimitID, r.Header = "orders", map[string][]string{"X-Desk": {"seven"}}
				return nil
			})},
		}
		config.Dial.DialContext = s.dial
		eng := s.newEngine(t, config)
		order := &engine.Request{Method: "POST", Path: "/order", Query: engine.Values{"symbol": "BTC"}, Body: engine.Form{"qty": 1}, Auth: true}
		got, err := eng.DryRun(t.Context(), order)
		require.NoError(t, err)
		require.Equal(t, "POST", got.Method)
		require.Equal(t, "http://server.test/order", got.URL)
		require.True(t, got.Signed)
		require.Equal(t, "qty=1", string(got.Body))
		require.EqualValues(t, 5, got.Length)
		require.Equal(t, engine.RehearsedField{Name: "symbol", Value: "BTC"}, got.Query[0])
		last := got.Query[len(got.Query)-1]
		require.Equal(t, engine.RehearsedField{Name: "signature", Value: "***"}, last)
		header := map[string]string{}
		for _, f := range got.Header {
			header[f.Name] = f.Value
		}
		require.Equal(t, "seven", header["X-Desk"])
		require.Equal(t, "***", header["X-MBX-APIKEY"])
		require.True(t, got.Explanation.Leaves)
		require.Equal(t, "orders", got.Explanation.Route)

		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("dry", "run", got)
		raw, err := json.Marshal(got)
		require.NoError(t, err)
		for _, text := range []string{got.String(), fmt.Sprintf("%v %+v %#v %s %q", got, got, *got, got, *got), log.String(), string(raw), fmt.Sprint(got.Query, got.Header)} {
			require.Contains(t, text, "signature")
			for _, secret := range []string{"4711", "BTC", "seven", "qty=1"} {
				require.NotContains(t, text, secret)
			}
		}
		require.Empty(t, s.seen())
		require.Empty(t, eng.Stats().Pools, "no pool is opened")
		for _, limit := range eng.Stats().Limits.Limits {
			require.Zero(t, limit.Used)
		}
		wantNothingHeld(t, eng)

		require.NoError(t, <-begin(eng, *order), "and the same request can be sent")
		halt, err := eng.Halt(engine.Filter{})
		require.NoError(t, err)
		got, err = eng.DryRun(t.Context(), order)
		require.NoError(t, err, "a halt refuses nothing that is not sent")
		require.Equal(t, halt.ID(), got.Explanation.Halts[0].ID)
		require.False(t, got.Explanation.Leaves)
		require.Equal(t, "orders", got.Explanation.HeldBy.Limit)
	})
}

// spending signs with a nonce, in order.
type spending struct{ nonces *[]int }

func (s spending) Authenticate(call *messages.Call, _ auth.Clock) error {
	*s.nonces = append(*s.nonces, len(*s.nonces))
	call.Query = fmt.Sprint("nonce=", len(*s.nonces))
	call.Body = []byte("signed as a whole")
	return nil
}

func TestADryRunHidesWhatAnAuthenticatorMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		var nonces []int
		eng := s.newEngine(t, engine.Config{Auth: spending{&nonces}})
		got, err := eng.DryRun(t.Context(), &engine.Request{Method: "POST", Path: "/o?a=1", Body: "x", Auth: true})
		require.NoError(t, err)
		require.Len(t, nonces, 1, "one is used up")
		require.Equal(t, []engine.RehearsedField{{Name: "nonce", Value: "***"}}, got.Query, "nothing of the query is the caller's any more")
		require.Nil(t, got.Body)
		require.EqualValues(t, 17, got.Length)

		plain, err := eng.DryRun(t.Context(), &engine.Request{Method: "POST", Path: "/o?a=1", Body: strings.NewReader("read"), Upload: engine.Upload{Stream: true}})
		require.NoError(t, err)
		require.Len(t, nonces, 1)
		require.False(t, plain.Signed)
		require.Nil(t, plain.Body)
		require.EqualValues(t, 4, plain.Length)
		require.Equal(t, []engine.RehearsedField{{Name: "a", Value: "1"}}, plain.Query)
	})
}

func TestADryRunIsSignedByItsAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		var nonces []int
		eng := s.newEngine(t, engine.Config{Accounts: map[string]auth.Authenticator{"a": spending{&nonces}}})
		got, err := eng.DryRun(t.Context(), &engine.Request{Path: "/", Account: "a", Auth: true})
		require.NoError(t, err)
		require.True(t, got.Signed)
		require.Len(t, nonces, 1)
		for cause, req := range map[error]*engine.Request{
			engine.ErrUnknownAccount: {Path: "/", Account: "b"}, engine.ErrUnknownEgress: {Path: "/", Egress: "e"},
		} {
			_, err := eng.DryRun(t.Context(), req)
			require.ErrorIs(t, err, cause)
			_, err = eng.Explain(req)
			require.ErrorIs(t, err, cause)
		}
	})
}

func TestADryRunFailsAsTheRequestWould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "one", Quota: 1, Per: time.Second}}})
		for cause, req := range map[error]*engine.Request{
			engine.ErrUnknownLimit: {Path: "/", LimitID: "nowhere"}, engine.ErrNoLimit: {Path: "/"},
			engine.ErrInvalidRequest: {Path: "/", LimitID: "one", Auth: true},
		} {
			_, err := eng.DryRun(t.Context(), req)
			require.ErrorIs(t, err, cause)
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		}
		//lint:ignore SA1012 that is the mistake
		_, err := eng.DryRun(nil, &engine.Request{})
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		wantNothingHeld(t, eng)
		require.NoError(t, eng.Close())
		_, err = eng.DryRun(t.Context(), &engine.Request{Path: "/", LimitID: "one"})
		require.ErrorIs(t, err, engine.ErrClosed)
	})
}
