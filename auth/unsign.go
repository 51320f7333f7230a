package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// Unsigner is an authenticator that knows by name what its scheme adds to a call,
// and takes it out again, whoever added it: an SDK, for example, that signed a
// request with the time at which it was made, and not with that at which it is sent.
// All schemes of this package are. They are asked by Unsign, which is what to call.
type Unsigner interface {
	// Unsign takes out every parameter and every header line that Authenticate is
	// going to add, and reports whether a signature was among them. What remains
	// keeps its order and its spelling. It must not write into the array behind the
	// call's Body; its Fields are the call's own. The call is thrown away if signed
	// is false or if there is an error.
	Unsign(call *messages.Call) (signed bool, err error)
}

// Causes of an error of Unsign.
var (
	// ErrOtherKey means that a call was signed for somebody or something else than
	// the authenticator signs for: signed anew, it would be another's order.
	ErrOtherKey = errors.New("is not the one that the request was signed with")
	// ErrSealed means that a signature cannot be taken out of a call, because it
	// covers, or stands in, what is not known to be signed alike a second time.
	ErrSealed = errors.New("signed in a way that cannot be undone")
	// ErrNoUnsigner means that an authenticator does not say what it adds to a call.
	ErrNoUnsigner = errors.New("does not know what it adds to a request (auth.Unsigner)")
)

// Unsign takes out of a call what another program added to it by a's scheme, so
// that Authenticate can sign it anew. It reports whether the call was signed. One
// that was not, even if a key that signs nothing is in it, stays as it is; so does
// one that cannot be signed anew, and the error, an *Error, says why: the signature
// is another key's, or it cannot be taken out, or a is no Unsigner. What the keys
// are is in no error.
func Unsign(a Authenticator, call *messages.Call) (signed bool, err error) {
	u, ok := a.(Unsigner)
	if !ok {
		return false, fail(fmt.Sprintf("%T", a), "", ErrNoUnsigner)
	}
	left := *call
	left.Fields = slices.Clone(call.Fields)
	if signed, err = u.Unsign(&left); err != nil || !signed {
		return false, err
	}
	*call = left
	return true, nil
}

// sameKey reports an error if a call says that it was signed with another key. One
// that does not say so was signed with the only key there is.
func sameKey(scheme, field, used string, ours Secret) error {
	if used == "" || used == string(ours) {
		return nil
	}
	return fail(scheme, field, ErrOtherKey)
}

// isOneOf reports whether a parameter has one of the names, however it is spelt.
func isOneOf(pair string, names []string) bool {
	key, _, _ := strings.Cut(pair, "=")
	return key != "" && slices.ContainsFunc(names, func(name string) bool { return spells(key, name) })
}

// withoutParams leaves out every parameter that has one of the names. The others
// keep their order and every byte.
func withoutParams(params string, names ...string) string {
	pairs := strings.Split(params, "&")
	left := slices.DeleteFunc(slices.Clone(pairs), func(pair string) bool { return isOneOf(pair, names) })
	if len(left) == len(pairs) {
		return params
	}
	return strings.Join(left, "&")
}

// withoutForm is withoutParams of a form body.
func withoutForm(body []byte, names ...string) []byte {
	if len(body) == 0 {
		return body
	}
	return []byte(withoutParams(string(body), names...))
}

// Unsign is part of Unsigner. A recvWindow stays.
func (q HMACQuery) Unsign(call *messages.Call) (signed bool, err error) {
	q.Form = q.Form.withDefaults()
	of := q.signed()
	return of.unsign("HMACQuery", call)
}

// Unsign is part of Unsigner. A recvWindow stays.
func (q SignedQuery) Unsign(call *messages.Call) (signed bool, err error) {
	q.Form = q.Form.withDefaults()
	return q.unsign("SignedQuery", call)
}

func (q *SignedQuery) unsign(scheme string, call *messages.Call) (signed bool, err error) {
	body := ""
	if hasForm(call) {
		body = string(call.Body)
	}
	_, inQuery := lookup(call.Query, q.Form.Signature)
	_, inBody := lookup(body, q.Form.Signature)
	if !inQuery && !inBody {
		if q.signedInJSON(call) {
			return false, fail(scheme, "a JSON body's "+q.Form.Signature, ErrSealed)
		}
		return false, nil
	}
	header, _ := call.Header(q.Form.KeyHeader)
	err = sameKey(scheme, "Key", header, q.Key)
	own := []string{q.Form.Timestamp, q.Form.Signature}
	if name := q.Form.KeyParam; name != "" {
		own = append(own, name)
		for _, params := range [...]string{call.Query, body} {
			key, _ := lookup(params, name)
			err = errors.Join(err, sameKey(scheme, "Key", key, q.Key))
		}
	}
	call.Query = withoutParams(call.Query, own...)
	if body != "" {
		call.Body = withoutForm(call.Body, own...)
	}
	call.DelHeader(q.Form.KeyHeader)
	return true, err
}

