package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// echoes changes to a protocol in which every line is answered, with one line to
// begin with, which may arrive together with the head.
func echoes(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "echo" || !strings.EqualFold(r.Header.Get("Connection"), "Upgrade") {
		http.Error(w, "no", http.StatusUpgradeRequired)
		return
	}
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
	buffered.Flush()
	for {
		line, err := buffered.ReadString('\n')
		if err != nil || line == "bye\n" {
			return
		}
		buffered.WriteString(line)
		buffered.Flush()
	}
}

func asksForEcho(t *testing.T, ctx context.Context, at string) *http.Request {
	req, err := http.NewRequestWithContext(ctx, "GET", at, nil)
	require.NoError(t, err)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "echo")
	return req
}

func TestAConnectionThatChangesItsProtocolIsHandedOver(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(echoes))
		if sealed {
			server.StartTLS()
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		config := engine.Config{}
		if sealed {
			config = asNetHTTP(server, false)
		}
		eng := newEngine(t, config)
		resp, err := eng.RoundTripper(streamed).RoundTrip(asksForEcho(t, t.Context(), server.URL))
		require.NoError(t, err)
		require.Equal(t, "101 Switching Protocols", resp.Status)
		require.Equal(t, "echo", resp.Header.Get("Upgrade"))
		require.Zero(t, resp.ContentLength)
		require.False(t, resp.Close)
		both := resp.Body.(io.ReadWriteCloser)
		lines := bufio.NewReader(both)
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "hello\n", line)

		large := strings.Repeat("x", 1<<20) + "\n" // more than any buffer takes: reading and writing go side by side
		go io.WriteString(both, large)
		line, err = lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, large, line)
		require.Equal(t, 1, eng.Stats().Pools[0].Leased)

		io.WriteString(both, "bye\n")
		_, err = lines.ReadString('\n')
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, both.Close())
		_, err = io.WriteString(both, "more")
		require.Error(t, err)
		wantNothingHeld(t, eng)
		require.Zero(t, eng.Stats().Pools[0].Idle, "nobody uses it for HTTP again")
	}
}

func TestAnotherProtocolEndsWithItsContext(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echoes))
	defer server.Close()
	eng := newEngine(t, engine.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := eng.RoundTripper(streamed).RoundTrip(asksForEcho(t, ctx, server.URL))
	require.NoError(t, err)
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err = io.ReadAll(resp.Body)
	require.True(t, err == context.Canceled, "%v", err)
	_, err = resp.Body.(io.Writer).Write([]byte("more"))
	require.Error(t, err)
	require.NoError(t, resp.Body.Close())
	wantNothingHeld(t, eng)
}

func TestAReverseProxyOverTheEngineHandsOtherProtocolsThrough(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echoes))
	defer server.Close()
	target, _ := url.Parse(server.URL)
	eng := newEngine(t, engine.Config{})
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: eng.RoundTripper(streamed), ErrorLog: discardLog,
	})
	defer proxy.Close()
	oracle := &http.Transport{}
	defer oracle.CloseIdleConnections()
	resp, err := oracle.RoundTrip(asksForEcho(t, t.Context(), proxy.URL))
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	both := resp.Body.(io.ReadWriteCloser)
	io.WriteString(both, "one\nbye\n")
	all, err := io.ReadAll(both)
	require.NoError(t, err)
	require.Equal(t, "hello\none\n", string(all))
	both.Close()
	require.Eventually(t, func() bool { return eng.Stats().Pools[0].Leased == 0 }, 5*time.Second, time.Millisecond)
}

func TestAnUpgradeThatCannotBeIsRefusedBeforeItIsSent(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was sent") }))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	upgrade := http.Header{"Upgrade": {"echo"}}
	for reason, c := range map[string]struct {
		http2   bool
		request engine.Request
	}{
		"needs Request.Stream":          {false, engine.Request{Header: upgrade}},
		"a request with a body":         {false, engine.Request{Header: upgrade, Stream: true, Method: "POST", Body: "a"}},
		"holds a control character":     {false, engine.Request{Header: http.Header{"Upgrade": {"a\rb"}}, Stream: true}},
		"changes to no other protocol":  {true, engine.Request{Header: upgrade, Stream: true}},
		"HTTP/2 has none but close":     {true, engine.Request{Header: http.Header{"Connection": {"X-Hop"}}}},
		"option is not a token":         {false, engine.Request{Header: http.Header{"Connection": {"X Hop"}}}},
		"what belongs to the connectio": {false, engine.Request{Header: http.Header{"Connection": {"transfer-encoding"}}}},
	} {
		eng := newEngine(t, asNetHTTP(server, c.http2))
		c.request.URL = server.URL
		_, err := eng.Do(t.Context(), &c.request)
		require.ErrorIs(t, err, engine.ErrInvalidRequest, reason)
		require.ErrorContains(t, err, reason)
		require.Equal(t, engine.NotSent, engine.OutcomeOf(err), reason)
		wantNothingHeld(t, eng)
	}
}

