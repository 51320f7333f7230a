package auth

import (
	"crypto"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
)

// HTX signs for HTX (Huobi), in the manner of AWS's version 2: the query is
// sorted, and the signature is its last parameter.
//
//	payload   = METHOD "\n" host "\n" path "\n" sorted query
//	Signature = base64(HMAC-SHA256(Secret, payload))
//
// The body is not signed. The query is sent sorted, and encoded strictly (a
// space becomes %20).
type HTX struct{ Key, Secret Secret }

// Validate reports every mistake.
func (h HTX) Validate() error {
	return required("HTX", "Key", string(h.Key), "Secret", string(h.Secret))
}

// BodyUnsigned returns true.
func (h HTX) BodyUnsigned() bool { return true }

// Authenticate is part of Authenticator: it adds the scheme's parameters and the signature.
func (h HTX) Authenticate(call *messages.Call, clock Clock) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if clock == nil {
		return fail("HTX", "", ErrNoClock)
	}
	for _, name := range [...]string{"AccessKeyId", "SignatureMethod", "SignatureVersion", "Timestamp", "Signature"} {
		if _, ok := lookup(call.Query, name); ok {
			return fail("HTX", name, ErrReserved)
		}
	}
	return h.sign(call, clock.Now())
}

func (h HTX) sign(call *messages.Call, now time.Time) error {
	own := string(percent.AppendForm([]byte("AccessKeyId="), []byte(h.Key))) +
		"&SignatureMethod=HmacSHA256&SignatureVersion=2&Timestamp=" + strict(now.UTC().Format("2006-01-02T15:04:05"))
	query := canonicalQuery(call.Query + "&" + own)
	payload := call.Method + "\n" + strings.ToLower(sentHost(call)) + "\n" + call.Path + "\n" + query
	sig, err := shared(h.Secret, crypto.SHA256).AppendSignature(nil, []byte(payload))
	if err != nil {
		return fail("HTX", "Secret", err)
	}
	call.Query = query + "&Signature=" + string(percent.AppendForm(nil, Base64.Append(nil, sig)))
	return nil
}