// signedInJSON reports whether a call has the key beside it, and time and signature
// inside its JSON body, where the scheme does not put them.
func (q *SignedQuery) signedInJSON(call *messages.Call) bool {
	if _, ok := call.Header(q.Form.KeyHeader); !ok || hasForm(call) {
		return false
	}
	for _, name := range [...]string{q.Form.Signature, q.Form.Timestamp} {
		if !bytes.Contains(call.Body, []byte(name)) || !hasField(call.Body, name) { // the first spares the reading of a long body
			return false
		}
	}
	return true
}

// Unsign is part of Unsigner.
func (h Header) Unsign(call *messages.Call) (signed bool, err error) {
	for i := range h.Form.Headers {
		line := &h.Form.Headers[i]
		value, ok := call.Header(line.Name)
		if !ok || !line.wrote(value) {
			continue
		}
		signed = signed || slices.Contains(line.Value, Signature)
		err = errors.Join(err, sameKey("Header", "Key", line.key(value), h.Key))
		call.DelHeader(line.Name)
	}
	if !signed {
		return false, nil // whose the key is does not matter: nothing is signed anew
	}
	return true, err
}

// wrote reports whether a value can be the line's: it begins with the text that the
// line begins with.
func (l *Line) wrote(value string) bool {
	return len(l.Value) == 0 || l.Value[0].isOfCall() || strings.HasPrefix(value, string(l.Value[0]))
}

// key returns the key's name in a value of the line's, if only text of the form's
// own stands before it, and nothing or such text follows it.
func (l *Line) key(value string) string {
	for i, p := range l.Value {
		if p != KeyName {
			if p.isOfCall() || !strings.HasPrefix(value, string(p)) {
				return ""
			}
			value = value[len(p):]
			continue
		}
		if i+1 < len(l.Value) && !l.Value[i+1].isOfCall() {
			value, _, _ = strings.Cut(value, string(l.Value[i+1]))
		}
		return value
	}
	return ""
}

// isOfCall reports whether a part is one of the constants and not a text.
func (p Part) isOfCall() bool { return len(p) > 1 && p[0] == '{' && p[len(p)-1] == '}' }

// Unsign is part of Unsigner.
func (k Kraken) Unsign(call *messages.Call) (signed bool, err error) {
	if _, signed = call.Header("API-Sign"); !signed {
		return false, nil
	}
	if !hasForm(call) {
		return false, fail("Kraken", "a body that is no form", ErrSealed)
	}
	key, _ := call.Header("API-Key")
	call.Body = withoutForm(call.Body, "nonce")
	call.DelHeader("API-Key")
	call.DelHeader("API-Sign")
	return true, sameKey("Kraken", "Key", key, k.Key)
}

// Unsign is part of Unsigner. The parameters go back from the payload into the body,
// which Authenticate makes a payload of again. A payload for another path, or beside a
// body, is an error.
func (p Payload) Unsign(call *messages.Call) (signed bool, err error) {
	text, sealed := call.Header(p.PayloadHeader)
	_, signed = call.Header(p.SignatureHeader)
	if !sealed && !signed {
		return false, nil
	}
	object, err := base64.StdEncoding.DecodeString(text)
	body, path, ok := openPayload(object)
	if err != nil || !signed || !ok || path != call.Path || len(call.Body) > 0 {
		return false, fail("Payload", p.PayloadHeader, ErrSealed)
	}
	key, _ := call.Header(p.KeyHeader)
	call.Body = body
	for _, name := range [...]string{p.KeyHeader, p.PayloadHeader, p.SignatureHeader, "Content-Type", "Cache-Control"} {
		call.DelHeader(name)
	}
	return true, sameKey("Payload", "Key", key, p.Key)
}

// openPayload takes path and nonce out of a JSON object. The other fields keep their
// order and their spelling; nil says that there are none.
func openPayload(object []byte) (rest []byte, path string, ok bool) {
	if !json.Valid(object) {
		return nil, "", false
	}
	decoder := json.NewDecoder(bytes.NewReader(object))
	if begin, err := decoder.Token(); err != nil || begin != json.Delim('{') {
		return nil, "", false
	}
	for decoder.More() {
		from := decoder.InputOffset()
		name, err := decoder.Token()
		var value json.RawMessage
		if err != nil || decoder.Decode(&value) != nil {
			return nil, "", false
		}
		switch name {
		case "request":
			ok = json.Unmarshal(value, &path) == nil
		case "nonce":
		default:
			rest = append(append(rest, ','), bytes.TrimLeft(object[from:decoder.InputOffset()], ", \t\r\n")...)
		}
	}
	if len(rest) > 0 {
		rest[0] = '{' // in the place of the first comma
		rest = append(rest, '}')
	}
	return rest, path, ok
}

// Unsign is part of Unsigner.
func (h HTX) Unsign(call *messages.Call) (signed bool, err error) {
	if _, signed = lookup(call.Query, "Signature"); !signed {
		return false, nil
	}
	key, _ := lookup(call.Query, "AccessKeyId")
	call.Query = withoutParams(call.Query, "AccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp", "Signature")
	return true, sameKey("HTX", "Key", key, h.Key)
}

