package h2

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
)

func TestHTTP2IsThereUnlessTheProgramIsToldOtherwise(t *testing.T) {
	require.True(t, Available())
	t.Setenv("GODEBUG", "http2client=0")
	require.False(t, Available())
}

// backends are what is behind an origin: each connection in turn is opened by the next of them, and
// the last opens all the rest.
type backends struct {
	certificates []tls.Certificate
	opened       atomic.Int32
	all          []backend
}

type backend struct {
	speaks string        // by ALPN
	waits  time.Duration // before it is dialled
	takes  time.Duration
}

func (b *backends) open(ctx context.Context, leaves func()) (*wire.Socket, error) {
	one := b.all[min(int(b.opened.Add(1)), len(b.all))-1]
	time.Sleep(one.waits)
	leaves()
	select {
	case <-time.After(one.takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		peer := tls.Server(far, &tls.Config{Certificates: b.certificates, NextProtos: []string{one.speaks}, SessionTicketsDisabled: true})
		if one.speaks == "h2" {
			serveFrames(peer, func(uint32) []byte { return nil })
		} else {
			io.Copy(io.Discard, peer)
		}
	}()
	return sealed(ctx, near, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
}

// crowd has n dial at once. It returns after how long each of them was through, the fastest first, and
// how many were not within five seconds.
func (b *backends) crowd(t *testing.T, conns *Conns, n int) (took []time.Duration, failed int) {
	begun := time.Now()
	var mu sync.Mutex
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			c, err := conns.Dial(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				return
			}
			t.Cleanup(func() { c.Close() })
			took = append(took, time.Since(begun))
		})
	}
	all.Wait()
	return took, failed
}

// behind runs a test in fake time.
func behind(t *testing.T, all []backend, test func(t *testing.T, b *backends, conns *Conns)) {
	server, _, _, _ := wiretest.ListenH2(t, 1, mirrorH2)
	b := &backends{certificates: server.TLS.Certificates, all: all}
	synctest.Test(t, func(t *testing.T) { test(t, b, NewConns("server.test:443", wire.Limits{}, b.open)) })
}

func TestADialThatHangsHoldsTheOthersUpForAMomentOnly(t *testing.T) {
	behind(t, []backend{{takes: time.Hour}, {speaks: "h2"}}, func(t *testing.T, b *backends, conns *Conns) {
		took, failed := b.crowd(t, conns, 20)
		require.Equal(t, 1, failed)
		require.Equal(t, besideAfter, took[18])
		require.EqualValues(t, 2, b.opened.Load(), "the others share one connection")
	})
	behind(t, []backend{{takes: time.Hour}}, func(t *testing.T, b *backends, conns *Conns) {
		_, failed := b.crowd(t, conns, 10)
		require.Equal(t, 10, failed)
		require.EqualValues(t, 10, b.opened.Load(), "one by one")
	})
}

func TestADialThatIsSlowOpensNoSecondConnectionForWhoeverWaits(t *testing.T) {
	for _, all := range [][]backend{
		{{speaks: "h2", takes: besideAfter - 1}},
		{{speaks: "h2", waits: 4 * time.Second, takes: besideAfter - 1}}, // for leave to dial
	} {
		behind(t, all, func(t *testing.T, b *backends, conns *Conns) {
			_, failed := b.crowd(t, conns, 20)
			require.Zero(t, failed)
			require.EqualValues(t, 1, b.opened.Load())
		})
	}
}

func TestAnOriginThatChoosesHTTP1IsNotDialledOneAtATime(t *testing.T) {
	const takes = 200 * time.Millisecond
	all := []backend{{speaks: "http/1.1", takes: takes}}
	behind(t, all, func(t *testing.T, b *backends, conns *Conns) {
		took, failed := b.crowd(t, conns, 64)
		require.Zero(t, failed)
		require.Equal(t, takes, took[0])
		require.Equal(t, 2*takes, took[63], "nobody knew it at first")
		took, _ = b.crowd(t, conns, 10)
		require.Equal(t, takes, took[9])

		b.all[0].speaks = "h2"
		for range 2 { // the first does not know yet
			took, failed = b.crowd(t, conns, 1)
			require.Zero(t, failed)
		}
		require.Zero(t, took[0])
		require.EqualValues(t, 64+10+1, b.opened.Load())
		conns.conns[0].frames.leave()
		_, failed = b.crowd(t, conns, 20)
		require.Zero(t, failed)
		require.EqualValues(t, 64+10+2, b.opened.Load(), "they share one again")
	})
}
