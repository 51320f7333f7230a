package h2

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/messages/protocol"
)

func TestAStreamHasDepartedWhileItsRequestIsOnTheWire(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	_, conns, _ := listenH2(t, 10, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-answer
	})
	c := dial(t, conns)
	departing := c.(protocol.Departing)
	for range 3 {
		require.False(t, departing.Departed())
		done := make(chan error)
		go func() {
			_, _, err := c.Exchange(get("/"), never)
			done <- err
		}()
		<-arrived
		require.Eventually(t, departing.Departed, time.Second, time.Millisecond)
		answer <- struct{}{}
		require.NoError(t, <-done)
		require.False(t, departing.Departed())
	}
}
