package auth

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sluice-engine/sluice/internal/quotient"
	"github.com/sluice-engine/sluice/messages"
)

// HeaderForm is what distinguishes the exchanges that sign into a header.
type HeaderForm struct {
	Message  []Part // what is signed
	Headers  []Line // what is sent
	Time     TimeFormat
	Rule     Window   // the server's; decides which timestamp is signed
	Encoding Encoding // of the signature; default Hex

	// SignPassphrase sends the passphrase as the encoded signature of itself.
	SignPassphrase bool
	// NonceUnit is the step of the clock that nonces start from; default 1 µs.
	NonceUnit time.Duration
	// Codes are how the server says that it refused a timestamp or a nonce.
	Codes Codes
}

// uses reports whether p is signed or sent.
func (f *HeaderForm) uses(p Part) bool {
	if slices.Contains(f.Message, p) {
		return true
	}
	return slices.ContainsFunc(f.Headers, func(l Line) bool { return slices.Contains(l.Value, p) })
}

// Header signs some order of timestamp, method, path, query and body, and sends
// the signature in a header. The constructors OKX, KuCoin, Bybit, BitMEX, Gate,
// CoinbaseExchange, CoinbasePrime, Bitget, BitfinexV2 and Deribit return one; a
// new exchange of the family is a HeaderForm.
type Header struct {
	Key        Secret
	Passphrase Secret // where the exchange has one
	Signer     Signer
	Form       HeaderForm

	// Window is sent as RecvWindow, in whole milliseconds, and is the lifetime that Expires
	// gives a request, to the end of the second or millisecond that Form.Time counts. It is a
	// millisecond at least. Zero sends no RecvWindow, and a lifetime of 5 s.
	Window time.Duration
	// Deadlines makes the call's Deadline the server's too, where the form has
	// RecvWindow or Expires; see HMACQuery. An Expires in seconds is the last whole second
	// before it, and if that is over already, the call is ErrTooLate.
	Deadlines bool
	// Delay is as in HMACQuery.
	Delay time.Duration
	// Nonces says from where they rise, and how far, if the form has nonces.
	Nonces NonceRule
}

const defaultLifetime = 5 * time.Second

// Validate reports every mistake.
func (h Header) Validate() error {
	errs := []error{requiredInHeader("Header", "Key", string(h.Key)), checkWindow("Header", h.Window)}
	if lacks(h.Signer) {
		errs = append(errs, fail("Header", "Signer", ErrMissing))
	} else if err := h.Signer.Validate(); err != nil {
		errs = append(errs, signerError("Header", err))
	}
	if len(h.Form.Message) == 0 || len(h.Form.Headers) == 0 {
		errs = append(errs, fail("Header", "Form", ErrMissing))
	}
	if h.Form.uses(Passphrase) {
		errs = append(errs, h.checkPassphrase())
	}
	errs = append(errs, h.Form.validate()...)
	if h.Form.Encoding == Raw && signsBytes(h.Signer) {
		errs = append(errs, fail("Header", "Form.Encoding", errors.New("is auth.Raw, and bytes as they are cannot stand in a header")))
	}
	if h.Delay < 0 || h.Form.NonceUnit < 0 || h.Nonces.Ahead < 0 {
		errs = append(errs, fail("Header", "Delay, Form.NonceUnit, Nonces.Ahead", errors.New("must not be negative")))
	}
	return errors.Join(errs...)
}

// signsBytes reports whether a signer's signatures are any bytes. One of the caller's own may append
// text.
func signsBytes(s Signer) bool {
	switch s.(type) {
	case HMAC, *HMAC, PrivateKey, *PrivateKey:
		return true
	}
	return false
}

// checkPassphrase reports one that cannot be sent. One that is signed is sent encoded.
func (h Header) checkPassphrase() error {
	if h.Form.SignPassphrase {
		return required("Header", "Passphrase", string(h.Passphrase))
	}
	return requiredInHeader("Header", "Passphrase", string(h.Passphrase))
}

// validate returns every mistake in how the parts are put together.
func (f *HeaderForm) validate() (errs []error) {
	errs = append(errs, f.Rule.check("Header", "Form.Rule"), f.Codes.check("Header", "Form.Codes"))
	if f.Time > ISOMilli {
		errs = append(errs, fail("Header", "Form.Time", errUnknown))
	}
	if f.Encoding != 0 && !f.Encoding.isKnown() {
		errs = append(errs, fail("Header", "Form.Encoding", errUnknown))
	}
	return append(errs, f.checkLines()...)
}

// checkLines returns every mistake in what is signed and in what is sent.
func (f *HeaderForm) checkLines() (errs []error) {
	if slices.Contains(f.Message, Signature) {
		errs = append(errs, fail("Header", "Form.Message", errors.New("holds its own signature")))
	}
	errs = append(errs, checkParts("Form.Message", f.Message)...)
	sends := false
	var names []string
	for i, line := range f.Headers {
		place := fmt.Sprintf("%s[%d]", "Form.Headers", i)
		names = append(names, place+".Name", line.Name)
		sends = sends || slices.Contains(line.Value, Signature)
		errs = append(errs, checkParts(place+".Value", line.Value)...)
		for _, part := range line.Value {
			errs = append(errs, checkInHeader("Header", place+".Value", string(part)))
		}
	}
	errs = append(errs, checkHeaderNames("Header", names...))
	if len(f.Headers) > 0 && !sends {
		errs = append(errs, fail("Header", "Form.Headers", errors.New("no line has auth.Signature: requests would leave without one")))
	}
	return errs
}

