package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
)

// open counts connections over all origins.
func open(eng *engine.Engine) (idle, all int) {
	for _, p := range eng.Stats().Pools {
		idle += p.Idle
		all += p.Idle + p.Leased + p.Dialling
	}
	return idle, all
}

func visit(t *testing.T, eng *engine.Engine, hosts int) {
	for i := range hosts {
		_, err := eng.Do(t.Context(), &engine.Request{URL: fmt.Sprintf("http://host%d.test/", i)})
		require.NoError(t, err)
	}
}

func TestManyHostsOneAfterAnotherLeaveAHundredConnectionsOpen(t *testing.T) {
	for bound, want := range map[int]int{0: 100, 7: 7, -1: 300} {
		synctest.Test(t, func(t *testing.T) {
			eng := newServer(t, nil).newEngine(t, engine.Config{Connections: engine.Connections{MaxIdleTotal: bound}})
			visit(t, eng, 300)
			time.Sleep(2 * time.Second) // in a crowd what is too many goes a second later
			synctest.Wait()
			idle, _ := open(eng)
			require.Equal(t, want, idle)
		})
	}
}

func TestOneOriginAloneKeepsWhatItMayHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, slowly(time.Second)).newEngine(t, engine.Config{Connections: engine.Connections{Max: 150}})
		require.NoError(t, eng.Warm(t.Context(), "", 150))
		time.Sleep(5 * time.Second)
		idle, _ := open(eng)
		require.Equal(t, 150, idle)
	})
}

func TestNoMoreConnectionsAreOpenThanMayBeOverAllOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, slowly(100*time.Millisecond))
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{MaxTotal: 5}})
		visit(t, eng, 20)
		var failed atomic.Int32
		for i := range 100 {
			go func() {
				if _, err := eng.Do(t.Context(), &engine.Request{URL: fmt.Sprintf("http://host%d.test/", i%10)}); err != nil {
					failed.Add(1)
				}
			}()
		}
		time.Sleep(30 * time.Millisecond) // between two answers: pools are asked one after the other
		for range 100 {
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
			_, all := open(eng)
			require.LessOrEqual(t, all, 5)
		}
		require.Zero(t, failed.Load())
		wantNothingHeld(t, eng)
	})
}

func TestARequestThatFindsEveryConnectionTakenIsToldByWhichBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, streaming)
		eng := s.newEngine(t, engine.Config{Connections: engine.Connections{MaxTotal: 2}})
		forget(t, eng, 2)
		_, err := eng.Do(t.Context(), &engine.Request{URL: "http://other.test/", Timeout: time.Second})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var full *engine.PoolFullError
		require.ErrorAs(t, err, &full)
		require.Equal(t, "Connections.MaxTotal", full.Cap)
		require.ErrorContains(t, err, "all 2 connections of Connections.MaxTotal are in use or being opened")
	})
}

func TestMoreIdleConnectionsThanThereMayBeAreAMistake(t *testing.T) {
	_, err := engine.New(engine.Config{Connections: engine.Connections{MinIdle: 3, MaxTotal: 2}})
	require.EqualError(t, err, "sluice: configuration: Connections.MinIdle 3 is above Connections.MaxTotal 2")
}