// Unsign is part of Unsigner. A body that was signed in pieces is an error, for the
// signatures of the pieces are in it. A signature in the query, as a presigned URL
// has it, is made to be used later, and is left alone.
func (s SigV4) Unsign(call *messages.Call) (signed bool, err error) {
	value, _ := call.Header("Authorization")
	terms, signed := strings.CutPrefix(value, "AWS4-HMAC-SHA256")
	if !signed {
		return false, nil
	}
	const sum = "X-Amz-Content-Sha256"
	if kind, _ := call.Header(sum); strings.HasPrefix(kind, "STREAMING-") {
		return false, fail("SigV4", sum, ErrSealed)
	}
	_, scope, _ := strings.Cut(terms, "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(strings.TrimSpace(scope), "/")
	if len(parts) != 5 || parts[0] != s.AccessKey || parts[2] != s.Region || parts[3] != s.Service {
		err = fail("SigV4", "AccessKey, Region, Service", ErrOtherKey)
	}
	for _, name := range [...]string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", sum} {
		call.DelHeader(name)
	}
	return true, err
}

// Unsign is part of Unsigner. Tokens that are no JSON Web Tokens are left alone.
func (j JWT) Unsign(call *messages.Call) (signed bool, err error) {
	value, _ := call.Header("Authorization")
	kind, token, _ := strings.Cut(value, " ")
	parts := strings.Split(token, ".")
	if !strings.EqualFold(kind, "Bearer") || len(parts) != 3 {
		return false, nil
	}
	var header jwtHeader
	var claims jwtClaims
	for i, into := range [...]any{&header, &claims} {
		text, err := Base64URL.Decode(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return false, nil
		}
	}
	if header.KeyID != j.KeyID || claims.Subject != j.Subject {
		err = fail("JWT", "KeyID, Subject", ErrOtherKey)
	}
	call.DelHeader("Authorization")
	return true, err
}

// Unsign is part of Unsigner. Another signature beside the scheme's own is an error.
func (h HTTPSignature) Unsign(call *messages.Call) (signed bool, err error) {
	label := h.Label
	if label == "" {
		label = "sig1"
	}
	input, _ := fieldValue(call, "Signature-Input")
	params, ours := strings.CutPrefix(input, label+"=")
	if _, has := call.Header("Signature"); !has || !ours {
		return false, nil
	}
	if !isOneMember(params) {
		return false, fail("HTTPSignature", "Signature-Input", ErrSealed)
	}
	if !strings.Contains(params, ";keyid="+quoted(h.KeyID)) {
		err = fail("HTTPSignature", "KeyID", ErrOtherKey)
	}
	call.DelHeader("Signature-Input")
	call.DelHeader("Signature")
	if slices.Contains(h.Components, "date") {
		call.DelHeader("Date")
	}
	return true, err
}

// isOneMember reports whether the rest of a dictionary has no second member
// (RFC 8941, section 3.2): no comma outside of quotes.
func isOneMember(rest string) bool {
	inQuotes := false
	for i := 0; i < len(rest); i++ {
		switch {
		case inQuotes && rest[i] == '\\':
			i++
		case rest[i] == '"':
			inQuotes = !inQuotes
		case rest[i] == ',' && !inQuotes:
			return false
		}
	}
	return true
}

// Unsign is part of Unsigner. The key says the same at any time: it is not taken
// for a signature.
func (k APIKey) Unsign(call *messages.Call) (signed bool, err error) {
	if k.Header != "" {
		call.DelHeader(k.Header)
	} else {
		call.Query = withoutParams(call.Query, k.Query)
	}
	return false, nil
}

// Unsign is part of Unsigner. A password is no signature.
func (b Basic) Unsign(call *messages.Call) (signed bool, err error) {
	call.DelHeader("Authorization")
	return false, nil
}

// Unsign is part of Unsigner. A token is no signature.
func (b Bearer) Unsign(call *messages.Call) (signed bool, err error) {
	call.DelHeader("Authorization")
	return false, nil
}

// Unsign is part of Unsigner: it asks every member, from the last, on what the one behind it
// left. The call was signed if one of them signed it.
func (c Chain) Unsign(call *messages.Call) (signed bool, err error) {
	for _, a := range slices.Backward(c) {
		u, ok := a.(Unsigner)
		if !ok {
			return false, fail(fmt.Sprintf("%T", a), "", ErrNoUnsigner)
		}
		one, wrong := u.Unsign(call)
		signed, err = signed || one, errors.Join(err, wrong)
	}
	return signed, err
}

// Unsign is part of Unsigner: it asks the authenticator.
func (w WithoutBody) Unsign(call *messages.Call) (signed bool, err error) {
	u, ok := w.Authenticator.(Unsigner)
	if !ok {
		return false, fail(fmt.Sprintf("%T", w.Authenticator), "", ErrNoUnsigner)
	}
	return u.Unsign(call)
}
