package telemetry_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/semconv/v1.43.0/httpconv"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/telemetry"
	"github.com/sluice-engine/sluice/throttle"
)

// watched makes a Telemetry that watches an engine until the test ends.
func watch(t *testing.T, eng *engine.Engine, config telemetry.Config) *telemetry.Telemetry {
	t.Helper()
	tel := newTelemetry(t, config)
	stop, err := tel.Watch(eng)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stop()) })
	return tel
}

func hold(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func ok(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_, _ = w.Write([]byte("{}"))
}

func TestRequestsOnTheirWayAreToldFromOnePicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		eng := newServer(t, hold).newEngine(t, engine.Config{
			Limits:    []throttle.Limit{{ID: "depth", Quota: 3, Per: time.Hour}},
			Admission: engine.Admission{MaxInFlight: 5}, Connections: engine.Connections{Max: 2},
		})
		watch(t, eng, telemetry.Config{MeterProvider: m})
		ctx, cancel := context.WithCancel(t.Context())
		defer synctest.Wait()
		defer cancel()
		for range 6 { // 2 are exchanged, 1 waits for a connection, 2 for a permit, 1 for a credit
			go func() { _, _ = eng.Do(ctx, &engine.Request{Path: "/book", LimitID: "depth", Priority: engine.Urgent}) }()
		}
		synctest.Wait()

		all := m.read(t)
		require.Equal(t, []string{": 5"}, told(all, "sluice.request.active"))
		require.Equal(t, []string{": 1"}, told(all, "sluice.request.waiting"))
		require.Contains(t, told(all, "sluice.request.queued"), "sluice.priority=urgent: 2")
		require.Equal(t, []string{"sluice.limit.id=depth: 3"}, told(all, "sluice.limit.used"))
		require.Equal(t, []string{"sluice.limit.id=depth: 3"}, told(all, "sluice.limit.quota"))
		require.Equal(t, []string{"sluice.limit.id=depth: 1"}, told(all, "sluice.limit.utilization"))
		require.Equal(t, []string{"sluice.limit.id=depth: 3"}, told(all, "sluice.limit.in_flight"))
		require.Equal(t, []string{"sluice.limit.id=depth: 2"}, told(all, "sluice.limit.queued"))
		require.Equal(t, []string{
			"http.connection.state=active,server.address=venue.test,server.port=80: 2",
			"http.connection.state=idle,server.address=venue.test,server.port=80: 0",
		}, told(all, "http.client.open_connections"))
		require.Equal(t, []string{"server.address=venue.test,server.port=80: 1"}, told(all, "sluice.connection.waiting"))
	})
}

func TestOpenConnectionsAreAsTheConventionsHaveThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		eng := newServer(t, ok).newEngine(t, engine.Config{})
		watch(t, eng, telemetry.Config{MeterProvider: m})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/book"})
		require.NoError(t, err)
		conventional := httpconv.ClientOpenConnections{}
		found := named(m.read(t), conventional.Name())
		require.Len(t, found, 2)
		require.Equal(t, conventional.Unit(), found[0].unit)
		require.Equal(t, conventional.Description(), found[0].about)
	})
}

func TestTheFullestMeterStandsForItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		eng := newServer(t, ok).newEngine(t, engine.Config{Limits: []throttle.Limit{
			{ID: "orders", Quota: 10, Per: time.Hour, By: throttle.ByKey},
			{ID: "depth", Quota: 4, Per: time.Hour},
		}})
		watch(t, eng, telemetry.Config{MeterProvider: m, Attributes: []attribute.KeyValue{attribute.String("bot", "maker")}})
		for key, n := range map[string]int{"SECRETUSDT": 7, "BTCUSDT": 1, "ETHUSDT": 2} {
			for range n {
				_, err := eng.Do(t.Context(), &engine.Request{Path: "/order", LimitID: "orders", Key: key})
				require.NoError(t, err)
			}
		}
		all := m.read(t)
		require.Equal(t, []string{"bot=maker,sluice.limit.id=depth: 0", "bot=maker,sluice.limit.id=orders: 7"}, told(all, "sluice.limit.used"))
		require.Equal(t, []string{"bot=maker,sluice.limit.id=depth: 4", "bot=maker,sluice.limit.id=orders: 10"}, told(all, "sluice.limit.quota"))
		require.Equal(t, []string{"bot=maker,sluice.limit.id=depth: 0", "bot=maker,sluice.limit.id=orders: 0.7"}, told(all, "sluice.limit.utilization"))
		require.Equal(t, []string{"bot=maker,sluice.limit.id=depth: 1", "bot=maker,sluice.limit.id=orders: 3"}, told(all, "sluice.limit.meters"))
	})
}

func TestPausesHaltsPermitsAndPrioritiesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		eng := newServer(t, ok).newEngine(t, engine.Config{Limits: []throttle.Limit{
			{ID: "orders", Quota: 1, Per: time.Hour, Scope: "account"},
			{ID: "depth", Quota: 1, Per: time.Hour},
		}})
		watch(t, eng, telemetry.Config{MeterProvider: m})
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/book", LimitID: "orders"}) // now there are scopes at a server
		require.NoError(t, err)
		permit, err := eng.Acquire(t.Context(), engine.Charge{LimitID: "depth"})
		require.NoError(t, err)
		_, err = eng.Halt(engine.Filter{Key: "SECRETUSDT", Reason: "risk"})
		require.NoError(t, err)
		require.NoError(t, eng.Pause(throttle.Scope{Name: "account"}, time.Minute))
		ctx, cancel := context.WithCancel(t.Context())
		for _, priority := range []engine.Priority{engine.Background, 17, 4711} {
			go func() { _, _ = eng.Do(ctx, &engine.Request{Path: "/book", LimitID: "depth", Priority: priority}) }()
		}
		go func() { _, _ = eng.Acquire(ctx, engine.Charge{LimitID: "depth"}) }()
		time.Sleep(15 * time.Second) // of fake time
		synctest.Wait()

		all := m.read(t)
		require.Equal(t, []string{": 1"}, told(all, "sluice.halt.active"))
		require.Equal(t, []string{": 1"}, told(all, "sluice.permit.held"))
		require.Equal(t, []string{": 1"}, told(all, "sluice.permit.waiting"))
		require.Equal(t, []string{
			"sluice.priority=_OTHER: 2", "sluice.priority=account: 0", "sluice.priority=background: 1",
			"sluice.priority=high: 0", "sluice.priority=normal: 1", "sluice.priority=urgent: 0",
		}, told(all, "sluice.request.queued"))
		require.Contains(t, told(all, "sluice.scope.pause.remaining"), "server.address=venue.test,server.port=80,sluice.scope.name=account: 45")
		cancel()
		permit.Done(engine.NotSent)
		synctest.Wait()
	})
}

func TestTheClockIsToldOnceItIsKnown(t *testing.T) {
	for name, memory := range map[string]func(t *testing.T) engine.Memory{
		"without a memory": func(*testing.T) engine.Memory { return nil },
		"with a memory":    func(t *testing.T) engine.Memory { return engine.MemoryFile(filepath.Join(t.TempDir(), "memory")) },
	} {
		t.Run(name, func(t *testing.T) { tellsTheClockOnceItIsKnown(t, memory) })
	}
}

func tellsTheClockOnceItIsKnown(t *testing.T, memory func(t *testing.T) engine.Memory) {
	synctest.Test(t, func(t *testing.T) {
		ahead := func(w http.ResponseWriter, _ *http.Request) {
			at := time.Now().Add(1500 * time.Millisecond)
			w.Header().Set("Date", at.UTC().Format(http.TimeFormat))
			_, _ = w.Write([]byte(`{"serverTime":` + at.Format("2006") + `}`))
		}
		m := newMeters(t)
		s := newServer(t, ahead)
		eng := s.newEngine(t, engine.Config{Memory: memory(t)})
		watch(t, eng, telemetry.Config{MeterProvider: m})
		all := m.read(t)
		require.Empty(t, told(all, "sluice.clock.offset"), "of a clock that nobody follows")
		require.Empty(t, told(all, "sluice.clock.bound"))

		m = newMeters(t)
		eng = s.newEngine(t, engine.Config{Memory: memory(t), Time: engine.TimeFunc(func(context.Context, *engine.Engine) (engine.TimeReading, error) {
			now := time.Now()
			return engine.TimeReading{Server: now.Add(1500 * time.Millisecond), Sent: now, Received: now}, nil
		})})
		watch(t, eng, telemetry.Config{MeterProvider: m})
		require.Empty(t, told(m.read(t), "sluice.clock.bound"), "before the first look at it")
		require.NoError(t, eng.AwaitTime(t.Context()))
		offset, bound := named(m.read(t), "sluice.clock.offset"), named(m.read(t), "sluice.clock.bound")
		require.Len(t, offset, 1)
		require.Len(t, bound, 1)
		require.InDelta(t, 1.5, offset[0].value, 0.01)
		require.Less(t, bound[0].value, 1.0)
	})
}

