package engine_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/sluice-engine/sluice/auth"
	tokens "github.com/sluice-engine/sluice/auth/oauth2"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// Of these, one answer of an authenticator panics each.
type (
	signs           struct{}
	panicsValidate  struct{ signs }
	panicsOnMistake struct{ signs }
	panicsLane      struct{ signs }
	panicsUnsigned  struct{ signs }
	panicsSendKey   struct{ signs }
	panicsTwice     struct {
		panicsLane
		panicsSendKey
	}
	panicsSigner struct{}
)

func (signs) Authenticate(*messages.Call, auth.Clock) error                  { return nil }
func (panicsValidate) Validate() error                                       { boom(); return nil }
func (panicsOnMistake) Validate() error                                      { return errors.Join((*engine.StatusError)(nil)) }
func (panicsLane) Lane() string                                              { boom(); return "" }
func (panicsUnsigned) BodyUnsigned() bool                                    { boom(); return true }
func (panicsSendKey) SendKey(*messages.Call) bool                            { boom(); return true }
func (panicsTwice) Authenticate(*messages.Call, auth.Clock) error            { return nil }
func (panicsSigner) Validate() error                                         { boom(); return nil }
func (panicsSigner) AppendSignature(dst []byte, _ ...[]byte) ([]byte, error) { return dst, nil }

func TestAnAuthenticatorThatPanicsWhenItIsAskedIsAMistakeInTheConfiguration(t *testing.T) {
	eng := newEngine(t, engine.Config{})
	for want, one := range map[string]auth.Authenticator{
		"its Validate": panicsValidate{}, "its Lane": panicsLane{}, "its BodyUnsigned": panicsUnsigned{},
		"its SendKey": panicsSendKey{},
	} {
		for field, config := range map[string]engine.Config{
			"Auth": {Auth: auth.Chain{one}, Timeout: -1}, `Accounts["a"]`: {Accounts: map[string]auth.Authenticator{"a": auth.Chain{auth.Bearer{Token: "t"}, one}}, Timeout: -1},
		} {
			_, err := engine.New(config)
			require.ErrorContains(t, err, field+": "+want+": panic while preparing in ")
			require.ErrorContains(t, err, "Timeout is negative", "all mistakes together")
			var panicked *engine.PanicError
			require.ErrorAs(t, err, &panicked)
		}
		require.ErrorContains(t, eng.SetAccount("a", one), `sluice: Accounts["a"]: `+want+`: panic while preparing in `)
		require.ErrorContains(t, eng.SetAccount("", one), "sluice: Auth: "+want+": panic while preparing in ")
		require.ErrorIs(t, eng.RemoveAccount("a"), engine.ErrUnknownAccount, "nothing was changed")
	}
	_, err := engine.New(engine.Config{Auth: panicsTwice{}})
	require.ErrorContains(t, err, "Auth: its Lane: ")
	require.ErrorContains(t, err, "Auth: its SendKey: ")
	for _, one := range []auth.Authenticator{panicsOnMistake{}, auth.SignedQuery{Key: "k", Signer: panicsSigner{}}} {
		_, err = engine.New(engine.Config{Auth: one})
		require.ErrorContains(t, err, "Auth: its Validate: ")
	}
}

func TestATimestampIsNoOlderForATokenThatIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var age time.Duration
		var token string
		s := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
			ms, _ := strconv.ParseInt(r.URL.Query().Get("timestamp"), 10, 64)
			age, token = time.Since(time.UnixMilli(ms)), r.Header.Get("Authorization")
		})
		slow := tokens.New(func(context.Context) (*oauth2.Token, error) {
			time.Sleep(3 * time.Second)
			return &oauth2.Token{AccessToken: "t", TokenType: "Bearer", Expiry: time.Now().Add(time.Hour)}, nil
		}, tokens.Options{})
		defer slow.Close()
		eng := s.newEngine(t, engine.Config{Auth: auth.Chain{auth.Binance("k", "s"), slow}})
		began := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Zero(t, age)
		require.Equal(t, "Bearer t", token)
	})
}