// An answer that goes on in HTTP is one like any other.
func TestAServerMayIgnoreAnUpgrade(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "plain") }))
	defer server.Close()
	eng := newEngine(t, engine.Config{})
	resp, err := eng.RoundTripper(streamed).RoundTrip(asksForEcho(t, t.Context(), server.URL))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "plain", string(body))
	_, writes := resp.Body.(io.Writer)
	require.False(t, writes)
	require.Equal(t, 1, eng.Stats().Pools[0].Idle)
}

// A tunnel's two directions end apart.
func TestEitherDirectionOfAnotherProtocolMayEndFirst(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, buffered, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			fmt.Fprint(buffered, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			buffered.Flush()
			half := conn.(interface{ CloseWrite() error })
			if r.URL.Path == "/server" {
				_ = half.CloseWrite()
				line, _ := buffered.ReadString('\n')
				w.(chanWriter).heard <- line
				return
			}
			all, _ := io.ReadAll(buffered)
			fmt.Fprintf(conn, "heard %s", all)
		}))
		heard := make(chan string, 1)
		handler := server.Config.Handler
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handler.ServeHTTP(chanWriter{w, w.(http.Hijacker), heard}, r)
		})
		if sealed {
			server.StartTLS()
		} else {
			server.Start()
		}
		t.Cleanup(server.Close)
		eng := newEngine(t, asNetHTTP(server, false))
		if !sealed {
			eng = newEngine(t, engine.Config{})
		}
		for _, first := range []string{"/server", "/client"} {
			resp, err := eng.RoundTripper(streamed).RoundTrip(asksForEcho(t, t.Context(), server.URL+first))
			require.NoError(t, err)
			both := resp.Body.(io.ReadWriteCloser)
			if first == "/client" {
				io.WriteString(both, "all")
				require.NoError(t, both.(interface{ CloseWrite() error }).CloseWrite())
				all, err := io.ReadAll(both)
				require.NoError(t, err)
				require.Equal(t, "heard all", string(all))
			} else {
				all, err := io.ReadAll(both)
				require.NoError(t, err)
				require.Empty(t, all)
				_, err = io.WriteString(both, "still here\n")
				require.NoError(t, err)
				require.Equal(t, "still here\n", <-heard)
				_, err = both.Read(make([]byte, 1))
				require.Equal(t, io.EOF, err)
			}
			require.NoError(t, both.Close())
			wantNothingHeld(t, eng)
			require.Error(t, both.(interface{ CloseWrite() error }).CloseWrite())
		}
	}
}

// chanWriter tells its handler where to say what was heard.
type chanWriter struct {
	http.ResponseWriter
	http.Hijacker
	heard chan string
}

// Whoever writes between two ends is told what whoever reads is told.
func TestAWriteToWhatHasEndedSaysWhy(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(cancel func(), eng *engine.Engine)
		want error
	}{
		"the context": {func(cancel func(), _ *engine.Engine) { cancel() }, context.Canceled},
		"the timeout": {func(func(), *engine.Engine) { time.Sleep(2 * time.Second) }, context.DeadlineExceeded},
		"the engine":  {func(_ func(), eng *engine.Engine) { _ = eng.Close() }, engine.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t, echoes)
				eng := s.newEngine(t, engine.Config{})
				defer eng.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				within := func(_ *http.Request, asked *engine.Request) { asked.Timeout = time.Second }
				resp, err := eng.RoundTripper(streamed, within).RoundTrip(asksForEcho(t, ctx, "http://example.com/"))
				require.NoError(t, err)
				both := resp.Body.(io.ReadWriteCloser)
				test.end(cancel, eng)
				synctest.Wait()
				_, err = both.Write([]byte("x\n"))
				require.ErrorIs(t, err, test.want)
				require.ErrorIs(t, both.(interface{ CloseWrite() error }).CloseWrite(), test.want)
				_, err = both.Read(make([]byte, 1))
				require.ErrorIs(t, err, test.want)
				require.NoError(t, both.Close())
			})
		})
	}
}
