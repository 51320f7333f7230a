package hostile

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/messages"
)

// authority is a certificate for mem.test, and those who trust it. It is made once, for
// all bubbles.
var authority = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mem.test"}, DNSNames: []string{"mem.test"},
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	trust := x509.NewCertPool()
	trust.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, trust
})

// shaper is what lies under a server's TLS, and decides how its records arrive.
type shaper struct {
	net.Conn
	piece int           // bytes that are sent at once; 0 is all
	gap   time.Duration // between two pieces
	// holdsFrom is the write from which on all are kept until they are released; 0 keeps
	// none.
	holdsFrom int
	written   int
	held      []byte
}

func (s *shaper) Write(p []byte) (int, error) {
	if s.written++; s.holdsFrom > 0 && s.written >= s.holdsFrom {
		s.held = append(s.held, p...)
		return len(p), nil
	}
	for at := 0; at < len(p); {
		n := len(p) - at
		if s.piece > 0 {
			n = min(n, s.piece)
			time.Sleep(s.gap)
		}
		if _, err := s.Conn.Write(p[at : at+n]); err != nil {
			return at, err
		}
		at += n
	}
	return len(p), nil
}

func (s *shaper) release() {
	s.holdsFrom = 0
	_, _ = s.Conn.Write(s.held)
	s.held = nil
}

// sealing is how a server treats TLS.
type sealing struct {
	name  string
	sound bool // every request has to be answered
	// trickles says that tickets may still be on their way when a request is about to
	// leave: half a record is no silence, and what it will be is not known.
	trickles bool
	// warm has the connection rest before it is used: who speaks first in the moment of
	// the request cannot be told from one who answers.
	warm bool
	// raw is spoken instead of TLS; nil has a handshake.
	raw func(c net.Conn)
	// under is how the records of the handshake and of all else arrive.
	under func(s *shaper)
	// late holds back what the server writes behind the client's part of the handshake,
	// until shaken releases it or the first request is there.
	late bool
	// shaken is called behind the handshake.
	shaken func(sealed *tls.Conn, s *shaper)
	// answer answers one request; nil does it truly.
	answer func(sealed *tls.Conn, s *shaper, path string) (goesOn bool)
}

const garbage = "\x17\x03\x03\x00\x20garbage garbage garbage garbage "

