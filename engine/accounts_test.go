package engine_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/sluice-engine/sluice/auth"
	tokens "github.com/sluice-engine/sluice/auth/oauth2"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// The server of these tests knows a key by its name, which says of what kind it is and
// which: its secret is made of that.

func secretOf(key string) auth.Secret {
	return auth.Secret(base64.StdEncoding.EncodeToString([]byte("secret of " + key)))
}

func pairOf(key string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(key))
	return ed25519.NewKeyFromSeed(seed[:])
}

func hmacAccount(key string) auth.Authenticator { return auth.Binance(auth.Secret(key), secretOf(key)) }
func nonceAccount(key string) auth.Authenticator {
	return auth.Kraken{Key: auth.Secret(key), Secret: secretOf(key)}
}

func pairAccount(t testing.TB, key string) auth.Authenticator {
	private, err := auth.NewPrivateKey(pairOf(key))
	require.NoError(t, err)
	return auth.BinanceKeyPair(auth.Secret(key), private)
}

// venue verifies what it is sent by the key that the request names.
type venue struct {
	delay func(n int) time.Duration // on the way of the n-th request; nil means none

	mu      sync.Mutex
	n       int
	nonces  map[string]uint64
	revoked map[string]bool
	refused []string
	keys    []string // of accepted requests, in order
	open    map[string]int
	most    map[string]int // requests of a key at once
}

func (v *venue) arrive(key string) {
	v.mu.Lock()
	v.n++
	wait := time.Duration(0)
	if v.delay != nil {
		wait = v.delay(v.n)
	}
	if v.open == nil {
		v.open, v.most, v.nonces = map[string]int{}, map[string]int{}, map[string]uint64{}
	}
	v.open[key]++
	v.most[key] = max(v.most[key], v.open[key])
	v.mu.Unlock()
	time.Sleep(wait)
}

