package request

import (
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/messages"
)

// account is who signs for a name, and what follows from it. It does not change: a
// rotated key is another account of the same name.
type account struct {
	signer    auth.Authenticator // nil if nothing of the account is ever signed
	lane      *auth.Lane         // nil if the order of signatures does not matter
	signsBody bool               // a request that is to be signed must have its body in memory
	sendsKey  bool               // there is a place for the key alone
	gone      chan struct{}      // closed when another has taken its place, or none
}

func newAccount(signer auth.Authenticator) *account {
	return &account{
		signer: signer, lane: auth.LaneOf(signer), signsBody: auth.SignsBody(signer),
		sendsKey: auth.SendKey(signer, new(messages.Call)), gone: make(chan struct{}),
	}
}

// accounts are those that requests may name. They are read without a lock, by every
// attempt anew, and not at all by a request that names none and is not signed. Whoever
// changes them puts a new map in the place of the old one.
type accounts struct {
	standard atomic.Pointer[account]             // of requests that name none; never nil
	named    atomic.Pointer[map[string]*account] // nil without any

	changing sync.Mutex // held while named is replaced
}

// prepare fills in what the engine is made with.
func (a *accounts) prepare(standard auth.Authenticator, named map[string]auth.Authenticator) {
	a.standard.Store(newAccount(standard))
	if len(named) == 0 {
		return
	}
	all := make(map[string]*account, len(named))
	for name, signer := range named {
		all[name] = newAccount(signer)
	}
	a.named.Store(&all)
}

// of returns the account of a name, as it is now; nil if there is none.
func (a *accounts) of(name string) *account {
	if name == "" {
		return a.standard.Load()
	}
	if named := a.named.Load(); named != nil {
		return (*named)[name]
	}
	return nil
}

// anyNamed reports whether there are others than the default account.
func (a *accounts) anyNamed() bool {
	named := a.named.Load()
	return named != nil && len(*named) > 0
}

// set adds an account, or has another one take its place.
func (a *accounts) set(name string, signer auth.Authenticator) {
	added := newAccount(signer) // asks the caller's own code, and so comes before the lock
	if name == "" {
		close(a.standard.Swap(added).gone)
		return
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	all := map[string]*account{}
	if named := a.named.Load(); named != nil {
		all = maps.Clone(*named)
	}
	old := all[name]
	all[name] = added
	a.named.Store(&all)
	if old != nil {
		close(old.gone)
	}
}

// remove takes an account away, and reports whether there was one. Of the default
// account its authenticator is taken.
func (a *accounts) remove(name string) bool {
	if name == "" {
		old := a.standard.Swap(newAccount(nil))
		close(old.gone)
		return old.signer != nil
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	named := a.named.Load()
	if named == nil || (*named)[name] == nil {
		return false
	}
	all := maps.Clone(*named)
	old := all[name]
	delete(all, name)
	a.named.Store(&all)
	close(old.gone)
	return true
}

// keepsKey is the error of a request for a key that is not sent alone.
func (a *account) keepsKey() error {
	return fmt.Errorf("%w: it asks for its account's key, and %T has no place for a key alone (auth.KeySender)", messages.ErrInvalidRequest, a.signer)
}

// identified reports whether a request carries credentials of its account.
func (r *slot) identified() bool { return r.asked.Auth || r.asked.KeyOnly }

// resolveParts looks, before anything is queued for, whether the egress and the account
// that a request names are there, and whether that account may and can do what is asked.
func (r *slot) resolveParts() error {
	if r.asked.Egress != "" && !r.needs.Plan.Egress[r.asked.Egress] {
		return messages.ErrUnknownEgress
	}
	if r.asked.Account == "" && !r.identified() {
		return nil
	}
	account := r.accounts.of(r.asked.Account)
	switch {
	case account == nil:
		return messages.ErrUnknownAccount
	case r.asked.Auth && r.asked.KeyOnly:
		return fmt.Errorf("%w: it asks to be signed, and for the key alone: a signed request has the key as well", messages.ErrInvalidRequest)
	case r.asked.Auth:
		if err := r.mayIdentify(account); err != nil {
			return fmt.Errorf("%w: it asks to be signed, %w", messages.ErrInvalidRequest, err)
		}
	case r.asked.KeyOnly:
		if err := r.mayIdentify(account); err != nil {
			return fmt.Errorf("%w: it asks for its account's key, %w", messages.ErrInvalidRequest, err)
		}
		if !account.sendsKey {
			return account.keepsKey()
		}
	}
	return nil
}
