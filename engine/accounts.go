package engine

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sluice-engine/sluice/actors/request"
	"github.com/sluice-engine/sluice/auth"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/throttle"
)

// SetAccount adds an account, or has another authenticator take the place of the one it
// had: a key that is rotated. Every attempt that is signed from now on is signed by it,
// those of requests that wait or pause already included. What was signed before goes on
// as it is; if the server answers it with status 401, it is repeated once, with the new
// key. An authenticator that has something to close, such as oauth2.Tokens, is its
// owner's to close, once nothing uses it any more. The empty name is the default
// account's, which Config.Auth has otherwise. A nil authenticator signs nothing: the
// account has only its quotas.
//
// What is wrong with the authenticator is told as New tells it, and changes nothing.
func (e *Engine) SetAccount(name string, authenticator auth.Authenticator) error {
	if err := e.made(); err != nil {
		return err
	}
	read := readNamed
	if name == "" {
		read = func(_ string, authenticator auth.Authenticator) (*request.Account, []error) {
			return readAccount("Auth", authenticator)
		}
	}
	account, mistakes := read(name, authenticator)
	if err := errors.Join(mistakes...); err != nil {
		return fmt.Errorf("sluice: %w", err)
	}
	e.system.SetAccount(name, account)
	return nil
}

// RemoveAccount takes an account away: requests that name it end with ErrUnknownAccount
// from now on, and so do those that wait and have yet to be signed, of which nothing is
// sent then. What was signed before goes on. Of the default account, whose name is empty,
// the authenticator is taken. An account that is not there is ErrUnknownAccount.
func (e *Engine) RemoveAccount(name string) error {
	if err := e.made(); err != nil {
		return err
	}
	if !e.system.RemoveAccount(name) {
		return ErrUnknownAccount
	}
	return nil
}

// readNamed reads one of Config.Accounts.
func readNamed(name string, authenticator auth.Authenticator) (*request.Account, []error) {
	field := fmt.Sprintf("Accounts[%q]", name)
	var wrong error
	switch {
	case name == "":
		wrong = fmt.Errorf("%s has no name: the default account is Auth", field)
	case len(name) > throttle.MostName:
		field = fmt.Sprintf("Accounts[%.20q…]", name)
		wrong = fmt.Errorf("%s: the name has more than %d bytes", field, throttle.MostName)
	case name == throttle.DefaultAccount:
		wrong = fmt.Errorf("%s: the name is that of the default account where one of its scopes is meant", field)
	}
	account, mistakes := readAccount(field, authenticator)
	if wrong != nil {
		account, mistakes = nil, slices.Concat([]error{wrong}, mistakes)
	}
	return account, mistakes
}

// readAccount asks an authenticator who it is, or tells what is wrong with it, with its
// field. All that is asked may be the caller's own code, and a panic in it is a mistake
// like any other.
func readAccount(field string, authenticator auth.Authenticator) (account *request.Account, mistakes []error) {
	if authenticator != nil && messages.HoldsNil(authenticator) {
		return nil, []error{fmt.Errorf("%s is a nil %T", field, authenticator)}
	}
	var found []error
	if err := request.Ask("Validate", func() { found = mistakesIn(auth.Validate(authenticator)) }); err != nil {
		found = []error{err}
	}
	if len(found) == 0 {
		var err error
		account, err = request.NewAccount(authenticator)
		found = mistakesIn(err)
	}
	for _, mistake := range found {
		mistakes = append(mistakes, fmt.Errorf("%s: %w", field, mistake))
	}
	return account, mistakes
}