func (v *venue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	key := r.Header.Get("X-MBX-APIKEY") + r.Header.Get("API-Key") + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	v.arrive(key)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open[key]--
	if v.revoked[key] || !v.verifies(key, r, body) {
		v.refused = append(v.refused, key+" "+r.URL.Path)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	v.keys = append(v.keys, key)
	io.WriteString(w, key)
}

// verifies is called with mu held.
func (v *venue) verifies(key string, r *http.Request, body []byte) bool {
	kind, _, _ := strings.Cut(key, "-")
	payload, signature, _ := strings.Cut(r.URL.RawQuery, "&signature=")
	switch kind {
	case "hmac":
		want, err := auth.HMAC{Secret: secretOf(key), SecretEncoding: auth.Raw, Hash: crypto.SHA256}.AppendSignature(nil, []byte(payload), body)
		return err == nil && fmt.Sprintf("%x", want) == signature
	case "pair":
		text, _ := url.QueryUnescape(signature)
		sig, _ := base64.StdEncoding.DecodeString(text)
		return ed25519.Verify(pairOf(key).Public().(ed25519.PublicKey), append([]byte(payload), body...), sig)
	case "nonce":
		form, _ := url.ParseQuery(string(body))
		nonce, _ := strconv.ParseUint(form.Get("nonce"), 10, 64)
		sum := sha256.Sum256(append([]byte(form.Get("nonce")), body...))
		want, err := auth.HMAC{Secret: secretOf(key), SecretEncoding: auth.Base64, Hash: crypto.SHA512}.AppendSignature(nil, []byte(r.URL.Path), sum[:])
		rises := nonce > v.nonces[key]
		v.nonces[key] = max(v.nonces[key], nonce)
		return err == nil && rises && base64.StdEncoding.EncodeToString(want) == r.Header.Get("API-Sign")
	case "token":
		return r.Header.Get("Authorization") == "Bearer "+key
	}
	return false
}

// tokenAccount gets the token of a name.
func tokenAccount(t *testing.T, token string) auth.Authenticator {
	all := tokens.New(func(context.Context) (*oauth2.Token, error) {
		return &oauth2.Token{AccessToken: token, TokenType: "Bearer", Expiry: time.Now().Add(time.Hour)}, nil
	}, tokens.Options{})
	t.Cleanup(func() { all.Close() })
	return all
}

func signedOrder(account string) *engine.Request {
	return &engine.Request{Method: "POST", Path: "/order", Body: engine.Form{"a": "b"}, Auth: true, Account: account, LimitID: engine.Unlimited}
}

func TestAccountsOfEverySchemeAreNeverRefusedWhileTheirKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &venue{delay: func(n int) time.Duration { return time.Duration(n%7) * time.Millisecond }}
		accountOf := map[string]func(n int) auth.Authenticator{
			"":      func(n int) auth.Authenticator { return hmacAccount(fmt.Sprint("hmac-default-", n)) },
			"hmac":  func(n int) auth.Authenticator { return hmacAccount(fmt.Sprint("hmac-", n)) },
			"pair":  func(n int) auth.Authenticator { return pairAccount(t, fmt.Sprint("pair-", n)) },
			"nonce": func(n int) auth.Authenticator { return nonceAccount(fmt.Sprint("nonce-", n)) },
			"same":  func(n int) auth.Authenticator { return nonceAccount(fmt.Sprint("nonce-", n)) }, // the same key
			"token": func(n int) auth.Authenticator { return tokenAccount(t, fmt.Sprint("token-", n)) },
			"change": func(n int) auth.Authenticator { // another scheme each time
				return []auth.Authenticator{hmacAccount(fmt.Sprint("hmac-change-", n)), nonceAccount(fmt.Sprint("nonce-change-", n))}[n%2]
			},
		}
		config := engine.Config{Accounts: map[string]auth.Authenticator{}, Auth: accountOf[""](0)}
		for name, of := range accountOf {
			if name != "" {
				config.Accounts[name] = of(0)
			}
		}
		eng := newServer(t, v.ServeHTTP).newEngine(t, config)
		var all sync.WaitGroup
		var ended atomic.Bool
		for name := range accountOf {
			for range 6 {
				all.Go(func() {
					for range 150 {
						response, err := eng.Do(t.Context(), signedOrder(name))
						if err != nil || response.StatusCode != 200 {
							t.Error(name, response, err)
							return
						}
					}
				})
			}
		}
		var rotating sync.WaitGroup
		for name, of := range accountOf {
			rotating.Go(func() {
				for n := 1; !ended.Load(); n++ {
					time.Sleep(3 * time.Millisecond)
					if err := eng.SetAccount(name, of(n%20)); err != nil { // few keys: the process remembers the nonces of each
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		ended.Store(true)
		rotating.Wait()
		require.Empty(t, v.refused)
		require.Len(t, v.keys, len(accountOf)*6*150)
		used := map[string]bool{}
		for _, key := range v.keys {
			used[key] = true
		}
		require.Greater(t, len(used), 15*(len(accountOf)-1), "they did rotate: two share their keys")
		for key, most := range v.most {
			if strings.HasPrefix(key, "nonce-") {
				require.LessOrEqual(t, most, 1, "%s: one at a time", key)
			}
		}
		wantNothingHeld(t, eng)
	})
}

func TestAccountsWithNoncesDoNotWaitForOneAnotherUnlessTheyShareAKey(t *testing.T) {
	for same, want := range map[bool]time.Duration{false: time.Second, true: 2 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			v := &venue{delay: func(int) time.Duration { return time.Second }}
			second := map[bool]string{false: "nonce-apart-2", true: "nonce-apart-1"}[same]
			eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{Accounts: map[string]auth.Authenticator{
				"a": nonceAccount("nonce-apart-1"), "b": nonceAccount(second),
			}})
			start := time.Now()
			var all sync.WaitGroup
			for _, name := range []string{"a", "b"} {
				all.Go(func() {
					_, err := eng.Do(t.Context(), signedOrder(name))
					require.NoError(t, err)
				})
			}
			all.Wait()
			require.Equal(t, want, time.Since(start))
			require.Empty(t, v.refused)
		})
	}
}

func TestAnUnknownAccountIsAnErrorBeforeAnythingIsSent(t *testing.T) {
	for name, asked := range map[string]engine.Request{
		"to sign":     {Path: "/", Auth: true, Account: "gone"},
		"for its key": {Path: "/", KeyOnly: true, Account: "gone"},
		"unsigned":    {Path: "/", Account: "gone"},
	} {
		for _, accounts := range []map[string]auth.Authenticator{nil, {"there": hmacAccount("hmac-1")}} {
			t.Run(name, func(t *testing.T) {
				s := newServer(t, nil)
				eng := s.newEngine(t, engine.Config{Accounts: accounts, Auth: hmacAccount("hmac-2")})
				_, err := eng.Do(t.Context(), &asked)
				require.ErrorIs(t, err, engine.ErrUnknownAccount)
				var failure *engine.Error
				require.ErrorAs(t, err, &failure)
				require.Equal(t, engine.Preparing, failure.Stage)
				require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
				require.Equal(t, "gone", failure.Account)
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "gone", "it is the caller's word")
				require.Empty(t, s.seen())
				wantNothingHeld(t, eng)
			})
		}
	}
}

