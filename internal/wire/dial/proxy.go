package dial

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// proxyPorts are the schemes of proxies, with the ports they have by default.
var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// errProxyChoice is the error of Dialer.Proxy. Its text leaves out what the cause
// quotes, which is often a URL with a password.
type errProxyChoice struct{ cause error }

// Error is part of error.
func (e errProxyChoice) Error() string {
	return "proxy: none could be chosen: " + messages.WithoutQuotes(e.cause)
}

// Unwrap returns the cause, for errors.Is and errors.As.
func (e errProxyChoice) Unwrap() error { return e.cause }

// errConnectHeader is the error of Dialer.GetProxyConnectHeader, told as that of the
// choice is, and for the same reason.
type errConnectHeader struct{ cause error }

// Error is part of error.
func (e errConnectHeader) Error() string {
	return "header of CONNECT: none could be made: " + messages.WithoutQuotes(e.cause)
}

// Unwrap returns the cause, for errors.Is and errors.As.
func (e errConnectHeader) Unwrap() error { return e.cause }

// CheckProxy returns why a URL cannot be that of a proxy.
func CheckProxy(proxy *url.URL) error {
	switch {
	case proxyPorts[proxy.Scheme] == "":
		return fmt.Errorf("proxy scheme %q is none of http, https, socks5, socks5h", proxy.Scheme)
	case proxy.Hostname() == "":
		return errors.New("proxy has no host")
	}
	return nil
}

// route is how an origin is reached; without a proxy the zero value.
type route struct {
	proxy  *url.URL
	via    string // host and port of the proxy
	relays bool   // it passes requests on, and is asked for no tunnel
}

// route asks which proxy there is for an origin. One of HTTP passes the requests of
// plain origins on, as many have tunnels for https alone.
func (d *Dialer) route(o messages.Origin) (route, error) {
	if d.Proxy == nil {
		return route{}, nil
	}
	proxy, err := d.Proxy(o)
	if err != nil {
		return route{}, errProxyChoice{err}
	}
	if proxy == nil {
		return route{}, nil
	}
	if err := CheckProxy(proxy); err != nil {
		return route{}, permanentError{err}
	}
	via := net.JoinHostPort(proxy.Hostname(), cmp.Or(proxy.Port(), proxyPorts[proxy.Scheme]))
	return route{proxy, via, o.Scheme == "http" && !strings.HasPrefix(proxy.Scheme, "socks")}, nil
}

// through opens a connection by way of a proxy: to addr, or, if the proxy relays, to
// itself.
func (d *Dialer) through(ctx context.Context, r route, addr string) (net.Conn, error) {
	conn, err := d.toProxy(ctx, r.proxy.Scheme, r.via)
	if err != nil {
		return nil, &messages.ProxyError{Proxy: r.via, Err: err}
	}
	if r.relays {
		return conn, nil
	}
	kept := false
	defer closeUnless(&kept, conn)
	var header http.Header
	open := func() (int, error) { return connectTunnel(conn, header, addr) }
	if strings.HasPrefix(r.proxy.Scheme, "socks") {
		open = func() (int, error) { return socksTunnel(conn, r.proxy.User, addr) }
	} else if header, err = d.connectHeader(ctx, r.proxy, addr); err != nil {
		return nil, &messages.ProxyError{Proxy: r.via, Err: err}
	}
	if status, err := bounded(ctx, conn, open); status != 0 || err != nil {
		return nil, &messages.ProxyError{Proxy: r.via, Status: status, Err: err}
	}
	kept = true
	return conn, nil
}

// toProxy connects to a proxy, for https with the handshake done.
func (d *Dialer) toProxy(ctx context.Context, scheme, via string) (net.Conn, error) {
	conn, err := d.transport(ctx, via)
	if err != nil || scheme != "https" {
		return conn, err
	}
	kept := false
	defer closeUnless(&kept, conn)
	t := newTunnel(conn, d.proxyConfig(via))
	if err := handshake(ctx, t.under); err != nil {
		return nil, err
	}
	kept = true
	return t, nil
}

// bounded runs an exchange on conn that ends with the context.
func bounded(ctx context.Context, conn net.Conn, exchange func() (int, error)) (int, error) {
	// The exchange reads and writes without a context; a deadline in the past ends both.
	stop := context.AfterFunc(ctx, func() { interrupt(conn) })
	status, err := exchange()
	if !stop() {
		return status, ctx.Err() // even if all went well: the deadline may be set at any moment
	}
	return status, err
}

// interrupt ends whatever is running on conn, which is somebody else's perhaps.
func interrupt(conn net.Conn) {
	interrupted := false
	defer closeUnless(&interrupted, conn)
	_ = wire.Guard(messages.Leasing, func() { interrupted = conn.SetDeadline(time.Unix(1, 0)) == nil })
}

// maxProxyHead caps the answer to CONNECT.
const maxProxyHead = 16 << 10

// connectHeader is what CONNECT says of whoever asks. What the proxy's URL says goes
// before what is configured, as in net/http.
func (d *Dialer) connectHeader(ctx context.Context, proxy *url.URL, addr string) (http.Header, error) {
	header := d.ProxyConnectHeader.Clone()
	if d.GetProxyConnectHeader != nil {
		own, err := d.GetProxyConnectHeader(ctx, proxy, addr)
		if err != nil {
			return nil, errConnectHeader{err}
		}
		if err := CheckConnectHeader(own); err != nil {
			return nil, permanentError{fmt.Errorf("header of CONNECT: %w", err)}
		}
		header = own.Clone()
	}
	if header == nil {
		header = make(http.Header)
	}
	if !hasName(header, "User-Agent") && d.UserAgent != "" {
		header["User-Agent"] = []string{d.UserAgent}
	}
	if credentials := wire.ProxyCredentials(proxy.User); credentials != "" {
		for name := range header {
			if strings.EqualFold(name, "Proxy-Authorization") {
				delete(header, name)
			}
		}
		header["Proxy-Authorization"] = []string{credentials}
	}
	return header, nil
}

func hasName(header http.Header, name string) bool {
	for have := range header {
		if strings.EqualFold(have, name) {
			return true
		}
	}
	return false
}

// CheckConnectHeader returns why a header cannot be sent with CONNECT.
func CheckConnectHeader(header http.Header) error {
	call := messages.Call{Method: http.MethodGet, Host: "host", Path: "/"}
	for name, values := range header {
		if strings.EqualFold(name, "Host") {
			return errors.New("its Host is the origin's")
		}
		for _, value := range values {
			call.Fields = append(call.Fields, messages.Field{Name: name, Value: value})
		}
	}
	_, err := wire.CheckCall(&call)
	return err
}

// connectTunnel asks an HTTP proxy for a tunnel; status is 0 when it is open.
func connectTunnel(conn net.Conn, header http.Header, addr string) (status int, err error) {
	var request strings.Builder
	request.WriteString("CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n")
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			request.WriteString(name + ": " + value + "\r\n")
		}
	}
	if _, err := io.WriteString(conn, request.String()+"\r\n"); err != nil {
		return 0, err
	}
	status, err = wire.ReadStatus(conn, maxProxyHead)
	if err != nil || status/100 == 2 { // any 2xx opens it, and has no body
		return 0, err
	}
	return status, nil
}
