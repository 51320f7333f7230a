package throttle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// venueLimits are an address's, an account's, and an account's at an egress.
var venueLimits = []Limit{
	{ID: "weight", Quota: 100, Per: sec, By: ByEgress, Scope: "address"},
	{ID: "orders", Quota: 100, Per: sec, By: ByAccount, Scope: "account"},
	{ID: "symbol", Quota: 100, Per: sec, By: ByAccount | ByKey, Scope: "account"},
	{ID: "order", Linked: []Link{{ID: "weight"}, {ID: "orders"}, {ID: "symbol"}}},
	{ID: "free", Quota: 100, Per: sec, Scope: "other"},
}

// passes tells whether a request of an account and egress passes now.
func passes(t *testing.T, l *Ledger, now time.Duration, limit, account, egress string) bool {
	t.Helper()
	return one(t, l, now, Permit{Limit: limit, Account: account, Egress: egress, Key: "k", Origin: "o"}) == Granted
}

func TestWhatOneAccountIsRefusedForStopsNoOther(t *testing.T) {
	l := exact(t, Options{}, venueLimits...)
	require.True(t, passes(t, l, 0, "order", "sub", ""), "its path is there before")
	s := l.ScopeOf("o", "account", Parts{Account: "main", Key: "x", Egress: "eth1"})
	require.Equal(t, Scope{Origin: "o", Name: "account", Account: "main"}, s, "keys and egresses tell it not apart")
	_, err := l.Refused(0, 0, s, sec)
	require.NoError(t, err)
	require.False(t, passes(t, l, 0, "order", "main", ""))
	require.False(t, passes(t, l, 0, NoLimit, "main", ""))
	for _, account := range []string{"", "sub", "new"} {
		require.True(t, passes(t, l, 0, "order", account, ""), account)
		require.True(t, passes(t, l, 0, NoLimit, account, ""), account)
	}
	require.True(t, passes(t, l, 0, "weight", "main", ""), "another scope")
	require.Equal(t, []PausedScope{{Scope: s, Until: sec}}, l.Paused(0))
	require.Equal(t, sec, nextOf(l, 0, "orders", Parts{Account: "main"}))
	require.Zero(t, nextOf(l, 0, "orders", Parts{Account: "sub"}))
}

func nextOf(l *Ledger, now time.Duration, id string, of Parts) time.Duration {
	for _, s := range l.Snapshot(now).Limits {
		if s.ID == id && (Parts{s.Account, s.Key, s.Egress}) == of {
			return s.Next
		}
	}
	return never
}

func TestTheDefaultAccountIsStoppedAloneToo(t *testing.T) {
	l := exact(t, Options{}, venueLimits...)
	s := l.ScopeOf("o", "account", Parts{})
	require.Equal(t, DefaultAccount, s.Account)
	_, err := l.Refused(0, 0, s, sec)
	require.NoError(t, err)
	require.False(t, passes(t, l, 0, "order", "", ""))
	require.True(t, passes(t, l, 0, "order", "main", ""))
}

func TestABanOfOneAddressDoesNotStopTheOthers(t *testing.T) {
	l := exact(t, Options{}, venueLimits...)
	ban := l.ScopeOf("o", WholeOrigin, Parts{Account: "main", Egress: "eth1"})
	require.Equal(t, Scope{Origin: "o", Name: WholeOrigin, Egress: "eth1"}, ban)
	require.NoError(t, l.Pause(0, ban, sec))
	for _, limit := range []string{"order", "free", NoLimit} {
		require.False(t, passes(t, l, 0, limit, "main", "eth1"), limit)
		require.False(t, passes(t, l, 0, limit, "sub", "eth1"), limit)
		require.True(t, passes(t, l, 0, limit, "main", ""), limit)
	}
	alone := exact(t, Options{}, Limit{ID: "free", Quota: 1, Per: sec, By: ByAccount})
	require.Equal(t, Scope{Origin: "o", Name: WholeOrigin}, alone.ScopeOf("o", WholeOrigin, Parts{Account: "main", Egress: "eth1"}), "no limit is by egress")
}