func TestARequestToBeSignedThatForgetsItsAccountIsToldSo(t *testing.T) {
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{Accounts: map[string]auth.Authenticator{"alice": hmacAccount("hmac-1"), "bob": hmacAccount("hmac-2")}})
	for asks, asked := range map[string]*engine.Request{"to be signed": {Path: "/", Auth: true}, "for its account's key": {Path: "/", KeyOnly: true}} {
		want := "it asks " + asks + ", and names no Account: the default one has no authenticator, for Config.Auth is nil or was removed"
		_, err := eng.Do(t.Context(), asked)
		require.ErrorIs(t, err, engine.ErrInvalidRequest)
		require.ErrorContains(t, err, want)
		_, err = eng.Explain(asked)
		require.ErrorContains(t, err, want)
	}
	require.NoError(t, eng.RemoveAccount("alice"))
	require.NoError(t, eng.RemoveAccount("bob"))
	_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Auth: true})
	require.ErrorContains(t, err, "and the engine has no authenticator")
	require.Empty(t, s.seen())
}

func TestAnAccountWithoutAnAuthenticatorSignsNothing(t *testing.T) {
	s := newServer(t, nil)
	eng := s.newEngine(t, engine.Config{Auth: hmacAccount("hmac-1"), Accounts: map[string]auth.Authenticator{"watcher": nil}})
	_, err := eng.Do(t.Context(), &engine.Request{Path: "/", Account: "watcher", Auth: true})
	require.ErrorIs(t, err, engine.ErrInvalidRequest)
	require.ErrorContains(t, err, "its account has no authenticator")
	_, err = eng.Do(t.Context(), &engine.Request{Path: "/", Account: "watcher"})
	require.NoError(t, err)
	require.Len(t, s.seen(), 1)
}

// onePerSecond lets one request go each second.
var onePerSecond = []throttle.Limit{{ID: "calls", Quota: 1, Per: time.Second}}

func TestAKeyThatIsRotatedSignsWhatWaitsInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &venue{}
		eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{
			Limits: onePerSecond, DefaultLimitID: "calls", Accounts: map[string]auth.Authenticator{"a": hmacAccount("hmac-old")},
		})
		asked := *signedOrder("a")
		asked.LimitID = ""
		sendAllOf(t, eng, asked, 3, func() {
			time.Sleep(500 * time.Millisecond)
			require.NoError(t, eng.SetAccount("a", hmacAccount("hmac-new")))
		})
		require.Equal(t, []string{"hmac-old", "hmac-new", "hmac-new"}, v.keys)
		require.Empty(t, v.refused)
	})
}

// sendAllOf sends a request n times at once, and does something meanwhile.
func sendAllOf(t *testing.T, eng *engine.Engine, asked engine.Request, n int, meanwhile func()) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			_, err := eng.Do(t.Context(), &asked)
			require.NoError(t, err)
		})
	}
	meanwhile()
	all.Wait()
}

func TestAKeyThatIsRotatedSignsTheNextAttemptOfAPausingRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		answer := scripted("1", 503, 200)
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			keys = append(keys, r.Header.Get("X-MBX-APIKEY"))
			answer(w, r)
		}).newEngine(t, engine.Config{Auth: hmacAccount("hmac-old"), Retry: engine.Retry{Statuses: []int{503}}})
		asked := engine.Request{Path: "/", Auth: true}
		sendAllOf(t, eng, asked, 1, func() {
			time.Sleep(10 * time.Millisecond)
			require.NoError(t, eng.SetAccount("", hmacAccount("hmac-new")))
		})
		require.Equal(t, []string{"hmac-old", "hmac-new"}, keys)
	})
}

