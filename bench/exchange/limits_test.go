package exchange

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWeightsAreBinances(t *testing.T) {
	inFakeTime(t, Config{}, func(t *testing.T, v *venue) {
		for _, c := range []struct {
			target string
			weight int
		}{
			{"/api/v3/ping", 1}, {"/api/v3/time", 1}, {"/api/v3/exchangeInfo", 20},
			{"/api/v3/ticker/price?symbol=BTCUSDT", 2}, {"/api/v3/ticker/price", 4},
			{"/api/v3/ticker/price?symbols=%5B%22BTCUSDT%22%5D", 4},
			{"/api/v3/depth?symbol=BTCUSDT", 5}, {"/api/v3/depth?symbol=BTCUSDT&limit=101", 25},
			{"/api/v3/depth?symbol=BTCUSDT&limit=501", 50}, {"/api/v3/depth?symbol=BTCUSDT&limit=9999", 250},
		} {
			before := v.Report().Limits[0].Weight
			r := v.get(c.target)
			r.is(t, 200, 0)
			used := v.Report().Limits[0].Weight
			require.EqualValues(t, c.weight, used-before, c.target)
			require.Equal(t, fmt.Sprint(used), r.header.Get("X-MBX-USED-WEIGHT-1M"))
		}
		require.Zero(t, v.Violations())
	})
}

func TestAFixedWindowIsAlignedToTheExchangesClock(t *testing.T) {
	c := one(Limit{Quota: 3, Per: time.Minute})
	c.Skew = 10 * time.Second // its minute begins at our second 50
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		time.Sleep(50*time.Second - 1)
		for range 3 {
			v.get("/api/v3/ping").is(t, 200, 0)
		}
		time.Sleep(time.Nanosecond)
		for range 3 {
			v.get("/api/v3/ping").is(t, 200, 0)
		}
		r := v.get("/api/v3/ping")
		r.is(t, 429, -1003)
		require.Equal(t, "60", r.header.Get("Retry-After"))
		time.Sleep(time.Minute)
		v.get("/api/v3/ping").is(t, 200, 0)

		limit := v.Report().Limits[0]
		require.EqualValues(t, 1, limit.RefusedWeight)
		require.EqualValues(t, 3, limit.Peak)
		require.InDelta(t, 1, limit.PeakFill, 0)
		var weights []int64
		for _, w := range limit.Windows {
			weights = append(weights, w.Weight)
		}
		require.Equal(t, []int64{3, 3, 1}, weights)
		require.EqualValues(t, 1, limit.Windows[1].Overrun)
		require.InDelta(t, 1, limit.Utilisation, 0)
	})
}

func TestASlidingWindowRefusesWhatAFixedOneWouldTake(t *testing.T) {
	inFakeTime(t, one(Limit{Quota: 2, Per: time.Second, Policy: Sliding}), func(t *testing.T, v *venue) {
		time.Sleep(900 * time.Millisecond)
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 200, 0)
		time.Sleep(time.Second - 1)
		v.get("/api/v3/ping").is(t, 429, -1003)
		time.Sleep(time.Second)
		v.get("/api/v3/ping").is(t, 200, 0)
	})
}

func TestGoingOnAfterA429IsBannedForLongerEachTime(t *testing.T) {
	inFakeTime(t, one(Limit{Quota: 1, Per: time.Minute}), func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, -1003)
		for _, want := range []string{"120", "240", "360"} {
			r := v.get("/api/v3/ping")
			r.is(t, 418, -1003)
			require.Equal(t, want, r.header.Get("Retry-After"))
		}
		time.Sleep(6*time.Minute - 1)
		r := v.get("/api/v3/ping")
		r.is(t, 418, -1003)
		require.Equal(t, "480", r.header.Get("Retry-After"))
		time.Sleep(8 * time.Minute)
		v.get("/api/v3/ping").is(t, 200, 0)

		report := v.Report()
		require.Equal(t, map[Violation]int64{OverLimit: 1, ToldToWait: 1, WhileBanned: 3}, report.Counts)
		require.EqualValues(t, 5, report.Violations())
		require.EqualValues(t, 4, report.Banned)
		require.Equal(t, map[string]int{"200": 2, "429": 1, "418": 4}, report.Routes[0].Statuses)
	})
}

func TestABanIsNeverLongerThanItsMaximum(t *testing.T) {
	p, ban := penalty{}, Ban{Base: time.Minute, Max: 150 * time.Second}
	for _, want := range []time.Duration{60, 120, 150, 150} {
		require.Equal(t, want*time.Second, p.offend(0, ban))
	}
}

