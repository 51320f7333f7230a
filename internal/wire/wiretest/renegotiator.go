package wiretest

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/sluice-engine/sluice/messages"
)

// Renegotiator is the server's side of TLS 1.2, by hand, for crypto/tls has no server
// that asks for a second handshake. It knows one cipher suite,
// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, and believes all that the client says.
type Renegotiator struct {
	net.Conn
	// Piece is how many bytes of a handshake are in a record, each of which is written
	// byte by byte; zero is all at once.
	Piece int

	identity tls.Certificate
	in, out  direction
	verified []byte // what both sides' Finished said last, which the next hello repeats (RFC 5746)
	data     []byte // of the application's, read and not yet handed on
}

// ListenRenegotiating is Listen with a handshake done, by a Renegotiator. The
// configuration trusts the server, and grants it further handshakes.
func ListenRenegotiating(t testing.TB, serve func(*Renegotiator)) (*tls.Config, messages.Origin) {
	t.Helper()
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	lender.Close()
	roots := x509.NewCertPool()
	roots.AddCert(lender.Certificate())
	o := Listen(t, func(c net.Conn) {
		r := &Renegotiator{Conn: c, identity: lender.TLS.Certificates[0]}
		if r.Handshake() == nil {
			serve(r)
		}
	})
	o.Scheme = "https"
	return &tls.Config{RootCAs: roots, ServerName: "example.com", Renegotiation: tls.RenegotiateFreelyAsClient}, o
}

// The types of records and of handshake messages (RFC 5246, sections 6.2.1 and 7.4).
const (
	changeCipherSpec, handshakeRecord, applicationData byte = 20, 22, 23

	helloRequest, clientHello, serverHello, certificate    byte = 0, 1, 2, 11
	serverKeyExchange, certificateRequest, serverHelloDone byte = 12, 13, 14
	clientKeyExchange, finished                            byte = 16, 20
)

// direction protects the records of one side, once it has keys.
type direction struct {
	aead     cipher.AEAD
	fixed    []byte // the part of the nonce that is not sent
	sequence uint64
}

func newDirection(key, fixed []byte) direction {
	block, _ := aes.NewCipher(key) // no key of 16 bytes is refused
	aead, _ := cipher.NewGCM(block)
	return direction{aead: aead, fixed: fixed}
}

// header is what is authenticated beside a record, which is the next.
func (d *direction) header(kind byte, length int) []byte {
	header := append(binary.BigEndian.AppendUint64(nil, d.sequence), kind, 3, 3)
	d.sequence++
	return binary.BigEndian.AppendUint16(header, uint16(length))
}

func (d *direction) seal(kind byte, text []byte) []byte {
	if d.aead == nil {
		return text
	}
	nonce := binary.BigEndian.AppendUint64(bytes.Clone(d.fixed), d.sequence)
	sent := bytes.Clone(nonce[len(d.fixed):])
	return d.aead.Seal(sent, nonce, text, d.header(kind, len(text)))
}

func (d *direction) open(kind byte, sealed []byte) ([]byte, error) {
	if d.aead == nil {
		return sealed, nil
	}
	length := len(sealed) - 8 - d.aead.Overhead()
	if length < 0 {
		return nil, io.ErrUnexpectedEOF
	}
	nonce := append(bytes.Clone(d.fixed), sealed[:8]...)
	return d.aead.Open(nil, nonce, sealed[8:], d.header(kind, length))
}

func (r *Renegotiator) writeRecord(kind byte, text []byte) error {
	sealed := r.out.seal(kind, text)
	record := append(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(sealed))), sealed...)
	for len(record) > 0 {
		n := len(record)
		if r.Piece > 0 {
			n = 1
		}
		if _, err := r.Conn.Write(record[:n]); err != nil {
			return err
		}
		record = record[n:]
	}
	return nil
}

func (r *Renegotiator) readRecord() (kind byte, text []byte, err error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(r.Conn, header); err != nil {
		return 0, nil, err
	}
	text = make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(r.Conn, text); err != nil {
		return 0, nil, err
	}
	text, err = r.in.open(header[0], text)
	return header[0], text, err
}

