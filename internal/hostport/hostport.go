// Package hostport writes host and port in one spelling, so that two texts that lead to
// the same place are equal.
package hostport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Join joins a host, as url.URL.Hostname gives it, and a port, as net.JoinHostPort does,
// and writes both in one spelling: names in small letters, an address of IPv6 as RFC 5952
// has it, and a port without zeros before it. A zone stays as it is, for it is the name of
// an interface, whose case matters; an IPv4-mapped address does not become one of IPv4, and
// a name that ends in a dot keeps it: to a resolver and to a certificate it is another name.
// What is no port is not changed.
func Join(host, port string) string {
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		port = strconv.FormatUint(n, 10)
	}
	return net.JoinHostPort(inOneSpelling(host), port)
}

func inOneSpelling(host string) string {
	if strings.Contains(host, ":") {
		if address, err := netip.ParseAddr(host); err == nil {
			return address.String()
		}
	}
	return strings.ToLower(host)
}

// Check says what is wrong with host and port, as url.URL.Host has them. A text that holds
// what ends an authority is another one's as soon as it is laid out in a URL: name by name it
// is "evil.example/.example.com", and in a URL it is evil.example. No more than one byte is
// quoted, for a text that is wrong may hold a secret.
func Check(authority string) error {
	if strings.HasPrefix(authority, "[") {
		return checkBracketed(authority)
	}
	name, port, _ := strings.Cut(authority, ":")
	if name == "" {
		return errors.New("is empty: to mean this machine, name localhost")
	}
	if err := checkName(name); err != nil {
		return err
	}
	return checkPort(port)
}

// checkBracketed looks at an address of IPv6 and its port (RFC 3986, section 3.2.2), and at its
// zone, whose percent sign is not escaped.
func checkBracketed(authority string) error {
	literal, rest, closed := strings.Cut(authority[1:], "]")
	address, err := netip.ParseAddr(literal)
	if !closed || err != nil || !address.Is6() {
		return errors.New("has brackets around what is no address of IPv6")
	}
	if err := checkName(address.Zone()); err != nil {
		return err
	}
	port, has := strings.CutPrefix(rest, ":")
	if !has && rest != "" {
		return errors.New("goes on behind its brackets")
	}
	return checkPort(port)
}

// checkName asks for bytes that RFC 3986 has for names, and leaves the rest to the resolver.
func checkName(name string) error {
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~!$&'()*+,;=", c) >= 0:
		case c >= utf8.RuneSelf:
			return errors.New("must be ASCII (punycode)")
		default:
			return fmt.Errorf("has %q, which no host has", c)
		}
	}
	return nil
}

// checkPort asks for digits, or nothing. How many is another question.
func checkPort(port string) error {
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return errors.New("has a port that is no number")
		}
	}
	return nil
}
