package auth

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/internal/percent"
	"github.com/sluice-engine/sluice/messages"
)

// SigV4 signs for AWS and compatible services, version 4, in the Authorization
// header. Host, X-Amz-Date, X-Amz-Security-Token, X-Amz-Content-Sha256 and
// Content-Type are signed.
type SigV4 struct {
	AccessKey       string // names the secret; not itself secret
	Secret          Secret
	SessionToken    Secret // of temporary credentials
	Region, Service string
	// RawPath signs the path once encoded, as S3 wants it; every other service
	// wants it as it is sent, encoded once more. Neither changes what is sent.
	RawPath bool
	// UnsignedPayload leaves the body out of the signature, so that it can be
	// streamed: S3 allows that, over https. It needs RawPath, and the request a
	// Upload.Length, for S3 takes no chunks.
	UnsignedPayload bool
}

// Validate reports every mistake.
func (s SigV4) Validate() error {
	err := errors.Join(required("SigV4", "Secret", string(s.Secret)),
		requiredInHeader("SigV4", "AccessKey", s.AccessKey, "Region", s.Region, "Service", s.Service))
	if s.SessionToken != "" {
		err = errors.Join(err, requiredInHeader("SigV4", "SessionToken", string(s.SessionToken)))
	}
	if strings.ContainsAny(s.Region+s.Service, "/, ") { // which end a part of the scope
		err = errors.Join(err, fail("SigV4", "Region, Service", errors.New("must have no slash, comma or blank")))
	}
	if s.UnsignedPayload && !s.RawPath {
		err = errors.Join(err, fail("SigV4", "UnsignedPayload", errors.New("is for S3 alone, which needs RawPath")))
	}
	return err
}

// BodyUnsigned returns UnsignedPayload.
func (s SigV4) BodyUnsigned() bool { return s.UnsignedPayload }

// Authenticate is part of Authenticator: it adds date, token and signature.
func (s SigV4) Authenticate(call *messages.Call, clock Clock) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if clock == nil {
		return fail("SigV4", "", ErrNoClock)
	}
	now := clock.Now().UTC()
	stamp, day := now.Format("20060102T150405Z"), now.Format("20060102")
	scope := day + "/" + s.Region + "/" + s.Service + "/aws4_request"
	body, err := s.payload(call)
	if err != nil {
		return err
	}
	s.addHeaders(call, stamp, body) // first, because they are signed themselves
	canonical, signed := s.canonical(call, body)
	digest := sha256.Sum256([]byte(canonical))
	toSign := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(digest[:])
	sig, err := s.sign(day, toSign)
	if err != nil {
		return fail("SigV4", "Secret", err)
	}
	call.SetHeader("Authorization", "AWS4-HMAC-SHA256 Credential="+s.AccessKey+"/"+scope+
		", SignedHeaders="+signed+", Signature="+sig)
	return nil
}

// payload is what stands for the body in the signature. Without TLS an unsigned
// body could be replaced on its way.
func (s SigV4) payload(call *messages.Call) (string, error) {
	if s.UnsignedPayload {
		if call.Origin.Scheme != "https" {
			return "", fail("SigV4", "UnsignedPayload", errors.New("is allowed over https only"))
		}
		return "UNSIGNED-PAYLOAD", nil
	}
	body := sha256.Sum256(call.Body)
	return hex.EncodeToString(body[:]), nil
}

func (s SigV4) addHeaders(call *messages.Call, stamp, body string) {
	call.SetHeader("X-Amz-Date", stamp)
	if s.SessionToken != "" {
		call.SetHeader("X-Amz-Security-Token", string(s.SessionToken))
	}
	if s.RawPath {
		call.SetHeader("X-Amz-Content-Sha256", body)
	}
}

// sign derives the key of the day, region and service, and signs with it. The
// last derived key is kept by HMAC's own pool.
func (s SigV4) sign(day, toSign string) (string, error) {
	key := "AWS4" + string(s.Secret)
	for _, part := range [...]string{day, s.Region, s.Service, "aws4_request", toSign} {
		next, err := HMAC{Secret: Secret(key), SecretEncoding: Raw, Hash: crypto.SHA256}.AppendSignature(nil, []byte(part))
		if err != nil {
			return "", err
		}
		key = string(next)
	}
	return hex.EncodeToString([]byte(key)), nil
}

func (s SigV4) canonical(call *messages.Call, body string) (text, signed string) {
	var names []string
	var lines strings.Builder
	for _, name := range [...]string{"content-type", "host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"} {
		value, ok := fieldValue(call, name)
		if name == "host" {
			value, ok = sentHost(call), true
		}
		if ok {
			names = append(names, name)
			lines.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
		}
	}
	signed = strings.Join(names, ";")
	return strings.Join([]string{call.Method, s.canonicalPath(call.Path), canonicalQuery(call.Query), lines.String(), signed, body}, "\n"), signed
}

// canonicalPath encodes the path as the server will, whatever it is sent as: all
// but unreserved bytes and slashes. S3 encodes what the path means; every other
// service what it was sent, escapes included.
func (s SigV4) canonicalPath(path string) string {
	plain := []byte(cmp.Or(path, "/"))
	if s.RawPath { // a plus is no space here
		plain = percent.AppendDecoded(nil, strings.ReplaceAll(string(plain), "+", "%2B"))
	}
	encoded := string(percent.AppendForm(nil, plain))
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(encoded)
}

// canonicalQuery sorts the parameters by encoded name, then value, and encodes
// them strictly (a space becomes %20).
func canonicalQuery(query string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for part := range strings.SplitSeq(query, "&") {
		if part != "" {
			name, value, _ := strings.Cut(part, "=")
			pairs = append(pairs, pair{strict(name), strict(value)})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name + "=" + p.value)
	}
	return b.String()
}

func strict(encoded string) string {
	plain := percent.AppendDecoded(nil, encoded)
	return strings.ReplaceAll(string(percent.AppendForm(nil, plain)), "+", "%20")
}