func TestALimitThatIsNotToldApartKeepsItsScopeTogether(t *testing.T) {
	l := exact(t, Options{}, Limit{ID: "a", Quota: 9, Per: sec, By: ByAccount}, Limit{ID: "b", Quota: 9, Per: sec, By: ByEgress | ByAccount},
		Limit{ID: "c", Quota: 9, Per: sec, By: ByAccount, Scope: "mixed"}, Limit{ID: "d", Quota: 9, Per: sec, Scope: "mixed"})
	of := Parts{Account: "main", Egress: "eth1"}
	require.Equal(t, Scope{Account: "main"}, l.ScopeOf("", "", of), "by what both are")
	require.Equal(t, Scope{Name: "mixed"}, l.ScopeOf("", "mixed", of))
	for _, s := range []Scope{{Egress: "eth1"}, {Name: "mixed", Account: "main"}, {Name: WholeOrigin, Account: "main"}} {
		require.ErrorIs(t, l.Pause(0, s, sec), ErrScopeTogether)
		_, err := l.Refused(0, 0, s, sec)
		require.ErrorIs(t, err, ErrScopeTogether)
	}
}

func TestAPauseOfAllIsOneOfThoseStillToCome(t *testing.T) {
	for _, origin := range []string{"o", AnyOrigin} {
		l := exact(t, Options{}, venueLimits...)
		require.True(t, passes(t, l, 0, "order", "main", ""))
		require.NoError(t, l.Pause(0, Scope{Origin: origin, Name: "account"}, sec))
		for _, account := range []string{"", "main", "new"} {
			require.False(t, passes(t, l, 0, "order", account, ""), account)
		}
		require.NoError(t, l.Resume(0, Scope{Origin: "o", Name: "account", Account: "main"}))
		require.False(t, passes(t, l, 0, "order", "main", ""), "all are paused still")
		require.NoError(t, l.Resume(0, Scope{Origin: origin, Name: "account"}))
		require.True(t, passes(t, l, 0, "order", "main", ""))
		require.True(t, passes(t, l, 0, "order", "another", ""))
	}
}

func TestAPauseByHandOfOneAccountIsItsAlone(t *testing.T) {
	for _, origin := range []string{"o", AnyOrigin} {
		l := exact(t, Options{}, venueLimits...)
		s := Scope{Origin: origin, Name: "account", Account: "main"}
		require.NoError(t, l.Pause(0, s, sec))
		require.False(t, passes(t, l, 0, "order", "main", ""))
		require.True(t, passes(t, l, 0, "order", "", ""))
		require.NoError(t, l.Resume(0, Scope{Origin: origin, Name: "account"}))
		require.True(t, passes(t, l, 0, "order", "main", ""), "to resume all is to resume each")
	}
}

func TestEachPartOfAScopeStartsSlowlyByItself(t *testing.T) {
	l := exact(t, Options{}, venueLimits...)
	for _, account := range []string{"main", "sub"} {
		_, err := l.Refused(0, 0, l.ScopeOf("o", "account", Parts{Account: account}), sec)
		require.NoError(t, err)
	}
	ask := func(account string) State {
		p := &Permit{Limit: "orders", Account: account, Origin: "o"}
		require.NoError(t, l.Acquire(sec, p))
		require.Nil(t, l.Next(sec))
		return p.State()
	}
	require.Equal(t, []State{Granted, Queued, Granted, Queued}, []State{ask("main"), ask("main"), ask("sub"), ask("sub")})
}

func TestAPauseOutlastsATableThatTellsItsScopeApartOtherwise(t *testing.T) {
	together := []Limit{{ID: "a", Quota: 9, Per: sec, Scope: "s"}}
	apart := []Limit{{ID: "b", Quota: 9, Per: sec, Scope: "s", By: ByAccount}}
	l := exact(t, Options{}, apart...)
	require.NoError(t, l.Pause(0, Scope{Origin: "o", Name: "s", Account: "main"}, sec))
	require.NoError(t, l.Replace(0, together))
	require.False(t, passes(t, l, 0, "a", "sub", ""), "nobody knows any more whose request is whose")
	require.False(t, passes(t, l, 0, NoLimit, "sub", ""))
	require.NoError(t, l.Replace(0, apart))
	require.False(t, passes(t, l, 0, "b", "main", ""))
	require.True(t, passes(t, l, 0, "b", "sub", ""))

	l = exact(t, Options{}, together...)
	require.NoError(t, l.Pause(0, Scope{Origin: "o", Name: "s"}, sec))
	require.NoError(t, l.Replace(0, apart))
	require.False(t, passes(t, l, 0, "b", "main", ""))
	require.False(t, passes(t, l, 0, "b", "new", ""))
}

