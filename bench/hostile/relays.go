package hostile

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
	"github.com/sluice-engine/sluice/engine"
)

// Plain HTTP goes to a proxy as it would go to its origin, but for a target that says
// where that is. Whatever is said back is an answer.

var relayURL = &url.URL{Scheme: "http", Host: "proxy.test:1", User: url.UserPassword("me", proxyPassword)}

// credentials are what only the proxy may be told.
var credentials = base64.StdEncoding.EncodeToString([]byte("me:" + proxyPassword))

var relayed = arrangement{proxy: relayURL, classes: classes}

// sampleOfRelays is the share of odd answers that a sample plays.
const sampleOfRelays = 7

func playRelays(t *testing.T, c Config, r *Report) {
	all := oddAnswers()
	if c.Cases > 0 {
		var some []odd
		for i := int(c.Seed % sampleOfRelays); i < len(all); i += sampleOfRelays {
			some = append(some, all[i])
		}
		all = some
	}
	playOddAnswers(t, c, r, all, relayed)
	for i, m := range serversManners {
		for n, door := range doors {
			if !c.sampled(i, n) {
				synctest.Test(t, func(*testing.T) { playRelay(m, door, r) })
			}
		}
	}
	for _, from := range sites {
		for _, to := range sites {
			for _, follows := range []string{"Do", "http.Client"} {
				synctest.Test(t, func(*testing.T) { playWay(from, to, follows, r) })
			}
		}
	}
}

// playRelay asks by way of a proxy that has manners.
func playRelay(m manners, door string, r *Report) {
	r.Played++
	listener := memnet.Listen()
	s := serveRaw(listener, m.converse)
	eng := newEngine(engine.Config{Dial: engine.Dial{DialContext: settled(listener.DialContext), Proxy: http.ProxyURL(relayURL)}})
	cl := byDoor(eng, door)
	for i := range questions {
		path := fmt.Sprintf("/own/%d", i)
		got := cl.get("GET", "http://mem.test"+path)
		where := fmt.Sprintf("a proxy that %s, %s, request %d", m.name, door, i)
		r.ownOrNone(where, path, got, m.calm)
		if got.err != nil && strings.Contains(got.err.Error(), proxyPassword) {
			r.fail("LEAKED: %s: %v", where, got.err)
		}
		time.Sleep(50 * time.Millisecond) // what comes late is there now
	}
	r.closing(eng, "a proxy that "+m.name)
	s.stop()
}

// sites are where something can be asked for: the first two by way of the proxy, the
// others directly.
var sites = []string{"http://mem.test", "https://mem.test", "http://mem.test:8080", "https://mem.test:8443"}

// streets are all listeners there are, and what was seen there that should not have
// been.
type streets struct {
	proxy, plain, sealed *memnet.Listener

	mu    sync.Mutex
	wrong []string // guarded by mu
}

func (s *streets) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	to := map[string]*memnet.Listener{"1": s.proxy, "8080": s.plain, "8443": s.sealed}[port]
	if to == nil {
		return nil, fmt.Errorf("%s is not to be reached but through the proxy", addr)
	}
	return to.DialContext(ctx, network, addr)
}

func (s *streets) choose(request *http.Request) (*url.URL, error) {
	if port := request.URL.Port(); port == "8080" || port == "8443" {
		return nil, nil
	}
	return relayURL, nil
}

// note notes what is wrong with a request.
func (s *streets) note(request *http.Request, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Sprintf("%s %s: %s", request.Method, request.RequestURI, fmt.Sprintf(format, args...)))
}

// relay is the proxy.
func (s *streets) relay(c net.Conn) {
	defer c.Close()
	for request := range requests(c) {
		if got := request.Header["Proxy-Authorization"]; len(got) != 1 || got[0] != "Basic "+credentials {
			s.note(request, "the proxy was told the credentials %q", got)
		}
		if request.Method == http.MethodConnect {
			if text := fmt.Sprint(request.Header); strings.Contains(text, keyOfTests) {
				s.note(request, "the proxy was told the origin's key: %s", text)
			}
			s.tunnel(c)
			return
		}
		if !request.URL.IsAbs() || request.URL.Host != request.Host {
			s.note(request, "not in absolute form")
		}
		if s.pass(c, request) != nil {
			return
		}
	}
}

