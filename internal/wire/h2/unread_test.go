package h2

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire"
	"github.com/sluice-engine/sluice/internal/wire/wiretest"
)

// net/http writes its first frames without a look at the context: on a way without room, such as a pipe
// that is not read, it would stand there for ever, and every other dial behind it.
func TestADialEndsInTimeThoughItsPeerReadsNothingBehindTheHandshake(t *testing.T) {
	server, config, o, _ := wiretest.ListenH2(t, 1, func(http.ResponseWriter, *http.Request) {})
	config.ServerName = "example.com"
	config.NextProtos = []string{"h2"}
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int32
		conns := NewConns(o.Addr, wire.Limits{}, func(ctx context.Context, _ func()) (*wire.Socket, error) {
			ours, theirs := net.Pipe()
			go func() {
				peer := tls.Server(theirs, &tls.Config{Certificates: server.TLS.Certificates, NextProtos: config.NextProtos, SessionTicketsDisabled: true})
				require.NoError(t, peer.Handshake())
				time.Sleep(time.Minute)
				_, err := theirs.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
				closed.Add(1)
			}()
			return sealed(ctx, ours, config)
		})
		for range 3 {
			begun := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := conns.Dial(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(begun))
		}
		time.Sleep(2 * time.Minute)
		require.EqualValues(t, 3, closed.Load())
		require.True(t, conns.Empty())
	})
}
