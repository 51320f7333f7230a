package actors

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/actors/pool"
	"github.com/sluice-engine/sluice/messages"
	"github.com/sluice-engine/sluice/messages/protocol"
)

func TestAnUrgentRequestWaitsForNoCrowdOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const roundTrip = 100 * time.Millisecond
		o := &origin{answer: roundTrip}
		s := start(t, o, Config{Pool: pool.Config{MaxConns: 10, MaxWaiters: 20_000, IdleTimeout: time.Minute}})
		ctx, leave := context.WithCancel(t.Context())
		for range 10_000 {
			go s.Do(ctx, &messages.Request{Path: "/", Priority: messages.Background}, time.Time{})
		}
		time.Sleep(roundTrip / 2)
		require.Equal(t, 9_990, s.Pools()[0].Waiting)

		begun := time.Now()
		_, err := s.Do(t.Context(), &messages.Request{Path: "/", Priority: messages.Urgent}, time.Time{})
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(begun), 2*roundTrip)
		leave()
		synctest.Wait()
		require.Zero(t, s.Pools()[0].Waiting)
	})
}

// slowToClose takes its time to close, as a TLS connection may, and is used once.
type slowToClose struct{ protocol.Connection }

func (slowToClose) Reusable() bool { return false }
func (c slowToClose) Close() error {
	time.Sleep(100 * time.Millisecond)
	return c.Connection.Close()
}

func TestAConnectionThatIsSlowToCloseHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &origin{answer: 100 * time.Millisecond}
		s := start(t, o, Config{
			Pool: pool.Config{MaxConns: 10, MaxWaiters: 100, IdleTimeout: time.Minute},
			Dial: func(ctx context.Context, at messages.Origin) (protocol.Connection, error) {
				conn, err := o.dial(ctx, at)
				return slowToClose{conn}, err
			},
		})
		for _, err := range send(s, 30, messages.Request{Path: "/"}) {
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, 500*time.Millisecond, time.Since(o.start), "three answers in a row, and two connections to make room")
		require.Equal(t, 10, o.most)
		pass(100 * time.Millisecond)
		require.Zero(t, o.open)
	})
}
