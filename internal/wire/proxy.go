package wire

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-engine/sluice/messages"
)

// proxyPorts are the schemes of proxies, with the ports they have by default.
var proxyPorts = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}

// errProxyChoice is the error of Dialer.Proxy. Its text leaves the cause out,
// which is often made of a URL with a password.
type errProxyChoice struct{ cause error }

func (errProxyChoice) Error() string   { return "proxy: none could be chosen" }
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
	if status, err := bounded(ctx, conn, func() (int, error) { return open(conn, proxy.User, addr) }); status != 0 || err != nil {
		conn.Close()
		return nil, &messages.ProxyError{Proxy: via, Status: status, Err: err}
	}
	return conn, nil
}

// toProxy connects to a proxy, for https with the handshake done.
func (d *Dialer) toProxy(ctx context.Context, scheme, via string) (net.Conn, error) {
	conn, err := d.transport(ctx, via)
	if err != nil || scheme != "https" {
		return conn, err
	}
	t := newTunnel(conn, d.proxyConfig(via))
	if err := t.under.handshake(ctx); err != nil {
		return nil, err
	}
	return t, nil
}

// bounded runs an exchange on conn that ends with the context.
func bounded(ctx context.Context, conn net.Conn, exchange func() (int, error)) (int, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	status, err := exchange()
	if !stop() {
		return status, ctx.Err() // the deadline may be set at any moment
	}
	return status, err
}

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
	h, err := readProxyHead(conn)
	if err != nil || h.status/100 == 2 {
		return 0, err
	}
	return h.status, nil
}

// maxProxyHead caps the answer to CONNECT.
const maxProxyHead = 16 << 10

// readProxyHead reads no byte behind the head: that would be the origin's.
func readProxyHead(conn net.Conn) (head, error) {
	h := newHead()
	for buf := make([]byte, 0, 512); ; {
		buf = append(buf, 0)
		if _, err := io.ReadFull(conn, buf[len(buf)-1:]); err != nil {
			return h, err
		}
		if done, err := h.scan(buf); done || err != nil {
			return h, err
		}
		if len(buf) == maxProxyHead {
			return h, errors.New("answer has no end")
		}
	}
}

// The words of SOCKS5 (RFC 1928) and of its password sub-negotiation (RFC 1929).
const (
	socksVersion    = 5
	socksNoAuth     = 0
	socksPassword   = 2
	socksConnect    = 1
	socksIPv4       = 1
	socksName       = 3
	socksIPv6       = 4
	passwordVersion = 1
)

var errSocks = errors.New("not an answer of SOCKS5")

// socksTunnel asks a SOCKS5 proxy for a connection; status is its reply code,
// 0 when it is open.
func socksTunnel(conn net.Conn, user *url.Userinfo, addr string) (status int, err error) {
	if err := socksGreet(conn, user); err != nil {
		return 0, err
	}
	request, err := appendSocksAddr([]byte{socksVersion, socksConnect, 0}, addr)
	if err != nil {
		return 0, err
	}
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	var reply [4]byte
	if _, err := io.ReadFull(conn, reply[:]); err != nil {
		return 0, err
	}
	if reply[0] != socksVersion {
		return 0, errSocks
	}
	if reply[1] != 0 {
		return int(reply[1]), nil
	}
	return 0, skipSocksAddr(conn, reply[3])
}

func socksGreet(conn net.Conn, user *url.Userinfo) error {
	greeting := []byte{socksVersion, 1, socksNoAuth}
	if user != nil {
		greeting = []byte{socksVersion, 2, socksNoAuth, socksPassword}
	}
	if _, err := conn.Write(greeting); err != nil {
		return err
	}
	var choice [2]byte
	if _, err := io.ReadFull(conn, choice[:]); err != nil {
		return err
	}
	switch {
	case choice[0] != socksVersion:
		return errSocks
	case choice[1] == socksNoAuth:
		return nil
	case choice[1] == socksPassword && user != nil:
		return socksLogin(conn, user)
	}
	return errors.New("no acceptable authentication method")
}

func socksLogin(conn net.Conn, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) == 0 || len(name) > 255 || len(password) > 255 {
		return errors.New("user or password is not 1 to 255 bytes long")
	}
	login := append([]byte{passwordVersion, byte(len(name))}, name...)
	login = append(append(login, byte(len(password))), password...)
	if _, err := conn.Write(login); err != nil {
		return err
	}
	var verdict [2]byte
	if _, err := io.ReadFull(conn, verdict[:]); err != nil {
		return err
	}
	if verdict[1] != 0 {
		return errors.New("user and password were refused")
	}
	return nil
}

func appendSocksAddr(to []byte, addr string) ([]byte, error) {
	host, service, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || len(host) > 255 {
		return nil, fmt.Errorf("address cannot be told to a SOCKS5 proxy")
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		to = append(append(to, socksName, byte(len(host))), host...)
	case ip.Is4():
		to = append(append(to, socksIPv4), ip.AsSlice()...)
	default:
		to = append(append(to, socksIPv6), ip.AsSlice()...)
	}
	return append(to, byte(port>>8), byte(port)), nil
}

// skipSocksAddr reads away the address the proxy connects from, and its port.
func skipSocksAddr(conn net.Conn, kind byte) error {
	var length [1]byte
	switch kind {
	case socksIPv4:
		length[0] = 4
	case socksIPv6:
		length[0] = 16
	case socksName:
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return err
		}
	default:
		return errSocks
	}
	_, err := io.ReadFull(conn, make([]byte, int(length[0])+2))
	return err
}