// Write is part of net.Conn. It takes no more than what fits into a record.
func (r *Renegotiator) Write(p []byte) (int, error) {
	if err := r.writeRecord(applicationData, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read is part of net.Conn.
func (r *Renegotiator) Read(p []byte) (int, error) {
	for len(r.data) == 0 {
		kind, text, err := r.readRecord()
		if err == nil && kind != applicationData {
			err = errUnexpected
		}
		if err != nil {
			return 0, err
		}
		r.data = text
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

var errUnexpected = errors.New("unexpected record")

// Ask sends a HelloRequest. Handshake is what it asks for.
func (r *Renegotiator) Ask() error { return r.writeHandshake(message(helloRequest, nil)) }

// writeHandshake writes messages in records of Piece bytes.
func (r *Renegotiator) writeHandshake(text []byte) error {
	for len(text) > 0 {
		n := min(cmp.Or(r.Piece, len(text)), len(text))
		if err := r.writeRecord(handshakeRecord, text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

func message(kind byte, body []byte) []byte {
	return append(append([]byte{kind}, length24(len(body))...), body...)
}

func length24(n int) []byte { return []byte{byte(n >> 16), byte(n >> 8), byte(n)} }

// negotiation is one handshake.
type negotiation struct {
	*Renegotiator
	said            []byte // by both, from the ClientHello on
	left            []byte // of the client's, read and not yet taken
	clientRandom    []byte
	serverRandom    []byte
	key             *ecdh.PrivateKey
	master          []byte
	nextIn, nextOut direction
}

// Handshake does one, and asks for the client's certificate in it.
func (r *Renegotiator) Handshake() error {
	n := &negotiation{Renegotiator: r, serverRandom: make([]byte, 32)}
	rand.Read(n.serverRandom)
	hello, err := n.next(clientHello)
	if err != nil {
		return err
	}
	n.clientRandom = hello[2:34] // behind the version
	if err := n.offer(); err != nil {
		return err
	}
	exchanged, err := n.next(clientKeyExchange)
	if err != nil {
		return err
	}
	if err := n.derive(exchanged[1:]); err != nil { // behind its length
		return err
	}
	theirs, err := n.next(finished)
	if err != nil {
		return err
	}
	return n.finish(theirs)
}

// next reads up to a message of a kind, and returns its body. What the client shows
// and proves in between is taken down.
func (n *negotiation) next(kind byte) ([]byte, error) {
	for {
		for len(n.left) >= 4 {
			length := 4 + int(n.left[1])<<16 + int(n.left[2])<<8 + int(n.left[3])
			if length > len(n.left) {
				break
			}
			m := n.left[:length]
			n.left, n.said = n.left[length:], append(n.said, m...)
			if m[0] == kind {
				return m[4:], nil
			}
		}
		if err := n.more(kind); err != nil {
			return nil, err
		}
	}
}

func (n *negotiation) more(kind byte) error {
	record, text, err := n.readRecord()
	switch {
	case err != nil:
		return err
	case record == handshakeRecord:
		n.left = append(n.left, text...)
	case record == changeCipherSpec && kind == finished:
		n.in = n.nextIn
	case record == applicationData && kind == clientHello: // it was on its way when it was asked
		n.data = append(n.data, text...)
	default:
		return errUnexpected
	}
	return nil
}

// offer writes all from ServerHello to ServerHelloDone.
func (n *negotiation) offer() (err error) {
	if n.key, err = ecdh.X25519().GenerateKey(rand.Reader); err != nil {
		return err
	}
	hello := append([]byte{3, 3}, n.serverRandom...)
	hello = append(hello, 0, 0xc0, 0x2f, 0) // no session, the suite, no compression
	again := append([]byte{byte(len(n.verified))}, n.verified...)
	hello = append(hello, 0, byte(4+len(again)), 0xff, 1, 0, byte(len(again))) // renegotiation_info
	hello = append(hello, again...)

	public := n.key.PublicKey().Bytes()
	params := append([]byte{3, 0, 29, byte(len(public))}, public...) // the named curve X25519
	digest := sha256.Sum256(bytes.Join([][]byte{n.clientRandom, n.serverRandom, params}, nil))
	signature, err := n.identity.PrivateKey.(crypto.Signer).Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return err
	}
	params = binary.BigEndian.AppendUint16(append(params, 4, 1), uint16(len(signature))) // rsa_pkcs1_sha256
	leaf := n.identity.Certificate[0]
	flight := bytes.Join([][]byte{
		message(serverHello, hello),
		message(certificate, append(length24(len(leaf)+3), append(length24(len(leaf)), leaf...)...)),
		message(serverKeyExchange, append(params, signature...)),
		message(certificateRequest, []byte{1, 1, 0, 2, 4, 1, 0, 0}), // RSA, signed likewise, by anybody
		message(serverHelloDone, nil),
	}, nil)
	n.said = append(n.said, flight...)
	return n.writeHandshake(flight)
}

// derive makes the keys that both sides change to.
func (n *negotiation) derive(public []byte) error {
	theirs, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return err
	}
	secret, err := n.key.ECDH(theirs)
	if err != nil {
		return err
	}
	n.master = expand(secret, "master secret", append(bytes.Clone(n.clientRandom), n.serverRandom...), 48)
	keys := expand(n.master, "key expansion", append(bytes.Clone(n.serverRandom), n.clientRandom...), 2*16+2*4)
	n.nextIn, n.nextOut = newDirection(keys[:16], keys[32:36]), newDirection(keys[16:32], keys[36:])
	return nil
}

// finish answers the client's Finished.
func (n *negotiation) finish(theirs []byte) error {
	if err := n.writeRecord(changeCipherSpec, []byte{1}); err != nil {
		return err
	}
	n.out = n.nextOut
	said := sha256.Sum256(n.said)
	mine := expand(n.master, "server finished", said[:], len(theirs))
	n.verified = append(bytes.Clone(theirs), mine...)
	return n.writeHandshake(message(finished, mine))
}

// expand is the PRF (RFC 5246, section 5).
func expand(secret []byte, label string, seed []byte, length int) (out []byte) {
	seed = append([]byte(label), seed...)
	sum := func(p []byte) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write(p)
		return mac.Sum(nil)
	}
	for a := sum(seed); len(out) < length; a = sum(a) {
		out = append(out, sum(append(bytes.Clone(a), seed...))...)
	}
	return out[:length]
}
