package oauth2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endpoint answers token requests after a while, from memory.
type endpoint struct {
	mu     sync.Mutex
	forms  []url.Values
	takes  time.Duration
	life   int // seconds
	status int
	rotate bool
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	e.mu.Lock()
	e.forms = append(e.forms, r.PostForm)
	n := len(e.forms)
	e.mu.Unlock()
	select {
	case <-time.After(e.takes):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	body := fmt.Sprintf(`{"access_token":"token-%d","token_type":"bearer","expires_in":%d`, n, e.life)
	if e.rotate {
		body += fmt.Sprintf(`,"refresh_token":"refresh-%d"`, n)
	}
	body += "}"
	if e.status != 0 {
		body = `{"error":"invalid_client","secret":"sesame"}`
	}
	return &http.Response{
		StatusCode: max(e.status, 200), Request: r,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(strings.NewReader(body)),
	}, nil
}

func (e *endpoint) asked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.forms)
}

func (e *endpoint) tokens() *Tokens {
	config := clientcredentials.Config{ClientID: "id", ClientSecret: "secret", TokenURL: "https://auth.example/token",
		AuthStyle: oauth2.AuthStyleInParams}
	return ClientCredentials(config, Options{Client: &http.Client{Transport: e}})
}

func bearer(t *testing.T, tokens *Tokens) string {
	t.Helper()
	call := &messages.Call{}
	require.NoError(t, tokens.Authenticate(call, nil))
	value, _ := call.Header("Authorization")
	return value
}

func TestManyRequestsWaitForOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: time.Second, life: 3600}
		tokens := e.tokens()
		defer tokens.Close()
		var wait sync.WaitGroup
		for range 100 {
			wait.Go(func() { require.Equal(t, "Bearer token-1", bearer(t, tokens)) })
		}
		wait.Wait()
		require.Equal(t, 1, e.asked())
		require.Equal(t, "client_credentials", e.forms[0].Get("grant_type"))
	})
}

func TestTheNextTokenIsFetchedBesideTheRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: time.Second, life: 400}
		tokens := e.tokens()
		defer tokens.Close()
		require.Equal(t, "Bearer token-1", bearer(t, tokens))
		time.Sleep(339 * time.Second)
		require.Equal(t, "Bearer token-1", bearer(t, tokens))
		require.Equal(t, 1, e.asked())

		time.Sleep(2 * time.Second)
		start := time.Now()
		require.Equal(t, "Bearer token-1", bearer(t, tokens))
		require.Zero(t, time.Since(start), "nobody waits")
		time.Sleep(2 * time.Second)
		require.Equal(t, "Bearer token-2", bearer(t, tokens))
		require.Equal(t, 2, e.asked())
	})
}

func TestATokenIsNotUsedWhenItIsAboutToExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: time.Second, life: 100}
		tokens := e.tokens()
		defer tokens.Close()
		bearer(t, tokens)
		time.Sleep(90 * time.Second)
		require.Equal(t, "Bearer token-2", bearer(t, tokens))
	})
}

func TestAFailingEndpointIsAskedOncePerPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: 10 * time.Millisecond, status: 401}
		tokens := e.tokens()
		defer tokens.Close()
		for range 50 {
			err := tokens.Authenticate(&messages.Call{}, nil)
			require.EqualError(t, err, "auth: oauth2: token endpoint refused: Unauthorized: invalid_client")
			require.NotContains(t, err.Error(), "sesame")
			var answer *oauth2.RetrieveError
			require.ErrorAs(t, err, &answer)
		}
		require.Equal(t, 1, e.asked())
		time.Sleep(time.Second)
		e.status, e.life = 0, 100
		require.Equal(t, "Bearer token-2", bearer(t, tokens))
	})
}

func TestAFailedRefreshLeavesTheTokenInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{life: 400}
		tokens := e.tokens()
		defer tokens.Close()
		bearer(t, tokens)
		time.Sleep(340 * time.Second)
		e.status = 500
		for range 10 {
			require.Equal(t, "Bearer token-1", bearer(t, tokens))
			time.Sleep(time.Second)
		}
		require.Greater(t, e.asked(), 5)
	})
}

func TestAWaitEndsAtTheCallsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: 5 * time.Second, life: 100}
		tokens := e.tokens()
		defer tokens.Close()
		start := time.Now()
		err := tokens.Authenticate(&messages.Call{Deadline: start.Add(time.Second)}, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
		require.Equal(t, "Bearer token-1", bearer(t, tokens), "the fetch went on")
	})
}

func TestAnEndpointThatHangsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: time.Hour}
		tokens := e.tokens()
		defer tokens.Close()
		start := time.Now()
		require.ErrorIs(t, tokens.Authenticate(&messages.Call{}, nil), context.DeadlineExceeded)
		require.Equal(t, 10*time.Second, time.Since(start))
	})
}

func TestARotatedRefreshTokenIsUsedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{life: 100, rotate: true}
		config := oauth2.Config{ClientID: "id", Endpoint: oauth2.Endpoint{TokenURL: "https://auth.example/token", AuthStyle: oauth2.AuthStyleInParams}}
		var reported []auth.Secret
		tokens := Refresh(config, "first", func(s auth.Secret) { reported = append(reported, s) }, Options{Client: &http.Client{Transport: e}})
		defer tokens.Close()
		bearer(t, tokens)
		time.Sleep(100 * time.Second)
		require.Equal(t, "Bearer token-2", bearer(t, tokens))
		require.Equal(t, "first", e.forms[0].Get("refresh_token"))
		require.Equal(t, "refresh-1", e.forms[1].Get("refresh_token"))
		require.Equal(t, []auth.Secret{"refresh-1", "refresh-2"}, reported)
	})
}

func TestAnInvalidatedTokenIsReplaced(t *testing.T) {
	e := &endpoint{life: 100}
	tokens := e.tokens()
	defer tokens.Close()
	require.Equal(t, "Bearer token-1", bearer(t, tokens))
	tokens.Invalidate()
	require.Equal(t, "Bearer token-2", bearer(t, tokens))
}

func TestATokenWithoutAnExpiryIsKept(t *testing.T) {
	calls := 0
	tokens := New(func(context.Context) (*oauth2.Token, error) {
		calls++
		return &oauth2.Token{AccessToken: "a", TokenType: "MAC"}, nil
	}, Options{})
	defer tokens.Close()
	for range 3 {
		require.Equal(t, "MAC a", bearer(t, tokens))
	}
	require.Equal(t, 1, calls)
}

func TestAFetchThatGoesWrongIsAnError(t *testing.T) {
	for name, fetch := range map[string]Fetch{
		"panic": func(context.Context) (*oauth2.Token, error) { panic("oops") },
		"nil":   func(context.Context) (*oauth2.Token, error) { return nil, nil },
		"empty": func(context.Context) (*oauth2.Token, error) { return &oauth2.Token{}, nil },
		"old": func(context.Context) (*oauth2.Token, error) {
			return &oauth2.Token{AccessToken: "a", Expiry: time.Now().Add(-time.Hour)}, nil
		},
	} {
		tokens := New(fetch, Options{})
		var failed *Error
		require.ErrorAs(t, tokens.Authenticate(&messages.Call{}, nil), &failed, name)
		tokens.Close()
	}
}

func TestAClosedSourceRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tokens := (&endpoint{takes: time.Hour}).tokens()
		ended := make(chan error, 1)
		go func() { ended <- tokens.Authenticate(&messages.Call{}, nil) }()
		synctest.Wait()
		tokens.Close()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Error(t, tokens.Authenticate(&messages.Call{}, nil))
		tokens.Close()
	})
}

func TestMistakesAreFoundBeforehand(t *testing.T) {
	require.Error(t, auth.Validate(New(nil, Options{})))
	require.Error(t, auth.Validate(New(func(context.Context) (*oauth2.Token, error) { return nil, errors.New("x") }, Options{Skew: -1})))
	require.NoError(t, auth.Validate((&endpoint{}).tokens()))
}

// asleep is t as it looks after the machine slept for a while: the wall clock
// went on, the monotonic one stood still. In other words, its wall reading is as
// much nearer to now than its monotonic one. See the fields of time.Time.
func asleep(t time.Time, d time.Duration) time.Time {
	const seconds = 30 // the bits of the nanoseconds, below those of the seconds
	*(*uint64)(unsafe.Pointer(&t)) -= uint64(d/time.Second) << seconds
	return t
}

func TestATokenThatDiedWhileTheMachineSleptIsNotUsed(t *testing.T) {
	calls := 0
	tokens := New(func(context.Context) (*oauth2.Token, error) {
		calls++
		expiry := time.Now().Add(time.Hour)
		if calls == 1 {
			expiry = asleep(expiry, 2*time.Hour)
			require.Greater(t, time.Until(expiry), 59*time.Minute, "by the monotonic clock it lives")
			require.Less(t, time.Until(expiry.Round(0)), -59*time.Minute, "by the wall clock it is dead")
		}
		return &oauth2.Token{AccessToken: fmt.Sprint("token-", calls), Expiry: expiry}, nil
	}, Options{Pause: time.Nanosecond})
	defer tokens.Close()
	require.Error(t, tokens.Authenticate(&messages.Call{}, nil))
	require.Equal(t, "Bearer token-2", bearer(t, tokens))
}

