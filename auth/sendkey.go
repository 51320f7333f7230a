package auth

import (
	"github.com/sluice-engine/sluice/messages"
)

// KeySender is an authenticator whose key can be sent without a signature, as
// endpoints want it that only ask who is calling: market data and listen keys of
// Binance, in X-MBX-APIKEY. Of the schemes of this package those are KeySenders that
// have a header for the key: HMACQuery, SignedQuery, Header, Kraken and Payload, APIKey,
// and a Chain or a WithoutBody that has one of them.
type KeySender interface {
	// SendKey adds the key to a call and nothing else: no timestamp, nonce or
	// signature. It reports whether there is a place for the key alone; if there is
	// none, the call stays as it is. It is asked with an empty
	// call as well, when an engine is given the account.
	SendKey(call *messages.Call) (sent bool)
}

// SendKey adds a's key to a call, without a signature. It reports false, and leaves the
// call alone, if a is no KeySender or has no place for the key alone.
func SendKey(a Authenticator, call *messages.Call) (sent bool) {
	k, ok := a.(KeySender)
	return ok && k.SendKey(call)
}

// sendKey sets a header to a key, if there are both.
func sendKey(call *messages.Call, header string, key Secret) (sent bool) {
	if header == "" || key == "" {
		return false
	}
	call.SetHeader(header, string(key))
	return true
}

// SendKey is part of KeySender: the key goes into Form.KeyHeader.
func (q HMACQuery) SendKey(call *messages.Call) (sent bool) {
	return sendKey(call, q.Form.withDefaults().KeyHeader, q.Key)
}

// SendKey is part of KeySender: the key goes into Form.KeyHeader.
func (q SignedQuery) SendKey(call *messages.Call) (sent bool) {
	return sendKey(call, q.Form.withDefaults().KeyHeader, q.Key)
}

// SendKey is part of KeySender: it sets the headers of the form whose value is the
// key and nothing else.
func (h Header) SendKey(call *messages.Call) (sent bool) {
	for _, line := range h.Form.Headers {
		if len(line.Value) == 1 && line.Value[0] == KeyName {
			sent = sendKey(call, line.Name, h.Key) || sent
		}
	}
	return sent
}

// SendKey is part of KeySender.
func (k Kraken) SendKey(call *messages.Call) (sent bool) { return sendKey(call, "API-Key", k.Key) }

// SendKey is part of KeySender.
func (p Payload) SendKey(call *messages.Call) (sent bool) { return sendKey(call, p.KeyHeader, p.Key) }

// SendKey is part of KeySender: there is nothing but the key, be it in the query.
func (k APIKey) SendKey(call *messages.Call) (sent bool) { return k.Authenticate(call, nil) == nil }

// SendKey has every member add its key that can.
func (c Chain) SendKey(call *messages.Call) (sent bool) {
	for _, a := range c {
		sent = SendKey(a, call) || sent
	}
	return sent
}

// SendKey is the authenticator's.
func (w WithoutBody) SendKey(call *messages.Call) (sent bool) { return SendKey(w.Authenticator, call) }
