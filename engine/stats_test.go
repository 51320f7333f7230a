package engine_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-engine/sluice/engine"
	"github.com/sluice-engine/sluice/throttle"
)

func TestAPictureOfAnEngineTellsTimesOfDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refused" {
				w.Header().Set("Retry-After", "9")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		})
		time.Sleep(time.Minute) // the ledger's clock begins with the engine
		eng := s.newEngine(t, engine.Config{Limits: []throttle.Limit{
			{ID: "one", Quota: 1, Per: 10 * time.Second},
			{ID: "once", Quota: 1, Window: throttle.Lifetime},
		}})
		fresh := eng.Stats()
		require.True(t, fresh.At.Equal(time.Now()))
		require.True(t, fresh.Limits.At.Equal(time.Now()), "also where the ledger's clock stands at zero")
		require.Empty(t, fresh.Limits.Scopes, "none is in use")

		for _, limit := range []string{"one", "once"} {
			_, err := eng.Do(t.Context(), &engine.Request{Path: "/", LimitID: limit})
			require.NoError(t, err)
		}
		used := eng.Stats()
		require.Equal(t, "once", used.Limits.Limits[0].ID)
		require.Zero(t, used.Limits.Limits[0].Next, "time alone does not bring it")
		require.WithinDuration(t, time.Now().Add(10*time.Second), used.Limits.Limits[1].Next, 10*time.Millisecond)

		time.Sleep(11 * time.Second)
		_, err := eng.Do(t.Context(), &engine.Request{Path: "/refused", LimitID: "one"})
		require.NoError(t, err)
		for _, scope := range eng.Stats().Limits.Scopes {
			if scope.Name == "" {
				require.Equal(t, "http://server.test:80", scope.Origin)
				require.True(t, scope.PausedUntil.Equal(time.Now().Add(9*time.Second)))
			}
		}

		require.NoError(t, eng.Close())
		ended := eng.Stats().Limits
		require.Zero(t, ended.At, "of an engine that has ended")
		require.Empty(t, ended.Limits)
		require.Empty(t, ended.Scopes)
		require.Empty(t, ended.Queued)
	})
}

func TestEachWordOfAPictureHasOneMeaning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eng := newServer(t, slowly(time.Hour)).newEngine(t, engine.Config{
			Limits:    []throttle.Limit{{ID: "two", Quota: 2, Per: time.Minute}, {ID: "ten", Quota: 10, Per: time.Minute}},
			Admission: engine.Admission{MaxInFlight: 6}, Connections: engine.Connections{Max: 3},
		})
		for i := range 8 {
			request := &engine.Request{Path: "/", LimitID: "two", Priority: engine.High, Timeout: 2 * time.Hour}
			if i >= 4 {
				request.LimitID, request.Priority = "ten", engine.Normal
			}
			go eng.Do(t.Context(), request)
			synctest.Wait()
		}
		stats := eng.Stats()
		require.Equal(t, 6, stats.InFlight)
		require.Equal(t, 2, stats.Waiting, "for a credit")
		require.Equal(t, 2, stats.Queued, "for a permit")
		require.Equal(t, []engine.QueuedStats{{Priority: engine.High, N: 2}}, stats.Limits.Queued)
		require.Equal(t, 4, stats.Limits.Scopes[0].InFlight, "have a permit")
		require.Equal(t, 3, stats.Pools[0].Leased)
		require.Equal(t, 1, stats.Pools[0].Waiting, "for a connection")
		require.EqualValues(t, 2, stats.Limits.Limits[1].InFlight)
	})
}

func TestAPictureReadsWellAsText(t *testing.T) {
	at := time.Date(2026, 1, 2, 12, 0, 3, 500e6, time.UTC)
	require.Equal(t, "0 in flight", engine.Stats{}.String())
	stats := engine.Stats{
		InFlight: 9, Waiting: 2, Queued: 7, Permits: engine.PermitStats{Held: 1, Waiting: 3}, PoolsLeftOut: 4,
		Limits: engine.LimitsStats{
			Lost: 5,
			Limits: []engine.LimitStats{
				{ID: "idle", Quota: 5, Room: 5},
				{ID: "orders", Account: "main", Quota: 5, Used: 5, Next: at, Queued: []engine.QueuedStats{{N: 7}}},
			},
			Scopes: []engine.ScopeStats{{Name: "calm"}, {Name: "ip", PausedUntil: at}},
		},
		Pools: []engine.PoolStats{{Leased: 2, Idle: 1, Egress: "second"}},
		Halts: []engine.HaltStats{{Selects: "account maker", Since: at, Refused: 8}},
	}
	require.Equal(t, `9 in flight, 2 waiting to begin, 7 queued for permits, 1 permits held, 3 waiting for permits without a request, 5 lost
limit orders/main: 5 of 5 used, 7 queued, room at 12:00:03.5
scope ip: paused until 12:00:03.5
pool `+stats.Pools[0].Origin.String()+` by second: 2 leased, 1 idle
halt of account maker since 12:00:03.5: 8 refused
and 4 limits, scopes and pools that are left out`, fmt.Sprint(stats))
}

