package wire

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/internal/wire/wiretest"
	"github.com/sluice-engine/sluice/messages"
)

// holding answers each request once it is let.
func holding(arrived, answer chan struct{}) func(net.Conn) {
	return func(c net.Conn) {
		for r := bufio.NewReader(c); wiretest.TakeRequest(r); {
			arrived <- struct{}{}
			<-answer
			_, _ = io.WriteString(c, ok)
		}
	}
}

// What a handshake has written, or an exchange before, is nothing of this one.
func TestAnExchangeHasDepartedWhileItIsOnTheWire(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	serve := holding(arrived, answer)
	plain := wiretest.Listen(t, serve)
	config, sealed := wiretest.ListenTLS(t, func(c *tls.Conn, _ *joiner) { serve(c) })
	over := map[string]*Conn{
		"tcp": dial(t, nil, plain), "tls": dial(t, config, sealed),
		"somebody else's": NewConn(NewSocket(struct{ net.Conn }{connect(t, nil, plain).Conn}), Limits{}),
	}
	for name, c := range over {
		for i := range 3 {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				require.False(t, c.Departed())
				require.True(t, c.Silent())
				require.False(t, c.Departed())
				done := make(chan error)
				go func() {
					_, _, err := c.Exchange(wiretest.Get("/"), time.Now().Add(time.Minute))
					done <- err
				}()
				<-arrived
				require.Eventually(t, c.Departed, time.Second, time.Millisecond, "it is known right behind the write")
				answer <- struct{}{}
				require.NoError(t, <-done)
				require.False(t, c.Departed())
			})
		}
		require.NoError(t, c.Close())
	}
}

// It may block in there for long, and some of it is on the wire by then.
func TestAnExchangeHasDepartedOnceAnUnknownConnectionIsGivenIt(t *testing.T) {
	ours, theirs := net.Pipe() // which takes nothing before it is read
	c := NewConn(NewSocket(ours), Limits{})
	done := make(chan messages.Sent)
	go func() {
		_, sent, _ := c.Exchange(wiretest.Get("/"), time.Now().Add(time.Minute))
		done <- sent
	}()
	require.Eventually(t, c.Departed, time.Second, time.Millisecond)
	require.NoError(t, theirs.Close())
	<-done
	require.NoError(t, c.Close())
}
