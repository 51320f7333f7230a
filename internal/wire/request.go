package wire

import (
	"strconv"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// joinedBody is the size up to which a body is copied behind its head, so that
// both leave in one write.
const joinedBody = 32 << 10

// appendRequest appends the head of call to dst, and its body if it is small;
// rest is the body otherwise. A Call that could be read in two ways is a
// *CallError. Without a relay the request is for the origin itself.
//
// Header lines are written as they stand in call.Fields, in that order, behind
// Host and Content-Length, which are ours.
func appendRequest(dst []byte, call *messages.Call, via *relay) (head, rest []byte, err error) {
	host, err := CheckCall(call)
	if err == nil && via != nil {
		err = via.check(host)
	}
	if err != nil {
		return dst, nil, err
	}
	dst = append(dst, call.Method...)
	dst = append(dst, ' ')
	dst = via.appendTarget(dst, call)
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, host...)
	dst = append(dst, "\r\n"...)
	switch {
	case call.Reader != nil:
		dst = appendFraming(dst, call)
	case len(call.Body) > 0 || expectsBody(call.Method):
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(call.Body)), 10)
		dst = append(dst, "\r\n"...)
	}
	if call.Close || call.Connection != "" || call.Upgrade != "" {
		dst = appendConnection(dst, call)
	}
	dst = via.appendCredentials(dst)
	dst = appendFields(dst, call, via)
	switch {
	case call.Reader != nil:
		return dst, nil, nil
	case len(call.Body) > joinedBody:
		return dst, call.Body, nil // written from the caller's memory, which outlives the exchange
	}
	return append(dst, call.Body...), nil, nil
}

// appendFraming says how long the body of call.Reader is.
func appendFraming(dst []byte, call *messages.Call) []byte {
	if call.Length < 0 {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
		dst = appendAnnouncement(dst, call.Trailer)
	} else {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, call.Length, 10)
		dst = append(dst, "\r\n"...)
	}
	if call.Continue {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	return dst
}

// appendConnection says what is the connection's own business.
func appendConnection(dst []byte, call *messages.Call) []byte {
	options := make([]string, 0, 3)
	if call.Connection != "" {
		options = append(options, call.Connection)
	}
	if call.Close {
		options = append(options, "close")
	}
	if call.Upgrade != "" {
		options = append(options, "Upgrade")
	}
	dst = append(dst, "Connection: "+strings.Join(options, ", ")+"\r\n"...)
	if call.Upgrade != "" {
		dst = append(dst, "Upgrade: "+call.Upgrade+"\r\n"...)
	}
	return dst
}

