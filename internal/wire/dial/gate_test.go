//go:build unix

package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// gate is one that takes its time, and notes how dials end that it let pass.
type gate struct {
	takes  time.Duration
	fails  error
	mu     sync.Mutex
	passed int
	ends   []protocol.DialEnd
}

func (g *gate) in(ctx context.Context) context.Context {
	return protocol.WithDialGate(ctx, func(ctx context.Context) (func(protocol.DialEnd), error) {
		select {
		case <-time.After(g.takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if g.fails != nil {
			return nil, g.fails
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.passed++
		return func(end protocol.DialEnd) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.ends = append(g.ends, end)
		}, nil
	})
}

var plain = messages.Origin{Scheme: "http", Addr: "server.test:80"}

// inMemory opens connections that lead nowhere, after a while.
func inMemory(takes time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		ours, theirs := net.Pipe()
		theirs.Close()
		return ours, nil
	}
}

func TestTheTimeOfADialBeginsBehindItsGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{takes: time.Minute}
		d := &Dialer{Timeout: 5 * time.Second, DialContext: inMemory(4 * time.Second)}
		start := time.Now()
		c, err := d.DialAny(g.in(t.Context()), plain)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.Equal(t, 64*time.Second, time.Since(start))
		require.Equal(t, []protocol.DialEnd{protocol.DialOpened}, g.ends)

		d = &Dialer{Timeout: 5 * time.Second, DialContext: inMemory(6 * time.Second)}
		start = time.Now()
		_, err = d.DialAny(g.in(t.Context()), plain)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 65*time.Second, time.Since(start))
		require.Equal(t, protocol.DialUnclear, g.ends[1])
	})
}

func TestAGateEndsWithItsContextAndItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{takes: time.Hour}
		d := &Dialer{DialContext: inMemory(0)}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := d.DialAny(g.in(ctx), plain)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Minute, time.Since(start))

		mine := errors.New("no leave")
		_, err = d.DialAny((&gate{takes: time.Minute, fails: mine}).in(t.Context()), plain)
		require.ErrorIs(t, err, mine)
		require.Zero(t, g.passed)
		require.Empty(t, g.ends)
	})
}

func TestADialSaysWhetherTheServerMayHaveSeenIt(t *testing.T) {
	failing := func(err error) *Dialer {
		return &Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
	}
	op := func(err error) error { return &net.OpError{Op: "dial", Err: fmt.Errorf("connect: %w", err)} }
	for name, one := range map[string]struct {
		dialer *Dialer
		end    protocol.DialEnd
	}{
		"a name that nobody knows": {&Dialer{Resolve: func(context.Context, string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}}, protocol.DialUnsent},
		"no local address":        {failing(op(syscall.EADDRNOTAVAIL)), protocol.DialUnsent},
		"no file descriptors":     {failing(op(syscall.EMFILE)), protocol.DialUnsent},
		"no network":              {failing(op(syscall.ENETUNREACH)), protocol.DialUnsent},
		"a connection refused":    {failing(op(syscall.ECONNREFUSED)), protocol.DialUnclear},
		"an error of any kind":    {failing(errBroken), protocol.DialUnclear},
		"a dialer that panics":    {&Dialer{DialContext: func(context.Context, string, string) (net.Conn, error) { panic("no") }}, protocol.DialUnclear},
		"a handshake that breaks": {&Dialer{DialContext: inMemory(0)}, protocol.DialUnclear},
	} {
		g := &gate{}
		o := plain
		if name == "a handshake that breaks" {
			o.Scheme = "https"
		}
		_, err := one.dialer.DialAny(g.in(t.Context()), o)
		require.Error(t, err, name)
		require.Equal(t, []protocol.DialEnd{one.end}, g.ends, name)
	}
}

func TestManyPlacesOnOneHTTP2ConnectionPassTheGateOnce(t *testing.T) {
	d, o := listenH2(t, 50, mirrorH2)
	g := &gate{takes: 20 * time.Millisecond}
	var all sync.WaitGroup
	var opened atomic.Int64
	for range 40 {
		all.Go(func() {
			c, err := d.DialAny(g.in(t.Context()), o)
			require.NoError(t, err)
			opened.Add(1)
			t.Cleanup(func() { c.Close() })
		})
	}
	all.Wait()
	require.EqualValues(t, 40, opened.Load())
	require.Equal(t, 1, g.passed)
	require.Equal(t, []protocol.DialEnd{protocol.DialOpened}, g.ends)
}

// Otherwise each would open a connection of its own once it has leave.
func TestNobodyWaitsAtTheGateBesideOneWhoseHTTP2ConnectionHeCanShare(t *testing.T) {
	server, config, o, _ := wiretest.ListenH2(t, 50, mirrorH2)
	synctest.Test(t, func(t *testing.T) {
		settings := []byte{0, 0, 0, 4, 0, 0, 0, 0, 0}
		d := &Dialer{TLS: config, HTTP2: func(messages.Origin) bool { return true }}
		d.DialContext = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				peer := tls.Server(theirs, &tls.Config{Certificates: server.TLS.Certificates, NextProtos: []string{"h2"}, SessionTicketsDisabled: true})
				if peer.Handshake() == nil {
					go peer.Write(settings)
					io.Copy(io.Discard, peer)
				}
			}()
			return ours, nil
		}
		g := &gate{takes: 4 * time.Second}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				c, err := d.DialAny(g.in(t.Context()), o)
				require.NoError(t, err)
				t.Cleanup(func() { c.Close() })
			})
		}
		all.Wait()
		require.Equal(t, 1, g.passed)
	})
}

// The context of a dial that passes a gate is one like any other.
func TestPatienceIsAContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		parent, end := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
		ctx, cancel := withPatience(parent, time.Second)
		defer cancel()
		require.Equal(t, "value", ctx.Value(key{}))
		until, ok := ctx.Deadline()
		require.True(t, ok)
		require.Equal(t, time.Now().Add(time.Second), until)
		child, stop := context.WithCancel(ctx)
		defer stop()
		require.NoError(t, child.Err())
		end(errBroken)
		<-child.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		require.ErrorIs(t, context.Cause(ctx), errBroken)

		ctx, cancel = withPatience(t.Context(), time.Second)
		time.Sleep(time.Second)
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		_, err := ctx.(*patience).suspended(func(context.Context) (func(protocol.DialEnd), error) { panic("it is too late") })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
		require.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)

		ctx, cancel = withPatience(t.Context(), time.Second)
		cancel()
		require.ErrorIs(t, ctx.Err(), context.Canceled)
	})
}