func TestATokenIsDeadByTheMonotonicClockThoughTheWallClockIsSetBack(t *testing.T) {
	calls := 0
	tokens := New(func(context.Context) (*oauth2.Token, error) {
		calls++
		expiry := time.Now().Add(time.Hour)
		if calls == 1 {
			expiry = asleep(time.Now().Add(-time.Minute), -2*time.Hour)
		}
		return &oauth2.Token{AccessToken: fmt.Sprint("token-", calls), Expiry: expiry}, nil
	}, Options{Pause: time.Nanosecond})
	defer tokens.Close()
	require.Error(t, tokens.Authenticate(&messages.Call{}, nil))
	require.Equal(t, "Bearer token-2", bearer(t, tokens))
}

func TestAFetchThatEndsItsGoroutineIsAFailedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		tokens := New(func(context.Context) (*oauth2.Token, error) {
			if calls++; calls == 1 {
				runtime.Goexit() // as t.FailNow does
			}
			return &oauth2.Token{AccessToken: "a"}, nil
		}, Options{})
		require.ErrorContains(t, tokens.Authenticate(&messages.Call{}, nil), "ended its goroutine")
		time.Sleep(time.Second)
		require.Equal(t, "Bearer a", bearer(t, tokens))
		tokens.Close()
	})
}

func TestATokenRequestFollowsNoRedirect(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		hosts := []string{}
		client := &http.Client{Transport: transport(func(r *http.Request) *http.Response {
			hosts = append(hosts, r.URL.Host)
			if r.URL.Host != "auth.example" {
				return &http.Response{StatusCode: 200, Request: r, Body: io.NopCloser(strings.NewReader("access_token=stolen"))}
			}
			return &http.Response{
				StatusCode: status, Request: r, Header: http.Header{"Location": {"https://thief.example/token"}},
				Body: io.NopCloser(strings.NewReader("")),
			}
		})}
		config := clientcredentials.Config{ClientID: "id", ClientSecret: "secret", TokenURL: "https://auth.example/token"}
		refresh := oauth2.Config{ClientID: "id", ClientSecret: "secret", Endpoint: oauth2.Endpoint{TokenURL: "https://auth.example/token"}}
		for _, tokens := range []*Tokens{
			ClientCredentials(config, Options{Client: client}), Refresh(refresh, "refresh", nil, Options{Client: client}),
		} {
			require.ErrorContains(t, tokens.Authenticate(&messages.Call{}, nil), http.StatusText(status))
			tokens.Close()
		}
		require.NotContains(t, hosts, "thief.example", "%d", status)
		require.NotEmpty(t, hosts)
		require.Nil(t, client.CheckRedirect, "the caller's client is not changed")
	}
}

type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestARejectedTokenIsReplacedOnceHoweverManyWereRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: time.Second, life: 3600}
		tokens := e.tokens()
		defer tokens.Close()
		sent := func() *messages.Call {
			call := &messages.Call{}
			require.NoError(t, tokens.Authenticate(call, nil))
			return call
		}
		unauthorized := &messages.Response{StatusCode: http.StatusUnauthorized}
		calls := []*messages.Call{sent(), sent(), sent()}
		time.Sleep(time.Minute) // the server revokes it
		for _, call := range calls {
			require.True(t, auth.Rejected(tokens, call, unauthorized))
		}
		next := sent()
		require.Equal(t, 2, e.asked())
		require.True(t, auth.Rejected(tokens, calls[0], unauthorized), "a late answer to the old token")
		require.Equal(t, 2, e.asked())
		require.Equal(t, "Bearer token-2", bearer(t, tokens))
		require.False(t, auth.Rejected(tokens, next, unauthorized), "a token that was just got is refused for another reason")
		require.False(t, auth.Rejected(tokens, &messages.Call{}, unauthorized), "it carried none")
		require.False(t, auth.Rejected(tokens, next, &messages.Response{StatusCode: 403}))
	})
}

func TestAClientSecretThatWasCopiedWithALineFeedIsRefused(t *testing.T) {
	for _, tokens := range []*Tokens{
		ClientCredentials(clientcredentials.Config{ClientID: "id", ClientSecret: "sesame\n"}, Options{}),
		Refresh(oauth2.Config{ClientID: "id"}, "sesame\n", nil, Options{}),
	} {
		err := auth.Validate(tokens)
		require.ErrorIs(t, err, auth.ErrOdd)
		require.NotContains(t, err.Error(), "sesame")
	}
}

