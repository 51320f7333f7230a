package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/valyala/fasthttp"

	"github.com/sluice-engine/sluice/messages"
)

// The kinds of errors, as results count them. One with a status that is no success is
// "status 503".
const (
	kindTimeout    = "timeout"
	kindRefused    = "refused"    // nobody listens there
	kindReset      = "reset"      // the server tore the connection down
	kindClosed     = "closed"     // the server closed it before the answer was whole
	kindDNS        = "dns"        // the name is not known
	kindTLS        = "tls"        // no handshake came about
	kindLimit      = "limit"      // the engine's limits refused it
	kindPool       = "connection" // the client had none left to lend
	kindCancelled  = "cancelled"
	kindTemplate   = "template"   // it could not be filled in, or an answer lacked what it saves
	kindRequest    = "request"    // it is none that can be sent
	kindLarge      = "too large"  // the answer, for what the client takes
	kindSystem     = "system"     // this machine had no descriptor, port or memory for it
	kindUnfinished = "unfinished" // outstanding when the drain ended
	kindOther      = "other"
)

// KindOf says in one word what an error of a client is, for counting.
func KindOf(err error) string {
	var (
		dns      *net.DNSError
		record   tls.RecordHeaderError
		verify   *tls.CertificateVerificationError
		alert    tls.AlertError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		timeout  interface{ Timeout() bool }
		small    *fasthttp.ErrSmallBuffer
	)
	switch {
	case err == nil:
		return ""
	case fromThisMachine(err):
		return kindSystem
	case errors.As(err, &dns):
		return kindDNS
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, fasthttp.ErrTimeout),
		errors.As(err, &timeout) && timeout.Timeout():
		return kindTimeout
	case errors.Is(err, context.Canceled):
		return kindCancelled
	case errors.Is(err, syscall.ECONNREFUSED):
		return kindRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return kindReset
	case errors.As(err, &record), errors.As(err, &verify), errors.As(err, &alert), errors.As(err, &unknown), errors.As(err, &hostname), errors.As(err, &invalid):
		return kindTLS
	case errors.Is(err, messages.ErrBodyTooLarge), errors.Is(err, messages.ErrHeaderTooLarge), errors.Is(err, fasthttp.ErrBodyTooLarge), errors.As(err, &small):
		return kindLarge
	case errors.Is(err, fasthttp.ErrNoFreeConns):
		return kindPool
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, fasthttp.ErrConnectionClosed),
		strings.Contains(err.Error(), "server closed"):
		return kindClosed
	}
	return kindOther
}

// fromThisMachine says that the system refused what a connection needs. A resolver that could
// open no file has only the text of it.
func fromThisMachine(err error) bool {
	for _, refusal := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	var dns *net.DNSError
	return errors.As(err, &dns) && strings.Contains(dns.Err, syscall.EMFILE.Error())
}
