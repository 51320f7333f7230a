package request

// takeTurn waits for the lane of an ordered authenticator: a nonce must not be
// overtaken, so a request is signed only when the one signed before it has been
// answered, or has failed. All engines of the process that sign with the same
// key share its lane.
//
// The price is one signed request in flight at a time: with a round trip of
// 50 ms, twenty a second. The wait comes after permit and connection, so that
// the nonce is as late as everything else in signing, and the more urgent
// request is ahead; it holds both while it lasts. The request's goroutine is its
// own, and may wait.
func (a *attempt) takeTurn() error {
	if a.lane == nil || !a.asked.Auth {
		return nil
	}
	a.turn = a.lane.Ask() // endTurn gives it back, whether it has come or not
	_, err := await(a.slot, a.turn)
	return err
}

func (a *attempt) endTurn() {
	if a.turn != nil {
		a.lane.Leave(a.turn)
		a.turn = nil
	}
}
