package throttle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// to asks for a permit to an origin and returns it.
func to(t testing.TB, l *Ledger, now time.Duration, limit, origin string) *Permit {
	t.Helper()
	p := &Permit{Limit: limit, Origin: origin, Key: "key"}
	require.NoError(t, l.Acquire(now, p))
	if q := l.Next(now); q != nil {
		require.Same(t, p, q)
	}
	return p
}

func twoScopes(t testing.TB, o Options) *Ledger {
	return exact(t, o, Limit{ID: "ip", Quota: 1000, Per: sec, Scope: "ip"}, Limit{ID: "uid", Quota: 1000, Per: sec, Scope: "uid"})
}

func TestAPauseIsOfOneScopeAtOneOrigin(t *testing.T) {
	l := twoScopes(t, Options{})
	require.NoError(t, l.Pause(0, Scope{Origin: "a", Name: "ip"}, sec))
	for _, c := range []struct {
		limit, origin string
		want          State
	}{
		{"ip", "a", Queued}, {"ip", "b", Granted}, {"ip", "", Granted}, {"uid", "a", Granted},
		{NoLimit, "a", Queued}, {NoLimit, "b", Granted}, {NoLimit, "", Granted},
	} {
		require.Equal(t, c.want, to(t, l, 0, c.limit, c.origin).State(), "%+v", c)
	}
	require.Equal(t, []PausedScope{{Scope{Origin: "a", Name: "ip"}, sec, false}}, l.Paused(0))
}

func TestTheWholeOriginPausesWhateverGoesThere(t *testing.T) {
	l := twoScopes(t, Options{})
	require.NoError(t, l.Pause(0, Scope{Origin: "a", Name: WholeOrigin}, sec))
	for _, limit := range []string{"ip", "uid", NoLimit} {
		require.Equal(t, Queued, to(t, l, 0, limit, "a").State(), limit)
		require.Equal(t, Granted, to(t, l, 0, limit, "b").State(), limit)
	}
}

func TestAPauseAtAnyOriginHoldsAtThoseStillToCome(t *testing.T) {
	l := twoScopes(t, Options{})
	require.Equal(t, Granted, to(t, l, 0, "ip", "old").State())
	require.NoError(t, l.Pause(0, Scope{Origin: AnyOrigin, Name: "ip"}, sec))
	for _, origin := range []string{"old", "new"} {
		require.Equal(t, Queued, to(t, l, 0, "ip", origin).State(), origin)
		require.Equal(t, Queued, to(t, l, 0, NoLimit, origin).State(), origin)
		require.Equal(t, Granted, to(t, l, 0, "uid", origin).State(), origin)
	}
	require.Equal(t, Queued, to(t, l, 0, NoLimit, "newest").State(), "nothing with a limit went there")
	require.NoError(t, l.Resume(0, Scope{Origin: AnyOrigin, Name: "ip"}))
	require.Empty(t, l.Paused(0))
	require.Len(t, drain(l, 0), 5)
	require.Equal(t, Granted, to(t, l, 0, "ip", "other").State())
}

func TestAPauseForEverIsAsLongAsTheLongest(t *testing.T) {
	l := twoScopes(t, Options{MaxPause: time.Hour})
	require.NoError(t, l.Pause(sec, Scope{Origin: "", Name: "ip"}, 1<<63-1))
	require.Equal(t, sec+time.Hour, l.Paused(sec)[0].Until)
	until, err := l.Refused(2*sec, 0, Scope{Origin: "", Name: "uid"}, 1<<63-1)
	require.NoError(t, err)
	require.Equal(t, 2*sec+time.Hour, until)
	require.NoError(t, l.Pause(2*sec, Scope{Origin: "", Name: "ip"}, -1<<63))
	_, err = l.Refused(2*sec, 0, Scope{Origin: "", Name: "nowhere"}, sec)
	require.ErrorIs(t, err, ErrUnknownScope)
	require.ErrorIs(t, l.Resume(2*sec, Scope{Origin: "", Name: "nowhere"}), ErrUnknownScope)
}

