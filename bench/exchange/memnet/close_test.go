package memnet

import (
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A peer that hangs up because we did must not make our own Read believe that it was
// first: an answer that is cut would look complete.
func TestThePeerLearnsOfACloseAfterOnesOwnReads(t *testing.T) {
	a, b := pair("a", "b")
	a.in.mu.Lock() // a Read is about to look
	done := make(chan error)
	go func() { done <- a.Close() }()
	for range 10_000 {
		runtime.Gosched()
		_, closed := b.Pending()
		require.False(t, closed)
	}
	a.in.mu.Unlock()
	require.NoError(t, <-done)
	_, err := a.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	_, closed := b.Pending()
	require.True(t, closed)
}
