package request

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/sluice-engine/sluice/auth"
)

// An account is what was set last, and whoever waits with an older one is told when
// another takes its place.
func TestAccountsAreWhatWasSetLast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SampledFrom([]string{"", "a", "b", "c"})
		signers := rapid.SampledFrom([]auth.Authenticator{nil, auth.Bearer{Token: "1"}, auth.Bearer{Token: "2"}})
		var all accounts
		oracle, older := map[string]auth.Authenticator{}, []*Account{}
		if rapid.Bool().Draw(t, "begins with some") {
			oracle["a"] = signers.Draw(t, "signer")
		}
		begun := map[string]*Account{}
		for name, signer := range oracle {
			begun[name] = accountOf(t, signer)
		}
		all.prepare(nil, begun)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			name := names.Draw(t, "name")
			old := all.of(name)
			if rapid.Bool().Draw(t, "removes") {
				was, there := oracle[name]
				if want := there && (name != "" || was != nil); all.remove(name) != want {
					t.Fatalf("removal of %q: want %v", name, want)
				}
				delete(oracle, name)
			} else {
				signer := signers.Draw(t, "signer")
				all.set(name, accountOf(t, signer))
				oracle[name] = signer
			}
			if old != nil && all.of(name) != old {
				older = append(older, old)
			}
			for _, name := range []string{"", "a", "b", "c"} {
				want, there := oracle[name]
				got := all.of(name)
				if (got != nil) != (there || name == "") || got != nil && got.signer != want {
					t.Fatalf("%q is %v, want %v", name, got, want)
				}
				if got != nil && ended(got) {
					t.Fatalf("%q is there, and was said to be gone", name)
				}
			}
			for _, account := range older {
				if !ended(account) {
					t.Fatal("an older account was not said to be gone")
				}
			}
		}
	})
}

func accountOf(t require.TestingT, signer auth.Authenticator) *Account {
	account, err := NewAccount(signer)
	require.NoError(t, err)
	return account
}

func TestAnAccountOfNothingIsLikeThatOfANilAuthenticator(t *testing.T) {
	none, nothing := nobody(), accountOf(t, nil)
	none.gone, nothing.gone = nil, nil
	require.Equal(t, nothing, none)
}

func ended(a *Account) bool {
	select {
	case <-a.gone:
		return true
	default:
		return false
	}
}

func TestAccountsAreChangedByManyAtOnce(t *testing.T) {
	var all accounts
	all.prepare(nil, nil)
	var changing sync.WaitGroup
	names := []string{"", "a", "b", "c", "d", "e", "f", "g"}
	for i := range 32 {
		changing.Go(func() {
			for range 200 {
				all.set(names[i%8], accountOf(t, auth.Bearer{Token: "t"}))
				all.of(names[(i+1)%8])
				if i%8 == 7 {
					all.remove(names[7])
				}
			}
		})
	}
	changing.Wait()
	for _, name := range names[:7] {
		require.NotNil(t, all.of(name).signer, "nobody's change was lost: %q", name)
	}
}
