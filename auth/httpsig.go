package auth

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/sluice-engine/sluice/internal/httpdate"
	"github.com/sluice-engine/sluice/internal/quotient"
	"github.com/sluice-engine/sluice/messages"
)

// HTTPSignature signs chosen parts of a request as RFC 9421 says, and sends the
// headers Signature-Input and Signature.
type HTTPSignature struct {
	KeyID  string
	Signer Signer // Ed25519 with a PrivateKey, hmac-sha256 with an HMAC

	// Components are signed in this order: names of header fields in lower case,
	// or @method, @target-uri, @authority, @scheme, @request-target, @path,
	// @query. Empty means @method, @target-uri, and content-digest if there is a
	// body. A date or content-digest (RFC 9530, SHA-256) that the call lacks is
	// added to it.
	Components []string
	// Label names the signature; default "sig1".
	Label string
	// Lifetime, when above zero, adds the parameter expires: it is from created, up to a
	// second ago, to there, in whole seconds, to which it is rounded up, and two at least.
	Lifetime time.Duration
	// Algorithm and Tag, when set, are added as parameters alg and tag.
	Algorithm, Tag string
}

// Validate reports every mistake.
func (h HTTPSignature) Validate() error {
	var errs []error
	if lacks(h.Signer) {
		errs = append(errs, fail("HTTPSignature", "Signer", ErrMissing))
	} else if err := h.Signer.Validate(); err != nil {
		errs = append(errs, signerError("HTTPSignature", err))
	}
	errs = append(errs, required("HTTPSignature", "KeyID", h.KeyID))
	for _, p := range [...]struct{ field, text string }{{"KeyID", h.KeyID}, {"Algorithm", h.Algorithm}, {"Tag", h.Tag}} {
		if !printable(p.text) {
			errs = append(errs, fail("HTTPSignature", p.field, errors.New("must be printable ASCII")))
		}
	}
	if h.Label != "" && !isKey(h.Label) {
		errs = append(errs, fail("HTTPSignature", "Label", errors.New("is no structured-field key")))
	}
	errs = append(errs, checkLifetime("HTTPSignature", h.Lifetime))
	return errors.Join(append(errs, h.checkComponents()...)...)
}

// BodyUnsigned reports whether Components are given, and neither content-digest
// nor content-length is among them.
func (h HTTPSignature) BodyUnsigned() bool {
	return len(h.Components) > 0 && !slices.Contains(h.Components, "content-digest") && !slices.Contains(h.Components, "content-length")
}

func (h HTTPSignature) checkComponents() (errs []error) {
	seen := make(map[string]bool, len(h.Components))
	for _, c := range h.Components {
		switch {
		case seen[c]:
			errs = append(errs, fail("HTTPSignature", "Components", fmt.Errorf("%q is named twice", c)))
		case strings.HasPrefix(c, "@") && derived(&messages.Call{}, c) == nil:
			errs = append(errs, fail("HTTPSignature", "Components", fmt.Errorf("unknown component %q", c)))
		case !strings.HasPrefix(c, "@") && !isFieldName(c):
			errs = append(errs, fail("HTTPSignature", "Components", fmt.Errorf("%q is no lower-case field name", c)))
		}
		seen[c] = true
	}
	return errs
}

// Authenticate is part of Authenticator: it adds the signature's two headers, and those it needs.
func (h HTTPSignature) Authenticate(call *messages.Call, clock Clock) error {
	if err := h.Validate(); err != nil {
		return err
	}
	if clock == nil {
		return fail("HTTPSignature", "", ErrNoClock)
	}
	now := read(clock, time.Time{})
	created, _ := Window{Past: 10 * time.Second, Future: time.Second}.
		choose(now.est, now.lo, now.hi, int64(DefaultDelay), int64(time.Second))
	components := h.components(call)
	params := h.params(components, created)
	base, err := signatureBase(call, components, params, created)
	if err != nil {
		return err
	}
	sig, err := h.Signer.AppendSignature(nil, base)
	if err != nil {
		return fail("HTTPSignature", "Signer", err)
	}
	label := cmp.Or(h.Label, "sig1")
	call.SetHeader("Signature-Input", label+"="+params)
	call.SetHeader("Signature", label+"=:"+base64.StdEncoding.EncodeToString(sig)+":")
	return nil
}

func (h HTTPSignature) components(call *messages.Call) []string {
	if len(h.Components) > 0 {
		return h.Components
	}
	if len(call.Body) == 0 {
		return []string{"@method", "@target-uri"}
	}
	return []string{"@method", "@target-uri", "content-digest"}
}

