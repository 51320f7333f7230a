package request

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// Account is who signs for a name, and what follows from it. It does not change: a
// rotated key is another account of the same name.
type Account struct {
	signer    auth.Authenticator // nil if nothing of the account is ever signed
	lane      *auth.Lane         // nil if the order of signatures does not matter
	signsBody bool               // a request that is to be signed must have its body in memory
	sendsKey  bool               // there is a place for the key alone
	gone      chan struct{}      // closed when another has taken its place, or none
}

// NewAccount asks an authenticator what follows from it. Nil signs nothing. A panic in what
// it answers, which is the caller's own code, is an error: no request has asked that could
// end with it.
func NewAccount(signer auth.Authenticator) (*Account, error) {
	a := &Account{signer: signer, gone: make(chan struct{})}
	return a, errors.Join(
		Ask("Lane", func() { a.lane = auth.LaneOf(signer) }),
		Ask("BodyUnsigned", func() { a.signsBody = auth.SignsBody(signer) }),
		Ask("SendKey", func() { a.sendsKey = auth.SendKey(signer, new(messages.Call)) }),
	)
}

// Ask calls a method of an authenticator's, and returns a panic in it as an error that names
// the method.
func Ask(method string, call func()) error {
	if err := wire.Guard(messages.Preparing, call); err != nil {
		return fmt.Errorf("its %s: %w", method, err)
	}
	return nil
}

// nobody is an account that has nothing to sign with.
func nobody() *Account { return &Account{signsBody: true, gone: make(chan struct{})} }

// accounts are those that requests may name. They are read without a lock, by every
// attempt anew, and not at all by a request that names none and is not signed. Whoever
// changes them puts a new map in the place of the old one.
type accounts struct {
	standard atomic.Pointer[Account]             // of requests that name none; never nil
	named    atomic.Pointer[map[string]*Account] // nil without any

	changing sync.Mutex // held while named is replaced
}

// prepare fills in what the engine is made with.
func (a *accounts) prepare(standard *Account, named map[string]*Account) {
	if standard == nil {
		standard = nobody()
	}
	a.standard.Store(standard)
	if len(named) > 0 {
		a.named.Store(&named) // which is never written to
	}
}

// of returns the account of a name, as it is now; nil if there is none.
func (a *accounts) of(name string) *Account {
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
func (a *accounts) set(name string, added *Account) {
	if name == "" {
		close(a.standard.Swap(added).gone)
		return
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	all := map[string]*Account{}
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
		old := a.standard.Swap(nobody())
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
func (a *Account) keepsKey() error {
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