func TestEveryRefusalPausesAndTheLeastPauseGrows(t *testing.T) {
	l := twoScopes(t, Options{LeastPause: 2 * sec})
	at := Scope{Origin: "", Name: "ip"}
	refused := func(now, granted, said time.Duration) time.Duration {
		t.Helper()
		until, err := l.Refused(now, granted, at, said)
		require.NoError(t, err)
		return until
	}
	p := granted(t, l, 0, "ip")
	require.Equal(t, 3*sec, refused(sec, 0, 0), "the server said nothing, or 0")
	require.Equal(t, 3*sec, refused(sec, 0, 0), "it left before the pause: no further refusal")
	require.Equal(t, 3500*ms, refused(1500*ms, 0, 0))
	l.Settle(sec, p, Outcome{Refused: true})

	now := 4 * sec
	for _, want := range []time.Duration{4 * sec, 8 * sec, 16 * sec, 32 * sec, time.Minute, time.Minute} {
		p := granted(t, l, now, "ip")
		l.Settle(now, p, Outcome{Refused: true})
		require.Equal(t, now+want, refused(now, now, 0))
		now += want
	}
	require.Equal(t, now+time.Hour, refused(now, now, time.Hour), "what the server says counts if it is more")
	now += time.Hour

	l.Settle(now, granted(t, l, now, "ip"), Outcome{})
	require.Equal(t, now+2*sec, refused(now, now, 0), "an answer in between takes it back to the start")
}

func TestAnAnswerFromBeforeThePauseDoesNotMakeTheNextOneShort(t *testing.T) {
	l := twoScopes(t, Options{})
	old := granted(t, l, 0, "ip")
	for now := sec; now < 3*sec; now += sec {
		_, err := l.Refused(now, now, Scope{Origin: "", Name: "ip"}, 0)
		require.NoError(t, err)
	}
	l.Settle(5*sec, old, Outcome{})
	until, err := l.Refused(6*sec, 5*sec, Scope{Origin: "", Name: "ip"}, 0)
	require.NoError(t, err)
	require.Equal(t, 10*sec, until)
}

func TestALongPollFromBeforeThePauseHoldsNothingUpAfterIt(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 100, Per: sec})
	granted(t, l, 0, "a") // answered after a minute
	require.NoError(t, l.Pause(sec, Scope{}, 2*sec))
	p := to(t, l, 2*sec, "a", "")
	require.Equal(t, Granted, p.State())
}

func TestALongPollFromAfterThePauseHoldsNothingUpForLong(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1000, Per: sec})
	require.NoError(t, l.Pause(0, Scope{}, sec))
	for range 200 {
		queued(t, l, 0, "a")
	}
	require.Len(t, drain(l, sec), 1)
	wakesAt(t, l, sec+slowestRound)
	require.Len(t, drain(l, sec+slowestRound), 1, "two of them in flight")
	require.Len(t, drain(l, sec+2*slowestRound), 2)
	require.NotZero(t, l.Paused(sec + 2*slowestRound)[0].Recovering)
	require.Len(t, drain(l, 2*time.Minute), 196, "no start is slower than that")
	require.Empty(t, l.Paused(2*time.Minute))
}

func TestARequestWithoutALimitTakesPartInASlowStart(t *testing.T) {
	l := twoScopes(t, Options{})
	require.NoError(t, l.Pause(0, Scope{Origin: "a", Name: "ip"}, sec))
	first := to(t, l, sec, NoLimit, "a")
	second := to(t, l, sec, "ip", "a")
	require.Equal(t, Granted, first.State())
	require.Equal(t, Queued, second.State())
	l.Settle(sec, first, Outcome{})
	require.Same(t, second, l.Next(sec))
	require.Equal(t, Granted, to(t, l, sec, "ip", "a").State(), "two at once by now")
	require.Equal(t, Queued, to(t, l, sec, NoLimit, "a").State())
}