func TestServersBeyondTheBoundAreOneInStatesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		eng := newServer(t, ok).newEngine(t, engine.Config{})
		watch(t, eng, telemetry.Config{MeterProvider: m, MaxOrigins: 1})
		for _, host := range []string{"a.test", "b.test", "c.test"} {
			_, err := eng.Do(t.Context(), &engine.Request{URL: "http://" + host})
			require.NoError(t, err)
			m.read(t)
		}
		require.Equal(t, []string{
			"http.connection.state=active,server.address=_OTHER: 0",
			"http.connection.state=active,server.address=a.test,server.port=80: 0",
			"http.connection.state=idle,server.address=_OTHER: 2",
			"http.connection.state=idle,server.address=a.test,server.port=80: 1",
		}, told(m.read(t), "http.client.open_connections"))
	})
}

func TestNothingIsToldOnceWatchingIsStopped(t *testing.T) {
	m := newMeters(t)
	tel := newTelemetry(t, telemetry.Config{MeterProvider: m})
	eng, err := engine.New(engine.Config{})
	require.NoError(t, err)
	defer eng.Close()
	stop, err := tel.Watch(eng)
	require.NoError(t, err)
	require.NotEmpty(t, m.read(t))

	_, err = tel.Watch(eng)
	require.ErrorContains(t, err, "being watched already")
	require.NoError(t, stop())
	require.NoError(t, stop())
	require.Empty(t, m.read(t))

	stop, err = tel.Watch(eng)
	require.NoError(t, err, "one after the other")
	require.NotEmpty(t, m.read(t))
	require.NoError(t, eng.Close())
	m.read(t) // of an engine that has ended
	require.NoError(t, stop())
}

func TestThereIsNothingToWatchWithoutAnEngine(t *testing.T) {
	_, err := newTelemetry(t, telemetry.Config{MeterProvider: newMeters(t)}).Watch(nil)
	require.ErrorIs(t, err, engine.ErrNoEngine)
	m := newMeters(t)
	watch(t, new(engine.Engine), telemetry.Config{MeterProvider: m})
	require.Empty(t, m.read(t))
}

// registering counts the callbacks that are registered.
type registering struct {
	noop.MeterProvider
	callbacks *int
}

func (r registering) Meter(string, ...metric.MeterOption) metric.Meter {
	return registeringMeter{callbacks: r.callbacks}
}

type registeringMeter struct {
	noop.Meter
	callbacks *int
}

func (m registeringMeter) RegisterCallback(metric.Callback, ...metric.Observable) (metric.Registration, error) {
	*m.callbacks++
	return noop.Registration{}, nil
}

func TestAllStatesAreReadByOneCallback(t *testing.T) {
	callbacks := 0
	eng, err := engine.New(engine.Config{})
	require.NoError(t, err)
	defer eng.Close()
	watch(t, eng, telemetry.Config{MeterProvider: registering{callbacks: &callbacks}})
	require.Equal(t, 1, callbacks)
}

func TestWhatHasHappenedIsCountedFromTotals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeters(t)
		eng := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/missing" {
				w.WriteHeader(http.StatusNotFound)
			}
		}).newEngine(t, engine.Config{Limits: []throttle.Limit{{ID: "depth", Quota: 10, Per: time.Hour, Scope: "account"}}, DefaultLimitID: "depth"})
		watch(t, eng, telemetry.Config{MeterProvider: m})
		for _, path := range []string{"/book", "/book", "/missing"} {
			_, err := eng.Do(t.Context(), &engine.Request{Path: path})
			require.NoError(t, err)
		}
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/book", Account: "nobody"})
		require.ErrorIs(t, err, engine.ErrUnknownAccount)
		require.NoError(t, eng.Pause(throttle.Scope{Name: "account"}, time.Second))
		eng.CloseIdleConnections()
		synctest.Wait()

		all := m.read(t)
		require.Equal(t, []string{
			"sluice.outcome=done: 2", "sluice.outcome=not_sent: 1", "sluice.outcome=refused: 0",
			"sluice.outcome=rejected: 1", "sluice.outcome=unknown: 0",
		}, told(all, "sluice.request.ended"))
		totals := eng.Stats().Totals
		for name, want := range map[string]int64{
			"sluice.request.attempts": 3, "sluice.scope.pauses": 1, "sluice.permit.losses": totals.PermitsLost,
			"sluice.connection.opened": 1, "sluice.connection.closed": 1, "sluice.connection.dial_failures": totals.DialsFailed,
			"sluice.actor.dead_letters": totals.DeadLetters, "sluice.actor.restarts": totals.Restarts,
		} {
			require.Equal(t, float64(want), named(all, name)[0].value, name)
		}
	})
}