// saying is a token endpoint that says one thing.
type saying struct {
	status int
	body   string
}

func (s saying) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: s.status, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(s.body)),
	}, nil
}

func (s saying) refuses(t *testing.T) error {
	t.Helper()
	config := clientcredentials.Config{ClientID: "id", ClientSecret: "sesame", TokenURL: "https://auth.example/token?key=sesame",
		AuthStyle: oauth2.AuthStyleInParams}
	tokens := ClientCredentials(config, Options{Client: &http.Client{Transport: s}})
	defer tokens.Close()
	err := tokens.Authenticate(&messages.Call{}, nil)
	require.Error(t, err)
	require.Nil(t, tokens.current.Load(), "such a token is not kept")
	return err
}

func TestATokenThatCannotStandInAHeaderIsNotKept(t *testing.T) {
	for _, body := range []string{
		`{"access_token":"a\r\nX: y","token_type":"bearer"}`, `{"access_token":"a\u0000","token_type":"bearer"}`,
		`{"access_token":"a","token_type":"mac\r\nX: y"}`, `{"access_token":"a\u007f","token_type":"bearer"}`,
	} {
		require.EqualError(t, saying{200, body}.refuses(t), "auth: oauth2: the access token has a control character, and cannot be sent")
	}
}

func TestAnErrorHasNoWordsOfTheTokenEndpointsOwn(t *testing.T) {
	require.EqualError(t, saying{400, `{"error":"no client has sesame"}`}.refuses(t), "auth: oauth2: token endpoint refused: Bad Request")
	require.EqualError(t, saying{400, `{"error":"invalid_grant"}`}.refuses(t), "auth: oauth2: token endpoint refused: Bad Request: invalid_grant")
}

// failing is a network that does not reach the token endpoint.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func (f failing) refuses(t *testing.T) error {
	config := clientcredentials.Config{ClientID: "id", ClientSecret: "sesame", TokenURL: "https://auth.example/token?key=sesame"}
	tokens := ClientCredentials(config, Options{Client: &http.Client{Transport: f}})
	defer tokens.Close()
	return tokens.Authenticate(&messages.Call{}, nil)
}

func TestAnErrorHasNoURLOfTheTokenEndpoint(t *testing.T) {
	for err, says := range map[error]string{
		errors.New("malformed: sesame"):                                      "it could not be asked, or its answer could not be read",
		&net.DNSError{Err: "no such host", Name: "sesame", IsNotFound: true}: "its name could not be looked up",
		&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}:                  "connection refused",
		&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}:                "it did not answer in time",
		io.ErrUnexpectedEOF: "it closed the connection",
	} {
		require.EqualError(t, failing{err}.refuses(t), "auth: oauth2: token endpoint: "+says)
	}
}

func TestAnErrorQuotesNothingOfAnAnswerThatCannotBeRead(t *testing.T) {
	for body, says := range map[string]string{
		`{"access_token":"a","expires_in":"sesame"}`: "cannot parse json",
		`{"access_token":"a","expires_in":{"b":1}}`:  "cannot parse json",
		`sesame`: "cannot parse json",
		`{}`:     "oauth2: server response missing access_token",
	} {
		require.EqualError(t, saying{200, body}.refuses(t), "auth: oauth2: "+says, body)
	}
	said := New(func(context.Context) (*oauth2.Token, error) { return nil, errors.New("the vault is sealed") }, Options{})
	defer said.Close()
	require.EqualError(t, said.Authenticate(&messages.Call{}, nil), "auth: oauth2: the vault is sealed", "the caller's own words")
}

func TestAnEndpointWhoseTokensHaveExpiredIsAskedOncePerPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{life: -1}
		tokens := e.tokens()
		defer tokens.Close()
		for range 10 {
			require.ErrorContains(t, tokens.Authenticate(&messages.Call{}, nil), "token had already expired")
		}
		require.Equal(t, 1, e.asked())
		time.Sleep(time.Second)
		require.Error(t, tokens.Authenticate(&messages.Call{}, nil))
		require.Equal(t, 2, e.asked())
	})
}

