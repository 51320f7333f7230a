package dial

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

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

var errSocks = permanentError{errors.New("not an answer of SOCKS5")}

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
	return 0, skipSocksAddr(conn, reply[3]) // nobody asks for it, but behind it begins the origin
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
	return permanentError{errors.New("no acceptable authentication method")}
}

func socksLogin(conn net.Conn, user *url.Userinfo) error {
	name := user.Username()
	password, _ := user.Password()
	if len(name) == 0 || len(name) > 255 || len(password) > 255 { // one byte says how long each is
		return permanentError{errors.New("user or password is not 1 to 255 bytes long")}
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
	if verdict[1] != 0 { // the version before it has nothing to tell
		return permanentError{errors.New("user and password were refused")}
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
		return nil, permanentError{errors.New("address cannot be told to a SOCKS5 proxy")}
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil: // no address, so a name: the proxy resolves it
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
	_, err := io.ReadFull(conn, make([]byte, int(length[0])+2)) // no byte more than the port
	return err
}