func TestARequestWhoseKeyWasRevokedOnItsWayIsSignedOnceMore(t *testing.T) {
	for name, c := range map[string]struct {
		asked engine.Request
		of    func(key string) auth.Authenticator
		kind  string
	}{
		"signed":   {*signedOrder("a"), hmacAccount, "hmac"},
		"ordered":  {*signedOrder("a"), nonceAccount, "nonce"},
		"streamed": {engine.Request{Path: "/", Account: "a", Auth: true, Stream: true}, hmacAccount, "hmac"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old, fresh := c.kind+"-revoked", c.kind+"-fresh"
				v := &venue{delay: func(n int) time.Duration { return map[int]time.Duration{1: time.Second}[n] }, revoked: map[string]bool{old: true}}
				eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{Accounts: map[string]auth.Authenticator{"a": c.of(old)}})
				var all sync.WaitGroup
				all.Go(func() {
					response, err := eng.Do(t.Context(), &c.asked)
					require.NoError(t, err)
					require.Equal(t, 200, response.StatusCode)
					require.Equal(t, 2, response.Attempts)
					if response.Stream != nil {
						response.Stream.Close()
					}
				})
				time.Sleep(500 * time.Millisecond)
				require.NoError(t, eng.SetAccount("a", c.of(fresh)))
				all.Wait()
				require.Equal(t, []string{fresh}, v.keys)
				require.Len(t, v.refused, 1)

				require.NoError(t, eng.SetAccount("a", c.of(old)))
				response, err := eng.Do(t.Context(), signedOrder("a"))
				require.NoError(t, err)
				require.Equal(t, 401, response.StatusCode, "there is no other key")
				require.Equal(t, 1, response.Attempts)
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestWhatIsQueuedForARemovedAccountIsNotSentAndItsPermitIsTheNexts(t *testing.T) {
	for name, account := range map[string]string{"named": "a", "default": ""} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &venue{}
				config := engine.Config{Limits: onePerSecond, DefaultLimitID: "calls", Accounts: map[string]auth.Authenticator{"b": hmacAccount("hmac-b")}}
				if account == "" {
					config.Auth = hmacAccount("hmac-a")
				} else {
					config.Accounts["a"] = hmacAccount("hmac-a")
				}
				s := newServer(t, v.ServeHTTP)
				eng := s.newEngine(t, config)
				of := func(account string) *engine.Request {
					return &engine.Request{Path: "/", Auth: true, Account: account}
				}
				_, err := eng.Do(t.Context(), of("b"))
				require.NoError(t, err)
				var all sync.WaitGroup
				all.Go(func() {
					_, err := eng.Do(t.Context(), of(account))
					require.ErrorIs(t, err, engine.ErrUnknownAccount)
					require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
					var failure *engine.Error
					require.ErrorAs(t, err, &failure)
					require.Equal(t, engine.Signing, failure.Stage)
				})
				synctest.Wait()
				all.Go(func() {
					_, err := eng.Do(t.Context(), of("b"))
					require.NoError(t, err)
				})
				synctest.Wait()
				require.NoError(t, eng.RemoveAccount(account))
				if account != "" {
					require.ErrorIs(t, eng.RemoveAccount(account), engine.ErrUnknownAccount)
				}
				all.Wait()
				require.Equal(t, []string{"hmac-b", "hmac-b"}, v.keys)
				require.Equal(t, time.Second, s.seen()[1].Truncate(100*time.Millisecond), "in the place of what was not sent")
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestWhoeverWaitsForTheTurnOfAKeyThatIsGoneWaitsNoLonger(t *testing.T) {
	for name, c := range map[string]struct {
		change func(eng *engine.Engine) error
		want   []string // keys accepted
		err    error
		by     time.Duration
	}{
		"rotated":     {func(eng *engine.Engine) error { return eng.SetAccount("a", nonceAccount("nonce-gone-2")) }, []string{"nonce-gone-2", "nonce-gone-1"}, nil, time.Second},
		"of no lane":  {func(eng *engine.Engine) error { return eng.SetAccount("a", hmacAccount("hmac-gone-2")) }, []string{"hmac-gone-2", "nonce-gone-1"}, nil, time.Second},
		"removed":     {func(eng *engine.Engine) error { return eng.RemoveAccount("a") }, []string{"nonce-gone-1"}, engine.ErrUnknownAccount, time.Second},
		"of that key": {func(eng *engine.Engine) error { return eng.SetAccount("a", nonceAccount("nonce-gone-1")) }, []string{"nonce-gone-1", "nonce-gone-1"}, nil, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := &venue{delay: func(n int) time.Duration { return map[int]time.Duration{1: time.Minute}[n] }}
				eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{Accounts: map[string]auth.Authenticator{"a": nonceAccount("nonce-gone-1")}})
				var all sync.WaitGroup
				all.Go(func() { _, err := eng.Do(t.Context(), signedOrder("a")); require.NoError(t, err) })
				synctest.Wait()
				start := time.Now()
				all.Go(func() {
					_, err := eng.Do(t.Context(), signedOrder("a"))
					require.ErrorIs(t, err, c.err)
					require.Equal(t, c.by, time.Since(start))
				})
				time.Sleep(time.Second)
				require.NoError(t, c.change(eng))
				all.Wait()
				require.Equal(t, c.want, v.keys)
				require.Empty(t, v.refused)
				wantNothingHeld(t, eng)
			})
		})
	}
}