func appendFields(dst []byte, call *messages.Call, via *relay) []byte {
	for i := range call.Fields {
		f := &call.Fields[i]
		if isHost(f.Name) || via.replaces(f.Name) || call.Reader != nil && frames(call, f.Name) {
			continue // it was written before
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// frames reports whether appendFraming has written a line of that name.
func frames(call *messages.Call, name string) bool {
	return call.Continue && strings.EqualFold(name, "Expect") ||
		call.Length < 0 && len(call.Trailer) > 0 && strings.EqualFold(name, "Trailer")
}

// expectsBody reports whether a request without a body must say so (RFC 9110,
// section 8.6).
func expectsBody(method string) bool {
	return method == "POST" || method == "PUT" || method == "PATCH"
}

// CheckCall returns the host to write, or a *CallError if the call could be read
// in two ways.
func CheckCall(call *messages.Call) (host string, err error) {
	if !isToken(call.Method) {
		return "", &CallError{Part: "method", Reason: "not a token"}
	}
	if call.Method == "CONNECT" { // what follows its answer would not be HTTP
		return "", &CallError{Part: "method", Reason: "CONNECT opens a tunnel"}
	}
	if !strings.HasPrefix(call.Path, "/") && !(call.Path == "*" && call.Method == "OPTIONS") {
		return "", &CallError{Part: "target", Reason: "path does not begin with /"}
	}
	if !isVisible(call.Path) || !isVisible(call.Query) {
		return "", &CallError{Part: "target", Reason: "holds a control character or a space"}
	}
	host = call.Host
	named := false
	for i := range call.Fields {
		f := &call.Fields[i]
		if err := checkField(f); err != nil {
			return "", err
		}
		if isHost(f.Name) {
			if named {
				return "", &CallError{Part: "header", Name: f.Name, Reason: "given twice"}
			}
			named, host = true, f.Value // the caller's own word wins over the URL's host
		}
	}
	if err := checkConnection(call); err != nil {
		return "", err
	}
	if len(call.Trailer) > 0 {
		if err := checkTrailerOf(call); err != nil {
			return "", err
		}
	}
	if !isAuthority(host) {
		return "", &CallError{Part: "host", Reason: "empty or not a host"}
	}
	return withoutZone(host), nil
}

// withoutZone cuts the zone of an IPv6 address, which means something on this
// machine alone (RFC 6874, section 4).
func withoutZone(host string) string {
	if zone, end := strings.IndexByte(host, '%'), strings.LastIndexByte(host, ']'); 0 < zone && zone < end {
		return host[:zone] + host[end:]
	}
	return host
}

// checkConnection lets nobody take a field away from the next hop that says where
// the request goes or ends, nor hide that the connection is closed.
func checkConnection(call *messages.Call) error {
	if call.Upgrade != "" {
		if err := checkUpgrade(call); err != nil {
			return err
		}
	}
	if call.Connection == "" {
		return nil
	}
	for option := range strings.SplitSeq(call.Connection, ",") {
		option = strings.Trim(option, " \t")
		switch {
		case !isToken(option):
			return &CallError{Part: "header", Name: "Connection", Reason: "option is not a token"}
		case strings.EqualFold(option, "Upgrade"): // what is offered is in Call.Upgrade; otherwise it names nothing
		case strings.EqualFold(option, "close"), isHost(option), isOurs(option):
			return &CallError{Part: "header", Name: "Connection", Reason: "names what belongs to the connection"}
		}
	}
	return nil
}

// checkUpgrade asks that there be somebody to speak the other protocol, and nothing
// of this one left to be sent.
func checkUpgrade(call *messages.Call) error {
	reason := ""
	switch {
	case !isLine(call.Upgrade):
		reason = "value holds a control character"
	case !call.Stream:
		reason = "needs Request.Stream, which is what the other protocol is spoken over; an adjust function of a RoundTripper sets it"
	case call.Reader != nil || len(call.Body) > 0:
		reason = "a request with a body cannot offer another protocol"
	default:
		return nil
	}
	return &CallError{Part: "header", Name: "Upgrade", Reason: reason}
}

func checkField(f *messages.Field) error {
	switch {
	case !isToken(f.Name):
		return &CallError{Part: "header", Name: f.Name, Reason: "name is not a token"}
	case isOurs(f.Name):
		return &CallError{Part: "header", Name: f.Name, Reason: "belongs to the connection"}
	case !isLine(f.Value):
		return &CallError{Part: "header", Name: f.Name, Reason: "value holds a control character"}
	}
	return nil
}

func isHost(name string) bool { return len(name) == len("Host") && strings.EqualFold(name, "Host") }

// isOurs reports whether a header line is about framing or about the
// connection, which is for this package alone to say.
func isOurs(name string) bool {
	switch len(name) { // by length first, for nearly every name is none of these
	case len("Upgrade"):
		return strings.EqualFold(name, "Upgrade")
	case len("Connection"):
		return strings.EqualFold(name, "Connection")
	case len("Content-Length"):
		return strings.EqualFold(name, "Content-Length")
	case len("Transfer-Encoding"):
		return strings.EqualFold(name, "Transfer-Encoding")
	}
	return false
}

func isToken(s string) bool {
	for i := range len(s) {
		if !tokenByte[s[i]] {
			return false
		}
	}
	return s != ""
}

func isVisible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

// isAuthority reports whether s may be what Host says: no more is asked than that
// it cannot be taken for anything else.
func isAuthority(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c == 0x7f, c == '/', c == '?', c == '#', c == '@', c == ',', c == '\\':
			return false
		}
	}
	return s != ""
}

// isLine reports whether s may be a field's value (RFC 9110, section 5.5): a tab
// is the only control character that may.
func isLine(s string) bool {
	for i := range len(s) {
		if b := s[i]; b < ' ' && b != '\t' || b == 0x7f {
			return false
		}
	}
	return true
}