var sealings = []sealing{
	{name: "as it should be", sound: true},
	{name: "a byte at a time", sound: true, trickles: true, under: func(s *shaper) { s.piece, s.gap = 1, 20*time.Microsecond }},
	{name: "five bytes at a time, the heads of records", sound: true, trickles: true, under: func(s *shaper) { s.piece, s.gap = 5, 50*time.Microsecond }},
	{name: "a record for each byte", sound: true, answer: func(c *tls.Conn, _ *shaper, path string) bool {
		for b := range strings.SplitSeq(trueAnswer(path), "") {
			_, _ = io.WriteString(c, b)
		}
		return true
	}},
	{name: "a record for the head, and one for the body", sound: true, answer: func(c *tls.Conn, _ *shaper, path string) bool {
		head, body, _ := strings.Cut(trueAnswer(path), "\r\n\r\n")
		_, _ = io.WriteString(c, head+"\r\n\r\n")
		time.Sleep(time.Millisecond)
		_, _ = io.WriteString(c, body)
		return true
	}},
	{name: "empty records in between", sound: true, answer: func(c *tls.Conn, _ *shaper, path string) bool {
		_, _ = c.Write(nil)
		_, _ = io.WriteString(c, trueAnswer(path))
		_, _ = c.Write(nil)
		return true
	}},
	{name: "a record that is cut in two by a pause", sound: true, answer: func(c *tls.Conn, s *shaper, path string) bool {
		s.piece, s.gap = 9, 20*time.Millisecond
		_, _ = io.WriteString(c, trueAnswer(path))
		return true
	}},
	{name: "tickets with the first answer", sound: true, late: true},
	{name: "tickets 20 ms behind the handshake", sound: true, late: true, shaken: func(_ *tls.Conn, s *shaper) {
		time.Sleep(20 * time.Millisecond)
		s.release()
	}},
	{name: "a goodbye behind each answer", sound: true, answer: func(c *tls.Conn, _ *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path))
		_ = c.CloseWrite()
		return false
	}},
	{name: "a bare end behind each answer", sound: true, answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path))
		_ = s.Conn.Close()
		return false
	}},
	{name: "a body to its goodbye", sound: true, answer: func(c *tls.Conn, _ *shaper, path string) bool {
		_, _ = io.WriteString(c, okay+"\r\n"+trueBody(path))
		_ = c.CloseWrite()
		return false
	}},
	{name: "a body to a bare end", answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, okay+"\r\n"+trueBody(path)[:5])
		_ = s.Conn.Close()
		return false
	}},
	{name: "a body to an end inside a record", answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, okay+"\r\n"+trueBody(path)[:5])
		_, _ = io.WriteString(s.Conn, garbage[:9])
		_ = s.Conn.Close()
		return false
	}},
	{name: "a goodbye inside a body", answer: func(c *tls.Conn, _ *shaper, path string) bool {
		text := trueAnswer(path)
		_, _ = io.WriteString(c, text[:len(text)-3])
		_ = c.CloseWrite()
		return false
	}},
	{name: "a goodbye inside a body, and no close", answer: func(c *tls.Conn, _ *shaper, path string) bool {
		text := trueAnswer(path)
		_, _ = io.WriteString(c, text[:len(text)-3])
		_ = c.CloseWrite()
		return true
	}},
	{name: "a goodbye inside a head", answer: func(c *tls.Conn, _ *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path)[:20])
		_ = c.CloseWrite()
		return true
	}},
	{name: "a bare end inside a body", answer: func(c *tls.Conn, s *shaper, path string) bool {
		text := trueAnswer(path)
		_, _ = io.WriteString(c, text[:len(text)-3])
		_ = s.Conn.Close()
		return false
	}},
	{name: "an alert in clear inside a body", answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path)[:60])
		_, _ = io.WriteString(s.Conn, "\x15\x03\x03\x00\x02\x02\x28")
		return true
	}},
	{name: "garbage inside a body", answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path)[:60])
		_, _ = io.WriteString(s.Conn, garbage)
		return true
	}},
	{name: "garbage behind an answer", answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path))
		_, _ = io.WriteString(s.Conn, garbage)
		return true
	}},
	{name: "garbage 30 ms behind an answer", answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path))
		time.Sleep(30 * time.Millisecond)
		_, _ = io.WriteString(s.Conn, garbage)
		return true
	}},
	{name: "half a record behind an answer", answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path))
		_, _ = io.WriteString(s.Conn, garbage[:7])
		return true
	}},
	{name: "an answer more", answer: func(c *tls.Conn, _ *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path)+smuggled)
		return true
	}},
	{name: "an answer more, in a record of its own", answer: func(c *tls.Conn, _ *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path))
		_, _ = io.WriteString(c, smuggled)
		return true
	}},
	{name: "an answer more, 30 ms later", answer: func(c *tls.Conn, _ *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path))
		time.Sleep(30 * time.Millisecond)
		_, _ = io.WriteString(c, smuggled)
		return true
	}},
	{name: "an answer more, 30 ms later, a byte at a time", answer: func(c *tls.Conn, s *shaper, path string) bool {
		_, _ = io.WriteString(c, trueAnswer(path))
		time.Sleep(30 * time.Millisecond)
		s.piece = 1
		_, _ = io.WriteString(c, smuggled)
		s.piece = 0
		return true
	}},
	{name: "speaks before it is asked", warm: true, shaken: func(c *tls.Conn, _ *shaper) { _, _ = io.WriteString(c, smuggled) }},
	{name: "garbage behind the handshake", warm: true, shaken: func(_ *tls.Conn, s *shaper) { _, _ = io.WriteString(s.Conn, garbage) }},
	{name: "a goodbye behind the handshake", shaken: func(c *tls.Conn, _ *shaper) { _ = c.CloseWrite() }},
	{name: "closes behind the handshake", shaken: func(_ *tls.Conn, s *shaper) { _ = s.Conn.Close() }},
	{name: "plain HTTP", raw: func(c net.Conn) { _, _ = io.WriteString(c, smuggled) }},
	{name: "closes at once", raw: func(net.Conn) {}},
	{name: "an alert for a handshake", raw: func(c net.Conn) { _, _ = io.WriteString(c, "\x15\x03\x03\x00\x02\x02\x28") }},
	{name: "a record without end for a handshake", raw: func(c net.Conn) { _, _ = io.WriteString(c, "\x16\x03\x03\xff\xff"+strings.Repeat("x", 60_000)) }},
	{name: "alerts without end for a handshake", raw: func(c net.Conn) {
		for range 1000 {
			if _, err := io.WriteString(c, "\x15\x03\x03\x00\x02\x01\x5a"); err != nil {
				return
			}
		}
	}},
	{name: "silence for a handshake", raw: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }},
	{name: "its own bytes for a handshake", raw: func(c net.Conn) { _, _ = io.Copy(c, c) }},
}

