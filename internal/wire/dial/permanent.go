package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"reflect"

	"github.com/sluice-engine/sluice/messages"
)

// permanentError is a dial that would only fail again, until somebody changes
// something: a name, a certificate, a password. See messages.Permanent.
type permanentError struct{ error }

// Permanent is true.
func (permanentError) Permanent() bool { return true }

// Unwrap returns the failure.
func (e permanentError) Unwrap() error { return e.error }

// marked returns the error of a dial, as a permanentError if it is known to be one.
// Of what is not known another dial may do better.
func marked(err error) error {
	if messages.Permanent(err) || !permanent(err) {
		return err
	}
	return permanentError{err}
}

func permanent(err error) bool {
	var (
		lookup    *net.DNSError
		address   *net.AddrError
		untrusted *tls.CertificateVerificationError
		noTLS     tls.RecordHeaderError
		proxy     *messages.ProxyError
	)
	switch {
	case errors.As(err, &untrusted), errors.As(err, &noTLS), errors.As(err, &address), isCertificateError(err):
		return true
	case errors.As(err, &lookup):
		return lookup.IsNotFound && !lookup.IsTemporary && !lookup.IsTimeout
	case errors.As(err, &proxy) && proxy.Status != 0:
		return refusedForGood(proxy.Status)
	}
	return isLastingAlert(err)
}

// isCertificateError finds what crypto/x509 says where crypto/tls did not ask it:
// in a verification of the caller's own.
func isCertificateError(err error) bool {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		roots     x509.SystemRootsError
	)
	return errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid) || errors.As(err, &roots)
}

// refusedForGood reports whether a proxy's answer to CONNECT, or its SOCKS5 reply
// code, is about what was asked for, and not about how the proxy fares.
func refusedForGood(status int) bool {
	switch status {
	case socksForbidden, socksNoCommand, socksNoAddress:
		return true
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return true
	}
	return status/100 == 3 || status/100 == 4
}

// The reply codes of SOCKS5 (RFC 1928, section 6) that speak of the request itself.
const (
	socksForbidden = 2 // by the proxy's rules
	socksNoCommand = 7
	socksNoAddress = 8 // of that type
)

// lastingAlerts are the alerts (RFC 8446, section 6) by which a peer refuses what it
// was offered: another handshake offers the same.
var lastingAlerts = map[uint64]bool{
	40:  true, // handshake_failure
	42:  true, // bad_certificate
	43:  true, // unsupported_certificate
	44:  true, // certificate_revoked
	45:  true, // certificate_expired
	46:  true, // certificate_unknown
	48:  true, // unknown_ca
	49:  true, // access_denied
	70:  true, // protocol_version
	71:  true, // insufficient_security
	112: true, // unrecognized_name
	116: true, // certificate_required
	120: true, // no_application_protocol
}

// isLastingAlert looks for an alert of the peer's. crypto/tls has a number for it,
// of a type that it does not export.
func isLastingAlert(err error) bool {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" || remote.Err == nil {
		return false
	}
	alert := reflect.ValueOf(remote.Err)
	return alert.Kind() == reflect.Uint8 && lastingAlerts[alert.Uint()]
}

// refusing has what the caller's own verification refuses known as permanent: it
// would refuse the same certificate again.
func refusing(config *tls.Config) {
	if verify := config.VerifyPeerCertificate; verify != nil {
		config.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			return refusal(verify(raw, chains))
		}
	}
	if verify := config.VerifyConnection; verify != nil {
		config.VerifyConnection = func(state tls.ConnectionState) error { return refusal(verify(state)) }
	}
}

func refusal(err error) error {
	if err == nil {
		return nil
	}
	return permanentError{err}
}