func TestAWaitForATokenEndsWithWhoeverWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: 5 * time.Second, life: 100}
		tokens := e.tokens()
		defer tokens.Close()
		for want, call := range map[error]*messages.Call{
			context.Canceled: {Done: after(time.Second)}, messages.ErrClosed: {Closing: after(time.Second)},
			context.DeadlineExceeded: {Done: after(2 * time.Second), Deadline: time.Now().Add(time.Second)},
		} {
			began := time.Now()
			var failed *Error
			err := tokens.Authenticate(call, nil)
			require.ErrorIs(t, err, want)
			require.ErrorAs(t, err, &failed)
			require.LessOrEqual(t, time.Since(began), time.Second)
		}
		require.Equal(t, "Bearer token-1", bearer(t, tokens), "one fetch went on all the time")
	})
}

// after is closed after a while.
func after(d time.Duration) <-chan struct{} {
	ended := make(chan struct{})
	time.AfterFunc(d, func() { close(ended) })
	return ended
}

// A token that lives for less than Skew is used for as long as no other would be asked for, and
// not fetched again for each request, nor for the second look of an auth.Chain.
func TestATokenOfAShortLifeIsFetchedOncePerPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &endpoint{takes: 4 * time.Second, life: 8}
		tokens := e.tokens()
		defer tokens.Close()
		call := &messages.Call{Method: "GET", Path: "/"}
		require.NoError(t, auth.Chain{auth.Binance("k", "s"), tokens}.Authenticate(call, auth.LocalClock(0)))
		require.Contains(t, call.Query, fmt.Sprint("timestamp=", time.Now().UnixMilli()))
		bearer(t, tokens)
		require.Equal(t, 1, e.asked())
		time.Sleep(time.Second)
		bearer(t, tokens)
		require.Equal(t, 2, e.asked())
	})
}

func TestATokenURLOfWhichNothingCanBeAskedIsAMistake(t *testing.T) {
	for _, bad := range []string{"", "ftp://auth.example/t", "://sesame", "http://[::1/sesame", "/token", "https://"} {
		credentials := ClientCredentials(clientcredentials.Config{ClientID: "id", ClientSecret: "s", TokenURL: bad}, Options{})
		refresh := Refresh(oauth2.Config{ClientID: "id", ClientSecret: "s", Endpoint: oauth2.Endpoint{TokenURL: bad}}, "r", nil, Options{})
		for _, tokens := range []*Tokens{credentials, refresh} {
			require.ErrorContains(t, auth.Validate(tokens), "TokenURL: must be an http or https URL with a host")
			require.NotContains(t, auth.Validate(tokens).Error(), "sesame")
			tokens.Close()
		}
	}
}

func TestAStatusWithoutANameIsToldByItsNumber(t *testing.T) {
	require.EqualError(t, saying{522, `{"error":"invalid_client"}`}.refuses(t), "auth: oauth2: token endpoint refused: status 522: invalid_client")
	require.EqualError(t, saying{200, `{"error":"invalid_client"}`}.refuses(t), "auth: oauth2: token endpoint refused: invalid_client")
}

// lasting makes Tokens whose tokens last so long, and counts its fetches; 0 is for ever.
func lasting(life time.Duration, options Options, fetches *int) *Tokens {
	return New(func(context.Context) (*oauth2.Token, error) {
		*fetches++
		token := &oauth2.Token{AccessToken: strconv.Itoa(*fetches)}
		if life != 0 {
			token.Expiry = time.Now().Add(life)
		}
		return token, nil
	}, options)
}

func TestNoLengthOfAnOptionMakesAGoodTokenAnExpiredOne(t *testing.T) {
	const most = time.Duration(math.MaxInt64)
	for _, options := range []Options{{Ahead: most}, {Skew: most}, {Ahead: most, Skew: most, Timeout: most, Pause: most}} {
		for _, life := range []time.Duration{0, time.Hour, most} {
			synctest.Test(t, func(t *testing.T) {
				fetches := 0
				tokens := lasting(life, options, &fetches)
				defer tokens.Close()
				require.NoError(t, tokens.Validate())
				for range 3 {
					bearer(t, tokens)
					synctest.Wait()
					time.Sleep(time.Minute)
				}
				if life == 0 {
					require.Equal(t, 1, fetches, "a token without an expiry is kept")
				}
			})
		}
	}
}

func TestAnExpiredTokenIsNotSentHoweverLongSkewAndPauseAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fetches := 0
		tokens := lasting(30*time.Minute, Options{Skew: math.MaxInt64, Pause: math.MaxInt64}, &fetches)
		defer tokens.Close()
		require.Equal(t, "Bearer 1", bearer(t, tokens))
		time.Sleep(20 * time.Minute)
		require.Equal(t, "Bearer 1", bearer(t, tokens), "its life is shorter than Skew")
		time.Sleep(20 * time.Minute)
		require.Equal(t, "Bearer 2", bearer(t, tokens))
	})
}
