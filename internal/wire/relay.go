package wire

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/sluice-engine/sluice/messages"
)

// relay is a proxy that is told where each request is for, instead of opening a
// tunnel (RFC 9112, section 3.2.2). Nil is none.
type relay struct {
	authority   string // of the origin, as the proxy is told it
	credentials string // the value of Proxy-Authorization; empty if it has none
}

// ProxyCredentials is the value of Proxy-Authorization for the user and password in
// a proxy's URL; empty for nil.
func ProxyCredentials(user *url.Userinfo) string {
	if user == nil {
		return ""
	}
	password, _ := user.Password()
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password))
}

// NewRelayedConn is NewConn for a socket that leads to a proxy which passes requests
// on to addr, the host and port of an origin of scheme http. The credentials are said
// with every request.
func NewRelayedConn(s *Socket, l Limits, addr, credentials string) *Conn {
	c := NewConn(s, l)
	c.via = &relay{authorityOf(addr), credentials}
	return c
}

// authorityOf returns the host and port of an http URL in one spelling, without a
// zone, which means something on this machine alone.
func authorityOf(host string) string {
	return withoutZone(strings.TrimSuffix(strings.ToLower(host), ":80"))
}

// check refuses a Host that is not the origin's: the proxy would put the target's
// host in its place, and, if the target had it, lead to another origin.
func (r *relay) check(host string) error {
	if authorityOf(host) != r.authority {
		return &CallError{Part: "header", Name: "Host", Reason: "is not the origin's, and a proxy would replace it"}
	}
	return nil
}

// appendTarget appends the path and query, and before them, for a proxy, where they
// are. OPTIONS of the whole server has neither.
func (r *relay) appendTarget(dst []byte, call *messages.Call) []byte {
	if r != nil {
		dst = append(dst, "http://"...)
		dst = append(dst, r.authority...)
		if call.Path == "*" {
			return dst
		}
	}
	dst = append(dst, call.Path...)
	if call.Query != "" || call.ForceQuery {
		dst = append(dst, '?')
		dst = append(dst, call.Query...)
	}
	return dst
}

const proxyAuthorization = "Proxy-Authorization"

func (r *relay) appendCredentials(dst []byte) []byte {
	if r == nil || r.credentials == "" {
		return dst
	}
	return append(append(append(dst, proxyAuthorization+": "...), r.credentials...), "\r\n"...)
}

// replaces reports whether a line of the call's is not sent, for the connection has
// one of its own.
func (r *relay) replaces(name string) bool {
	return r != nil && r.credentials != "" && strings.EqualFold(name, proxyAuthorization)
}