func TestAnAccountThatIsAddedLaterIsUsedFromThenOn(t *testing.T) {
	v := &venue{}
	eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{})
	for _, name := range []string{"", "a"} {
		_, err := eng.Do(t.Context(), signedOrder(name))
		require.Error(t, err)
		require.NoError(t, eng.SetAccount(name, hmacAccount("hmac-"+name)))
		_, err = eng.Do(t.Context(), signedOrder(name))
		require.NoError(t, err)
	}
	require.Equal(t, []string{"hmac-", "hmac-a"}, v.keys)
}

func TestAnAccountWithAMistakeIsToldByItsNameAndChangesNothing(t *testing.T) {
	var noScheme *auth.HMACQuery
	for want, config := range map[string]engine.Config{
		`Accounts["a"] is a nil *auth.HMACQuery`:                                      {Accounts: map[string]auth.Authenticator{"a": noScheme}},
		`Accounts["a"]: auth: HMACQuery: Key: missing`:                                {Accounts: map[string]auth.Authenticator{"a": auth.HMACQuery{Secret: "s"}}},
		`Accounts["b"]: auth: Chain[0] is nil`:                                        {Accounts: map[string]auth.Authenticator{"a": nil, "b": auth.Chain{nil}}},
		`Accounts["-"]: the name is that of the default account`:                      {Accounts: map[string]auth.Authenticator{"-": nil}},
		`Accounts[""] has no name: the default account is Auth`:                       {Accounts: map[string]auth.Authenticator{"": hmacAccount("hmac-1")}},
		`Accounts["a"]: auth: HMACQuery: Secret: is not as it was handed out: it has`: {Accounts: map[string]auth.Authenticator{"a": auth.Binance("k", "s\n")}},
	} {
		_, err := engine.New(config)
		require.ErrorContains(t, err, want)
	}
	v := &venue{}
	eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{Auth: hmacAccount("hmac-0"), Accounts: map[string]auth.Authenticator{"a": hmacAccount("hmac-1")}})
	require.EqualError(t, eng.SetAccount("a", noScheme), `sluice: Accounts["a"] is a nil *auth.HMACQuery`)
	require.EqualError(t, eng.SetAccount("", noScheme), `sluice: Auth is a nil *auth.HMACQuery`)
	require.ErrorIs(t, eng.SetAccount("a", auth.HMACQuery{Secret: "s"}), auth.ErrMissing)
	require.ErrorIs(t, eng.RemoveAccount("b"), engine.ErrUnknownAccount)
	for _, name := range []string{"", "a"} {
		_, err := eng.Do(t.Context(), signedOrder(name))
		require.NoError(t, err)
	}
	require.Equal(t, []string{"hmac-0", "hmac-1"}, v.keys)

	var none *engine.Engine
	require.ErrorIs(t, none.SetAccount("a", nil), engine.ErrNoEngine)
	require.ErrorIs(t, none.RemoveAccount("a"), engine.ErrNoEngine)
}

func TestAConfigsAccountsAreCopied(t *testing.T) {
	v := &venue{}
	accounts := map[string]auth.Authenticator{"a": hmacAccount("hmac-1")}
	eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{Accounts: accounts})
	accounts["a"] = hmacAccount("hmac-2")
	_, err := eng.Do(t.Context(), signedOrder("a"))
	require.NoError(t, err)
	require.Equal(t, []string{"hmac-1"}, v.keys)
}

