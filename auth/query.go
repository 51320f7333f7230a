package auth

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/internal/quotient"
	"github.com/sluice-engine/sluice/messages"
)

// HMACQuery signs the query and the body with an HMAC and adds the signature as
// the last parameter: Binance, MEXC, Aster, BingX and their like.
//
//	payload = query "&recvWindow=" … "&timestamp=" …  followed by the body, nothing between
//	query  += "&signature=" hex(HMAC-SHA256(Secret, payload))
//
// The query is signed as it will be sent, percent-encoded.
type HMACQuery struct {
	Key, Secret Secret

	// Window is how old the timestamp may be on arrival; it is sent as recvWindow,
	// in whole milliseconds, of which it has one at least. Zero sends none and leaves it to the server (5 s). A
	// recvWindow that the request already has wins.
	Window time.Duration
	// Deadlines makes the call's Deadline the server's too: the window is cut so
	// that the server refuses what arrives later, by the most pessimistic reading
	// of the clock. What is accepted was then there in time; what arrives within
	// the clock's bound of the deadline may be refused.
	Deadlines bool
	// Delay is how long the way to the server is expected to take at most; the
	// timestamp is chosen to be accepted after it. Zero means DefaultDelay.
	Delay time.Duration
	// Form holds the names. The zero value is Binance's.
	Form QueryForm
}

// SignedQuery is HMACQuery with any Signer: Binance's Ed25519 and RSA keys.
type SignedQuery struct {
	Key       Secret
	Signer    Signer
	Window    time.Duration // as in HMACQuery
	Deadlines bool          // as in HMACQuery
	Delay     time.Duration // as in HMACQuery
	Form      QueryForm     // its Encoding should be Base64 for asymmetric keys
}

// Authenticate is part of Authenticator: it adds timestamp, window, signature and the key's header.
func (q HMACQuery) Authenticate(call *messages.Call, clock Clock) error {
	q.Form = q.Form.withDefaults()
	signed := q.signed()
	return signed.authenticate("HMACQuery", call, clock)
}

// Validate reports every mistake.
func (q HMACQuery) Validate() error {
	q.Form = q.Form.withDefaults()
	signed := q.signed()
	return signed.validate("HMACQuery")
}

func (q HMACQuery) signed() SignedQuery {
	signer := HMAC{Secret: q.Secret, SecretEncoding: Raw, Hash: q.Form.Hash}
	return SignedQuery{q.Key, signer, q.Window, q.Deadlines, q.Delay, q.Form}
}

// Authenticate is part of Authenticator: it adds timestamp, window, signature and the key's header.
func (q SignedQuery) Authenticate(call *messages.Call, clock Clock) error {
	q.Form = q.Form.withDefaults()
	return q.authenticate("SignedQuery", call, clock)
}

// Validate reports every mistake.
func (q SignedQuery) Validate() error {
	q.Form = q.Form.withDefaults()
	return q.validate("SignedQuery")
}

// BodyUnsigned returns Form.QueryOnly.
func (q HMACQuery) BodyUnsigned() bool { return q.Form.QueryOnly }

// BodyUnsigned returns Form.QueryOnly.
func (q SignedQuery) BodyUnsigned() bool { return q.Form.QueryOnly }

func (q *SignedQuery) validate(scheme string) error {
	errs := []error{requiredInHeader(scheme, "Key", string(q.Key))}
	if lacks(q.Signer) {
		errs = append(errs, fail(scheme, "Signer", ErrMissing))
	} else if err := q.Signer.Validate(); err != nil {
		errs = append(errs, signerError(scheme, err))
	}
	errs = append(errs, checkWindow(scheme, q.Window), q.Form.validate(scheme))
	if q.Form.Max > 0 && q.Window > q.Form.Max {
		errs = append(errs, fail(scheme, "Window", errors.New("must be at most Form.Max, "+q.Form.Max.String())))
	}
	if q.Delay < 0 {
		errs = append(errs, fail(scheme, "Delay", errors.New("must not be negative")))
	}
	return errors.Join(errs...)
}

func (q *SignedQuery) authenticate(scheme string, call *messages.Call, clock Clock) error {
	if q.Key == "" || lacks(q.Signer) {
		return q.validate(scheme)
	}
	if clock == nil {
		return fail(scheme, "", ErrNoClock)
	}
	if q.Form.InBody && !hasForm(call) {
		return fail(scheme, "Form.InBody", ErrBody)
	}
	if name := q.reserved(call); name != "" {
		return fail(scheme, name, ErrReserved)
	}
	stamp, err := q.stamp(call, clock)
	if err != nil {
		return fail(scheme, "", err)
	}
	if err := q.sign(call, stamp); err != nil {
		return fail(scheme, "Signer", err)
	}
	call.SetHeader(q.Form.KeyHeader, string(q.Key))
	return nil
}

func (q *SignedQuery) reserved(call *messages.Call) string {
	for _, name := range [...]string{q.Form.Timestamp, q.Form.Signature, q.Form.KeyParam} {
		if name == "" {
			continue
		}
		if _, ok := q.param(call, name); ok {
			return name
		}
	}
	return ""
}