func TestWhoWaitsForASlowStartIsNotOvertaken(t *testing.T) {
	l := twoScopes(t, Options{})
	require.NoError(t, l.Pause(0, Scope{Origin: "a", Name: WholeOrigin}, sec))
	first := to(t, l, 0, NoLimit, "a")
	second := &Permit{Limit: "ip", Origin: "a"}
	require.NoError(t, l.Acquire(sec, second))
	require.Equal(t, Queued, second.State())
	require.Same(t, first, l.Next(sec))
	require.Nil(t, l.Next(sec))
}

func TestTheVersionOfThePausesTellsOfEveryChange(t *testing.T) {
	l := twoScopes(t, Options{})
	version := l.PauseVersion()
	changed := func() bool {
		before := version
		version = l.PauseVersion()
		return version != before
	}
	require.NoError(t, l.Pause(0, Scope{Origin: "a", Name: "ip"}, sec))
	require.True(t, changed())
	require.NoError(t, l.Pause(0, Scope{Origin: "a", Name: "ip"}, ms))
	require.False(t, changed(), "it was paused for longer")
	require.NoError(t, l.Pause(0, Scope{Origin: AnyOrigin, Name: "uid"}, sec))
	require.True(t, changed())
	require.Equal(t, []PausedScope{{Scope{Origin: AnyOrigin, Name: "uid"}, sec, false}, {Scope{Origin: "a", Name: "ip"}, sec, false}, {Scope{Origin: "a", Name: "uid"}, sec, false}}, l.Paused(0))
	require.NoError(t, l.Resume(0, Scope{Origin: AnyOrigin, Name: "uid"}))
	require.True(t, changed())
	for n := 1; n < fullSpeed; n *= 2 {
		for range n {
			p := to(t, l, sec, "ip", "a")
			require.Equal(t, Granted, p.State())
			defer func() { require.Equal(t, Idle, p.State()) }()
			l.Settle(sec, p, Outcome{})
		}
	}
	require.True(t, changed(), "it is back to normal")
	require.Empty(t, l.Paused(sec))
}

func TestOriginsThatNobodyUsesAreForgotten(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 1 << 20, Per: sec}, Limit{ID: "k", Quota: 10, Per: sec, Keyed: true})
	now := time.Duration(0)
	for i := range 5000 {
		now += 100 * ms
		host := fmt.Sprint("host ", i)
		for _, limit := range []string{"a", "k", NoLimit} {
			l.Settle(now, to(t, l, now, limit, host), Outcome{})
		}
		if i%10 == 0 {
			_, err := l.Refused(now, now, Scope{Origin: host, Name: ""}, 0)
			require.NoError(t, err)
		}
		require.NoError(t, l.Pause(now, Scope{Origin: fmt.Sprint("never seen ", i), Name: WholeOrigin}, now+sec))
	}
	most := 2*int(pathRest/(100*ms)) + 2*int(slowStart/(100*ms)) + int(remembered/sec) // in use, or recovering, or remembered
	require.Less(t, len(l.pauses.origins), most+100)
	for range 10_000 { // and one that goes on alone
		now += 100 * ms
		l.Settle(now, to(t, l, now, "a", "alone"), Outcome{})
	}
	require.LessOrEqual(t, len(l.pauses.origins), 2)
	require.LessOrEqual(t, l.idlers.n, 2)
	require.Empty(t, l.pauses.troubled)
}

func TestNoLimitAndTheWholeOriginAreNoNames(t *testing.T) {
	_, err := New([]Limit{{ID: "-", Quota: 1, Per: sec}, {ID: "a", Quota: 1, Per: sec, Scope: "*"}}, Options{LeastPause: time.Hour})
	require.ErrorContains(t, err, `limit "-": is reserved`)
	require.ErrorContains(t, err, `limit "a": scope "*"`)
	require.ErrorContains(t, err, "least pause 1h")
	for _, o := range []Options{{MaxBusyPause: -1}, {MaxBusyPause: maxPer + 1}} {
		_, err = New(nil, o)
		require.ErrorContains(t, err, "max busy pause")
	}
}

