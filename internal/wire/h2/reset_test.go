package h2

import (
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

// net/http closes the connection itself when one of its streams cannot be written, and tells
// the others of that: some of those below meet it, unless the machine is slow.
func TestAResetConnectionIsToldAsThePeersToAllThatSendOnIt(t *testing.T) {
	const places = 8
	conns := connServer(t, func(c net.Conn) {
		defer c.Close()
		heads := 0
		if _, err := io.CopyN(io.Discard, c, int64(len(preface))); err != nil {
			return
		}
		c.Write(frame(frameSettings, 0, 0))
		c.Write(frame(frameWindowUpdate, 0, 0, 1<<30))
		for heads < places {
			var header [frameHeader]byte
			if _, err := io.ReadFull(c, header[:]); err != nil {
				return
			}
			h := readHeader(header[:])
			if _, err := io.CopyN(io.Discard, c, int64(h.length)); err != nil {
				return
			}
			if h.kind == frameHeaders {
				heads++
				c.Write(binary.BigEndian.AppendUint32([]byte{0, 0, lengthOfWord, frameWindowUpdate, 0, 0, 0, 0, byte(h.stream)}, 1<<20))
			}
		}
		reset(c)
	})
	for range 10 {
		var ends [places]<-chan exchanged
		for i := range places {
			ends[i] = uploadAside(dial(t, conns))
		}
		for _, end := range ends {
			e := <-end
			require.ErrorIs(t, e.err, messages.ErrTruncated)
			require.ErrorIs(t, e.err, messages.ErrPeerClosed)
			require.Equal(t, messages.SentMaybe, e.sent)
		}
	}
}

func TestNetHTTPSaysByItsTextThatItHasClosedAConnection(t *testing.T) {
	withBound(t, func(t *testing.T, server *boundServer, conns *Conns) {
		end := exchangeAside(dial(t, conns), 10*time.Second)
		<-server.asked
		require.NoError(t, conns.conns[0].client.Close())
		require.ErrorContains(t, (<-end).err, closedHere)
	})
}

// uploadAside sends more than the server takes.
func uploadAside(c protocol.Connection) <-chan exchanged {
	ends := make(chan exchanged, 1)
	go func() {
		call := post("")
		call.Body = make([]byte, 4<<20)
		resp, sent, err := c.Exchange(call, time.Now().Add(10*time.Second))
		ends <- exchanged{resp, sent, err}
	}()
	return ends
}

// reset ends a TLS connection without a goodbye of either layer.
func reset(c net.Conn) {
	under := c.(interface{ NetConn() net.Conn }).NetConn()
	_ = under.(*net.TCPConn).SetLinger(0)
	_ = under.Close()
}