func TestGraceSparesWhatWasOnItsWay(t *testing.T) {
	c := one(Limit{Quota: 1, Per: time.Minute})
	c.Ban.Grace = 50 * time.Millisecond
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, -1003)
		time.Sleep(49 * time.Millisecond)
		v.get("/api/v3/ping").is(t, 429, -1003)
		time.Sleep(time.Millisecond)
		v.get("/api/v3/ping").is(t, 418, -1003)
	})
}

func TestWaitingExactlyAsToldIsPoliteWhateverTheClockDoes(t *testing.T) {
	c := one(Limit{Quota: 1, Per: 10 * time.Second, Policy: Sliding})
	c.DriftPPM = -50_000 // its ten seconds take ours more than ten
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		for range 3 {
			r := v.get("/api/v3/ping")
			r.is(t, 429, -1003)
			wait, err := time.ParseDuration(r.header.Get("Retry-After") + "s")
			require.NoError(t, err)
			time.Sleep(wait + time.Second)
			v.get("/api/v3/ping").is(t, 200, 0)
		}
		require.Zero(t, v.Report().Banned)
	})
}

func TestChargedRefusalsKeepASlidingWindowFull(t *testing.T) {
	for charge, status := range map[bool]int{false: 200, true: 429} {
		c := one(Limit{Quota: 1, Per: 1500 * time.Millisecond, Policy: Sliding})
		c.ChargeRefused, c.Ban.Grace = charge, time.Hour
		inFakeTime(t, c, func(t *testing.T, v *venue) {
			v.get("/api/v3/ping").is(t, 200, 0)
			v.get("/api/v3/ping").is(t, 429, -1003)
			time.Sleep(1200 * time.Millisecond)
			v.get("/api/v3/ping").is(t, 429, 0)
			time.Sleep(800 * time.Millisecond)
			v.get("/api/v3/ping").is(t, status, 0)
		})
	}
}

func TestClientsAreToldApartByAddress(t *testing.T) {
	inFakeTime(t, one(Limit{Quota: 1, Per: time.Minute}), func(t *testing.T, v *venue) {
		v.get("/api/v3/ping").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, 0)
		v.client.Transport.(*http.Transport).CloseIdleConnections()
		v.client.Transport = &http.Transport{DialContext: v.listen.DialFrom("elsewhere.test"), DisableKeepAlives: true}
		v.get("/api/v3/ping").is(t, 200, 0)
	})
}

func TestHowManyAreAdmittedDoesNotDependOnHowManyCome(t *testing.T) {
	for policy := range policyNames {
		l := Limit{Quota: 500, Per: 1000 * time.Hour, Policy: Policy(policy)}
		ex, err := New(one(l))
		require.NoError(t, err)
		var admitted atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 60 {
					w := httptest.NewRecorder()
					ex.ServeHTTP(w, httptest.NewRequest("GET", "/api/v3/ping", nil))
					if w.Code == http.StatusOK {
						admitted.Add(1)
					}
				}
			})
		}
		wg.Wait()
		want := l.Quota
		if l.Policy == Budget {
			want++ // the one in a period when it is spent
		}
		require.EqualValues(t, want, admitted.Load(), l)
		r := ex.Report()
		require.EqualValues(t, 16*60, r.Requests)
		require.EqualValues(t, 16*60-want, r.Violations(), "every refused request is one violation")
		require.EqualValues(t, want, r.Limits[0].Peak)
	}
}

func TestARefusedRequestIsChargedToNoLimitAtAll(t *testing.T) {
	c := Config{Limits: []Limit{
		{Kind: Raw, Quota: 10, Per: time.Hour}, {Quota: 5, Per: time.Hour}, {Quota: 100, Per: 24 * time.Hour, Policy: Sliding},
	}}
	c.Ban.Grace = time.Hour
	inFakeTime(t, c, func(t *testing.T, v *venue) {
		v.get("/api/v3/depth?symbol=BTCUSDT").is(t, 200, 0)
		v.get("/api/v3/ping").is(t, 429, -1003)
		limits := v.Report().Limits
		require.EqualValues(t, 1, limits[0].Weight)
		require.EqualValues(t, 5, limits[1].Weight)
		require.EqualValues(t, 5, limits[2].Peak)
		require.EqualValues(t, []int64{0, 1, 0}, []int64{limits[0].Refused, limits[1].Refused, limits[2].Refused})
	})
}