// params is the value of "@signature-params" (RFC 9421, section 2.3).
func (h HTTPSignature) params(components []string, created int64) string {
	var b strings.Builder
	b.WriteByte('(')
	for i, c := range components {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quoted(c))
	}
	b.WriteString(");created=" + strconv.FormatInt(created, 10))
	if h.Lifetime > 0 {
		b.WriteString(";expires=" + strconv.FormatInt(created+quotient.Ceil(int64(h.Lifetime), int64(time.Second)), 10))
	}
	for _, p := range [...]struct{ name, value string }{{"alg", h.Algorithm}, {"keyid", h.KeyID}, {"tag", h.Tag}} {
		if p.value != "" {
			b.WriteString(";" + p.name + "=" + quoted(p.value))
		}
	}
	return b.String()
}

// signatureBase is what is signed (RFC 9421, section 2.5).
func signatureBase(call *messages.Call, components []string, params string, created int64) ([]byte, error) {
	var base []byte
	for _, c := range components {
		value, ok := component(call, c, created)
		if !ok {
			return nil, fail("HTTPSignature", c, ErrMissing)
		}
		base = append(base, quoted(c)+": "+value+"\n"...)
	}
	return append(base, `"@signature-params": `+params...), nil
}

func component(call *messages.Call, name string, created int64) (string, bool) {
	if f := derived(call, name); f != nil {
		return *f, true
	}
	if value, ok := fieldValue(call, name); ok {
		return value, true
	}
	switch name {
	case "host":
		return call.Host, true
	case "content-length":
		return contentLength(call)
	case "date":
		return added(call, "Date", time.Unix(created, 0).UTC().Format(httpdate.Layout)), true
	case "content-digest":
		sum := sha256.Sum256(call.Body)
		return added(call, "Content-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":"), true
	}
	return "", false
}

// contentLength is the Content-Length that the connection will write, if it
// writes one: a method that has no body by custom is sent without (RFC 9110,
// section 8.6).
func contentLength(call *messages.Call) (string, bool) {
	switch {
	case call.Reader != nil:
		return strconv.FormatInt(call.Length, 10), call.Length >= 0
	case len(call.Body) > 0, call.Method == "POST", call.Method == "PUT", call.Method == "PATCH":
		return strconv.Itoa(len(call.Body)), true
	}
	return "", false
}

func added(call *messages.Call, name, value string) string {
	call.SetHeader(name, value)
	return value
}

// derived returns a component that is not a header field, or nil (RFC 9421,
// section 2.2).
func derived(call *messages.Call, name string) *string {
	var value string
	switch name {
	case "@method":
		value = call.Method
	case "@authority":
		value = authority(call)
	case "@scheme":
		value = call.Origin.Scheme
	case "@path":
		value = call.Path
	case "@query":
		value = "?" + call.Query
	case "@request-target":
		value = call.Target()
	case "@target-uri":
		value = call.Origin.Scheme + "://" + authority(call) + call.Target()
	default:
		return nil
	}
	return &value
}

// authority is the host in lower case, without the scheme's default port.
func authority(call *messages.Call) string {
	host := strings.ToLower(sentHost(call))
	switch call.Origin.Scheme {
	case "https":
		return strings.TrimSuffix(host, ":443")
	case "http":
		return strings.TrimSuffix(host, ":80")
	}
	return host
}

// fieldValue joins all lines of a field (RFC 9421, section 2.1).
func fieldValue(call *messages.Call, name string) (value string, ok bool) {
	for _, f := range call.Fields {
		if !strings.EqualFold(f.Name, name) {
			continue
		}
		if ok {
			value += ", "
		}
		value, ok = value+strings.Trim(f.Value, " \t"), true
	}
	return value, ok
}

// quoted is a structured field's string (RFC 8941, section 3.3.3).
func quoted(s string) string {
	s = strings.ReplaceAll(s, `\`, `\\`)
	return `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// isKey says whether s is a structured field's key (RFC 8941, section 3.1.2).
func isKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		first := 'a' <= c && c <= 'z' || c == '*'
		if !first && (i == 0 || !('0' <= c && c <= '9' || c == '_' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}

// isFieldName says whether s is a header's name without capitals.
func isFieldName(s string) bool {
	return httpguts.ValidHeaderFieldName(s) && s == strings.ToLower(s)
}
