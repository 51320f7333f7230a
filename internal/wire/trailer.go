package wire

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// A request's trailer has its names checked twice: before the head announces
// them, and, with the values, when the body has ended, for the map is the
// caller's until then.

// notInTrailers are the fields that mean something only before the body (RFC
// 9110, section 6.5.1): framing, routing, modifiers, authentication, and how the
// content is to be handled. Those that begin with "If-" are further ones.
var notInTrailers = map[string]bool{
	"Connection": true, "Content-Length": true, "Keep-Alive": true, "Te": true, "Trailer": true,
	"Transfer-Encoding": true, "Upgrade": true, "Proxy-Connection": true,
	"Host": true, "Cache-Control": true, "Expect": true, "Max-Forwards": true, "Pragma": true, "Range": true,
	"Authorization": true, "Cookie": true, "Proxy-Authenticate": true, "Proxy-Authorization": true,
	"Set-Cookie": true, "Www-Authenticate": true,
	"Content-Encoding": true, "Content-Range": true, "Content-Type": true,
}

func checkTrailerOf(call *messages.Call) error {
	if call.Reader == nil || call.Length >= 0 {
		return &CallError{Part: "trailer", Reason: "only a body of unknown length has one"}
	}
	return CheckTrailer(call.Trailer)
}

// CheckTrailer returns a *CallError if a trailer section must not be sent.
func CheckTrailer(trailer http.Header) error {
	for _, name := range fieldNames(trailer) {
		if err := checkTrailerField(name, trailer[name]); err != nil {
			return err
		}
	}
	return nil
}

func checkTrailerField(name string, values []string) error {
	canonical := http.CanonicalHeaderKey(name)
	switch {
	case !isToken(name):
		return &CallError{Part: "trailer", Name: name, Reason: "name is not a token"}
	case notInTrailers[canonical] || strings.HasPrefix(canonical, "If-"):
		return &CallError{Part: "trailer", Name: name, Reason: "belongs before the body"}
	}
	for _, value := range values {
		if !isLine(value) {
			return &CallError{Part: "trailer", Name: name, Reason: "value holds a control character"}
		}
	}
	return nil
}

func fieldNames(header http.Header) []string { return slices.Sorted(maps.Keys(header)) }

// appendAnnouncement tells which fields the trailer will have.
func appendAnnouncement(dst []byte, trailer http.Header) []byte {
	if len(trailer) == 0 {
		return dst
	}
	return append(dst, "Trailer: "+strings.Join(fieldNames(trailer), ", ")+"\r\n"...)
}

func appendTrailer(dst []byte, trailer http.Header) ([]byte, error) {
	// Once more, for the body's reader may have filled in anything by now.
	if err := CheckTrailer(trailer); err != nil {
		return dst, err
	}
	for _, name := range fieldNames(trailer) {
		for _, value := range trailer[name] {
			dst = append(dst, name+": "+value+"\r\n"...)
		}
	}
	return dst, nil
}