// tunnel carries bytes to and fro.
func (s *streets) tunnel(c net.Conn) {
	far, err := s.sealed.Dial()
	if err != nil {
		return
	}
	defer far.Close()
	if _, err := io.WriteString(c, established+"\r\n"); err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(c, far)
		_ = c.Close()
	})
	_, _ = io.Copy(far, c)
	_ = far.Close()
	back.Wait()
}

// pass sends a request on, as a proxy that is in order does, and answers it.
func (s *streets) pass(c net.Conn, request *http.Request) error {
	far, err := s.plain.Dial()
	if err != nil {
		return err
	}
	defer far.Close()
	request.Header.Del("Proxy-Authorization")
	if err := request.Write(far); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(far), request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return response.Write(c)
}

// origin answers each request with its path, and "/to" with the way to somewhere else.
func (s *streets) origin(to string) func(net.Conn) {
	return func(c net.Conn) {
		defer c.Close()
		for request := range requests(c) {
			if text := fmt.Sprint(request.Header, request.RequestURI, request.Host); strings.Contains(text, "Proxy-Authorization") || strings.Contains(text, credentials) || strings.Contains(text, proxyPassword) {
				s.note(request, "the origin was told the proxy's credentials: %s", text)
			}
			if request.URL.IsAbs() {
				s.note(request, "the origin was asked as a proxy is")
			}
			if request.URL.Path == "/to" {
				_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: "+to+"/there\r\nContent-Length: 0\r\n\r\n")
				continue
			}
			_, _ = io.WriteString(c, trueAnswer(request.URL.Path))
		}
	}
}

// playWay is sent from one site to another, and back to the first: what is meant for
// the proxy goes there, and nowhere else.
func playWay(from, to, follows string, r *Report) {
	r.Played++
	s := &streets{proxy: memnet.Listen(), plain: memnet.Listen(), sealed: memnet.Listen()}
	certificate, trust := authority()
	converse := s.origin(to)
	servers := []*server{serveRaw(s.proxy, s.relay), serveRaw(s.plain, converse), serveRaw(s.sealed, func(c net.Conn) {
		converse(tls.Server(c, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	})}
	eng := newEngine(engine.Config{Dial: engine.Dial{DialContext: s.dial, Proxy: s.choose, TLS: &tls.Config{RootCAs: trust}}})
	cl := following(eng, follows)
	for _, path := range []string{"/first", "/to", "/last"} {
		got := cl.get("GET", from+path)
		where := fmt.Sprintf("%s of %s, which leads to %s, %s", path, from, to, follows)
		switch {
		case path != "/to":
			r.ownOrNone(where, path, got, true)
		case got.status == http.StatusFound:
			r.count("a redirect that is not followed")
		default:
			r.ownOrNone(where, "/there", got, true)
		}
	}
	r.closing(eng, "a proxy that passes on")
	for _, one := range servers {
		one.stop()
	}
	for _, text := range s.wrong {
		r.fail("ASTRAY: %s to %s, %s: %s", from, to, follows, text)
	}
}

// following follows redirects, and has a key for the origin.
func following(eng *engine.Engine, how string) client {
	ask := func(ctx context.Context, method, at string) outcome {
		response, err := eng.Do(ctx, &engine.Request{Method: method, URL: at, Redirects: 3, Header: http.Header{"X-Key": {keyOfTests}}})
		if err != nil {
			return failed(err)
		}
		return outcome{verdict: answers, status: response.StatusCode, body: response.Text()}
	}
	if how == "http.Client" {
		ask = func(ctx context.Context, method, at string) outcome {
			request, err := http.NewRequestWithContext(ctx, method, at, nil)
			if err != nil {
				return failed(err)
			}
			request.Header.Set("X-Key", keyOfTests)
			response, err := (&http.Client{Transport: eng.RoundTripper()}).Do(request)
			if err != nil {
				return failed(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				return failed(err)
			}
			return outcome{verdict: answers, status: response.StatusCode, body: string(body)}
		}
	}
	return client{how, ask, func() {}}
}
