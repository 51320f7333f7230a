package h2frames

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"time"
)

// host is the server of one case.
type host struct {
	listener net.Listener
	secured  *tls.Config
	play     func(*peer)
	hostile  int // so many connections play the case; those behind them behave
	mute     bool

	running sync.WaitGroup
	mu      sync.Mutex
	peers   []*peer // guarded by mu
	ended   bool    // guarded by mu
}

// identity is the server's certificate, and a pool that trusts it.
type identity struct {
	certificate tls.Certificate
	roots       *x509.CertPool
}

func newIdentity() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	id := &identity{certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots: x509.NewCertPool()}
	id.roots.AddCert(leaf)
	return id, nil
}

// newHost returns a server that is running.
func newHost(id *identity, c *Case) (*host, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &host{
		listener: listener, play: c.play, hostile: max(1, c.hostile), mute: c.mute,
		secured: &tls.Config{Certificates: []tls.Certificate{id.certificate}, NextProtos: []string{"h2"}},
	}
	h.running.Go(h.accept)
	return h, nil
}

func (h *host) accept() {
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			return
		}
		h.mu.Lock()
		p := newPeer(tls.Server(conn, h.secured), len(h.peers)+1)
		p.mute = h.mute && p.number <= h.hostile
		h.peers = append(h.peers, p)
		if h.ended {
			close(p.over)
			_ = conn.Close()
		}
		h.running.Go(func() { h.converse(p) })
		h.mu.Unlock()
	}
}

func (h *host) converse(p *peer) {
	defer p.conn.Close()
	if err := p.conn.(*tls.Conn).Handshake(); err != nil {
		return
	}
	h.running.Go(p.receive)
	if p.number <= h.hostile {
		h.play(p)
	} else {
		p.write(settings())
	}
	p.serve()
}

// connections is how many were opened.
func (h *host) connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.peers)
}

// url is where the server is.
func (h *host) url() string { return "https://" + h.listener.Addr().String() }

// close ends the server, and waits for it.
func (h *host) close() {
	_ = h.listener.Close()
	h.mu.Lock()
	h.ended = true
	for _, p := range h.peers {
		close(p.over)
		p.tear()
	}
	h.mu.Unlock()
	h.running.Wait()
}