func TestALedgerWithoutLimitsStillPauses(t *testing.T) {
	l := newLedger(t, Options{})
	p := &Permit{Limit: NoLimit, Origin: "a", Weight: 7}
	require.NoError(t, l.Acquire(0, p), "a weight of nothing is no mistake")
	until, err := l.Refused(0, 0, Scope{Origin: "a", Name: WholeOrigin}, 5*sec)
	require.NoError(t, err)
	require.NoError(t, l.Requeue(0, p))
	require.Equal(t, Queued, p.State())
	require.Same(t, p, l.Next(until))
}

// The origin need not have been met: it is remembered for as long as the others are
// paused.
func TestWhatIsResumedAtOneOriginStaysPausedAtTheOthers(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 10, Per: sec})
	ask := func(now time.Duration, origin string) State {
		p := &Permit{Limit: "a", Origin: origin}
		require.NoError(t, l.Acquire(now, p))
		state := p.State()
		if state == Granted {
			l.Settle(now, p, Outcome{})
		} else {
			l.Cancel(now, p)
		}
		return state
	}
	require.NoError(t, l.Pause(0, Scope{Origin: AnyOrigin, Name: WholeOrigin}, 60*sec))
	require.NoError(t, l.Resume(0, Scope{Origin: "one", Name: WholeOrigin}))
	for now := time.Duration(0); now < 60*sec; now += 10 * sec {
		require.Equal(t, Granted, ask(now, "one"), now)
		require.Equal(t, Queued, ask(now, "two"), now)
		l.Paused(now) // forgets what is calm
	}
	require.Equal(t, Granted, ask(60*sec, "two"))
	require.NoError(t, l.Pause(61*sec, Scope{Origin: AnyOrigin, Name: WholeOrigin}, 70*sec))
	require.Equal(t, Queued, ask(62*sec, "one"), "that was another pause")
}

func TestAPauseThatEndsBeforeASlowStartHadGoneOnWakesAtItsEnd(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 100, Per: sec})
	require.NoError(t, l.Pause(0, Scope{}, sec))
	granted(t, l, sec, "a")
	p := queued(t, l, sec, "a")
	wakesAt(t, l, sec+slowestRound)
	require.NoError(t, l.Pause(1200*ms, Scope{}, 1500*ms))
	require.Nil(t, l.Next(1200*ms))
	wakesAt(t, l, 1500*ms)
	require.Same(t, p, l.Next(1500*ms))
}

func TestASlowStartEndsForThoseWhoSleepThroughIt(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 100, Per: sec})
	require.NoError(t, l.Pause(0, Scope{}, sec))
	granted(t, l, 60*sec+500*ms, "a")
	p := queued(t, l, 60*sec+500*ms, "a")
	wakesAt(t, l, sec+slowStart)
	require.Same(t, p, l.Next(sec+slowStart))
}

func TestWhatSleepsKeepsNothingOnceItIsPaused(t *testing.T) {
	l := exact(t, Options{},
		Limit{ID: "mine", Quota: 1, Per: sec, Scope: "mine"},
		Limit{ID: "ours", Quota: 1, Per: sec, Scope: "ours", Linked: []Link{{ID: "mine"}}})
	l.Settle(0, granted(t, l, 0, "ours"), Outcome{})
	head := queued(t, l, 0, "ours")
	require.NoError(t, l.Pause(500*ms, Scope{Origin: "", Name: "ours"}, time.Hour))
	require.Nil(t, l.Next(500*ms))
	granted(t, l, sec, "mine")
	require.Equal(t, Queued, head.State())
}