// Lane names the sequence of nonces, if the form has nonces.
func (h Header) Lane() string {
	if !h.Form.uses(Nonce) {
		return ""
	}
	return lane(h.Key)
}

// BodyUnsigned reports whether no part of the form is made of the body.
func (h Header) BodyUnsigned() bool {
	return !h.Form.uses(Body) && !h.Form.uses(BodySHA512) && !h.Form.uses(QueryOrBody)
}

// Authenticate is part of Authenticator: it signs the call and sets the form's headers.
func (h Header) Authenticate(call *messages.Call, clock Clock) error {
	if h.Key == "" || lacks(h.Signer) {
		return h.Validate()
	}
	if clock == nil {
		return fail("Header", "", ErrNoClock)
	}
	m := message{Header: &h, call: call}
	if err := m.settle(clock); err != nil {
		return fail("Header", "", err)
	}
	return m.sign()
}

// message is one call being signed.
type message struct {
	*Header
	call      *messages.Call
	time      int64 // in units of Form.Time
	window    int64 // in ms; 0 is not sent
	expires   int64 // in units of Form.Time
	nonce     uint64
	pass, sig []byte // encoded
}

// settle decides everything that depends on the clock.
func (m *message) settle(clock Clock) error {
	if err := m.number(clock); err != nil { // before the clock is read, for it may wait for a store
		return err
	}
	now, unit := read(clock, m.call.Deadline), int64(m.Form.Time.unit())
	rule, window := m.Form.Rule, wholeMillis(m.Window)
	if window > 0 && m.Form.uses(RecvWindow) {
		rule.Past = window
	}
	m.time, _ = rule.choose(now.est, now.lo, now.hi, int64(cmp.Or(m.Delay, DefaultDelay)), unit)
	m.window = window.Milliseconds()
	m.expires = quotient.Ceil(now.est+int64(min(cmp.Or(m.Window, defaultLifetime), longest)), unit)
	if expiry, ok := now.expiry(int64(time.Millisecond)); ok && m.Deadlines {
		return m.meet(expiry, now.lo, unit, rule)
	}
	return nil
}

// number takes a nonce, or a number that need not rise.
func (m *message) number(clock Clock) (err error) {
	switch {
	case m.Form.uses(Nonce):
		m.nonce, err = nextNonce(m.call, m.Key, clock, m.Form.NonceUnit, m.Nonces)
	case m.Form.uses(Unique):
		m.nonce, err = nextUnique(m.call, m.Key, clock, m.Form.NonceUnit)
	}
	return err
}

// meet makes the server refuse after expiry, as far as the form can say so.
func (m *message) meet(expiry, lo, unit int64, rule Window) error {
	if expiry < lo {
		return ErrTooLate
	}
	m.expires = min(m.expires, quotient.Floor(expiry, unit))
	if m.expires*unit < lo && m.Form.uses(Expires) { // the last unit before the deadline is over
		return ErrTooLate
	}
	if m.Form.uses(RecvWindow) && !rule.endsBy(expiry, m.time, unit) {
		m.time, m.window = shortened(expiry, m.time, unit)
	}
	return nil
}

func (m *message) sign() error {
	b := scratchPool.Get().(*scratch)
	defer scratchPool.Put(b)
	if m.Passphrase != "" {
		if err := m.signPassphrase(b); err != nil {
			return fail("Header", "Signer", err)
		}
	}
	b.text = m.append(b.text[:0], m.Form.Message)
	b.parts = [2][]byte{b.text} // in the scratch, where the slice of parts does not allocate
	var err error
	if b.sig, err = m.Signer.AppendSignature(b.sig[:0], b.parts[:1]...); err != nil {
		return fail("Header", "Signer", err)
	}
	b.code = m.Form.Encoding.Append(b.code[:0], b.sig)
	m.sig = b.code
	for i := range m.Form.Headers {
		m.setHeader(b, &m.Form.Headers[i])
	}
	return nil
}

func (m *message) setHeader(b *scratch, line *Line) {
	for _, p := range line.Value {
		if p == RecvWindow && m.window == 0 || p == Passphrase && len(m.pass) == 0 || p == KeyName && m.Key == "" {
			return
		}
	}
	b.text = m.append(b.text[:0], line.Value)
	m.call.SetHeader(line.Name, string(b.text))
}

func (m *message) signPassphrase(b *scratch) error {
	m.pass = []byte(m.Passphrase)
	if !m.Form.SignPassphrase {
		return nil
	}
	b.parts = [2][]byte{m.pass}
	sig, err := m.Signer.AppendSignature(nil, b.parts[:1]...)
	m.pass = m.Form.Encoding.Append(nil, sig)
	return err
}

func (m *message) append(dst []byte, parts []Part) []byte {
	for _, p := range parts {
		dst = m.appendPart(dst, p)
	}
	return dst
}

func (m *message) appendPart(dst []byte, p Part) []byte {
	switch p {
	case Timestamp:
		return m.Form.Time.append(dst, m.time)
	case Nonce, Unique:
		return strconv.AppendUint(dst, m.nonce, 10)
	case Expires:
		return m.Form.Time.append(dst, m.expires)
	case RecvWindow:
		if m.window == 0 {
			return dst
		}
		return strconv.AppendInt(dst, m.window, 10)
	case KeyName:
		return append(dst, m.Key...)
	case Passphrase:
		return append(dst, m.pass...)
	case Signature:
		return append(dst, m.sig...)
	}
	return appendCallPart(dst, m.call, p)
}
