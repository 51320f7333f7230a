package oauth2

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/internal/contain"
	"github.com/sluice-engine/sluice/messages"
)

// issuer hands out tokens that all live equally long, and notes when.
type issuer struct {
	life, takes time.Duration
	begun, got  []time.Time // of each fetch
	failing     bool
}

func (i *issuer) fetch(context.Context) (*oauth2.Token, error) {
	i.begun = append(i.begun, time.Now())
	time.Sleep(i.takes)
	i.got = append(i.got, time.Now())
	if i.failing {
		return nil, errors.New("no more")
	}
	now := time.Now()
	return &oauth2.Token{AccessToken: now.Add(i.life).Format(time.RFC3339Nano), Expiry: now.Add(i.life)}, nil
}

// left is how long the token that a call carries goes on living.
func left(t require.TestingT, tokens *Tokens) time.Duration {
	call := &messages.Call{}
	require.NoError(t, tokens.Authenticate(call, nil))
	text, _ := call.Header("Authorization")
	expiry, err := time.Parse("Bearer "+time.RFC3339Nano, text)
	require.NoError(t, err)
	return time.Until(expiry)
}

func TestTokensOfAnyLifeAreNotFetchedBackToBack(t *testing.T) {
	for life, most := range map[time.Duration]int{
		5 * time.Second:          31, // less than Skew: once per Pause
		10500 * time.Millisecond: 31, // half a second of use
		12 * time.Second:         19, // two seconds of use, of which a fifth is left
		30 * time.Second:         2,
		59 * time.Second:         1,
		60 * time.Second:         1,
		61 * time.Second:         1,
		100 * time.Millisecond:   31,
	} {
		synctest.Test(t, func(t *testing.T) {
			from := issuer{life: life, takes: 10 * time.Millisecond}
			tokens := New(from.fetch, Options{})
			defer tokens.Close()
			for begun := time.Now(); time.Since(begun) < 30*time.Second; time.Sleep(5 * time.Millisecond) {
				require.Positive(t, left(t, tokens))
			}
			synctest.Wait() // for a fetch that begins at this instant, or ends at it
			require.LessOrEqual(t, len(from.begun), most, "%v", life)
		})
	}
}

func TestNoTokenIsUsedWithinSkewAndNoneFetchedWithinPauseOfTheLast(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		upTo := func(d time.Duration, name string) time.Duration {
			return time.Duration(rapid.Int64Range(1, int64(d/time.Millisecond)).Draw(r, name)) * time.Millisecond
		}
		o := Options{Skew: upTo(20*time.Second, "skew"), Ahead: upTo(time.Minute, "ahead"), Pause: upTo(time.Second, "pause")}
		from := issuer{life: upTo(90*time.Second, "life"), takes: upTo(2*time.Second, "takes")}
		every := upTo(3*time.Second, "every")
		synctest.Test(t, func(*testing.T) {
			tokens := New(from.fetch, o)
			defer tokens.Close()
			for range 200 {
				remains := left(r, tokens)
				require.Positive(r, remains, "an expired token is sent")
				if from.life > o.Skew {
					require.Greater(r, remains, o.Skew, "a token is sent within Skew")
				}
				time.Sleep(every)
			}
			synctest.Wait()
		})
		for i := 1; i < len(from.begun); i++ {
			require.GreaterOrEqual(r, from.begun[i].Sub(from.got[i-1]), o.Pause)
		}
	})
}

func TestNoFetchFollowsOneThatLandedBehindACallersLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := issuer{life: time.Minute}
		tokens := New(from.fetch, Options{})
		defer tokens.Close()
		looked := tokens.current.Load() // at nothing: and somebody else fetches
		left(t, tokens)
		flight, err := tokens.start(looked)
		require.NoError(t, err)
		require.Nil(t, flight)

		looked = tokens.current.Load()
		time.Sleep(55 * time.Second)
		flight, err = tokens.start(looked)
		require.NoError(t, err)
		require.NotNil(t, flight, "what it saw is still the last")
		<-flight

		time.Sleep(55 * time.Second)
		flight, err = tokens.start(looked)
		require.NoError(t, err)
		require.NotNil(t, flight, "what came since has aged too")
		<-flight
		tokens.Invalidate()
		flight, err = tokens.start(looked)
		require.NoError(t, err)
		require.NotNil(t, flight, "what came since is refused")
		<-flight
		require.Len(t, from.begun, 4)
	})
}

func TestNobodyWaitsForTheNextOfTokensThatLiveForHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := issuer{life: 30 * time.Second, takes: time.Second}
		tokens := New(from.fetch, Options{})
		defer tokens.Close()
		left(t, tokens)
		for range 1000 {
			asked := time.Now()
			left(t, tokens)
			require.Zero(t, time.Since(asked))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		require.Equal(t, 17*time.Second, from.begun[1].Sub(from.begun[0]).Round(100*time.Millisecond), "a second, and four fifths of twenty")
	})
}

func TestAPauseThatIsLongerThanTokensLiveLeavesNobodyWithoutOneForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := issuer{life: 30 * time.Second}
		tokens := New(from.fetch, Options{Pause: time.Hour})
		defer tokens.Close()
		for range 1000 {
			asked := time.Now()
			require.Greater(t, left(t, tokens), 10*time.Second)
			require.LessOrEqual(t, time.Since(asked), time.Second)
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		require.Len(t, from.begun, 5, "when it is over, and not before")
	})
}

func TestWhoWaitedForAFailedFetchIsNotGivenATokenWithinSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := issuer{life: time.Minute, takes: time.Second}
		tokens := New(from.fetch, Options{})
		defer tokens.Close()
		left(t, tokens)
		from.failing = true
		time.Sleep(52 * time.Second)
		require.ErrorContains(t, tokens.Authenticate(&messages.Call{}, nil), "no more")
	})
}

func TestClosingEndsTheRestBetweenTwoFetches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := issuer{life: 100 * time.Millisecond}
		tokens := New(from.fetch, Options{})
		left(t, tokens)
		time.Sleep(200 * time.Millisecond)
		ended := make(chan error, 1)
		go func() { ended <- tokens.Authenticate(&messages.Call{}, nil) }()
		synctest.Wait()
		began := time.Now()
		tokens.Close()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.Zero(t, time.Since(began))
		require.Len(t, from.begun, 1)
	})
}

func TestAPanicOfAFetchSaysWhereItWas(t *testing.T) {
	tokens := New(func(context.Context) (*oauth2.Token, error) { panic("sesame") }, Options{})
	defer tokens.Close()
	err := tokens.Authenticate(&messages.Call{}, nil)
	panicked, is := errors.AsType[*messages.PanicError](err)
	require.True(t, is)
	require.Contains(t, contain.Place(panicked.Stack), "shortlife_test.go:")
	require.ErrorContains(t, err, "panic while signing in ")
	require.NotContains(t, err.Error(), "sesame")
}
