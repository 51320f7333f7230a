package auth

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/messages"
)

func callOf(method string) *messages.Call { return &messages.Call{Method: method, Path: "/"} }

// slowFloor stores as a disk does that is in trouble.
type slowFloor struct{ takes time.Duration }

func (f slowFloor) Load() (uint64, error) { time.Sleep(f.takes); return 0, nil }
func (f slowFloor) Store(uint64) error    { time.Sleep(f.takes); return nil }

func TestATimestampIsTakenBehindTheWaitForANonce(t *testing.T) {
	clocks := map[string]func(Clock) Clock{
		"a floor of the key's own": func(c Clock) Clock { return c },
		"an engine's memory":       func(c Clock) Clock { return Remember(c, func(string) NonceFloor { return slowFloor{3 * time.Second} }) },
	}
	for name, clock := range clocks {
		for _, part := range []Part{Nonce, Unique} {
			synctest.Test(t, func(t *testing.T) {
				h := Header{Key: Secret("TestBehind " + name + string(part)), Signer: shared("s", 5), Form: HeaderForm{
					Message: []Part{Timestamp, part, Expires},
					Headers: []Line{{"Time", []Part{Timestamp}}, {"Expires", []Part{Expires}}, {"Nonce", []Part{part}}, {"Sign", []Part{Signature}}},
				}}
				if name == "a floor of the key's own" {
					h.Nonces.Floor = slowFloor{3 * time.Second}
				}
				began, call := time.Now(), callOf("GET")
				require.NoError(t, h.Authenticate(call, clock(LocalClock(0))))
				if part == Nonce || name == "an engine's memory" {
					require.Equal(t, 6*time.Second, time.Since(began), "it waited")
				}
				require.Equal(t, strconv.FormatInt(time.Now().UnixMilli(), 10), header(t, call, "Time"))
				require.Equal(t, strconv.FormatInt(time.Now().Add(defaultLifetime).UnixMilli(), 10), header(t, call, "Expires"))
			})
		}
	}
}

// fetching waits for a token, as oauth2.Tokens does that has none yet.
type fetching struct {
	takes time.Duration
	fails error
	has   bool
}

func (f *fetching) Authenticate(call *messages.Call, _ Clock) error {
	if f.fails != nil {
		return f.fails
	}
	if !f.has {
		time.Sleep(f.takes)
	}
	f.has = true
	call.SetHeader("Authorization", "Bearer t after "+call.Query)
	return nil
}

func (f *fetching) Rejected(*messages.Call, *messages.Response) bool { return f.has }

func TestAChainWaitsForCredentialsBeforeItSignsATimestamp(t *testing.T) {
	binance := HMACQuery{Key: "k", Secret: "s"}
	for _, chain := range []func(*fetching) Chain{
		func(f *fetching) Chain { return Chain{binance, f} },
		func(f *fetching) Chain { return Chain{f, binance} },
		func(f *fetching) Chain { return Chain{Bearer{"t"}, binance, WithoutBody{f}} },
		func(f *fetching) Chain { return Chain{binance, Chain{f, Bearer{"t"}, f}} },
		func(f *fetching) Chain { return Chain{Chain{binance, WithoutBody{Chain{f}}}} },
	} {
		synctest.Test(t, func(t *testing.T) {
			call := callOf("GET")
			require.NoError(t, chain(&fetching{takes: 3 * time.Second}).Authenticate(call, LocalClock(0)))
			ts, _ := signedWindow(t, call)
			require.Equal(t, time.Now().UnixMilli(), ts)
		})
	}
}

// The order of signatures is the caller's still: what waits beforehand leaves nothing.
func TestWhatAChainWaitsForSignsInItsTurn(t *testing.T) {
	add := Func(func(call *messages.Call, _ Clock) error { call.Query += "a=1"; return nil })
	call := callOf("GET")
	call.Fields = []messages.Field{{Name: "Authorization", Value: "caller's"}}
	require.NoError(t, Chain{add, &fetching{}}.Authenticate(call, nil))
	require.Equal(t, "Bearer t after a=1", header(t, call, "Authorization"))

	why, signed := errors.New("no token"), 0
	count := Func(func(*messages.Call, Clock) error { signed++; return nil })
	require.ErrorIs(t, Chain{count, &fetching{fails: why}}.Authenticate(callOf("GET"), nil), why)
	require.Zero(t, signed, "nobody signs, or uses a nonce, for a call that fails anyhow")
}

