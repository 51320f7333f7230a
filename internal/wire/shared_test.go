package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire/wiretest"
)

// share connects to a server and gives its connection away, as HTTP/2 does.
func share(t *testing.T, serve func(sealed *tls.Conn, under *wiretest.Joiner)) *Socket {
	config, origin := wiretest.ListenTLS(t, serve)
	s := connect(t, config, origin)
	s.Share()
	t.Cleanup(func() { s.Close() })
	return s
}

func TestASharedSocketCarriesBothDirectionsAtOnce(t *testing.T) {
	there, back := make([]byte, 9<<20), make([]byte, 7<<20)
	random := rand.NewChaCha8([32]byte{1})
	random.Read(there)
	random.Read(back)
	arrived := make(chan []byte, 1)
	s := share(t, func(sealed *tls.Conn, _ *wiretest.Joiner) {
		wrote := make(chan struct{})
		go func() {
			defer close(wrote)
			sealed.Write(back)
		}()
		got := make([]byte, len(there))
		io.ReadFull(sealed, got)
		<-wrote
		arrived <- got
	})

	failed := make(chan error, 1)
	go func() {
		_, err := s.Sealed().Write(there)
		failed <- err
	}()
	got, err := io.ReadAll(s.Sealed())

	require.NoError(t, err)
	require.NoError(t, <-failed)
	require.True(t, bytes.Equal(back, got))
	require.True(t, bytes.Equal(there, <-arrived))
}

// failing runs f and returns its error, which some other call is to bring about.
func failing(f func() error, then func()) error {
	failed := make(chan error, 1)
	go func() { failed <- f() }()
	then()
	return <-failed
}

func TestASharedSocketFailsAsANetConnDoes(t *testing.T) {
	read := func(s *Socket) error { _, err := s.Sealed().Read(make([]byte, 1)); return err }
	write := func(s *Socket) error { // more than any socket takes at once
		for {
			if _, err := s.Sealed().Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	}
	for name, c := range map[string]struct {
		run  func(*Socket) error
		then func(*Socket)
		op   string
		want error
	}{
		"a read past its deadline":  {read, func(s *Socket) { s.SetReadDeadline(time.Unix(1, 0)) }, "read", os.ErrDeadlineExceeded},
		"a write past its deadline": {write, func(s *Socket) { s.SetWriteDeadline(time.Unix(1, 0)) }, "write", os.ErrDeadlineExceeded},
		"a read of what is closed":  {read, func(s *Socket) { s.Close() }, "read", net.ErrClosed},
		"a write of what is closed": {write, func(s *Socket) { s.Close() }, "write", net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			end := make(chan struct{})
			s := share(t, func(*tls.Conn, *wiretest.Joiner) { <-end })
			defer close(end)

			err := failing(func() error { return c.run(s) }, func() { c.then(s) })

			require.ErrorIs(t, err, c.want)
			var failed *net.OpError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, c.op, failed.Op)
			require.NotNil(t, failed.Addr)
			require.Equal(t, c.want == os.ErrDeadlineExceeded, failed.Timeout())
		})
	}
}

func TestASharedSocketTellsAnEndFromAReset(t *testing.T) {
	for name, c := range map[string]struct {
		linger int
		want   []error // any of them
	}{
		"end":   {-1, []error{io.EOF, io.ErrUnexpectedEOF}}, // crypto/tls: an end without a goodbye
		"reset": {0, []error{syscall.ECONNRESET}},
	} {
		t.Run(name, func(t *testing.T) {
			s := share(t, func(_ *tls.Conn, under *wiretest.Joiner) {
				under.Conn.(*net.TCPConn).SetLinger(c.linger)
				under.Conn.Close()
			})

			_, err := s.Sealed().Read(make([]byte, 1))

			require.True(t, slices.ContainsFunc(c.want, func(want error) bool { return errors.Is(err, want) }), "%v", err)
		})
	}
}