func TestWhoWaitsAndAnExplanationAreInJSONAsStatsAre(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600e6, time.UTC)
	held := engine.HeldBy{Limit: "orders", Account: "a", Key: "k", Egress: "e", Paused: true, Scope: "ip", Until: at}
	venue := engine.Origin{Scheme: "https", Addr: "server.test:443"}
	for want, value := range map[string]any{
		`{"subject":"permit","priority":0,"since":"2026-01-02T03:04:05.6Z","for":"credit","ahead":0}`: engine.Waiter{Subject: "permit", Since: at, For: engine.ForCredit},
		`{"subject":"GET /","limit_id":"orders","account":"a","origin":"https://server.test","priority":300,"since":"2026-01-02T03:04:05.6Z","for":"permit",
			"held_by":{"limit":"orders","account":"a","key":"k","egress":"e","paused":true,"scope":"ip","until":"2026-01-02T03:04:05.6Z"},"ahead":2,"behind":"GET /x"}`: engine.Waiter{
			Subject: "GET /", LimitID: "orders", Account: "a", Origin: "https://server.test", Priority: engine.High, Since: at, For: engine.ForPermit, HeldBy: held, Ahead: 2, Behind: "GET /x",
		},
		`{"at":"2026-01-02T03:04:05.6Z","request":"GET /","origin":"https://server.test:443","route":"orders","priority":0,"leaves":true,
			"charges":[{"id":"orders","weight":1,"quota":10,"room":9,"opens":"2026-01-02T03:04:05.6Z"}],"connection_free":true,
			"pool":{"origin":"https://server.test:443","idle":0,"leased":0,"streams":0,"dialling":0,"at_limit":0,"waiting":0,"dialled":0,"dials_failed":0,"retired":0,"broken":0,"refused":0}}`: engine.Explanation{
			At: at, Request: "GET /", Origin: venue, Route: "orders", Leaves: true, Charges: []engine.Charged{{ID: "orders", Weight: 1, Quota: 10, Room: 9, Opens: at}},
			ConnectionFree: true, Pool: engine.PoolStats{Origin: venue},
		},
	} {
		got, err := json.Marshal(value)
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
}

func TestAPictureReadsWellInALogAndInJSON(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 600e6, time.UTC)
	stats := engine.Stats{
		At: at, InFlight: 12, Waiting: 3, Queued: 7, PoolsWaiting: 2,
		Limits: engine.LimitsStats{
			At: at,
			Limits: []engine.LimitStats{
				{ID: "orders", Key: "BTCUSDT", Window: throttle.Fixed, Quota: 10, Refill: 10, Per: time.Minute, Used: 10, InFlight: 1, Next: at, Queued: []engine.QueuedStats{{Priority: 300, N: 7}}},
				{ID: "weight", Quota: 1200, Room: 1200, Next: at},
			},
			Scopes: []engine.ScopeStats{{PausedUntil: at, InFlight: 1}},
		},
		Pools: []engine.PoolStats{{Origin: engine.Origin{Scheme: "https", Addr: "server.test:443"}, Leased: 5, Streams: 4, Idle: 1, Waiting: 2, Dialled: 6}},
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "stats", stats)
	require.Contains(t, log.String(), `stats.in_flight=12 stats.waiting=3 stats.queued=7 `+
		`stats.limits.orders/BTCUSDT="10 of 10 used, 1 in flight, 7 queued, room at 03:04:05.6" `+
		`stats.paused_until.default=2026-01-02T03:04:05.600Z stats.pools.https://server.test:443="5 leased (4 by streams), 1 idle, 2 waiting"`)

	got, err := json.Marshal(stats)
	require.NoError(t, err)
	require.JSONEq(t, `{"at":"2026-01-02T03:04:05.6Z","in_flight":12,"waiting":3,"queued":7,"pools_waiting":2,"limits":{"at":"2026-01-02T03:04:05.6Z","lost":0,
		"limits":[
			{"id":"orders","key":"BTCUSDT","window":"fixed","quota":10,"refill":10,"per":"1m0s","used":10,"in_flight":1,"room":0,"next":"2026-01-02T03:04:05.6Z","queued":[{"priority":300,"n":7}]},
			{"id":"weight","window":"sliding","quota":1200,"refill":0,"per":"0s","used":0,"in_flight":0,"room":1200,"next":"2026-01-02T03:04:05.6Z"}],
		"scopes":[{"origin":"","name":"","paused_until":"2026-01-02T03:04:05.6Z","in_flight":1}],"queued":null},
		"pools":[{"origin":"https://server.test:443","idle":1,"leased":5,"streams":4,"dialling":0,"at_limit":0,"waiting":2,"dialled":6,"dials_failed":0,"retired":0,"broken":0,"refused":0}]}`, string(got))
	require.NotContains(t, fmt.Sprintf("%+v", stats), "2562047h")
}