func TestTheKeyAloneIsSentWithoutASignature(t *testing.T) {
	for want, signer := range map[string]auth.Authenticator{
		"X-Mbx-Apikey":    hmacAccount("hmac-1"),
		"Ok-Access-Key":   auth.OKX("hmac-1", "s", "p"),
		"Api-Key":         nonceAccount("hmac-1"),
		"X-Gemini-Apikey": auth.WithoutBody{Authenticator: auth.Gemini("hmac-1", "s")},
		"X-Own":           auth.Chain{auth.Func(func(*messages.Call, auth.Clock) error { return nil }), auth.APIKey{Header: "X-Own", Key: "hmac-1"}},
	} {
		t.Run(want, func(t *testing.T) {
			var log bytes.Buffer
			var requests []*http.Request
			eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				requests = append(requests, r)
				if r.URL.Path == "/moved" {
					http.Redirect(w, r, "/listenKey", http.StatusTemporaryRedirect)
				} else if r.URL.Path == "/away" {
					http.Redirect(w, r, "http://elsewhere.test/listenKey", http.StatusTemporaryRedirect)
				}
			}).newEngine(t, engine.Config{
				Accounts: map[string]auth.Authenticator{"mine": signer},
				Logger:   slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			response, err := eng.Do(t.Context(), &engine.Request{Method: "POST", Path: "/moved", KeyOnly: true, Account: "mine", Redirects: 1})
			require.NoError(t, err)
			require.Equal(t, 200, response.StatusCode)
			response, err = eng.Do(t.Context(), &engine.Request{Path: "/away", KeyOnly: true, Account: "mine", Redirects: 1})
			require.NoError(t, err)
			require.Equal(t, 307, response.StatusCode, "a redirect elsewhere is the answer")
			require.Len(t, requests, 3)
			for _, r := range requests {
				require.Equal(t, "hmac-1", r.Header.Get(want))
				require.Empty(t, r.URL.RawQuery, "nothing is signed")
				for name := range r.Header {
					require.Contains(t, []string{want, "User-Agent", "Accept-Encoding", "Content-Length"}, name)
				}
			}
			_, err = eng.Do(t.Context(), &engine.Request{URL: "http://stranger.test/", KeyOnly: true, Account: "mine"})
			require.ErrorIs(t, err, engine.ErrInvalidRequest)
			require.ErrorContains(t, err, "neither the origin of BaseURL nor among Origins")
			require.Len(t, requests, 3)
			require.NoError(t, eng.Close()) // which writes the log to its end
			require.NotContains(t, log.String()+fmt.Sprintf("%+v %+v", err, eng), "hmac-1")
			require.NotContains(t, log.String(), "mine", "nor is the account's name told")
		})
	}
}

func TestAKeyThatCannotBeSentAloneIsToldBeforeAnythingIsSent(t *testing.T) {
	for name, signer := range map[string]auth.Authenticator{
		"deribit": auth.Deribit("id", "s"), "bearer": auth.Bearer{Token: "t"}, "func": auth.Func(func(*messages.Call, auth.Clock) error { return nil }),
		"chain": auth.Chain{auth.Bearer{Token: "t"}}, "htx": auth.HTX{Key: "k", Secret: "s"}, "tokens": tokenAccount(t, "token-1"),
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, nil)
			eng := s.newEngine(t, engine.Config{Auth: signer})
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", KeyOnly: true})
			require.ErrorIs(t, err, engine.ErrInvalidRequest)
			require.ErrorContains(t, err, "has no place for a key alone")
			_, err = eng.Do(t.Context(), &engine.Request{Path: "/", KeyOnly: true, Auth: true})
			require.ErrorContains(t, err, "it asks to be signed, and for the key alone")
			require.Empty(t, s.seen())
		})
	}
	_, err := newServer(t, nil).newEngine(t, engine.Config{}).Do(t.Context(), &engine.Request{Path: "/", KeyOnly: true})
	require.ErrorContains(t, err, "and the engine has no authenticator")
}

func TestTheKeyAloneNeedsNoTurnAndNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &venue{delay: func(n int) time.Duration { return map[int]time.Duration{1: time.Minute}[n] }}
		eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{
			Auth: nonceAccount("nonce-alone"),
		})
		var all sync.WaitGroup
		all.Go(func() { _, err := eng.Do(t.Context(), signedOrder("")); require.NoError(t, err) })
		synctest.Wait()
		start := time.Now()
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/", KeyOnly: true})
		require.NoError(t, err)
		require.Zero(t, time.Since(start))
		all.Wait()

		untimed := newServer(t, nil).newEngine(t, engine.Config{
			Auth: hmacAccount("hmac-1"),
			Time: engine.TimeFunc(func(ctx context.Context, _ *engine.Engine) (engine.TimeReading, error) {
				<-ctx.Done()
				return engine.TimeReading{}, ctx.Err()
			}),
		})
		_, err = untimed.Do(t.Context(), &engine.Request{Path: "/", KeyOnly: true, Timeout: time.Second})
		require.NoError(t, err)
	})
}

