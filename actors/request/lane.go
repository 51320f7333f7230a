package request

import "github.com/sluice-engine/sluice/messages"

// takeSigner finds who signs the attempt, and waits for the lane of an ordered
// authenticator: a nonce must not be overtaken, so a request is signed only when the
// one signed before it has been answered, or has failed. All engines of the process
// that sign with the same key share its lane, whatever they call the account, and
// accounts with keys of their own do not wait for one another.
//
// The account is looked up here, for every attempt anew, and again when it is rotated
// or removed during the wait: what is there now signs, in its own lane, and the turn in
// another ends. Two that share a key share a lane, and then the place in it is kept.
//
// The price is one signed request of a key in flight at a time: with a round trip of
// 50 ms, twenty a second. The wait comes after permit and connection, so that
// the nonce is as late as everything else in signing, and the more urgent
// request is ahead; it holds both while it lasts. The request's goroutine is its
// own, and may wait.
func (a *attempt) takeSigner() error {
	if !a.identified() {
		return nil
	}
	for {
		now := a.accounts.of(a.asked.Account)
		if now == nil || now.signer == nil {
			return messages.ErrUnknownAccount
		}
		if a.turn != nil && now.lane != a.signer.lane {
			a.endTurn()
		}
		a.signer = now
		if now.lane == nil || a.asked.KeyOnly || a.hasTurn() {
			return nil
		}
		if a.turn == nil {
			a.turn = now.lane.Ask() // endTurn gives it back, whether it has come or not
		}
		if _, err := awaitUnless(a.slot, a.turn, now.gone); err != nil {
			return err
		}
	}
}

// hasTurn reports whether the turn that was asked for has come.
func (a *attempt) hasTurn() bool {
	select {
	case <-a.turn: // never, if none was asked for
		return true
	default:
		return false
	}
}

func (a *attempt) endTurn() {
	if a.turn != nil {
		a.signer.lane.Leave(a.turn)
		a.turn = nil
	}
}
