// Package dial opens connections to origins.
//
//	dial.go              the Dialer: to HTTP/1.1 alone, or to whichever version the origin chooses
//	tls.go               the handshake, and one configuration for each host
//	race.go              one of a host's addresses: the first that answers (RFC 8305)
//	proxy.go socks.go    by way of a proxy: relayed, CONNECT, SOCKS5
//	permanent.go         which failures another dial would only meet again
//	tunnel.go            what lies upon TLS to a proxy
//
// From the transport up, each layer there only if it is needed:
//
//	Dial ─▶ race or DialContext ─▶ (TLS to the proxy) ─▶ (CONNECT or SOCKS5) ─▶ (TLS to the origin) ─▶ wire.Conn
//	DialAny ─▶ as Dial, or a place on a connection that is open already                             ─▶ h2.Stream
//
// # What is promised
//
//   - A dial ends with its context, and with the timeout at the latest.
//   - A dial that fails leaves nothing open.
//   - Not one byte behind a proxy's answer is taken: it would be the origin's.
//   - No error text holds a proxy's credentials.
//   - A silent connection can be told from one that has something to say, through
//     a proxy over TLS as well.
package dial
