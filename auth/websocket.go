package auth

import (
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// SignParams signs the parameters of a WebSocket request, in place: it adds
// apiKey, timestamp, recvWindow and signature. The payload is all parameters
// sorted by name, joined with "=" and "&", and not percent-encoded, unlike that
// of HTTP requests.
//
// The clock is asked once, and not waited for: one of which nothing is known yet, as
// an engine's is before its first signed request, is an error that wraps
// messages.ErrNoTime, and nothing is signed.
func (q HMACQuery) SignParams(params map[string]string, clock Clock) error {
	q.Form = q.Form.withDefaults()
	signed := q.signed()
	return signed.signParams("HMACQuery", params, clock)
}

// SignParams does what HMACQuery.SignParams does, and fails as that does.
func (q SignedQuery) SignParams(params map[string]string, clock Clock) error {
	q.Form = q.Form.withDefaults()
	return q.signParams("SignedQuery", params, clock)
}

func (q *SignedQuery) signParams(scheme string, params map[string]string, clock Clock) error {
	if err := q.validate(scheme); err != nil {
		return err
	}
	if clock == nil {
		return fail(scheme, "", ErrNoClock)
	}
	if clock.Bound() > knowsNothing {
		return fail(scheme, "", messages.ErrNoTime)
	}
	delete(params, q.Form.Signature) // of an earlier attempt with the same parameters
	if _, ok := params[q.Form.Timestamp]; !ok {
		if err := q.stampParams(params, clock); err != nil {
			return fail(scheme, "", err)
		}
	}
	params["apiKey"] = string(q.Key)
	sig, err := q.Signer.AppendSignature(nil, []byte(sorted(params)))
	if err != nil {
		return fail(scheme, "Signer", err)
	}
	params[q.Form.Signature] = string(q.Form.Encoding.Append(nil, sig))
	return nil
}

// knowsNothing is a bound above which a clock tells nothing of the server's: any
// timestamp would be one, those before 1970 included.
const knowsNothing = 2 * 366 * 24 * time.Hour

func (q *SignedQuery) stampParams(params map[string]string, clock Clock) error {
	call := messages.Call{}
	if window, ok := params[q.Form.RecvWindow]; ok {
		call.Query = q.Form.RecvWindow + "=" + window
	}
	s, err := q.stamp(&call, clock)
	if err != nil {
		return err
	}
	params[q.Form.Timestamp] = strconv.FormatInt(s.time, 10)
	if s.window >= 0 {
		params[q.Form.RecvWindow] = strconv.FormatInt(s.window, 10)
	}
	return nil
}