// A lifetime is never over before it was to be, in whatever unit its end is written.
func TestNoLifetimeIsShorterThanItWasToBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sent := func(call *messages.Call, name string) string { value, _ := call.Header(name); return value }
		now := time.UnixMilli(noon).Add(time.Duration(rapid.IntRange(0, 2_000_000).Draw(t, "µs")) * time.Microsecond)
		life := time.Duration(rapid.IntRange(1, 10_000).Draw(t, "life")) * time.Millisecond
		mex := BitMEX("k", "s")
		mex.Window = life
		require.NoError(t, Validate(mex))
		call := callOf("GET")
		require.NoError(t, mex.Authenticate(call, FixedClock(now)))
		seconds, err := strconv.ParseInt(sent(call, "api-expires"), 10, 64)
		require.NoError(t, err)
		end := time.Unix(seconds, 0)
		require.False(t, end.Before(now.Add(life)), "%v at %v ends at %v", life, now, end)
		require.Less(t, end.Sub(now.Add(life)), time.Second)

		signature := HTTPSignature{KeyID: "k", Signer: shared("s", 5), Lifetime: life}
		token := JWT{Signer: shared("s", 5), Lifetime: life}
		require.Equal(t, life < 2*time.Second, Validate(signature) != nil)
		require.Equal(t, life < 2*time.Second, Validate(token) != nil)
		if life >= 2*time.Second {
			created := now.Truncate(time.Second).Unix()
			expires := created + int64((life+time.Second-1)/time.Second)
			require.NoError(t, signature.Authenticate(call, FixedClock(now)))
			require.Contains(t, sent(call, "Signature-Input"), ";created="+strconv.FormatInt(created, 10)+";expires="+strconv.FormatInt(expires, 10)+";")
			from, to := token.lifetime(FixedClock(now))
			require.Equal(t, []int64{created, expires}, []int64{from, to})
		}
	})
}

// A deadline is met by an earlier end, and so the end may have passed already.
func TestADeadlineInASecondThatHasBegunIsTooLateForAnExpiryInSeconds(t *testing.T) {
	start, now := time.Unix(5000, 0), time.UnixMilli(noon+100)
	mex := BitMEX("k", "s")
	mex.Deadlines = true
	call := callOf("GET")
	call.Deadline = start.Add(800 * time.Millisecond)
	err := mex.Authenticate(call, serverClock{start, now, now, now})
	require.ErrorIs(t, err, ErrTooLate)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	call.Deadline = start.Add(900 * time.Millisecond)
	require.NoError(t, mex.Authenticate(call, serverClock{start, now, now, now}))
	require.Equal(t, "1700000001", header(t, call, "api-expires"))
}

func TestAWindowIsSentAsItIsReckonedWith(t *testing.T) {
	for window, want := range map[time.Duration]string{time.Microsecond: "1", 1500 * time.Microsecond: "1", 2 * time.Second: "2000"} {
		bybit := Bybit("k", "s")
		bybit.Window = window
		call := callOf("GET")
		require.NoError(t, bybit.Authenticate(call, at(noon)))
		require.Equal(t, want, header(t, call, "X-BAPI-RECV-WINDOW"))
		plain := callOf("GET")
		require.NoError(t, HMACQuery{Key: "k", Secret: "s", Window: window}.Authenticate(plain, at(noon)))
		ts, ms := signedWindow(t, plain)
		require.Equal(t, want, strconv.FormatInt(ms, 10))
		require.Equal(t, strconv.FormatInt(ts, 10), header(t, call, "X-BAPI-TIMESTAMP"))
	}
}