func TestASuccessorKnowsWhosePauseItIs(t *testing.T) {
	torn := exact(t, Options{}, venueLimits...)
	s := torn.ScopeOf("o", "account", Parts{Account: "main"})
	_, err := torn.Refused(0, 0, s, 3*sec)
	require.NoError(t, err)
	everywhere := Scope{Origin: AnyOrigin, Name: "address", Egress: "eth1"}
	require.NoError(t, torn.Pause(0, everywhere, 9*sec))
	l, err := torn.Successor(sec, venueLimits)
	require.NoError(t, err)
	require.Contains(t, l.Paused(sec), PausedScope{Scope: s, Until: 3 * sec})
	require.Contains(t, l.Paused(sec), PausedScope{Scope: everywhere, Until: 9 * sec})
}

func TestPartsOfAScopeAreForgottenWhenNobodyUsesThem(t *testing.T) {
	l := exact(t, Options{}, venueLimits...)
	flying := &Permit{Limit: "free", Egress: "late", Origin: "o"}
	require.NoError(t, l.Acquire(0, flying))
	for i := range 300 {
		now := time.Duration(i) * 100 * ms
		require.True(t, passes(t, l, now, "order", fmt.Sprint("account ", i), fmt.Sprint("egress ", i)))
		require.NoError(t, l.Pause(now, Scope{Origin: "o", Name: "account", Account: fmt.Sprint("nobody ", i)}, now+sec))
		if i%10 == 0 {
			silence(l, now)
		}
	}
	parts := func() (n int) {
		for _, s := range l.Snapshot(l.now).Scopes {
			if s.Account != "" || s.Egress != "" {
				n++
			}
		}
		return n
	}
	require.Greater(t, parts(), 2)
	require.NotNil(t, l.pauses.origins["o"])
	silence(l, time.Hour)
	require.Equal(t, 1, parts(), "the one in flight")
	l.Settle(time.Hour, flying, Outcome{})
	require.Empty(t, l.pauses.origins)
}

func TestAGrantedPermitKnowsWhichPausesAreItsOwn(t *testing.T) {
	l := exact(t, Options{}, venueLimits...)
	charged := func(limit, account, egress string) Charged {
		p := &Permit{Limit: limit, Account: account, Egress: egress, Key: "k", Origin: "o"}
		require.NoError(t, l.Acquire(0, p))
		return p.Charged()
	}
	until := func(s Scope) map[Scope]time.Duration { return map[Scope]time.Duration{s: sec} }
	for _, limit := range []string{"order", NoLimit} {
		own := charged(limit, "main", "eth1")
		for s, want := range map[Scope]bool{
			{Origin: "o", Name: "account", Account: "main"}:          true,
			{Origin: "o", Name: "account"}:                           true,
			{Origin: "o", Name: "account", Account: "sub"}:           false,
			{Origin: "o", Name: "account", Account: DefaultAccount}:  false,
			{Origin: "o", Name: WholeOrigin, Egress: "eth1"}:         true,
			{Origin: "o", Name: WholeOrigin, Egress: DefaultEgress}:  false,
			{Origin: "elsewhere", Name: "account", Account: "main"}:  false,
			{Origin: "elsewhere", Name: WholeOrigin, Egress: "eth1"}: false,
		} {
			require.Equal(t, want, own.Paused(0, until(s)), "%s: %+v", limit, s)
			require.False(t, own.Paused(sec, until(s)), "it is over")
		}
	}
	require.False(t, Charged{}.Paused(0, until(Scope{})))
}
