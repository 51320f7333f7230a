package dial

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/messages"
)

// proxyPorts are the schemes of proxies, with the ports they have by default.
var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// errProxyChoice is the error of Dialer.Proxy. Its text leaves the cause out,
// which is often made of a URL with a password.
type errProxyChoice struct{ cause error }

// Error is part of error.
func (errProxyChoice) Error() string { return "proxy: none could be chosen" }

// Unwrap returns the cause, for errors.Is and errors.As.
func (e errProxyChoice) Unwrap() error { return e.cause }

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

// through opens a connection to addr by way of a proxy.
func (d *Dialer) through(ctx context.Context, proxy *url.URL, addr string) (net.Conn, error) {
	if err := CheckProxy(proxy); err != nil {
		return nil, err
	}
	via := net.JoinHostPort(proxy.Hostname(), cmp.Or(proxy.Port(), proxyPorts[proxy.Scheme]))
	open := connectTunnel
	if strings.HasPrefix(proxy.Scheme, "socks") {
		open = socksTunnel
	}
	conn, err := d.toProxy(ctx, proxy.Scheme, via)
	if err != nil {
		return nil, &messages.ProxyError{Proxy: via, Err: err}
	}
	kept := false
	defer closeUnless(&kept, conn)
	if status, err := bounded(ctx, conn, func() (int, error) { return open(conn, proxy.User, addr) }); status != 0 || err != nil {
		return nil, &messages.ProxyError{Proxy: via, Status: status, Err: err}
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

// connectTunnel asks an HTTP proxy for a tunnel; status is 0 when it is open.
func connectTunnel(conn net.Conn, user *url.Userinfo, addr string) (status int, err error) {
	request := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " +
			base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return 0, err
	}
	status, err = wire.ReadStatus(conn, maxProxyHead)
	if err != nil || status/100 == 2 { // any 2xx opens it, and has no body
		return 0, err
	}
	return status, nil
}