func TestAStreamedBodyIsNotSentUnsignedBecauseItsSchemeChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, nil)
		eng := s.newEngine(t, engine.Config{Limits: onePerSecond, DefaultLimitID: "calls", Auth: auth.Bearer{Token: "t"}})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/"})
		require.NoError(t, err)
		var all sync.WaitGroup
		all.Go(func() {
			_, err := eng.Do(t.Context(), &engine.Request{
				Method: "POST", Path: "/", Auth: true, Body: io.Reader(strings.NewReader("body")), Upload: engine.Upload{Stream: true},
			})
			require.ErrorIs(t, err, engine.ErrInvalidRequest)
			require.ErrorContains(t, err, "a streamed body cannot be signed")
			require.Equal(t, engine.NotSent, engine.OutcomeOf(err))
		})
		synctest.Wait()
		require.NoError(t, eng.SetAccount("", hmacAccount("hmac-1")))
		all.Wait()
		require.Len(t, s.seen(), 1)
		wantNothingHeld(t, eng)
	})
}

func TestAnSDKsRequestsAreSignedByTheAccountThatAnAdjustFunctionNames(t *testing.T) {
	v := &venue{}
	eng := newServer(t, v.ServeHTTP).newEngine(t, engine.Config{Accounts: map[string]auth.Authenticator{
		"a": hmacAccount("hmac-a"), "b": pairAccount(t, "pair-b"),
	}})
	for name, key := range map[string]string{"a": "hmac-a", "b": "pair-b", "gone": "hmac-a"} {
		client := clientOf(eng, func(_ *http.Request, asked *engine.Request) { asked.Account = name }, engine.Resign(eng))
		r, err := http.NewRequest("GET", "http://server.test/account?timestamp=1&signature=old", nil)
		require.NoError(t, err)
		r.Header.Set("X-MBX-APIKEY", key)
		response, err := client.Do(r)
		if name == "gone" {
			require.ErrorIs(t, err, engine.ErrUnknownAccount)
			continue
		}
		require.NoError(t, err)
		response.Body.Close()
		require.Equal(t, 200, response.StatusCode)
	}
	require.ElementsMatch(t, []string{"hmac-a", "pair-b"}, v.keys)
	require.Empty(t, v.refused)
}

func TestALookAtTheClockIsChargedToTheAccountOfItsEndpointAndSignedByNone(t *testing.T) {
	var credentials []string
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		credentials = append(credentials, r.Header.Get("X-MBX-APIKEY")+r.URL.RawQuery)
		fmt.Fprintf(w, `{"t":%d}`, time.Now().UnixMilli())
	})
	eng := s.newEngine(t, engine.Config{Accounts: map[string]auth.Authenticator{"a": hmacAccount("hmac-1")}})
	endpoint := engine.TimeFrom("/time", "t")
	endpoint.Account = "a"
	_, err := endpoint.ServerTime(t.Context(), eng)
	require.NoError(t, err)
	require.Equal(t, []string{""}, credentials)
	require.NoError(t, eng.RemoveAccount("a"))
	_, err = endpoint.ServerTime(t.Context(), eng)
	require.ErrorIs(t, err, engine.ErrUnknownAccount)
}

func TestANamedAccountAndEgressAllocateNothingMore(t *testing.T) {
	eng, err := engine.New(engine.Config{
		BaseURL: steadyServer(t, smallAnswer), Limits: tapeLimits,
		Accounts: map[string]auth.Authenticator{"a": nil}, Egress: map[string]engine.Egress{"out": {}},
	})
	require.NoError(t, err)
	defer eng.Close()
	req := &engine.Request{Path: "/price", LimitID: "route", Account: "a", Egress: "out"}
	allocations := testing.AllocsPerRun(500, func() {
		resp, err := eng.Do(context.Background(), req)
		if err != nil || len(resp.Body) != 45 {
			t.Error(err, resp)
		}
	})
	require.LessOrEqual(t, allocations, 2.0)
}