// param looks for a parameter of the caller's, in the query and in a form body.
func (q *SignedQuery) param(call *messages.Call, name string) (string, bool) {
	if value, ok := lookup(call.Query, name); ok {
		return value, true
	}
	if !mayHave(call.Body, name) || !hasForm(call) {
		return "", false
	}
	return lookup(string(call.Body), name)
}

// stamp is the timestamp in units and the window in ms; a window below zero is
// not to be sent.
type stamp struct{ time, window int64 }

func (q *SignedQuery) stamp(call *messages.Call, clock Clock) (stamp, error) {
	rule, send, fixed := q.rule(call)
	now, unit := read(clock, call.Deadline), int64(q.Form.Unit)
	ts, _ := rule.choose(now.est, now.lo, now.hi, int64(cmp.Or(q.Delay, DefaultDelay)), unit)
	s := stamp{time: ts, window: -1}
	if send {
		s.window = rule.Past.Milliseconds()
	}
	if expiry, ok := now.expiry(unit); ok && q.Deadlines {
		if expiry < now.lo {
			return stamp{}, ErrTooLate
		}
		s.meet(expiry, unit, rule, fixed)
		s.window = min(s.window, wholeMillis(q.Form.Max).Milliseconds())
	}
	return s, nil
}

// meet makes timestamp plus window end at the expiry, or before: by a shorter
// window, or if that is the caller's, by an earlier timestamp.
func (s *stamp) meet(expiry, unit int64, rule Window, fixed bool) {
	switch {
	case rule.endsBy(expiry, s.time, unit):
	case fixed:
		s.time = quotient.Floor(expiry-int64(rule.bounded().Past), unit)
	default:
		s.time, s.window = shortened(expiry, s.time, unit)
	}
}

// rule is the server's rule for this call, whether a window has to be sent to
// make it so, and whether the caller has done that already.
func (q *SignedQuery) rule(call *messages.Call) (w Window, send, fixed bool) {
	w = q.Form.Rule
	if text, ok := q.param(call, q.Form.RecvWindow); ok {
		if ms, err := strconv.ParseFloat(text, 64); err == nil && ms > 0 && ms <= float64(q.Form.Max.Milliseconds()) {
			w.Past = time.Duration(ms * float64(time.Millisecond))
		}
		return w, false, true
	}
	if q.Window > 0 {
		w.Past = wholeMillis(q.Window)
		return w, true, false
	}
	return w, false, false
}

// sign appends the scheme's parameters to the query or the form body, and the
// signature of both.
func (q *SignedQuery) sign(call *messages.Call, s stamp) error {
	b := scratchPool.Get().(*scratch)
	defer scratchPool.Put(b)
	inBody := q.Form.InBody && len(call.Body) > 0
	if inBody {
		b.text = append(b.text[:0], call.Body...)
		b.text = q.appendParams(b.text, s)
		b.head = append(b.head[:0], call.Query...)
		b.parts = [2][]byte{b.head, b.text}
	} else {
		b.text = append(b.text[:0], call.Query...)
		b.text = q.appendParams(b.text, s)
		b.parts = [2][]byte{b.text, call.Body}
		if q.Form.QueryOnly {
			b.parts[1] = nil
		}
	}
	var err error
	if b.sig, err = q.Signer.AppendSignature(b.sig[:0], b.parts[:]...); err != nil {
		return err
	}
	b.parts = [2][]byte{} // do not keep the caller's body alive
	b.text = append(appendName(b.text, q.Form.Signature), b.encoded(q.Form.Encoding)...)
	if inBody {
		call.Body = slices.Clone(b.text) // the scratch goes on to the next signature
	} else {
		call.Query = string(b.text)
	}
	return nil
}

func (q *SignedQuery) appendParams(dst []byte, s stamp) []byte {
	if q.Form.KeyParam != "" {
		dst = percent.AppendForm(appendName(dst, q.Form.KeyParam), []byte(q.Key))
	}
	if s.window >= 0 {
		dst = strconv.AppendInt(appendName(dst, q.Form.RecvWindow), s.window, 10)
	}
	return strconv.AppendInt(appendName(dst, q.Form.Timestamp), s.time, 10)
}

// appendName starts a parameter. The first of a query needs no separator.
func appendName(dst []byte, name string) []byte {
	if len(dst) > 0 {
		dst = append(dst, '&')
	}
	dst = append(dst, name...)
	return append(dst, '=')
}

// scratch is the memory one signature needs, recycled.
type scratch struct {
	head, text, sig, code []byte
	parts                 [2][]byte
}

var scratchPool = sync.Pool{New: func() any { return new(scratch) }}

// encoded returns the signature as it stands in a query. Only base64 has bytes
// that a query does not.
func (b *scratch) encoded(e Encoding) []byte {
	b.code = e.Append(b.code[:0], b.sig)
	if e == Hex || e == 0 {
		return b.code
	}
	n := len(b.code)
	b.code = percent.AppendForm(b.code, b.code) // behind itself
	return b.code[n:]
}
