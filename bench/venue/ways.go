package venue

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// refusing dials nobody.
func refusing(err error) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}

// checkAddress checks the address that connections come from.
func checkAddress(text string) error {
	if text == "" {
		return nil
	}
	if _, err := netip.ParseAddr(text); err != nil {
		return fmt.Errorf("%.60q is no IP address", text)
	}
	return nil
}
