package memnet_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-engine/sluice/bench/exchange/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBytesArriveInOrderBothWaysAtOnce(t *testing.T) {
	a, b := memnet.Pipe()
	sent := make([]byte, 1<<20) // sixteen times the buffer
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range sent {
		sent[i] = byte(rng.Uint32())
	}
	var wg sync.WaitGroup
	received := make([][]byte, 2)
	for i, ends := range [][2]*memnet.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+i*70_000+7777)
				_, _ = ends[0].Write(rest[:n])
				rest = rest[n:]
			}
			_ = ends[0].CloseWrite()
		})
		wg.Go(func() { received[i], _ = io.ReadAll(ends[1]) })
	}
	wg.Wait()
	require.True(t, bytes.Equal(sent, received[0]))
	require.True(t, bytes.Equal(sent, received[1]))
}

func TestConcurrentWritesDoNotInterleave(t *testing.T) {
	a, b := memnet.Pipe()
	const writers, size = 8, 40_000
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { _, _ = a.Write(bytes.Repeat([]byte{byte(i)}, size)) })
	}
	block := make([]byte, size)
	for range writers {
		_, err := io.ReadFull(b, block)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat(block[:1], size), block)
	}
	wg.Wait()
}

func TestAWriteThatFitsTheBufferIsNeverSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		const full = 64 << 10
		_, err := a.Write(make([]byte, full-10))
		require.NoError(t, err)
		go a.Write(make([]byte, 100))
		synctest.Wait()
		n, _ := b.Pending()
		require.Equal(t, full-10, n)
		_, err = b.Read(make([]byte, 90))
		require.NoError(t, err)
		synctest.Wait()
		n, _ = b.Pending()
		require.Equal(t, full, n)
		require.NoError(t, errors.Join(a.Close(), b.Close()))
	})
}

func TestHalfCloseLeavesTheOtherDirectionOpen(t *testing.T) {
	a, b := memnet.Pipe()
	_, err := a.Write([]byte("question"))
	require.NoError(t, err)
	require.NoError(t, a.CloseWrite())
	question, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "question", string(question))

	_, err = b.Write([]byte("answer"))
	require.NoError(t, err)
	p := make([]byte, 20)
	n, err := a.Read(p)
	require.NoError(t, err)
	require.Equal(t, "answer", string(p[:n]))
	_, err = a.Write([]byte("x"))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestCloseDeliversWhatWasWrittenAndBreaksThePeersWrites(t *testing.T) {
	a, b := memnet.Pipe()
	_, err := a.Write([]byte("last words"))
	require.NoError(t, err)
	require.NoError(t, a.Close())
	require.NoError(t, a.Close(), "closing twice is allowed")

	rest, err := io.ReadAll(b)
	require.NoError(t, err)
	require.Equal(t, "last words", string(rest))
	_, err = b.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = a.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	require.ErrorIs(t, a.SetDeadline(time.Now()), net.ErrClosed)
}

func TestCloseWakesWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		errs := make(chan error, 2)
		go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := a.Write(make([]byte, 1<<20)); errs <- err }()
		synctest.Wait()
		require.NoError(t, a.Close())
		require.ErrorIs(t, <-errs, net.ErrClosed)
		require.ErrorIs(t, <-errs, net.ErrClosed)
		require.NoError(t, b.Close())
	})
}

func TestPendingTellsSilenceFromBytesAndFromTheEnd(t *testing.T) {
	a, b := memnet.Pipe()
	want := func(wantBytes int, wantClosed bool) {
		t.Helper()
		n, closed := b.Pending()
		require.Equal(t, wantBytes, n)
		require.Equal(t, wantClosed, closed)
	}
	want(0, false)
	_, err := a.Write([]byte("stray"))
	require.NoError(t, err)
	want(5, false)
	_, err = b.Read(make([]byte, 2))
	require.NoError(t, err)
	want(3, false)
	require.NoError(t, a.Close())
	want(3, true)
	require.NoError(t, b.Close())
	want(0, true)
}

func TestDeadlinesPassInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		start := time.Now()
		require.NoError(t, a.SetReadDeadline(start.Add(3*time.Second)))
		_, err := a.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))
		var timeout net.Error
		require.True(t, errors.As(err, &timeout) && timeout.Timeout())

		require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := a.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 64<<10, n, "what fits the buffer is written")
		require.Equal(t, 4*time.Second, time.Since(start))
		require.NoError(t, errors.Join(a.Close(), b.Close()))
	})
}

func TestADeadlineReachesAReadThatAlreadyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		defer b.Close()
		failed := make(chan error)
		go func() { _, err := a.Read(make([]byte, 1)); failed <- err }()
		synctest.Wait()
		require.NoError(t, a.SetDeadline(time.Now().Add(-time.Second)))
		require.ErrorIs(t, <-failed, os.ErrDeadlineExceeded)

		require.NoError(t, a.SetDeadline(time.Time{}), "the connection is usable again")
		_, err := b.Write([]byte("x"))
		require.NoError(t, err)
		_, err = a.Read(make([]byte, 1))
		require.NoError(t, err)
		require.NoError(t, a.Close())
	})
}

func TestAListenerQueuesAcceptsAndRefuses(t *testing.T) {
	l := memnet.Listen()
	first, err := l.Dial()
	require.NoError(t, err, "dialling does not wait for Accept")
	served, err := l.Accept()
	require.NoError(t, err)
	require.Equal(t, first.LocalAddr(), served.RemoteAddr())

	orphan, err := l.DialFrom("other.test")(t.Context(), "tcp", "anywhere:80")
	require.NoError(t, err)
	require.Regexp(t, `^other\.test:\d+$`, orphan.LocalAddr())
	require.NoError(t, l.Close())
	_, err = orphan.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "nobody accepted it")

	_, err = l.Dial()
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.DialContext(cancelled, "", "")
	require.ErrorIs(t, err, context.Canceled)
}

func TestAnHTTPServerRunsOnItInFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen()
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(time.Minute)
			_, _ = io.WriteString(w, "slept")
		})}
		go server.Serve(l)
		transport := &http.Transport{DialContext: l.DialContext}
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				resp, err := (&http.Client{Transport: transport}).Get(l.URL())
				if err == nil {
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			})
		}
		wg.Wait()
		require.Equal(t, time.Minute, time.Since(start))
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
	})
}
