package h2

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
)

// The goodbye of TLS finds no room on a way that is not read, and its own end comes after 5 s.
func TestWhatLingersAndIsNotReadHoldsTheNextDialUpForAMomentOnly(t *testing.T) {
	server, config, o, _ := wiretest.ListenH2(t, 1, func(http.ResponseWriter, *http.Request) {})
	config.ServerName = "example.com"
	config.NextProtos = []string{"h2"}
	synctest.Test(t, func(t *testing.T) {
		errSecond := errors.New("the second connection")
		var opened []time.Time
		conns := NewConns(o.Addr, wire.Limits{}, func(ctx context.Context, _ func()) (*wire.Socket, error) {
			opened = append(opened, time.Now())
			if len(opened) == 2 {
				return nil, errSecond
			}
			ours, theirs := net.Pipe()
			go func() {
				peer := tls.Server(theirs, &tls.Config{Certificates: server.TLS.Certificates, NextProtos: config.NextProtos, SessionTicketsDisabled: true})
				// Another stream than the one that is given up has no room behind the second settings.
				const maxStreams = 3
				none := frame(frameSettings, 0, 0)
				none[2] = 6
				none = append(none, 0, maxStreams, 0, 0, 0, 0)
				readUntil(t, peer, frameHeaders, frame(frameSettings, 0, 0))
				readUntil(t, peer, frameRSTStream, none)
				// From here on nothing is read.
				time.Sleep(time.Minute)
				_ = theirs.Close()
			}()
			return sealed(ctx, ours, config)
		})
		given, err := conns.Dial(t.Context())
		require.NoError(t, err)
		_, _, err = given.Exchange(get("/"), time.Now().Add(100*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, given.Close())
		synctest.Wait()
		require.False(t, conns.Empty(), "it lingers")

		begun := time.Now()
		_, err = conns.Dial(t.Context())
		require.ErrorIs(t, err, errSecond)
		require.Equal(t, lingerFor, opened[1].Sub(begun))
		require.True(t, conns.Empty())
		time.Sleep(2 * time.Minute)
	})
}

// readUntil writes frames of the peer's, and reads those of the client up to the first of a kind;
// behind the handshake the preface as well.
func readUntil(t *testing.T, peer *tls.Conn, kind byte, frames []byte) {
	t.Helper()
	if !peer.ConnectionState().HandshakeComplete {
		require.NoError(t, peer.Handshake())
		_, err := io.CopyN(io.Discard, peer, int64(len(preface)))
		require.NoError(t, err)
	}
	wrote := make(chan struct{})
	go func() { defer close(wrote); peer.Write(frames) }() // the other end may be writing too, and a pipe keeps nothing
	defer func() { <-wrote }()
	for {
		var header [frameHeader]byte
		_, err := io.ReadFull(peer, header[:])
		require.NoError(t, err)
		h := readHeader(header[:])
		_, err = io.CopyN(io.Discard, peer, int64(h.length))
		require.NoError(t, err)
		if h.kind == kind {
			return
		}
	}
}
