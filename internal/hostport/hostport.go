// Package hostport writes host and port in one spelling, so that two texts that lead to
// the same place are equal.
package hostport

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
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