// converse speaks to one client.
func (s sealing) converse(version uint16) func(net.Conn) {
	certificate, _ := authority()
	base := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: version, MaxVersion: version, NextProtos: []string{"http/1.1"}}
	return func(c net.Conn) {
		defer c.Close()
		if s.raw != nil {
			s.raw(c)
			return
		}
		config := base.Clone()
		under := &shaper{Conn: c}
		if s.under != nil {
			s.under(under)
		}
		if s.late {
			// A certificate that is asked for makes tickets a flight of their own.
			config.ClientAuth = tls.RequestClientCert
			under.holdsFrom = 2
		}
		sealed := tls.Server(under, config)
		if sealed.Handshake() != nil {
			return
		}
		if s.shaken != nil {
			s.shaken(sealed, under)
		}
		for request := range requests(sealed) {
			under.release()
			if s.answer == nil {
				_, _ = io.WriteString(sealed, trueAnswer(request.URL.Path))
			} else if !s.answer(sealed, under, request.URL.Path) {
				return
			}
		}
	}
}

func playTLS(t *testing.T, c Config, r *Report) {
	for i, s := range sealings {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			if s.late && version == tls.VersionTLS12 {
				continue // its tickets are a part of the handshake
			}
			for n, door := range doors {
				if c.sampled(i, n) {
					continue
				}
				synctest.Test(t, func(*testing.T) { playSealing(s, version, door, r) })
			}
		}
	}
}

func playSealing(s sealing, version uint16, door string, r *Report) {
	r.Played++
	listener := memnet.Listen()
	server := serveRaw(listener, s.converse(version))
	_, trust := authority()
	config := engine.Config{Dial: engine.Dial{DialContext: listener.DialContext, TLS: &tls.Config{RootCAs: trust}}}
	if s.warm {
		config.Dial.DialContext = once(listener.DialContext) // what is dialled anew would not have rested
	}
	eng := newEngine(config)
	cl := byDoor(eng, door)
	asked := questions
	if s.warm {
		_ = eng.Warm(context.Background(), "https://mem.test", 1)
		time.Sleep(50 * time.Millisecond)
		asked = 1
	}
	for i := range asked {
		path := fmt.Sprintf("/own/%d", i)
		began := time.Now()
		got := cl.get("GET", "https://mem.test"+path)
		where := fmt.Sprintf("%s, %s, %s, request %d", s.name, tls.VersionName(version), door, i)
		r.ownOrNone(where, path, got, s.sound && !(s.trickles && errors.Is(got.err, messages.ErrStale)))
		if took := time.Since(began); took > patience+time.Second {
			r.fail("LATE: %s took %v", where, took)
		}
		time.Sleep(50 * time.Millisecond)
	}
	r.closing(eng, s.name)
	time.Sleep(time.Minute)
	server.stop()
}

// once dials no second time.
func once(dial dialer) dialer {
	var dialled atomic.Bool
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dialled.Swap(true) {
			return nil, errForeign
		}
		return dial(ctx, network, addr)
	}
}

// ownOrNone demands that an answer is one's own, and that there is one if that must be.
func (r *Report) ownOrNone(where, path string, got outcome, must bool) {
	switch {
	case got.verdict == answers && got.body != trueBody(path):
		r.fail("POISONED: %s got %v", where, got)
	case got.verdict == answers:
		r.count("its own answer")
	case must:
		r.fail("UNANSWERED: %s: %v", where, got)
	default:
		r.count("an error")
	}
}
